"""AOPC: golden values of the definitions, and the relations between the three forms."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from pellucid.metrics.faithfulness import aopc, aopc_legacy, aopc_paper

ACCURACIES = torch.tensor([0.9, 0.8, 0.6, 0.5], dtype=torch.float64)


def test_golden_values():
    assert aopc_legacy(ACCURACIES).item() == pytest.approx(0.16)
    assert aopc_paper(ACCURACIES).item() == pytest.approx(0.24)
    assert aopc(ACCURACIES).item() == pytest.approx(0.30)


def test_limits():
    levels = 20
    never, always = torch.zeros(3, levels, dtype=torch.bool), torch.ones(3, levels, dtype=torch.bool)
    assert aopc(never).tolist() == [1.0] * 3
    assert aopc(always).tolist() == [0.0] * 3
    first_only = torch.tensor([1.0] + [0.0] * (levels - 1))
    assert aopc_legacy(first_only).item() == pytest.approx(19 / 21)  # the largest value it can have
    assert aopc_legacy(never[0]).item() == 0  # everything lost at 1 % counts for nothing
    assert aopc(never).dtype == aopc_legacy(first_only).dtype == torch.float64


@given(st.lists(st.lists(st.booleans(), min_size=20, max_size=20), min_size=1, max_size=9))
def test_the_forms_differ_by_the_base_line(curves):
    curve = torch.tensor(curves)
    mean = curve.double().mean(0)
    assert aopc(curve).mean().item() == pytest.approx(aopc_paper(mean).item() * 21 / 20)
    assert aopc_legacy(mean).item() == pytest.approx(aopc_paper(mean).item() - 20 / 21 * (1 - mean[0].item()))
    assert aopc_paper(mean, unperturbed=0.5).item() == pytest.approx(aopc_paper(mean).item() - 0.5 * 20 / 21)
