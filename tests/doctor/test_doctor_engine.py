"""The engine leaves no trace, survives what it examines, and keeps to its time; the command says it all."""

import json
import random
import re
import time
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from patients import network, patterns, splits, trained
from torch import nn
from typer import Typer
from typer.testing import CliRunner

from pellucid.cli.doctor import doctor
from pellucid.doctor import checks, examine
from pellucid.doctor.case import Case
from pellucid.doctor.engine import all_checks, case_of, run_checks
from pellucid.doctor.findings import Seen, check, ok
from pellucid.doctor.opening import Wanted, open_case
from pellucid.doctor.sandbox import Snapshot, untouched
from pellucid.errors import BadInput

DOCUMENT = Path(__file__).parents[2] / "docs" / "doctor.md"


def state(model):
    tensors = [t.detach().clone() for t in (*model.parameters(), *model.buffers())]
    hooks = [len(m._forward_hooks) + len(m._forward_pre_hooks) + len(m._backward_hooks) for m in model.modules()]
    grads = [None if p.grad is None else p.grad.clone() for p in model.parameters()]
    flags = [p.requires_grad for p in model.parameters()]
    return tensors, hooks, grads, flags, [m.training for m in model.modules()], [p.dtype for p in model.parameters()]


def same(before, after):
    return before[1:2] + before[3:] == after[1:2] + after[3:] and all(
        torch.equal(a, b) if a is not None and b is not None else a is b
        for left, right in ((before[0], after[0]), (before[2], after[2]))
        for a, b in zip(left, right, strict=True)
    )


def test_the_users_model_and_all_random_states_are_as_before():
    model = trained()
    model.network[1].train()
    model.network[0].weight.requires_grad_(False)
    model(patterns()[0][:4]).sum().backward()
    model.network[2].register_forward_hook(lambda module, inputs, output: None)
    before = state(model)
    torch.manual_seed(5), random.seed(5), np.random.seed(5)  # noqa: NPY002
    draws = torch.get_rng_state(), random.getstate(), np.random.get_state()[1].copy()  # noqa: NPY002
    examine(model, *splits(), eps=0.1)
    assert same(before, state(model))
    assert torch.equal(draws[0], torch.get_rng_state())
    assert draws[1] == random.getstate()
    assert (draws[2] == np.random.get_state()[1]).all()  # noqa: NPY002


@pytest.mark.parametrize("single", all_checks(), ids=lambda single: single.name)
def test_each_check_puts_the_model_back_for_the_next(single):
    case = case_of(trained(), *splits(), eps=0.1, budget=4)
    before = state(case.model)
    run_checks(case, [single])
    assert same(before, state(case.model))


def test_a_snapshot_undoes_what_anybody_does():
    model = trained()
    model.network[0].weight.grad = torch.ones_like(model.network[0].weight)
    before, snapshot = state(model), Snapshot(model)
    for _ in range(2):
        with untouched(snapshot, "test"):
            model.train().double().requires_grad_(False)
            model.network[0].weight.data.zero_()
            model.network[0].weight.grad = None
            model.network[1].running_mean.add_(1)
            model.network[2].register_forward_hook(print)
            model.network[0].bias = None
            model.network[4] = nn.Identity()
        assert same(before, state(model))
        assert isinstance(model.network[4], nn.Conv2d)


def test_a_model_that_cannot_be_copied_is_put_back_itself():
    class Uncopied(nn.Module):
        def __init__(self):
            super().__init__()
            self.inside = trained()

        def __deepcopy__(self, memo):
            raise TypeError("no copies")

        def forward(self, x):
            return self.inside(x)

    model = Uncopied().train()
    before = state(model)
    findings = examine(model, *splits())
    assert same(before, state(model))
    assert sum(finding.status == "ok" for finding in findings) > 30


def test_a_check_that_crashes_is_a_finding():
    @check(why="Because.", mend="Mend it.")
    def clumsy(case: Case) -> Seen:
        """Nothing."""
        raise ZeroDivisionError("of\nnothing")

    (found,) = run_checks(case_of(trained(), *splits()), [clumsy])
    assert found.status == "not applicable"
    assert found.finding == "could not be made: ZeroDivisionError: of nothing"


def test_a_model_that_raises_gets_findings_and_no_exception():
    class Broken(nn.Module):
        def forward(self, x):
            raise KeyError("pixels")

    findings = {finding.check: finding for finding in examine(Broken(), *splits(), eps=0.1)}
    assert findings["takes_images"].status == "problem"
    assert [f.check for f in findings.values() if f.status == "problem"] == ["takes_images"]
    assert not [f for f in findings.values() if "could not be made" in f.finding]


def test_the_worst_comes_first():
    model = trained()
    model.network[1].momentum = None
    findings = examine(model, (patterns()[0] * 255, patterns()[1]))
    order = ["problem", "warning", "not applicable", "ok"]
    places = [order.index(finding.status) for finding in findings]
    assert places == sorted(places)
    assert {"problem", "warning"} <= {finding.status for finding in findings}


def test_the_same_seed_finds_the_same():
    findings = [examine(trained(), *splits(), eps=0.1, seed=1) for _ in range(2)]
    timed = {"cost"}
    first, second = ([f for f in found if f.check not in timed] for found in findings)
    assert first == second


def test_a_slow_model_costs_no_more_than_the_budget():
    class Slow(nn.Module):
        def __init__(self):
            super().__init__()
            self.inside = trained()

        def forward(self, x):
            time.sleep(0.02 * len(x))
            return self.inside(x)

    began = time.perf_counter()
    findings = {f.check: f for f in run_checks(case_of(Slow(), *splits(), budget=3))}
    assert time.perf_counter() - began < 12
    assert "too long for this check" in findings["many_steps_beat_one"].finding
    assert findings["finite_gradients"].status == "ok"


def test_data_of_another_kind_are_refused():
    with pytest.raises(BadInput, match=r"the training images must be a pellucid.data data set or a pair"):
        examine(trained(), "fashion-mnist")
    with pytest.raises(
        BadInput, match=r"must be \[N, C, H, W\] with N ≥ 1 and the labels \[N\]; got \(900, 3, 16, 16\)"
    ):
        examine(trained(), (patterns()[0], patterns()[1][:4]))


def test_the_document_describes_the_checks_that_exist():
    rows = re.findall(r"^\| `(\w+)` \| (.+) \| (.+) \| (.+) \|$", DOCUMENT.read_text(encoding="utf-8"), re.MULTILINE)
    assert [row[0] for row in rows] == list(checks.__all__)
    assert [row[1:] for row in rows] == [(c.looks_at, c.why, c.mend) for c in all_checks()]
    for single in all_checks():
        assert "\n" not in single.why + single.mend
        assert len(single.why) < 125
        assert len(single.mend) < 130


# --- the command ----------------------------------------------------------------------------------------------------


@pytest.fixture
def command(monkeypatch, tmp_path):
    app = Typer()
    app.command()(doctor)
    module = tmp_path / "ward.py"
    module.write_text(
        "import sys\n"
        f"sys.path.insert(0, {str(Path(__file__).parent)!r})\n"
        "from torch import nn\n"
        "def healthy(*, channels, classes, image_size):\n"
        "    return nn.Sequential(nn.Flatten(), nn.Linear(channels * image_size**2, classes))\n"
        "def sick(*, channels, classes, image_size):\n"
        "    return nn.Sequential(*healthy(channels=channels, classes=classes, image_size=image_size), nn.Softmax(1))\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    return lambda *words: CliRunner().invoke(app, list(words))


def test_a_healthy_model_exits_with_0_and_a_sick_one_with_1(command):
    healthy = command("ward.healthy", "fashion-mnist-mini", "--json")
    found = json.loads(healthy.stdout)
    assert healthy.exit_code == 0
    assert (found["problems"], found["warnings"]) == (0, 1)
    assert {finding["check"] for finding in found["findings"]} == set(checks.__all__)
    assert all(set(f) == {"check", "status", "finding", "why", "mend"} for f in found["findings"])
    sick = command("ward.sick", "fashion-mnist-mini")
    assert sick.exit_code == 1
    text = " ".join(sick.stdout.split())
    assert "Problems: numbers measured like this would be wrong (1)" in text
    assert "All outputs are ≥ 0 and sum to 1: they are probabilities." in text
    assert "--verbose lists them" in text
    assert max(map(len, sick.stdout.splitlines())) <= 80


def test_verbose_lists_what_is_well(command):
    text = command("ward.healthy", "fashion-mnist-mini", "--verbose").stdout
    assert all(name in text for name in checks.__all__)


def test_bad_input_is_refused(tmp_path):
    with pytest.raises(BadInput, match="which data shall 'lenet' be examined on"):
        open_case(Wanted("lenet"))
    with pytest.raises(
        BadInput, match="'nowhere' is neither a folder of class folders nor a data set; valid: .*cifar10"
    ):
        open_case(Wanted("lenet", "nowhere"))
    with pytest.raises(BadInput, match="is a folder, but not a run directory"):
        open_case(Wanted(str(tmp_path), "fashion-mnist-mini"))
    config = written(tmp_path, {})
    with pytest.raises(BadInput, match="--weights belongs to a model by name"):
        open_case(Wanted(str(config), weights=tmp_path / "weights.safetensors"))


def written(folder, config):
    path = folder / "config.yaml"
    path.write_text(yaml.safe_dump(config))
    return path


def of_config(folder, names, **config):
    case = open_case(Wanted(str(written(folder, config))))
    return {f.check: f for f in run_checks(case, [getattr(checks, name) for name in names])}


def test_a_config_is_examined_with_its_own_data_eps_and_smoothing(tmp_path):
    found = of_config(
        tmp_path,
        ["eps_units", "smoothing_layer", "batchnorm_batch", "has_learnt"],
        objective={"name": "adversarial", "eps": 8},
        smoothing={"filter": "mean", "after": "pool7"},
        model={"name": "wide_resnet", "depth": 10, "width": 1},
        training={"batch_size": 4},
    )
    assert found["eps_units"].status == "problem"
    assert "ε = 8 in linf" in found["eps_units"].finding
    assert found["smoothing_layer"].status == "problem"
    assert "unknown layer 'pool7'" in found["smoothing_layer"].finding
    assert found["batchnorm_batch"].status == "warning"
    assert found["has_learnt"].status == "warning"


def test_a_right_config_has_neither(tmp_path):
    found = of_config(
        tmp_path,
        ["eps_units", "smoothing_layer"],
        objective={"name": "adversarial", "eps": 0.1},
        smoothing={"filter": "mean"},
    )
    assert [finding.status for finding in found.values()] == ["ok", "ok"]


def test_nothing_is_said_of_checks_that_do_not_apply():
    seen = run_checks(case_of(network().eval(), *splits()), [checks.smoothing_layer, checks.eps_effect])
    assert {f.status for f in seen} == {"not applicable"}
    assert ok("x") == Seen("ok", "x")
