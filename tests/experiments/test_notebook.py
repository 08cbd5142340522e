"""Notes of a measurement survive its end, belong to it alone, and are exact."""

import math

import torch

from pellucid.experiments.measure.notebook import Notebook

VALUES = {
    "gini": torch.tensor([0.1, math.nan, 1 / 3], dtype=torch.float64),
    "road": torch.tensor([[True], [False], [True]]),
}
POSITIONS = torch.tensor([4, 5, 9])


def once():
    return VALUES


def never():
    raise AssertionError("measured twice")


def expected():
    return [
        (4, {"gini": 0.1, "road": [True]}),
        (5, {"gini": None, "road": [False]}),
        (9, {"gini": 1 / 3, "road": [True]}),
    ]


def test_what_is_noted_is_not_measured_again(tmp_path):
    path = tmp_path / "deep" / ".notes"
    assert Notebook(path, {"seed": 0}).measured("clean", POSITIONS, once) == expected()
    again = Notebook(path, {"seed": 0})
    assert again.measured("clean", POSITIONS, never) == expected()
    assert again.measured("legacy", POSITIONS, once) == expected()
    again.close()
    assert not path.exists()


def test_notes_of_another_measurement_are_thrown_away(tmp_path):
    path = tmp_path / ".notes"
    Notebook(path, {"seed": 0}).measured("clean", POSITIONS, once)
    calls = []
    Notebook(path, {"seed": 1}).measured("clean", POSITIONS, lambda: calls.append(1) or VALUES)
    assert calls == [1]
    Notebook(path, {"seed": 1}).measured("clean", POSITIONS, never)


def test_a_line_cut_short_is_measured_again_and_what_follows_is_whole(tmp_path):
    path = tmp_path / ".notes"
    notes = Notebook(path, {})
    notes.measured("clean", POSITIONS, once)
    notes.measured("clean", POSITIONS + 10, once)
    whole = path.read_bytes()
    for end in range(len(whole) - 60, len(whole)):
        path.write_bytes(whole[:end])
        cut = Notebook(path, {})
        assert cut.measured("clean", POSITIONS, never) == expected()
        cut.measured("clean", POSITIONS + 10, once)
        assert path.read_bytes() == whole
