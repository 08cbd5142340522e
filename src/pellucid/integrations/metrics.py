"""Explanation metrics as ``torchmetrics.Metric``: batch by batch, over any number of processes, inside validation."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from pellucid.errors import BadInput, unknown_name
from pellucid.experiments.suite import NOISE_LEVELS, Batch, explainer
from pellucid.experiments.suite.headline import noisy, per_level, ros_row
from pellucid.integrations.extras import missing
from pellucid.integrations.image_ids import image_ids
from pellucid.memory_format import fast_memory_format
from pellucid.metrics.faithfulness.aopc import aopc
from pellucid.metrics.sparsity.gini import gini
from pellucid.metrics.stability.ssim import ssim_clean
from pellucid.modes import mode, unwrapped
from pellucid.types import Image, Labels, check_images

try:
    from torchmetrics import Metric
except ImportError as error:  # pragma: no cover
    raise missing("torchmetrics", "integrations", error) from error

__all__ = ["ExplanationMetric", "Gini", "InputStability", "RelativeOutputStability", "RoadAopc"]


class ExplanationMetric(Metric):
    """The mean over images of what a subclass measures of each: the protocol of ``pellucid measure``, batch by batch.

    Images that the model does not classify as their label, and those for which the number is undefined, are counted and
    left out of the mean. Noise is drawn for each image by its id, so that neither batch size nor the number of
    processes changes a number. Gradients are taken even inside ``torch.no_grad`` and ``torch.inference_mode``, where
    Lightning validates; the model is in eval mode meanwhile, and its parameters get no gradients.

    Parameters
    ----------
    attribution
        Which maps are measured: a name in ``pellucid.attributions``.
    seed
        Of the noise; 0 as in ``pellucid measure``.
    options
        Of the attribution, such as ``steps`` of integrated_gradients.

    Attributes
    ----------
    measured, undefined
        How many images entered the mean, and how many were left out, over all processes; as of the last
        :meth:`compute`.
    """

    is_differentiable = False
    full_state_update = False
    total: Tensor
    count: Tensor
    left_out: Tensor

    def __init__(self, attribution: str = "gradient", *, seed: int = 0, **options: Any) -> None:
        super().__init__()
        self.explain, self.seed = explainer(attribution, options), seed
        self.measured, self.undefined = 0, 0
        for state in ("total", "count", "left_out"):
            self.add_state(state, torch.zeros((), dtype=torch.float64), dist_reduce_fx="sum")

    def update(self, model: nn.Module, x: Image, y: Labels, ids: Sequence[int] | None = None) -> None:
        """Measure a batch.

        Parameters
        ----------
        model
            Images to logits [B, K].
        x, y
            Images [B, C, H, W] in [0, 1] and labels [B], on the model's device.
        ids
            One number an image, which decides its noise; from its pixels if absent.

        Raises
        ------
        BadInput
            If the images are not in [0, 1], or do not suit the labels or ids.
        """
        values = self.values(model, x, y, ids).to(self.total.device)
        defined = ~values.isnan()
        # not in place: Lightning may have made the states inside inference mode, this may run outside of it
        self.total = self.total + values.nan_to_num(nan=0.0).sum()
        self.count = self.count + defined.sum()
        self.left_out = self.left_out + (~defined).sum()

    def values(self, model: nn.Module, x: Image, y: Labels, ids: Sequence[int] | None = None) -> Tensor:
        """The number of every image of a batch, float64 [B]; NaN where it is undefined. Arguments as in `update`."""
        network = unwrapped(model)
        with torch.inference_mode(False), torch.no_grad(), mode(network, training=False):
            x, y = x.detach().clone(), y.clone()  # clones of inference tensors are ordinary ones
            check_images(x, y)
            ids = image_ids(x) if ids is None else [int(i) for i in ids]
            if len(ids) != len(x):
                raise BadInput(f"{len(x)} images came with {len(ids)} ids")
            values = torch.full((len(x),), torch.nan, dtype=torch.float64, device=x.device)
            right = (network(x).argmax(1) == y).nonzero().squeeze(1)
            if len(right):
                chosen = [ids[i] for i in right.tolist()]
                with fast_memory_format(network, x):  # as the suite measures
                    values[right] = self.measure(Batch(network, x[right], y[right], chosen, self.explain))
        return values

    def measure(self, batch: Batch) -> Tensor:
        """What the metric is, for correctly classified images: float64 [B]."""
        raise NotImplementedError

    def compute(self) -> Tensor:
        """The mean over the defined images of all processes; NaN without any."""
        self.measured, self.undefined = int(self.count), int(self.left_out)
        return self.total / self.count


class Gini(ExplanationMetric):
    """Gini index of the saliency map, in [0, 1]: how sparse it is (higher is sparser; definitions §4.1)."""

    higher_is_better = True

    def measure(self, batch: Batch) -> Tensor:
        """Of each map."""
        return gini(batch.saliency)


class InputStability(ExplanationMetric):
    """SSIM of the map with the map under Gaussian noise, each over its own maximum (higher is stabler; §4.2).

    Undefined where the noise changes the prediction. `noise` is the standard deviation in pixel units, one of
    :data:`pellucid.experiments.suite.NOISE_LEVELS`; the draws are those of ``pellucid measure``.
    """

    higher_is_better = True

    def __init__(self, attribution: str = "gradient", *, noise: float = 0.1, seed: int = 0, **options: Any) -> None:
        super().__init__(attribution, seed=seed, **options)
        if noise not in NOISE_LEVELS:
            raise unknown_name("noise level", noise, [f"{level:g}" for level in NOISE_LEVELS])
        self.level = NOISE_LEVELS.index(noise)

    def measure(self, batch: Batch) -> Tensor:
        """Of each map, under one draw."""
        copies = noisy(batch, self.seed)[:, self.level : self.level + 1]
        return per_level(ssim_clean, batch.saliency, batch.perturbed(copies)).squeeze(1)


class RelativeOutputStability(ExplanationMetric):
    """ROS-norm: the relative change of the map over that of the logits, the worst of 16 draws (lower is stabler; §4.3).

    Its distribution over images has a long tail, which the mean feels.
    """

    higher_is_better = False

    def measure(self, batch: Batch) -> Tensor:
        """Of each map, under uniform noise of ± 0.05."""
        return torch.cat([ros_row(part, self.seed)["ros_norm"] for part in batch.split(16)])


class RoadAopc(ExplanationMetric):
    """ROAD-AOPC in [0, 1]: accuracy lost as the most salient pixels are imputed (higher is more faithful; §4.4)."""

    higher_is_better = True

    def measure(self, batch: Batch) -> Tensor:
        """Of each map, over the 20 levels of removal."""
        (curve,) = batch.road(self.seed, batch.saliency)
        return aopc(curve)
