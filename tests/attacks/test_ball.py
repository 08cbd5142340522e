import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from pellucid.attacks import L2, Linf, ball
from pellucid.errors import BadInput

KINDS = {"linf": lambda d: d.abs().flatten(1).amax(1), "l2": lambda d: d.flatten(1).norm(dim=1)}
radii = st.floats(1e-3, 10)
seeds = st.integers(0, 10_000)


@pytest.mark.parametrize("norm", KINDS)
@given(eps=radii, seed=seeds)
def test_samples_lie_inside_and_fill_the_ball(norm, eps, seed):
    x = torch.zeros(64, 2, 3, 3, dtype=torch.float64)
    lengths = KINDS[norm](ball(norm, eps).sample(x, torch.Generator().manual_seed(seed)))
    assert (lengths <= eps * (1 + 1e-6)).all()
    assert lengths.max() > 0.8 * eps


@pytest.mark.parametrize("norm", KINDS)
@given(eps=radii, seed=seeds, scale=st.floats(1e-3, 1e3))
def test_projection_is_idempotent_and_leaves_the_inside_alone(norm, eps, seed, scale):
    region = ball(norm, eps)
    outside = scale * torch.randn(8, 1, 4, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    once = region.project(outside)
    assert (KINDS[norm](once) <= eps * (1 + 1e-9)).all()
    torch.testing.assert_close(region.project(once), once)
    inside = KINDS[norm](outside) <= eps
    assert torch.equal(once[inside], outside[inside])


@pytest.mark.parametrize(("norm", "dual"), [("linf", 1), ("l2", 2)])
@given(seed=seeds)
def test_steepest_direction_reaches_the_dual_norm(norm, dual, seed):
    gradient = torch.randn(5, 1, 4, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    direction = ball(norm, 1.0).steepest(gradient)
    reached = (direction * gradient).flatten(1).sum(1)
    torch.testing.assert_close(reached, torch.linalg.vector_norm(gradient.flatten(1), dual, dim=1))


@pytest.mark.parametrize("norm", KINDS)
def test_a_zero_gradient_gives_no_step_and_no_nan(norm):
    assert torch.equal(ball(norm, 1.0).steepest(torch.zeros(2, 1, 3, 3)), torch.zeros(2, 1, 3, 3))


def test_l2_samples_are_uniform_in_volume():
    x = torch.zeros(20_000, 1, 1, 2)
    lengths = L2(1.0).sample(x, torch.Generator().manual_seed(0)).flatten(1).norm(dim=1)
    # In two dimensions half of the volume lies within √½; 20,000 draws have a standard error of 0.0035.
    assert abs((lengths < 0.5**0.5).double().mean() - 0.5) < 0.015


def test_bad_radius_and_norm():
    with pytest.raises(BadInput, match="must be ≥ 0; got -1"):
        Linf(-1)
    with pytest.raises(BadInput, match="got nan"):
        Linf(float("nan"))
    with pytest.raises(BadInput, match="did you mean 'linf'"):
        ball("linff", 0.1)
