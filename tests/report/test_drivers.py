"""Which images drive a difference."""

import numpy as np
import pytest
from constructed import IMAGES, first, seeds_of, spread

from pellucid.report import measures
from pellucid.report.arms import arms_of
from pellucid.report.drivers import SHOWN, drivers
from pellucid.report.grid_sheets import driver_sheet, drivers_sentence

GINI = measures.column("gradient", "gini", "Gini", direction="↑")
LEVELS = measures.levels_mean("gradient", "ssim", "SSIM")


def arms(lift, seeds=2, **more):
    plain = spread(0.5)
    natural = seeds_of("N", [{"gini": plain, **more} for _ in range(seeds)])
    return arms_of(natural + seeds_of("A", [{"gini": plain + lift, **more} for _ in range(seeds)]))


def test_few_images_that_make_a_difference_are_found_and_what_is_left_without_them_told():
    lift = np.zeros(IMAGES)
    lift[[7, 40, 93]] = [0.5, 0.9, 0.4]
    one, two = arms(lift)
    found = drivers(two, one, GINI)
    assert [(image.image, round(image.difference, 6)) for image in found.images[:3]] == [(40, 0.9), (7, 0.5), (93, 0.4)]
    assert len(found.images) == SHOWN
    assert (found.total, found.few, found.without) == (pytest.approx(0.018), 5, pytest.approx(0, abs=1e-12))
    assert found.agreeing == pytest.approx(0.03)
    turned = drivers(one, two, GINI)
    assert (turned.images[0].image, turned.total) == (40, pytest.approx(-0.018))
    assert "A − N = +0.018 on the images that both have; 3 % of the images agree" in drivers_sentence(found)


def test_a_broad_difference_stays_without_its_largest_images():
    found = drivers(*arms(np.full(IMAGES, -0.1)), GINI)
    assert (found.total, found.without, found.agreeing) == (pytest.approx(0.1), pytest.approx(0.1), 1)


def test_images_that_one_arm_lacks_are_left_out_and_levels_are_averaged():
    similar = np.stack([spread(0.4), spread(0.8)], axis=1)
    higher = similar + 0.1
    higher[3] = np.nan
    higher[4, 0] = np.nan
    found = drivers(*arms_of(seeds_of("A", [{"ssim": higher}] * 2) + seeds_of("N", [{"ssim": similar}] * 2)), LEVELS)
    assert found.images[0].image == 4  # its only level left is the higher one
    assert found.images[0].first == pytest.approx(0.9)
    assert 3 not in {image.image for image in found.images}


def test_seeds_that_one_arm_lacks_do_not_count():
    lift = np.zeros(IMAGES)
    runs = seeds_of("N", [{"gini": spread(0.5)}, {"gini": spread(0.5)}])
    runs += seeds_of("A", [{"gini": spread(0.6)}, {"gini": spread(0.6)}, {"gini": spread(5.0)}])
    one, two = arms_of(runs)
    assert drivers(two, one, GINI).total == pytest.approx(0.1)
    assert drivers(*arms(lift), LEVELS) is None


def test_the_table_names_the_class():
    labels = {"correct": first(900), "label": np.arange(1000) % 2.0}
    found = drivers(*arms(np.arange(IMAGES) / 1000, **labels), GINI)
    assert [str(entry) for entry in driver_sheet([found]).rows[0]][2:4] == ["99", "b"]
