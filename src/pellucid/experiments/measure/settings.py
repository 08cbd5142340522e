"""What to measure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from pellucid.errors import BadInput, unknown_name
from pellucid.experiments.measure.until import Until, make_until
from pellucid.experiments.suite import ALL_METRICS, METRICS, explainer

SANITY: dict[str, tuple[str, ...]] = {"random_map": ("gini",), "edge_detector": ("gini", "ssim", "road")}
"""Maps that know nothing of the model, measured beside the others: what a number must be compared with."""
PROFILES = ("clean", "legacy", "both")
IMAGES, EVERY_IMAGE = 1000, 2**31


@dataclass(frozen=True)
class Robustness:
    """The evaluation PGD (definitions §4.5): true labels, eval mode, pixel space, clamp, random start, α = ε/4.

    `eps` None: the largest ε that any compared run was trained with, or the data set's usual one. `images` of the test
    images are attacked, drawn by the seed.
    """

    eps: float | None = None
    norm: Literal["linf", "l2"] = "linf"
    steps: int = 20
    restarts: int = 1
    images: int = 2000

    @property
    def radius(self) -> float:
        """ε, once it is decided."""
        assert self.eps is not None
        return self.eps


@dataclass(frozen=True)
class MeasureSettings:
    """What to measure.

    Attributes
    ----------
    images
        How many images, all of which every compared model classifies correctly; with `until`, how many at most.
    profile
        "clean", "legacy" or "both".
    attributions
        Which metrics to measure for each attribution; options as in a config.
    interpretation_images
        How many of the images the attacks on the interpretation are made on: they cost hundreds of passes an image.
    until
        Measure images in an order drawn by the seed until this rule is fulfilled.
    batch_size
        Images in one pass through a model at most; None: by the memory that is free. It changes no number.
    """

    images: int = IMAGES
    profile: Literal["clean", "legacy", "both"] = "clean"
    attributions: Mapping[str, Sequence[str]] = field(
        default_factory=lambda: {"gradient": METRICS, "integrated_gradients": METRICS, **SANITY}
    )
    robustness: Robustness = Robustness()
    interpretation_images: int = 64
    seed: int = 0
    until: Until | None = None
    batch_size: int | None = None

    @property
    def watched(self) -> dict[str, Sequence[str]]:
        """The attributions whose numbers a stopping rule looks at, and their metrics: not the sanity rows."""
        return {name: metrics for name, metrics in self.attributions.items() if name not in SANITY}

    def __post_init__(self) -> None:
        """Refuse a rule for numbers that depend on the loader's batches."""
        if self.until is not None and self.profile != "clean":
            raise BadInput(f"--until watches the clean numbers; measure the profile '{self.profile}' with --images")


def make_settings(
    *,
    images: int | None = None,
    profile: str,
    attributions: Sequence[str],
    metrics: Sequence[str],
    attack: dict[str, Any],
    seed: int,
    until: str | None = None,
    batch_size: int | None = None,
) -> MeasureSettings:
    """Settings from plain values, every name checked. Raises BadInput with the nearest valid name.

    `images` None means 1000, and as many as there are where `until` says when to stop.
    """
    if profile not in PROFILES:
        raise unknown_name("profile", profile, PROFILES)
    for metric in metrics:
        if metric not in {*ALL_METRICS, "all"}:
            raise unknown_name("metric", metric, ALL_METRICS)
    everything = tuple(metric for metric in ALL_METRICS if metric != "alignment")  # most data have no attention maps
    chosen = everything if "all" in metrics else tuple(metrics) or METRICS
    names = [explainer(name).name for name in attributions or ("gradient", "integrated_gradients")]
    wanted = dict.fromkeys(names, chosen) | ({} if attributions or metrics else SANITY)
    count = images or (IMAGES if until is None else EVERY_IMAGE)
    settings = MeasureSettings(count, profile, wanted, Robustness(**attack), seed=seed, batch_size=batch_size)  # type: ignore[arg-type]
    return settings if until is None else replace(settings, until=make_until(until, settings.watched))
