import re
from xml.etree import ElementTree

import numpy as np
import pytest
from constructed import first, run, spread

from pellucid.report import figures, read_runs
from pellucid.report.figures.bars import trade_off
from pellucid.report.figures.saliency import _scale
from pellucid.report.figures.style import embedded


def test_svg_colours_follow_the_page_and_ids_do_not_clash(three_runs):
    drawn = figures.similarity_curves(read_runs(three_runs))
    svg = embedded(drawn)
    ElementTree.fromstring(svg)
    assert svg.startswith("<svg")
    assert "var(--ink, #1d2127)" in svg
    assert "var(--series-a, #0072b2)" in svg
    bare = re.sub(r"var\(--[^)]*\)", "", svg)
    assert not re.search("#1d2127|#0072b2|#ffffff", bare)
    assert all(one.startswith("ssim-against-noise-") for one in re.findall(r'\bid="([^"]+)"', svg))
    assert "<metadata" not in svg


def test_figures_leave_matplotlib_alone(three_runs):
    import matplotlib as mpl

    before = dict(mpl.rcParams)
    figures.cost(read_runs(three_runs))
    assert dict(mpl.rcParams) == before


def test_class_names_are_no_formulas(own_runs):
    for arm in "NAG":
        path = own_runs / "runs" / arm / "manifest.json"
        path.write_text(path.read_text().replace("Trouser", r"$\\oops{$"))
    assert read_runs(own_runs)[0].class_name(1) == r"$\oops{$"
    assert figures.saliency_grid(read_runs(own_runs)).svg.startswith("<?xml")


def test_maps_are_divided_by_their_own_99th_percentile():
    values = np.arange(1000.0) - 300
    assert _scale(values) == pytest.approx(np.percentile(np.abs(values), 99))
    for factor in (1e-6, 1e6):
        assert _scale(factor * values) == pytest.approx(factor * _scale(values))
    sparse = np.zeros(1000)
    sparse[3] = -0.25
    assert _scale(sparse) == 0.25
    assert _scale(np.zeros(1000)) == 0.0


def test_grid_shows_a_small_map_as_bright_as_a_large_one(own_runs):
    def pictures():
        svg = figures.saliency_grid(read_runs(own_runs)).svg
        return re.findall(r'xlink:href="data:image/png;base64,([^"]+)"', svg)

    before = pictures()
    path = own_runs / "runs/A/measurements/examples.npz"
    arrays = dict(np.load(path))
    np.savez(path, **arrays | {"map:gradient": arrays["map:gradient"] * np.float32(2.0**-20)})
    assert pictures() == before


def test_what_was_not_measured_has_no_empty_panel():
    levels = np.stack([spread(0.5)] * 2, 1)
    measured = {"gini": spread(0.5), "ssim": levels, "correct": first(9), "robust": first(5)}
    for keys in (["gini", "correct"], list(measured)):
        columns = [run(role, **{key: measured[key] for key in keys}) for role in "NA"]
        drawn = re.findall(r'id="axes_(\d+)"', trade_off(columns).svg)
        assert len(drawn) == len(keys)
