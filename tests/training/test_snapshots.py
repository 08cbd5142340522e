import pytest
from hypothesis import given
from hypothesis import strategies as st

from pellucid.training.snapshots import snapshot_epochs


@pytest.mark.parametrize(
    ("epochs", "count", "expected"), [(10, 3, (2, 5, 8)), (4, 1, (2,)), (2, 3, (1,)), (1, 3, ()), (12, 0, ())]
)
def test_they_are_evenly_spaced_before_the_end(epochs, count, expected):
    assert snapshot_epochs(epochs, count) == expected


@given(st.integers(1, 200), st.integers(0, 20))
def test_never_the_start_never_the_end_never_more_than_asked(epochs, count):
    found = snapshot_epochs(epochs, count)
    assert all(0 < epoch < epochs for epoch in found)
    assert len(found) == len(set(found)) <= count
    assert count == 0 or epochs <= count or len(found) == count
