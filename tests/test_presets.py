"""The preset is written in three places; they must say the same."""

from pathlib import Path

import yaml

from pellucid.experiments.quickstart import ARMS, RECIPE

CONFIGS = Path(__file__).parents[1] / "configs"
GRID = yaml.safe_load((CONFIGS / "presets-fashion-mnist-mini.yaml").read_text())["axes"]["arm"]


def essence(config):
    """Objective and regularisers, without options that repeat their defaults."""
    terms = [{key: value for key, value in term.items() if key != "sigma"} for term in config["regularisers"]]
    return config["arm"], config["objective"], terms


def preset(name):
    return yaml.safe_load((CONFIGS / f"{name}.yaml").read_text())


def test_the_grid_that_judges_the_presets_trains_them_as_their_configs_do():
    for arm, name in (("P", "pellucid-robust"), ("PN", "pellucid-natural")):
        assert essence(GRID[arm]) == essence(preset(name))
        for own in GRID[arm]["training"].items():
            assert own in preset(name)["training"].items()


def test_the_quickstart_trains_the_robust_preset_for_fewer_epochs():
    assert essence(ARMS["P"]) == essence(preset("pellucid-robust"))
    assert ARMS["P"]["training"]["epochs"] == RECIPE["training"]["epochs"] - 1
