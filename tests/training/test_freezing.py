"""Frozen layers do not change, their BatchNorm statistics included."""

import pytest
import small_run
import torch
from torch import nn

from pellucid.errors import BadInput
from pellucid.models.normalised import normalised
from pellucid.objectives import natural
from pellucid.training.fit import fit
from pellucid.training.freezing import freeze
from pellucid.training.settings import TrainingSettings


def named():
    model = nn.Sequential()
    for name, module in {
        "layer1": nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2)),
        "layer10": nn.Sequential(nn.Conv2d(2, 2, 3), nn.BatchNorm2d(2)),
        "plain": nn.BatchNorm2d(2, affine=False),
        "head": nn.Linear(2, 4),
    }.items():
        model.add_module(name, module)
    return model.train()


def learning(model):
    return {name for name, weight in model.named_parameters() if weight.requires_grad}


@pytest.mark.parametrize(
    ("patterns", "frozen", "in_eval"),
    [
        (["layer1"], {"layer1.0.weight", "layer1.0.bias", "layer1.1.weight", "layer1.1.bias"}, {"layer1.1"}),
        (["layer1.0"], {"layer1.0.weight", "layer1.0.bias"}, set()),
        (["layer1.*.weight"], {"layer1.0.weight", "layer1.1.weight"}, set()),
        (["layer1.*"], {"layer1.0.weight", "layer1.0.bias", "layer1.1.weight", "layer1.1.bias"}, {"layer1.1"}),
        (["plain"], set(), {"plain"}),
        (["layer1.1", "head"], {"layer1.1.weight", "layer1.1.bias", "head.weight", "head.bias"}, {"layer1.1"}),
    ],
)
def test_a_pattern_freezes_what_it_names(patterns, frozen, in_eval):
    for prefix, model in (("", named()), ("network.", normalised(named(), (0.5,), (0.5,)).train())):
        everything = learning(model)
        freeze(model, patterns)
        assert everything - learning(model) == {prefix + name for name in frozen}
        assert {name for name, module in model.named_modules() if not module.training} == {prefix + n for n in in_eval}


def test_the_full_name_in_a_normalised_model_works_too():
    model = normalised(named(), (0.5,), (0.5,))
    freeze(model, ["network.layer1"])
    assert "network.layer1.0.weight" not in learning(model)


def test_a_pattern_that_matches_nothing_is_named_with_near_names():
    with pytest.raises(BadInput, match="no parameter of the model matches 'layer2'; near names: layer1"):
        freeze(named(), ["layer2"])
    with pytest.raises(BadInput, match="matches 'layer1.weight'"):
        freeze(named(), ["layer1.weight"])


def test_freezing_everything_is_refused():
    with pytest.raises(BadInput, match=r"freeze \(\*\) leaves nothing that learns"):
        freeze(named(), ["*"])


def test_no_pattern_changes_nothing():
    model = named()
    model.layer1[1].eval()
    freeze(model, [])
    assert learning(model) == {name for name, _ in model.named_parameters()}
    assert not model.layer1[1].training


@pytest.mark.parametrize("ema", [None, 0.9])
def test_what_is_frozen_is_the_same_after_training_and_the_rest_is_not(tmp_path, ema):
    model, start = small_run.run_model(tmp_path, freeze=("0", "1"), ema=ema, max_steps=6)
    after = model.state_dict()
    changed = {name for name in start if not torch.equal(start[name], after[name])}
    assert changed == {"5.weight", "5.bias"}


def test_without_freezing_the_statistics_move(tmp_path):
    model, start = small_run.run_model(tmp_path, max_steps=6)
    assert not torch.equal(start["1.running_mean"], model.state_dict()["1.running_mean"])


def test_weight_decay_does_not_reach_frozen_layers(tmp_path):
    options = small_run.SETTINGS | {"freeze": ("0",), "max_steps": 3, "optimizer": {"name": "sgd", "weight_decay": 0.5}}
    model = small_run.small_model()
    before = model[0].weight.clone()
    data = small_run.stripes(200, 0), small_run.stripes(60, 1)
    fit(model, natural, *data, settings=TrainingSettings(**options), seed=0, directory=tmp_path)
    assert torch.equal(model[0].weight, before)
