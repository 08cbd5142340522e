import sys

import pytest
import small_grid

from pellucid.errors import BadInput
from pellucid.experiments.config import check, plain
from pellucid.experiments.grid.cells import FORMAT, identity_of, plan


def by_label(cells):
    return {cell.name.rpartition("-")[0]: cell for cell in cells}


def test_a_cell_knows_its_config_its_steps_and_what_it_is_compared_with():
    cells = plan(small_grid.spec())
    assert [cell.name.rpartition("-")[0] for cell in cells] == ["N-seed0", "N-seed1", "F-seed0", "F-seed1"]
    cell = cells[3]
    assert cell.name == f"F-seed1-{cell.identity[:8]}"
    assert cell.choices == {"arm": "F", "seed": "seed1"}
    assert (cell.config["seed"], cell.config["objective"]["eps"]) == (1, 0.05)
    assert plain(check(cell.config)) == cell.config
    assert cell.steps == 12
    assert len({cell.setting for cell in cells}) == 1
    epochs = plan(small_grid.spec(base={"data": {"validation": 1000}, "training": {"epochs": 2}}, axes={"seed": [0]}))
    assert epochs[0].steps == 2 * (9000 // 128)


def test_only_what_a_change_touches_gets_another_identity():
    before = by_label(plan(small_grid.spec()))
    arms = small_grid.SPEC["axes"]["arm"] | {"F": {"objective": {"name": "fast_adversarial", "eps": 0.06}}}
    after = by_label(plan(small_grid.spec(axes={"arm": arms, "seed": [0, 1, 2]})))
    assert after["N-seed0"] == before["N-seed0"]
    assert after["N-seed1"] == before["N-seed1"]
    assert after["F-seed0"].name != before["F-seed0"].name
    assert len({cell.identity for cell in (*before.values(), *after.values())}) == 8


def test_identity_is_config_data_and_version_but_not_the_place_of_the_data(monkeypatch):
    config = check({"data": {"root": "/here"}})
    same = check({"data": {"root": "/there"}})
    assert identity_of(config, ("a", "b")) == identity_of(same, ("a", "b"))
    others = [
        identity_of(config, ("a", "c")),
        identity_of(config, ("b", "a")),
        identity_of(check({"seed": 1}), ("a", "b")),
    ]
    for name, value in (("pellucid.__version__", "9"), ("pellucid.experiments.grid.cells.FORMAT", FORMAT + 1)):
        with monkeypatch.context() as patch:
            patch.setattr(name, value)
            others.append(identity_of(config, ("a", "b")))
    assert len({identity_of(config, ("a", "b")), *others}) == 6


def test_what_changes_no_number_changes_no_identity_and_processes_that_share_a_batch_do():
    config, eager = check({}), check({"training": {"checkpoint_seconds": 1}})
    assert identity_of(config, ()) == identity_of(eager, ()) == identity_of(config, (), 1)
    assert identity_of(config, ()) != identity_of(config, (), 2)
    alone, together = (plan(small_grid.spec(resources={"gpus": gpus}))[0] for gpus in (1, 2))
    assert alone.identity == plan(small_grid.spec())[0].identity != together.identity


def test_data_are_looked_for_from_anywhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (cell,) = plan(small_grid.spec(base={"data": {"root": "data"}}, axes={"seed": [0]}))
    assert cell.config["data"]["root"] == str(tmp_path / "data")


def test_what_training_needs_is_looked_for_before_anything_runs(monkeypatch):
    monkeypatch.setitem(sys.modules, "pytorch_optimizer", None)
    with pytest.raises(BadInput, match="cell ranger-seed0: .*pip install 'pellucid.ranger.'"):
        plan(small_grid.spec(axes={"training.optimizer": ["adam", "ranger"], "seed": [0]}))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"axes": {"sed": [0]}}, "cell sed0: unknown key in the config 'sed': did you mean 'seed'"),
        ({"axes": {"trainig.epochs": [1]}}, "cell epochs1: unknown key in the config 'trainig'"),
        (
            {"axes": {"arm": {"N": {}, "M": {"smoothing": {"filter": "median", "size": 4}}}}},
            "cell M: unknown key in smoothing 'size'",
        ),
        ({"axes": {"smoothing.filter": ["median4"]}}, "cell median4: unknown filter 'median4': did you mean 'median'"),
        ({"axes": {"arm": {"N": {}, "late": {"smoothing": {"after": "fc1"}}}}}, "cell late: .*no spatial output"),
        (
            {"axes": {"arm": {"small": {"model": {"name": "vgg16_bn"}}, "N": {}}}, "base": {"model": "lenet"}},
            "cell small: ",
        ),
        ({"axes": {"seed": [0, 0]}}, "the cells seed0 and seed0 are the same run"),
        (
            {"axes": {"arm": {"N": {"objective": "natural"}, "M": {}}, "seed": [0]}},
            "cells [NM]-seed0 and [NM]-seed0 are",
        ),
        ({"axes": {"arm": ["N", "A"], "seed": [0]}}, "the cells N-seed0 and A-seed0 are the same run; .*change what"),
        ({"axes": {"objective": ["gaze"]}}, "cell gaze: "),
        ({"axes": {"arm": {"gaze": {"objective": {"name": "gaze", "eps": 1}}}}}, "cell gaze: .*attention maps"),
        ({"axes": {"data.name": ["cifar10"]}, "base": {"data": {"root": "/nowhere"}}}, "cell cifar10: .*/nowhere"),
        ({"axes": {"data.validation": [100_000]}}, "cell validation100000: cannot cut 100000 validation images"),
    ],
)
def test_an_impossible_cell_is_named_in_one_sentence(changes, message):
    with pytest.raises(BadInput, match=message) as error:
        plan(small_grid.spec(**changes))
    assert "\n" not in str(error.value)
