"""The best maps among the epochs that keep the accuracy; the start is one of them."""

import pytest
import small_run
import torch
from stripes import stripes

from pellucid.errors import BadInput
from pellucid.objectives import natural
from pellucid.training import fit as fitting
from pellucid.training.checkpoint import load
from pellucid.training.fit import CHECKPOINT, WEIGHTS, fit
from pellucid.training.settings import TrainingSettings
from pellucid.training.validate import Validation, score

SETTINGS = TrainingSettings(choose="trade_off", max_accuracy_drop=2)


def row(accuracy, maps):
    return {"clean_accuracy": accuracy, "robust_accuracy": None, "step": 1, "map_score": maps}


@pytest.mark.parametrize(
    ("accuracies", "kept"),
    [
        ([0.85, 0.86, 0.84], True),
        ([0.85, 0.80, 0.83], True),  # exactly two points
        ([0.85, 0.90, 0.8299], False),
        ([0.85], True),
    ],
)
def test_an_epoch_counts_if_it_loses_no_more_than_it_may_against_the_start(accuracies, kept):
    history = [row(accuracy, 0.1 * place) for place, accuracy in enumerate(accuracies)]
    expected = pytest.approx(history[-1]["map_score"]) if kept else None
    assert score(history, SETTINGS) == expected


def test_other_choices_are_as_they_were():
    history = [{"clean_accuracy": 0.5, "robust_accuracy": 0.3, "step": 7}]
    chosen = {name: score(history, TrainingSettings(choose=name)) for name in ("clean", "last", "auto")}
    assert chosen == {"clean": 0.5, "last": 7.0, "auto": 0.5}
    settings = TrainingSettings(choose="robust", robust_validation={"eps": 0.1})
    assert score(history, settings) == 0.3
    assert score([history[0] | {"robust_accuracy": None}], settings) is None


def run(directory, accuracies, maps, monkeypatch):
    """A run of real steps whose validation finds what it is told."""
    found = list(zip(accuracies, maps, strict=True))
    calls = iter(found)
    current = []

    def measured(model, images):
        current[:] = [next(calls)]
        return {"map_score": current[0][1], "map_gini": 0.5}

    monkeypatch.setattr("pellucid.training.validate.clean_accuracy", lambda *_: current[0][0])
    settings = TrainingSettings(
        epochs=len(found) - 1,
        batch_size=50,
        choose="trade_off",
        max_accuracy_drop=2,
        device="cpu",
        checkpoint_seconds=1e-9,
    )
    model, weights = small_run.small_model(), []
    genuine = fitting._Run._keep_if_best

    def note(self, row):
        weights.append({name: tensor.clone() for name, tensor in self.kept.state_dict().items()})
        genuine(self, row)

    monkeypatch.setattr(fitting._Run, "_keep_if_best", note)
    validation = Validation(stripes(60, 1), measured)
    state = fit(model, natural, stripes(200, 0), validation, settings=settings, seed=0, directory=directory)
    return state, weights


@pytest.mark.parametrize(
    ("accuracies", "maps", "epoch"),
    [
        ([0.8, 0.79, 0.7, 0.78], [0.4, 0.5, 0.9, 0.6], 3),  # the best maps of all cost too much
        ([0.8, 0.7, 0.7, 0.7], [0.4, 0.9, 0.9, 0.9], 0),  # nothing keeps its promise but the start
        ([0.8, 0.9, 0.9, 0.9], [0.6, 0.5, 0.59, 0.6], 0),  # nothing is better than the start
        ([0.8, 0.8, 0.8, 0.8], [0.4, 0.6, 0.6, 0.5], 1),  # the first of equals
    ],
)
def test_the_kept_epoch_has_the_best_maps_of_those_that_keep_the_accuracy(
    tmp_path, monkeypatch, accuracies, maps, epoch
):
    state, weights = run(tmp_path, accuracies, maps, monkeypatch)
    kept, header = load(tmp_path / WEIGHTS)
    assert (state.best_epoch, header["epoch"], header["chosen_by"]) == (epoch, epoch, "trade_off")
    assert all(torch.equal(kept[name], weights[epoch][name]) for name in kept)
    assert [row["epoch"] for row in state.history] == [0, 1, 2, 3]
    assert [(row["clean_accuracy"], row["map_score"]) for row in state.history] == list(
        zip(accuracies, maps, strict=True)
    )
    assert state.history[0]["step"] == 0
    assert all(row["map_gini"] == 0.5 for row in state.history)


def test_the_start_is_looked_at_once_even_if_the_run_is_stopped(tmp_path, monkeypatch):
    looked, genuine = [], fitting.optimise

    def measured(model, images):
        looked.append(float(model[0].weight.detach().sum()))
        return {"map_score": 0.5}

    def stop(*args, step, **options):
        if step == 3:
            raise KeyboardInterrupt
        return genuine(*args, step=step, **options)

    def begin():
        return fit(
            small_run.small_model(),
            natural,
            stripes(200, 0),
            Validation(stripes(60, 1), measured),
            settings=TrainingSettings(
                epochs=1, batch_size=20, choose="trade_off", max_accuracy_drop=2, device="cpu", checkpoint_seconds=1e-9
            ),
            seed=0,
            directory=tmp_path,
        )

    monkeypatch.setattr(fitting, "optimise", stop)
    with pytest.raises(KeyboardInterrupt):
        begin()
    assert load(tmp_path / CHECKPOINT)[1]["state"]["step"] == 3
    monkeypatch.setattr(fitting, "optimise", genuine)
    state = begin()
    assert len(looked) == 2
    assert [row["epoch"] for row in state.history] == [0, 1]


def test_without_a_measure_of_the_maps_it_is_refused(tmp_path):
    with pytest.raises(BadInput, match="needs a measure of the maps: pass fit a Validation"):
        fit(
            small_run.small_model(),
            natural,
            stripes(200, 0),
            stripes(60, 1),
            settings=SETTINGS,
            seed=0,
            directory=tmp_path,
        )
