"""The difference between two arms with its standard error over images and over training runs.

All runs are measured on the same images, so images and seeds are crossed. The variance of the difference is estimated
by the sum of its variance over resampled images and of the variance between seeds; what belongs to a seed and an image
at once is in both, which errs on the safe side (McCullagh 2000).
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import stats

from pellucid.statistics.intervals import RESAMPLES, Floats, aggregate, resample_counts, statistic_of

MIN_FREEDOM = 3
"""With fewer degrees of freedom between seeds, their variance is stated, not estimated."""


@dataclass(frozen=True)
class Contrast:
    """Candidate minus baseline, in stored units, on the values that all runs have.

    Attributes
    ----------
    baseline, candidate
        The mean over runs of the statistic over images.
    error, freedom
        Standard error of the difference and its degrees of freedom (Satterthwaite 1946); NaN below two images.
    images
        How many images all runs have a value for.
    """

    baseline: float
    candidate: float
    error: float
    freedom: float
    images: int

    @property
    def difference(self) -> float:
        """Candidate minus baseline."""
        return self.candidate - self.baseline

    def interval(self, confidence: float = 0.95) -> tuple[float, float]:
        """Student's two-sided interval of the difference."""
        half = float(stats.t.ppf((1 + confidence) / 2, self.freedom)) * self.error
        return self.difference - half, self.difference + half

    def p_worse(self, margin: float, *, higher_is_better: bool) -> float:
        """One-sided p of "not worse by more than `margin`"; NaN where there is no standard error."""
        excess = (-self.difference if higher_is_better else self.difference) - margin
        if np.isnan(self.error):
            return float("nan")
        return float(stats.t.sf(excess / self.error, self.freedom)) if self.error else float(excess <= 0)

    def detects(self, margin: float, level: float) -> float:
        """How much worse a candidate has to look to be found worse by more than `margin` at this level."""
        return margin + float(stats.t.isf(level, self.freedom)) * self.error


def contrast(
    baseline: npt.ArrayLike,
    candidate: npt.ArrayLike,
    *,
    statistic: str = "mean",
    seed_noise: float | None = None,
    resamples: int = RESAMPLES,
) -> Contrast:
    """Compare runs of two arms.

    Parameters
    ----------
    baseline, candidate
        [runs, images] or, for the mean, [runs, images, levels]; column i of both is one image, NaN = undefined. What is
        undefined in one run is left out of all, and so is a level that fewer than two images have a value for.
    statistic
        Of :func:`pellucid.statistics.bootstrap`, taken over the images of each run.
    seed_noise
        The standard deviation between seeds, used (unless the runs at hand differ more) where they leave fewer than
        three degrees of freedom to estimate it. None: the runs are not taken as a sample; only images vary.
    """
    one, two = _shared(np.asarray(baseline, dtype=np.float64), np.asarray(candidate, dtype=np.float64))
    images = one.shape[1]
    if images < 2 or one.size == 0:
        return Contrast(np.nan, np.nan, np.nan, np.nan, images if one.size else 0)
    points = [np.array([aggregate(run, statistic) for run in side]) for side in (one, two)]
    counts = resample_counts(images, resamples, 0)
    drawn = [np.stack([statistic_of(statistic)(run, counts) for run in side]).mean(axis=0) for side in (one, two)]
    over_images = float(np.nanvar(drawn[1] - drawn[0])) * images / (images - 1)
    over_seeds, freedom = (0.0, np.inf) if seed_noise is None else _between_seeds(points, seed_noise)
    total = over_images + over_seeds
    spread = over_seeds**2 / freedom + over_images**2 / (images - 1)
    return Contrast(
        float(points[0].mean()),
        float(points[1].mean()),
        total**0.5,
        total**2 / spread if spread else np.inf,
        images,
    )


def _between_seeds(points: list[Floats], stated: float) -> tuple[float, float]:
    """What seeds add to the variance of the difference of two means [runs], and its degrees of freedom."""
    freedom = sum(len(side) - 1 for side in points)
    squares = sum(float(np.square(side - side.mean()).sum()) for side in points)
    pooled = squares / freedom if freedom else 0.0
    share = sum(1 / len(side) for side in points)
    if freedom < MIN_FREEDOM:
        return max(pooled, stated**2) * share, np.inf
    return pooled * share, float(freedom)


def _shared(one: Floats, two: Floats) -> tuple[Floats, Floats]:
    """Both with NaN wherever a run has one, without images and levels that have nothing left."""
    both = np.concatenate([one, two])
    undefined = np.isnan(both).any(axis=0)
    both = np.where(undefined, np.nan, both)
    if both.ndim == 3:
        both = both[:, :, (~undefined).sum(axis=0) >= 2]
        both = both[:, ~np.isnan(both[0]).all(axis=1)]
    else:
        both = both[:, ~undefined]
    return both[: len(one)], both[len(one) :]
