import pytest
import yaml

from pellucid.errors import BadInput
from pellucid.experiments.grid.measuring import measure_settings
from pellucid.experiments.grid.spec import check_spec, laid_over, points, read_spec


def labels(text):
    return [point.label for point in points(check_spec(yaml.safe_load(text)))]


ARMS = "axes: {arm: {N: {objective: natural}, A: {objective: {name: adversarial, eps: 0.1}}}, seed: [0, 1, 2]}"


def test_cells_are_the_product_without_the_exclusions():
    assert labels(ARMS) == ["N-seed0", "N-seed1", "N-seed2", "A-seed0", "A-seed1", "A-seed2"]
    assert labels(ARMS + "\nexclude: [{arm: A, seed: 2}, {seed: 1}]") == ["N-seed0", "N-seed2", "A-seed0"]


def test_an_axis_can_be_named_values_of_a_key_or_values_under_a_name():
    found = points(
        check_spec(
            yaml.safe_load(
                """
                base: {objective: natural, regularisers: [{name: misalignment, weight: 1}], training: {epochs: 3}}
                axes:
                  training.optimizer.lr: [1.0e-5]
                  penalty: {key: regularisers.0.weight, values: [0.1]}
                  budget: {long: {training: {epochs: 9}}}
                  smoothing: [null]
                """
            )
        )
    )
    (point,) = found
    assert point.label == "lr1e-05-penalty0.1-long-smoothingnone"
    assert point.raw == {
        "objective": "natural",
        "regularisers": [{"name": "misalignment", "weight": 0.1}],
        "training": {"epochs": 9, "optimizer": {"lr": 1e-5}},
        "smoothing": None,
    }


def test_cells_share_nothing_that_could_change():
    first, second = points(check_spec({"base": {"model": {"name": "lenet"}}, "axes": {"seed": [0, 1]}}))
    first.raw["model"]["name"] = "other"
    assert second.raw["model"]["name"] == "lenet"


@pytest.mark.parametrize(
    ("base", "change", "expected"),
    [
        ({"a": {"b": 1, "c": 2}}, {"a": {"b": 3}}, {"a": {"b": 3, "c": 2}}),
        ({"o": {"name": "trades", "beta": 6}}, {"o": {"name": "natural"}}, {"o": {"name": "natural"}}),
        ({"o": {"name": "adversarial", "eps": 1}}, {"o": {"eps": 2}}, {"o": {"name": "adversarial", "eps": 2}}),
        (
            {"o": {"name": "adversarial", "eps": 1}},
            {"o": {"name": "adversarial", "steps": 2}},
            {"o": {"name": "adversarial", "eps": 1, "steps": 2}},
        ),
        ({"o": "adversarial"}, {"o": {"eps": 2}}, {"o": {"name": "adversarial", "eps": 2}}),
        ({"o": "trades"}, {"o": {"name": "natural"}}, {"o": {"name": "natural"}}),
        ({"o": {"name": "trades", "beta": 6}}, {"o": "natural"}, {"o": "natural"}),
        ({"s": {"filter": "mean"}}, {"s": None}, {"s": None}),
        ({"r": [1, 2]}, {"r": [3]}, {"r": [3]}),
        ({}, {"s": {"filter": "mean"}}, {"s": {"filter": "mean"}}),
    ],
)
def test_a_partial_config_is_laid_over_the_base(base, change, expected):
    assert laid_over(base, change) == expected


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("axs: {seed: [0]}", "unknown key in the grid 'axs': did you mean 'axes'"),
        ("base: {}", "the grid has no axes"),
        ("axes: {}", "the grid has no axes"),
        ("axes: {seed: []}", "axis 'seed' is empty"),
        ("axes: {arm: {}}", "axis 'arm' is empty"),
        ("axes: {s: {key: seed, values: []}}", "axis 's' is empty"),
        ("axes: {s: {kye: seed, values: [1]}}", "unknown key in the axis 's' 'kye': did you mean 'key'"),
        ("axes: {seed: 3}", "axis 'seed' must be a list of values or named partial configs; it is 3"),
        ("axes: {s: {key: seed, values: 3}}", "values of the axis 's' must be a list, not 3"),
        ("axes: {arm: {N: natural}}", "'N' of the axis 'arm' must be a partial config"),
        ("axes: {seed: [0]}\nexclude: [{sed: 0}]", "unknown axis in exclude 'sed': did you mean 'seed'"),
        (
            "axes: {seed: [0, 1]}\nexclude: [{seed: 7}]",
            "unknown value of the axis 'seed' in exclude '7': .*valid: 0, 1",
        ),
        ("axes: {seed: [0, 1]}\nexclude: [{}]", "an exclusion is empty"),
        ("axes: {seed: [0]}\nexclude: [{seed: 0}]", "the exclusions leave no cell"),
        ("axes: {seed: [0]}\nresources: {cpu: 1}", "unknown key in resources 'cpu': did you mean 'cpus'"),
        ("axes: {seed: [0]}\nresources: 3", "grid: resources: input should be a valid dictionary"),
        ("axes: [seed]", "grid: axes: input should be a valid dictionary"),
        ("axes: {seed: [0]}\nexclude: [3]", "grid: exclude.0: input should be a valid dictionary"),
        ("axes: {seed: [0]}\nresources: {cpus: 0}", "grid: resources.cpus: input should be greater than or equal to 1"),
    ],
)
def test_what_is_wrong_with_a_grid_gets_one_sentence(text, message):
    with pytest.raises(BadInput, match=message) as error:
        labels(text)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("content", "message"),
    [("a: [", "not valid YAML"), ("- 1", "must hold keys and values"), ("", "axes")],
)
def test_a_damaged_file_is_named(tmp_path, content, message):
    path = tmp_path / "grid.yaml"
    path.write_text(content)
    with pytest.raises(BadInput, match=message):
        read_spec(path)
    with pytest.raises(BadInput, match="cannot read .*absent.yaml"):
        read_spec(tmp_path / "absent.yaml")


def test_what_to_measure_is_checked_and_filled_in():
    settings = measure_settings(
        {"images": 5, "attributions": {"gradient": ["gini"], "integrated-gradients": None}, "robustness": {"steps": 3}}
    )
    assert settings.images == 5
    assert settings.attributions["gradient"] == ("gini",)
    assert set(settings.attributions["integrated_gradients"]) >= {"gini", "ssim", "ros", "road"}
    assert (settings.robustness.steps, settings.robustness.images) == (3, 2000)


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        ({"image": 5}, "unknown key in measure 'image': did you mean 'images'"),
        ({"images": 0}, "measure: images: input should be greater than or equal to 1"),
        ({"profile": "claen"}, "measure: profile"),
        ({"attributions": {"gradeint": None}}, "unknown attribution 'gradeint': did you mean 'gradient'"),
        ({"attributions": {"gradient": ["ginni"]}}, "unknown metric 'ginni': did you mean 'gini'"),
        ({"robustness": {"step": 3}}, "unknown key in measure.robustness 'step': did you mean 'steps'"),
    ],
)
def test_what_is_wrong_with_measure_gets_one_sentence(raw, message):
    with pytest.raises(BadInput, match=message) as error:
        measure_settings(raw)
    assert "\n" not in str(error.value)


SIZED = """
base: {training: {epochs: 10, batch_size: 32}}
axes: {arm: {N: {objective: natural}}, seed: [0, 1, 2]}
measure: {images: 500}
sizes:
  smoke: {base: {training: {epochs: 1}}, axes: {seed: [0]}, measure: {images: 5}}
  paper: {base: {training: {epochs: 50}}}
"""


def test_a_size_is_laid_over_the_grid():
    smoke, paper = (check_spec(yaml.safe_load(SIZED), size) for size in ("smoke", "paper"))
    assert [point.label for point in points(smoke)] == ["N-seed0"]
    assert points(smoke)[0].raw["training"] == {"epochs": 1, "batch_size": 32}
    assert smoke.measure == {"images": 5}
    assert len(points(paper)) == 3
    assert points(paper)[0].raw["training"]["epochs"] == 50


def test_a_grid_can_say_which_size_it_has_without_being_asked():
    given = yaml.safe_load(SIZED) | {"size": "smoke"}
    assert check_spec(given) == check_spec(yaml.safe_load(SIZED), "smoke")
    assert check_spec(given, "paper") == check_spec(yaml.safe_load(SIZED), "paper")


@pytest.mark.parametrize(
    ("text", "size", "message"),
    [
        (SIZED, None, "several sizes; choose one with --size: smoke, paper"),
        (SIZED, "smok", "unknown size 'smok': did you mean 'smoke'"),
        ("axes: {seed: [0]}", "smoke", "the grid has no sizes, so the size smoke chooses nothing"),
        ("axes: {seed: [0]}\nsize: smoke", None, "the grid has no sizes, so the size smoke chooses nothing"),
        (SIZED + "size: [smoke]", None, "unknown size"),
        (SIZED + "size: smok", None, "unknown size 'smok': did you mean 'smoke'"),
        ("axes: {seed: [0]}\nsizes: [1]", None, "sizes must name partial grids"),
        (SIZED.replace("measure", "mesure"), "smoke", "unknown key in the grid 'mesure'"),
    ],
)
def test_a_wrong_size_is_one_line(text, size, message):
    with pytest.raises(BadInput, match=message):
        check_spec(yaml.safe_load(text), size)
