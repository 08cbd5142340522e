"""What is measured on images: one `Measure` a number, used alike by tables, relations and figures."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np

from pellucid.report.reading import Floats, Ids
from pellucid.report.runs import Run
from pellucid.statistics import Estimate, bootstrap, paired_difference, wilson
from pellucid.statistics.intervals import aggregate

Direction = Literal["↑", "↓", ""]
Sample = tuple[Ids, Floats]


@dataclass(frozen=True)
class Measure:
    """A per-image number and how it is averaged.

    Attributes
    ----------
    key, label
        The name in files, and in print.
    sample
        run -> (ids [n], values [n] or [n, levels]), or None where the run was not measured so.
    statistic
        A statistic of :func:`pellucid.statistics.bootstrap`, or "share" for 0/1 values (Wilson interval).
    direction
        "↑" higher is better, "↓" lower is better, "" neither.
    unit
        "%" (values are shares, shown times 100) or "".
    decimals
        Digits after the point; None for three significant digits.
    undefined
        Why an image can have no value.
    """

    key: str
    label: str
    sample: Callable[[Run], Sample | None]
    statistic: str = "mean"
    direction: Direction = ""
    unit: str = ""
    decimals: int | None = 3
    undefined: str = ""
    aggregate: str = "mean over images"
    of_two_seeds: bool = False
    """Whether a run's number compares its model with that of the next seed, around the end."""

    @property
    def factor(self) -> float:
        """What a stored value is multiplied with to be shown in `unit`."""
        return 100.0 if self.unit == "%" else 1.0


def estimate(measure: Measure, run: Run) -> Estimate | None:
    """The aggregate of one run with its interval, in stored units; None if it was not measured."""
    sample = measure.sample(run)
    if sample is None:
        return None
    values = sample[1]
    if measure.statistic != "share":
        return bootstrap(values, statistic=measure.statistic)
    known = values[~np.isnan(values)]
    share = wilson(int(known.sum()), len(known))
    return Estimate(share.value, share.low, share.high, share.n, len(values) - len(known))


def difference(measure: Measure, first: Run, second: Run) -> Estimate | None:
    """aggregate(first) - aggregate(second) on the images that both share; None if they share none."""
    pair = _shared(measure, first, second)
    return None if pair is None else paired_difference(*pair, statistic=resampled_statistic(measure))


def gap(measure: Measure, first: Run, second: Run) -> tuple[float, int] | None:
    """The same without an interval: (difference in stored units, number of images)."""
    pair = _shared(measure, first, second)
    if pair is None:
        return None
    one, two = pair
    undefined = np.isnan(one) | np.isnan(two)
    images = int((~undefined).reshape(len(one), -1).any(axis=1).sum())
    ends = [aggregate(np.where(undefined, np.nan, values), resampled_statistic(measure)) for values in pair]
    return ends[0] - ends[1], images


def resampled_statistic(measure: Measure) -> str:
    """The statistic as :func:`pellucid.statistics.bootstrap` knows it: a share is a mean of 0 and 1."""
    return "mean" if measure.statistic == "share" else measure.statistic


def _shared(measure: Measure, first: Run, second: Run) -> tuple[Floats, Floats] | None:
    """The values of two runs on the images that both have."""
    one, two = measure.sample(first), measure.sample(second)
    if one is None or two is None or first.setting[:2] != second.setting[:2]:
        return None
    if one[1].shape[1:] != two[1].shape[1:]:
        return None
    _, left, right = np.intersect1d(one[0], two[0], assume_unique=True, return_indices=True)
    if len(left) == 0:
        return None
    return one[1][left], two[1][right]


# --- accuracy ---------------------------------------------------------------------------------------------------------


def natural_accuracy() -> Measure:
    """Share of test images classified correctly."""
    return _accuracy("natural_accuracy", "Natural accuracy", "correct", "")


def robust_accuracy() -> Measure:
    """Share of test images classified correctly before and after the attack (all restarts)."""
    return _accuracy("robust_accuracy", "Robust accuracy (PGD)", "robust", "not attacked")


def _accuracy(key: str, label: str, column: str, undefined: str) -> Measure:
    def sample(run: Run) -> Sample | None:
        values = run.accuracy.values.get(column)
        return None if values is None else (run.accuracy.ids, values)

    return Measure(key, label, sample, "share", "↑", "%", 1, undefined, "share of test images")


# --- per attribution --------------------------------------------------------------------------------------------------

_AGGREGATES = {
    "mean": "mean over images",
    "median": "median over images",
    "log10_mean": "log10 of the mean over images",
    "log10_median": "log10 of the median over images",
}


def column(
    attribution: str,
    key: str,
    label: str,
    *,
    statistic: str = "mean",
    direction: Direction = "",
    decimals: int | None = 3,
    undefined: str = "",
) -> Measure:
    """A column of `<attribution>.jsonl`, aggregated over images."""

    def sample(run: Run) -> Sample | None:
        measured = run.attributions.get(attribution)
        if measured is None or key not in measured.values:
            return None
        return measured.ids, measured.values[key]

    name = f"{key}_{statistic}" if statistic.startswith("log10") else key
    shown = statistic, direction, "", decimals, undefined, _AGGREGATES[statistic]
    return Measure(name, label, sample, *shown, of_two_seeds=key.startswith("other_seed_"))


SIMILARITY_UNDEFINED = "the noise changed the prediction, or the map is zero"


def levels_mean(attribution: str, key: str, label: str) -> Measure:
    """The mean over noise levels of the mean over images: `ssim`, `spearman`, `cosine`, `ssim_legacy`."""
    inner = column(attribution, key, label, direction="↑", undefined=SIMILARITY_UNDEFINED + " at every level")
    return Measure(
        f"{key}_levels", label, inner.sample, "mean", "↑", "", 3, inner.undefined, "mean over levels of the image mean"
    )


def level(attribution: str, key: str, label: str, noise: float) -> Measure:
    """The mean over images at one noise level (σ in pixel units)."""
    inner = column(attribution, key, label)

    def sample(run: Run) -> Sample | None:
        found, index = inner.sample(run), noise_index(run, noise)
        return None if found is None or index is None else (found[0], found[1][:, index])

    return Measure(f"{key}_at_{noise:g}", label, sample, "mean", "↑", "", 3, SIMILARITY_UNDEFINED)


def noise_levels(run: Run) -> list[float]:
    """The noise levels of the run's similarity measurements, in pixel units."""
    return [float(noise) for noise in run.measurement.get("ssim_noise") or []]


def noise_index(run: Run, noise: float) -> int | None:
    """Which column holds a noise level, None if the run has no such level."""
    matches = [index for index, other in enumerate(noise_levels(run)) if np.isclose(other, noise)]
    return matches[0] if matches else None


def removal_levels(run: Run) -> list[float]:
    """The percentages of pixels that ROAD removed."""
    return [float(percent) for percent in run.measurement.get("road_percentages") or []]


def road(run: Run, attribution: str, *, legacy: bool = False) -> Sample | None:
    """0/1 [n, levels]: still classified correctly. The legacy curve is measured behind the normalisation layer."""
    measured = run.attributions.get(attribution)
    if measured is None:
        return None
    kept = measured.values.get("road_legacy" if legacy and "road_legacy" in measured.values else "road")
    return None if kept is None else (measured.ids, kept)


def road_level(attribution: str, place: int) -> Measure:
    """Share of images still classified correctly at one removal level, by its place in :func:`removal_levels`."""

    def sample(run: Run) -> Sample | None:
        kept = road(run, attribution)
        return None if kept is None or place >= kept[1].shape[1] else (kept[0], kept[1][:, place])

    return Measure(f"road_{place}", "ROAD", sample, "share", unit="%")


def road_random(run: Run, attribution: str) -> Sample | None:
    """The same for a random map: measured once a run, as it depends on no attribution."""
    measured = run.attributions.get(attribution)
    if measured is None:
        return None
    held = (other for other in run.attributions.values() if "road_random" in other.values)
    shared = next((other for other in held if np.array_equal(other.ids, measured.ids)), None)
    return None if shared is None else (shared.ids, shared.values["road_random"])


def aopc(attribution: str, *, kind: Literal["clean", "legacy", "random", "gain"] = "clean") -> Measure:
    """ROAD-AOPC under removal of the most relevant pixels first; higher = more faithful (definitions §4.4).

    `clean`: (1/L)·Σ(1 - a_k), measured against the accuracy with nothing removed, 1 by selection. `legacy`:
    Σ(a_1 - a_k)/(L + 1), measured against the accuracy at the first level, as published. `random`: `clean` for pixels
    in random order. `gain`: `clean` minus `random` for the same model.
    """
    labels = {
        "clean": "ROAD-AOPC",
        "legacy": "ROAD-AOPC, published form",
        "random": "ROAD-AOPC of a random map (control)",
        "gain": "ROAD-AOPC above the random map",
    }

    def sample(run: Run) -> Sample | None:
        kept, random = road(run, attribution, legacy=kind == "legacy"), road_random(run, attribution)
        if kind == "random":
            return None if random is None else (random[0], 1 - random[1].mean(axis=1))
        if kept is None or (kind == "gain" and random is None):
            return None
        if kind == "legacy":
            return kept[0], (kept[1][:, :1] - kept[1]).sum(axis=1) / (kept[1].shape[1] + 1)
        if kind == "gain" and random is not None:
            return kept[0], (random[1] - kept[1]).mean(axis=1)
        return kept[0], 1 - kept[1].mean(axis=1)

    direction: Direction = "" if kind == "random" else "↑"
    return Measure(f"aopc_{kind}", labels[kind], sample, "mean", direction)
