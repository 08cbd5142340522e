"""Do models learn wrong labels by heart? Per image, on whole data sets."""

import torch
from torch import Tensor, nn

from pellucid.data.dataset import Dataset
from pellucid.errors import BadInput
from pellucid.modes import mode
from pellucid.training.step import to_device

BATCH = 256


def memorised(model: nn.Module, train: Dataset, flipped: Tensor) -> Tensor:
    """Whether the model predicts the wrong label of each image whose label was flipped.

    Parameters
    ----------
    model
        Trained on `train`; used in eval mode, each module gets its mode back.
    train, flipped
        Images with partly wrong labels, and which of them are wrong, bool [N]: see
        :func:`pellucid.data.label_noise.flip_labels`.

    Returns
    -------
    Tensor
        [N] float64: 1 where the wrong label is predicted, 0 where it is not, NaN where the label was not flipped. The
        mean over the defined ones is the memorisation of definitions §3.1 (lower is better).

    Raises
    ------
    BadInput
        If `flipped` is not one bool for each image.
    """
    if flipped.shape != train.labels.shape or flipped.dtype != torch.bool:
        raise BadInput(f"{len(train)} images need flipped as bool [N]; got {flipped.dtype} {tuple(flipped.shape)}")
    found = torch.full((len(train),), float("nan"), dtype=torch.float64)
    with mode(model, training=False), torch.no_grad():
        for positions in flipped.nonzero()[:, 0].split(BATCH):
            x, y = to_device(train.batch(positions), model)
            found[positions] = (model(x).argmax(1) == y).double().cpu()
    return found
