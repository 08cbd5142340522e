"""Sorting by NumPy and by torch is the same."""

import pytest
import torch

from pellucid.metrics.sorting import ascending, ascending_places

ROWS = torch.tensor([[3.0, -1.0, float("nan"), 2.0, 2.0], [0.0, -0.0, float("inf"), -float("inf"), 5.0]])


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_rows_are_in_ascending_order_with_nan_last(dtype):
    rows = ROWS.to(dtype)
    for found in (ascending(rows), rows.gather(1, ascending_places(rows))):
        assert found.dtype == dtype
        torch.testing.assert_close(found, rows.sort(1).values, equal_nan=True)
    assert ascending_places(rows).sort(1).values.tolist() == [[0, 1, 2, 3, 4]] * 2


def test_a_gradient_passes_through():
    rows = torch.tensor([[3.0, 1.0, 2.0]], requires_grad=True)
    (ascending(rows) * torch.tensor([10.0, 20.0, 30.0])).sum().backward()
    assert rows.grad.tolist() == [[30, 10, 20]]
    assert ascending_places(rows).tolist() == [[1, 2, 0]]


def test_rows_that_do_not_lie_in_one_piece_are_sorted_too():
    rows = torch.rand(6, 8, dtype=torch.float64)[:, ::2]
    torch.testing.assert_close(ascending(rows), rows.sort(1).values)
