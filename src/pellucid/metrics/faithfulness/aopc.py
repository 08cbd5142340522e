"""Area over the perturbation curve of ROAD: one number for how fast accuracy falls as pixels are removed.

Higher is better for most-relevant-first removal: the map's first pixels mattered to the model.
"""

from torch import Tensor


def aopc(curve: Tensor) -> Tensor:
    """Accuracy lost on average over the levels, for each image: (1/L) Σ_k (1 − a_k).

    Parameters
    ----------
    curve
        [..., L]: still correct after the k-th removal (bool, or a share in [0, 1]). The image must have been classified
        correctly to begin with: the accuracy at 0 % removed is 1.

    Returns
    -------
    Tensor
        [...] float64 in [0, 1]; higher is better.
    """
    return 1 - curve.double().mean(-1)


def aopc_legacy(mean_accuracies: Tensor) -> Tensor:
    """What the code of T3S computes: Σ_k (a_1 − a_k) / (L + 1) over accuracies averaged over images.

    It differs from equation 35 of the paper in its base line, the accuracy with the first 1 % removed instead of none,
    and from both in dividing L terms by L + 1, one of which is zero by construction (definitions D-M10).

    Parameters
    ----------
    mean_accuracies
        [..., L] in [0, 1], one per percentage, ascending.

    Returns
    -------
    Tensor
        [...] float64, at most (L − 1)/(L + 1); negative where accuracy rises above its first value; higher is better.
    """
    accuracies = mean_accuracies.double()
    return (accuracies[..., :1] - accuracies).sum(-1) / (accuracies.shape[-1] + 1)


def aopc_paper(mean_accuracies: Tensor, *, unperturbed: float = 1.0) -> Tensor:
    """T3S equation 35 (after Samek et al. 2017): 1/(L + 1) Σ_{k=0}^{L} (a_0 − a_k), whose term k = 0 vanishes.

    Parameters
    ----------
    mean_accuracies
        [..., L] in [0, 1], after each removal.
    unperturbed
        a_0, the accuracy with nothing removed: 1 where the images were chosen for being classified correctly.

    Returns
    -------
    Tensor
        [...] float64, at most L/(L + 1) · a_0; higher is better.
    """
    accuracies = mean_accuracies.double()
    return (unperturbed - accuracies).sum(-1) / (accuracies.shape[-1] + 1)
