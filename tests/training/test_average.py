"""The moving average of the weights: its formula, what is kept, and resuming."""

import pytest
import small_run
import torch
from torch import nn

from pellucid.training import fit as fitting
from pellucid.training.average import Average
from pellucid.training.checkpoint import load
from pellucid.training.fit import CHECKPOINT, WEIGHTS
from pellucid.training.validate import clean_accuracy


@pytest.mark.parametrize("decay", [0.2, 0.5, 0.99])
def test_it_is_what_the_formula_says(decay):
    model = nn.BatchNorm1d(3)
    average, expected = Average(model, decay), model.weight.detach().double().clone()
    for step in range(1, 30):
        with torch.no_grad():
            model.weight.copy_(torch.randn(3))
            model.running_mean.copy_(torch.full((3,), float(step)))
            model.num_batches_tracked += 1
        average.update(model, step)
        d = min(decay, (1 + step) / (10 + step))
        expected = d * expected + (1 - d) * model.weight.detach().double()
    torch.testing.assert_close(average.model.weight.detach().double(), expected, rtol=1e-5, atol=1e-6)
    assert 0 < average.model.running_mean[0] < 29
    assert average.model.num_batches_tracked == 29
    assert not average.model.weight.requires_grad


def test_tied_weights_are_averaged_once():
    model = nn.Sequential(nn.Linear(2, 2, bias=False), nn.Linear(2, 2, bias=False))
    model[1].weight = model[0].weight
    average, start = Average(model, 0.5), model[0].weight.detach().clone()
    with torch.no_grad():
        model[0].weight.add_(1)
    average.update(model, 100)
    torch.testing.assert_close(average.model[1].weight.detach(), start + 0.5)
    assert average.model[0].weight is average.model[1].weight


def test_the_average_is_validated_and_kept(tmp_path, monkeypatch):
    seen, genuine = [], fitting.Average.update

    def look(self, model, step):
        genuine(self, model, step)
        seen.append(self)

    monkeypatch.setattr(fitting.Average, "update", look)
    model, state = small_run.run(tmp_path, ema=0.9, choose="last", max_steps=14)
    kept, _ = load(tmp_path / WEIGHTS)
    average = seen[-1].model.state_dict()
    assert all(torch.equal(kept[name], average[name]) for name in average)
    assert not torch.equal(kept["0.weight"], model[0].weight)
    images = small_run.stripes(60, 1)
    assert state.history[-1]["clean_accuracy"] == clean_accuracy(seen[-1].model, images)


@pytest.mark.parametrize("changes", [{"ema": 0.9}, {"ema": 0.9, "freeze": ("0", "1"), "eps_warm_up": 0.5}])
def test_a_run_that_was_stopped_ends_bitwise_the_same(tmp_path, monkeypatch, changes):
    _, whole = small_run.run(tmp_path / "whole", **changes)
    genuine, stops = fitting.optimise, [9, 31]

    def stop_there(*args, step, **options):
        if stops and step == stops[0]:
            stops.pop(0)
            raise KeyboardInterrupt
        return genuine(*args, step=step, **options)

    monkeypatch.setattr(fitting, "optimise", stop_there)
    for _ in range(2):
        with pytest.raises(KeyboardInterrupt):
            small_run.run(tmp_path / "parts", **changes)
    _, parts = small_run.run(tmp_path / "parts", **changes)
    for name in (CHECKPOINT, WEIGHTS):
        first, second = load(tmp_path / "whole" / name)[0], load(tmp_path / "parts" / name)[0]
        assert first.keys() == second.keys()
        assert all(torch.equal(first[key], second[key]) for key in first)
    accuracies = [[(row["clean_accuracy"], row["loss"]) for row in state.history] for state in (whole, parts)]
    assert accuracies[0] == accuracies[1]


def test_without_it_a_checkpoint_holds_no_average(tmp_path):
    small_run.run(tmp_path, max_steps=2)
    assert not [name for name in load(tmp_path / CHECKPOINT)[0] if name.startswith("average.")]
