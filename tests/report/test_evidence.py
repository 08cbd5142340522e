"""Rows of the further measurements and of the maps that know nothing."""

from dataclasses import replace

import numpy as np
from constructed import IMAGES, road, run, spread

from pellucid.report.contents import attribution_names, clean_table
from pellucid.report.evidence import held_out
from pellucid.report.measures import estimate
from pellucid.report.runs import Columns

NAMES = ["brightness", "jpeg"]


def measured(role, **values):
    one = run(role, gini=spread(0.5, 0.1), **values)
    return replace(one, measurement={**one.measurement, "held_out": NAMES, "diffroad_levels": [0.1, 0.5]})


def cells(runs):
    return {row.key: row for row in clean_table(runs).rows}


def test_held_out_similarity_is_shown_for_each_perturbation_and_as_their_mean():
    values = np.stack([spread(0.2), spread(0.6)], 1)
    one = measured("N", held_out_ssim=values)
    rows = cells([one])
    shown = {key: rows[f"held_out_ssim_{key}"].cells[0].value for key in ("mean", "brightness", "jpeg")}
    assert {key: round(value, 9) for key, value in shown.items()} == {"mean": 0.4, "brightness": 0.2, "jpeg": 0.6}
    assert not rows["held_out_ssim_mean"].detail
    assert rows["held_out_ssim_jpeg"].detail
    assert estimate(held_out("gradient", "ssim", "SSIM", "blur"), one) is None


def test_every_further_measurement_has_its_row_and_direction():
    keys = {
        "misalignment": "↓",
        "curvature": "↓",
        "group_gini": "↑",
        "top_k_intersection": "↑",
        "top_k_shift": "↓",
        "energy_inside": "↑",
        "precision_at_truth": "↑",
        "other_seed_ssim": "↑",
    }
    levels = np.stack([spread(0.1), spread(0.3)], 1)
    rows = cells([measured("N", diffroad=levels, **{key: spread(0.25) for key in keys})])
    assert {key: rows[key].direction for key in keys} == keys
    assert round(rows["diffroad"].cells[0].value, 9) == 0.2
    assert not {"misalignment", "diffroad"} & cells([measured("N")]).keys()


def test_maps_that_know_nothing_stand_apart_and_win_nothing():
    def with_sanity(role, gini):
        one = measured(role)
        known = Columns(np.arange(IMAGES), {"gini": spread(gini, 0.01), "road": road(10)})
        return replace(one, attributions={**one.attributions, "edge_detector": known})

    runs = [with_sanity("N", 0.2), with_sanity("A", 0.9)]
    assert attribution_names(runs) == ["gradient"]
    rows = [row for row in clean_table(runs).rows if row.group == "Sanity: the edges of the image"]
    assert [row.key for row in rows] == ["gini", "aopc_clean"]
    assert not any(cell.best for row in rows for cell in row.cells)
