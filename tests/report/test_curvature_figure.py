"""The figure of curvature against instability: what it says, and what it leaves out."""

import json
import re
from dataclasses import replace

import fake_runs
import numpy as np
import pytest
from constructed import IMAGES, run, spread
from scipy import stats

from pellucid.report import figures, write_report
from pellucid.report.figures import curvature
from pellucid.report.figures.curvature import rank_correlation


def measured(role, curvature, similarity):
    """Similarity at the quoted noise level; at the other, noise that must not be looked at."""
    return run(role, curvature=curvature, ssim=np.stack([np.random.default_rng(1).random(IMAGES), similarity], 1))


@pytest.fixture
def two():
    steep = spread(3.0, 0.5)
    return [measured("N", steep, 0.5 - 0.1 * (steep - 3)), measured("A", spread(0.3, 0.05), spread(0.9, -0.02))]


def test_it_tells_the_rank_correlation_of_every_model(two):
    drawn = figures.curvature_against_instability(two)
    assert drawn.name == "curvature"
    assert "N: 1.00 [1.00, 1.00] (100 images); A: 1.00 [1.00, 1.00] (100 images)" in drawn.caption
    turned = [measured("N", spread(3.0, 0.5), spread(0.5, 0.1))]
    assert "N: −1.00" in figures.curvature_against_instability(turned).caption


def test_images_without_both_numbers_are_left_out(two):
    column, ssim = (values.copy() for values in two[0].attributions["gradient"].values.values())
    column[:7], ssim[5:10, 1] = np.nan, np.nan
    ssim[20:, 0] = np.nan  # another level
    drawn = figures.curvature_against_instability([run("N", curvature=column, ssim=ssim)])
    assert "(90 images)" in drawn.caption


def test_nothing_is_drawn_where_nothing_was_measured(two):
    assert figures.curvature_against_instability([run("N", ssim=np.ones((IMAGES, 2)))]) is None
    assert figures.curvature_against_instability([run("N", curvature=spread(1.0))]) is None
    assert figures.curvature_against_instability([]) is None
    mixed = figures.curvature_against_instability([*two, run("G", ssim=np.ones((IMAGES, 2)))])
    assert "G:" not in mixed.caption
    other_noise = replace(two[0], measurement=two[0].measurement | {"ssim_noise": [0.05, 0.2]})
    assert figures.curvature_against_instability([other_noise]) is None


@pytest.mark.parametrize("column", [np.full(IMAGES, np.nan), np.zeros(IMAGES), np.r_[0.0, spread(1.0)[1:]]])
def test_undefined_and_constant_curvatures_are_drawn_without_a_correlation(column):
    drawn = figures.curvature_against_instability([measured("N", column, spread(0.5, 0.1))])
    assert drawn.svg.startswith("<?xml")
    assert "N: " in drawn.caption or np.isnan(column).all()


@pytest.mark.parametrize("correlation", [0.0, 0.4, -0.9])
def test_the_interval_covers_the_truth_19_times_in_20(correlation):
    draws = np.random.default_rng(0)
    truth = 6 / np.pi * np.arcsin(correlation / 2)
    covered = 0
    for _ in range(400):
        first, second = draws.multivariate_normal([0, 0], [[1, correlation], [correlation, 1]], 60).T
        found = rank_correlation(first, np.exp(second))
        covered += found.low <= truth <= found.high
        assert found.low < found.value < found.high
    assert 0.91 <= covered / 400 <= 0.985
    assert found.value == pytest.approx(stats.spearmanr(first, second).statistic)
    assert found.n == 60


def test_too_few_or_constant_numbers_have_no_correlation():
    assert np.isnan(rank_correlation(np.arange(3.0), np.arange(3.0)).value)
    assert np.isnan(rank_correlation(np.ones(9), np.arange(9.0)).value)
    exact = rank_correlation(np.arange(9.0), -np.arange(9.0))
    assert (exact.value, exact.low, exact.high) == (-1, -1, -1)


def test_ticks_are_numbers_not_formulas(two, monkeypatch):
    seen = []
    monkeypatch.setattr(curvature, "picture", lambda figure, **_: seen.append(figure))
    figures.curvature_against_instability(two)
    seen[0].canvas.draw()
    for axes in seen[0].axes:
        texts = [tick.get_text() for tick in axes.get_xticklabels(which="both")]
        assert axes.get_xscale() == "log"
        assert sum(bool(text) for text in texts) >= 2
        assert not any("$" in text for text in texts)


def test_it_stands_in_the_report(tmp_path):
    folder = fake_runs.write_runs(tmp_path, ("N",), images=12)
    path = folder / "runs" / "N" / "measurements" / "gradient.jsonl"
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    path.write_text("".join(json.dumps(row | {"curvature": 1 - row["gini"]}) + "\n" for row in rows))
    page = write_report(folder).read_text()
    assert re.search('<figure id="figure-curvature">.*?</figure>', page, flags=re.DOTALL)
    assert (folder / "report" / "figures" / "curvature.pdf").exists()
