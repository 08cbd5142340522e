"""The configs that ship: every cell of every grid, at every size, is a valid run; small ones also find their images."""

from pathlib import Path

import pytest
import yaml

from pellucid.experiments.config import check, read_config
from pellucid.experiments.grid.cells import plan
from pellucid.experiments.grid.measuring import measure_settings
from pellucid.experiments.grid.spec import points, read_spec

CONFIGS = sorted((Path(__file__).parents[1] / "configs").glob("*.yaml"))
RAW = {path: yaml.safe_load(path.read_text()) for path in CONFIGS}
GRIDS = [(path, size) for path, raw in RAW.items() if "axes" in raw for size in raw.get("sizes", [None])]
RUNS = [path for path, raw in RAW.items() if {"model", "objective"} <= raw.keys()]


def named(value):
    return value.stem if isinstance(value, Path) else str(value)


@pytest.mark.parametrize("path", RUNS, ids=named)
def test_a_run(path):
    assert read_config(path).objective.name


@pytest.mark.parametrize(("path", "size"), GRIDS, ids=named)
def test_a_grid(path, size):
    spec = read_spec(path, size)
    measure_settings(spec.measure)
    cells = points(spec)
    assert len({yaml.safe_dump(check(cell.raw).model_dump(mode="json")) for cell in cells}) == len(cells)


@pytest.mark.parametrize(("path", "size"), [one for one in GRIDS if one[1] in {"smoke", None}], ids=named)
def test_grids_without_sizes_and_the_smoke_of_the_others_run_on_the_images_that_ship(path, size):
    assert len(plan(read_spec(path, size))) > 1


@pytest.mark.parametrize(
    "path", [path for path, size in GRIDS if size == "paper" and path.stem != "nrat-fashion-mnist"], ids=named
)
def test_the_clean_arms_of_a_paper_grid_differ_in_attack_and_block_only(path):
    """But those of nrat-fashion-mnist, which are compared at matched cost and at matched accuracy."""
    cells = [check(point.raw) for point in points(read_spec(path, "paper"))]
    clean = [cell for cell in cells if cell.group != "legacy"]
    for model in {cell.model.name for cell in clean}:
        alike = [cell for cell in clean if cell.model.name == model]
        recipes = {
            cell.training.model_copy(update={"robust_validation": None, "choose": "last"}).model_dump_json()
            for cell in alike
        }
        assert len(recipes) == 1
        assert len({(cell.data.model_dump_json(), cell.model.model_dump_json()) for cell in alike}) == 1
