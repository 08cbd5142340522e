"""Dotted paths in a config and on the command line: code of one's own, and code of the wrong kind."""

import sys

import pytest
from torch.nn.functional import cross_entropy

from pellucid import cli
from pellucid.errors import BadInput
from pellucid.experiments.duality import make_penalty
from pellucid.types import Loss

CONFIG = """
data: {name: fashion-mnist-mini, validation: 100}
objective: natural
training: {epochs: 1, max_steps: 2, batch_size: 16, device: cpu}
"""
HERE = __name__


def own_objective(model, x, y, *, generator=None, weight: float = 1.0):
    return Loss(weight * cross_entropy(model(x), y))


def own_regulariser(model, x, y, *, generator=None):
    return model(x).square().mean(1)


def mean_over_the_batch(model, x, y, *, generator=None):
    return own_regulariser(model, x, y, generator=generator).mean()


def without_generator(model, x, y):
    return own_objective(model, x, y)


class Norm:
    """Made as a penalty is, from its options alone, but without its methods."""

    def __init__(self, eps: float) -> None:
        self.eps = eps


def run(monkeypatch, capsys, *words):
    monkeypatch.setattr(sys, "argv", ["pellucid", *map(str, words)])
    with pytest.raises(SystemExit) as stopped:
        cli.main()
    return stopped.value.code, capsys.readouterr().err.strip().splitlines()


def train(monkeypatch, capsys, folder, *words):
    (folder / "c.yaml").write_text(CONFIG)
    return run(monkeypatch, capsys, "train", folder / "c.yaml", *words, "--out", folder / "run")


def test_objectives_and_regularisers_of_ones_own_train(monkeypatch, capsys, tmp_path):
    words = [f"objective={{name: {HERE}.own_objective, weight: 2.0}}", f"regularisers=[{HERE}.own_regulariser]"]
    code, said = train(monkeypatch, capsys, tmp_path, *words)
    assert code == 0, said


@pytest.mark.parametrize(
    ("word", "message"),
    [
        (f"objective={{name: {HERE}.Norm, eps: 0.1}}", f"the objective '{HERE}.Norm' cannot be called with"),
        (f"objective={HERE}.without_generator", "(model, x, y, generator=…): got an unexpected keyword argument"),
        ("objective=pellucid.regularisers.misalignment", "'misalignment' returned a Tensor"),
        (f"regularisers=[{{name: {HERE}.Norm, eps: 0.1}}]", f"the regulariser '{HERE}.Norm' cannot be called with"),
        (
            "regularisers=[pellucid.objectives.natural]",
            "'pellucid.objectives.natural' must return one number per image",
        ),
        (f"regularisers=[{HERE}.mean_over_the_batch]", "it returned a Tensor []"),
    ],
)
def test_code_of_another_kind_gets_one_sentence_and_leaves_no_run(monkeypatch, capsys, tmp_path, word, message):
    code, said = train(monkeypatch, capsys, tmp_path, word)
    assert code == 2, said
    assert message in said[-1]
    assert not any("Traceback" in line for line in said)
    assert not (tmp_path / "run" / "manifest.json").exists()


@pytest.mark.parametrize("name", [f"{HERE}.own_objective", "math.sqrt"])
def test_a_penalty_is_made_from_its_options_alone(name):
    with pytest.raises(BadInput, match=f"the penalty '{name}' is made from its options alone.*missing a required"):
        make_penalty(name, [])
