import pytest
import torch
from torch.optim.lr_scheduler import CosineAnnealingLR, OneCycleLR

from pellucid.training import schedules


def rates(scheduler_of, steps):
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    scheduler = scheduler_of(optimizer)
    found = []
    for _ in range(steps):
        found.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    return found


def test_cosine_is_torchs():
    expected = rates(lambda o: CosineAnnealingLR(o, 50), 50)
    assert [schedules.cosine(i / 50) for i in range(50)] == pytest.approx(expected)


def test_one_cycle_is_torchs_up_to_its_grid():
    # Torch stretches its schedule over steps - 1 so that the last step has the final rate.
    expected = rates(lambda o: OneCycleLR(o, 1.0, total_steps=1001, div_factor=25, final_div_factor=400), 1001)
    ours = [schedules.one_cycle(i / 1000) for i in range(1001)]
    assert ours == pytest.approx(expected, abs=0.006)
    assert max(ours) == pytest.approx(1)


def test_step_drops_at_its_milestones():
    assert [schedules.step(p, milestones=(0.5, 0.8), gamma=0.1) for p in (0, 0.49, 0.5, 0.79, 0.8)] == pytest.approx(
        [1, 1, 0.1, 0.1, 0.01]
    )


def test_warmup_and_constant():
    assert schedules.cosine(0.05, warmup=0.1) == pytest.approx(0.5)
    assert schedules.cosine(0.1, warmup=0.1) == pytest.approx(1)
    assert schedules.constant(0.7) == 1
