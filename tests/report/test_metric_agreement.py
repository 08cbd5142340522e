"""Whether metrics agree: rank correlations of arms, and which metrics flip a conclusion."""

import numpy as np
import pytest
from constructed import seeds_of, spread

from pellucid.report import measures
from pellucid.report.agreement import rank_correlations, votes
from pellucid.report.arms import arms_of
from pellucid.report.comparisons import compare
from pellucid.report.grid_sheets import agreement_sheet

WOBBLE = [-0.01, 0.0, 0.01, 0.005]
UP = measures.column("gradient", "gini", "Gini", direction="↑")
DOWN = measures.column("gradient", "misalignment", "Misalignment", direction="↓")
ODD = measures.column("gradient", "ssim", "SSIM", direction="↑")


def arms():
    numbers = {"N": (0.3, 0.9, 0.6), "A": (0.6, 0.5, 0.4), "G": (0.7, 0.2, 0.4)}
    runs = []
    for name, (gini, misalignment, ssim) in numbers.items():
        by_seed = [
            {
                key: spread(number * (1 + by))
                for key, number in (("gini", gini), ("misalignment", misalignment), ("ssim", ssim))
            }
            for by in WOBBLE
        ]
        runs += seeds_of(name, by_seed)
    return arms_of(runs)


def all_comparisons():
    return [one for measure in (UP, DOWN, ODD) for one in compare(arms(), measure)]


def test_better_first_whatever_the_direction():
    taus = rank_correlations(arms(), [UP, DOWN, ODD])
    np.testing.assert_allclose(np.diag(taus), 1)
    assert taus[0, 1] == pytest.approx(1)  # higher Gini, lower misalignment
    assert taus[0, 2] == taus[2, 0] == pytest.approx(-0.8164965809)  # R: cor(1:3, c(.6, .4, .4), method = "kendall")
    assert np.isnan(rank_correlations(arms()[:2], [UP, DOWN])).all()
    assert agreement_sheet(arms()[:2], [UP, DOWN]) is None
    assert [str(entry) for entry in agreement_sheet(arms(), [UP, DOWN]).rows[0]] == ["Gini ↑", "1.00", "1.00"]


def test_a_vote_names_the_majority_first_and_the_metrics_that_flip():
    pairs = {frozenset((one.first, one.second)): one for one in votes(all_comparisons())}
    against_n = pairs[frozenset("AN")]
    assert (against_n.first, against_n.pro, against_n.contra) == ("A", ("Gini", "Misalignment"), ("SSIM",))
    assert against_n.sentence == (
        "A is better than N under 2 of 3 metrics (2 clearly); this flips under 1 of 3: SSIM (clearly)."
    )
    unanimous = pairs[frozenset("GA")]
    assert unanimous.first == "G"
    assert unanimous.sentence.endswith("no metric turns this round.")
