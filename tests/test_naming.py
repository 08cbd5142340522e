from types import SimpleNamespace
from typing import Literal

import pytest

from pellucid.errors import BadInput
from pellucid.naming import Count, Positive, find, options_of


def smooth_hinge(x, *, generator, eps: Positive, norm: Literal["linf", "l2"] = "linf", steps: Count = 7):
    return x, generator, eps, norm, steps


MODULE = SimpleNamespace(__all__=["smooth_hinge"], smooth_hinge=smooth_hinge)


def options(**given):
    return options_of(smooth_hinge, given, where="objective 'smooth_hinge'", supplied={"generator"})


def test_hyphens_and_underscores_are_the_same():
    assert find(MODULE, "smooth-hinge", "objective") is smooth_hinge
    assert find(MODULE, "smooth_hinge", "objective") is smooth_hinge


def test_outside_code_by_dotted_path():
    assert find(MODULE, "math.sqrt", "filter")(4) == 2
    with pytest.raises(BadInput, match=r"cannot import the objective 'no_such\.thing'"):
        find(MODULE, "no_such.thing", "objective")
    with pytest.raises(BadInput, match="not something to call"):
        find(MODULE, "math.pi", "objective")


@pytest.mark.parametrize("kind", ["objective", "regulariser"])
@pytest.mark.parametrize(
    "path", ["math.sqrt", "builtins.dict", "pellucid.attacks.duality.GroupNorm", f"{__name__}.smooth_hinge"]
)
def test_outside_code_for_a_batch_takes_a_batch(kind, path):
    with pytest.raises(BadInput, match=rf"the {kind} '{path}' cannot be called with \(model, x, y, generator=…\): "):
        find(MODULE, path, kind)


def test_a_misspelt_name_gets_the_nearest_valid_one():
    with pytest.raises(BadInput, match="unknown objective 'smoth_hinge': did you mean 'smooth-hinge'"):
        find(MODULE, "smoth_hinge", "objective")


def test_defaults_are_filled_in():
    assert options(eps=0.1) == {"eps": 0.1, "norm": "linf", "steps": 7}


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"eps": 0.1, "stepz": 3}, "unknown option of objective 'smooth_hinge' 'stepz': did you mean 'steps'"),
        ({}, "eps: field required"),
        ({"eps": -1}, "eps: input should be greater than 0 .got -1"),
        ({"eps": 0.1, "steps": 0}, "steps: input should be greater than or equal to 1"),
        ({"eps": 0.1, "norm": "l3"}, "norm: input should be 'linf' or 'l2'"),
        ({"eps": 0.1, "generator": 3}, "unknown option"),
    ],
)
def test_wrong_options_get_one_sentence(given, message):
    with pytest.raises(BadInput, match=message) as error:
        options(**given)
    assert "\n" not in str(error.value)


def test_a_function_that_passes_options_on_gets_them():
    def bridge(x, *, method: str, **options):
        return method, options

    found = options_of(bridge, {"method": "DeepLift", "n_steps": 3}, where="attribution 'bridge'")
    assert found == {"method": "DeepLift", "n_steps": 3}
    with pytest.raises(BadInput, match="unknown option"):
        options_of(bridge, {"method": "a", "create_graph": True}, where="w", supplied={"create_graph"})
