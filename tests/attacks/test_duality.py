import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn.functional import cross_entropy

from pellucid.attacks.duality import L1, ElasticNet, GroupNorm, ascend, towards
from pellucid.errors import BadInput
from pellucid.gradients import cross_entropy_with, input_gradient

NORMS = [
    L1(0.1),
    ElasticNet(0.1, 0.05),
    ElasticNet(0.0, 0.3),
    ElasticNet(0.2, 0.0),
    GroupNorm(0.3, 2),
    GroupNorm(0.3, 3),
    GroupNorm(0.3, 4, joint_channels=True),
]
every_norm = pytest.mark.parametrize("norm", NORMS, ids=repr)


def normal(*shape, seed=0, dtype=torch.float64):
    return torch.randn(*shape, dtype=dtype, generator=torch.Generator().manual_seed(seed))


def inner(a, b):
    return (a * b).flatten(1).sum(1)


class Quadratic:
    """A norm from outside: h = ‖δ‖²/(4w), h* = w‖g‖²."""

    weight = 0.07

    def penalty(self, perturbation):
        return perturbation.square().flatten(1).sum(1) / (4 * self.weight)

    def conjugate(self, gradient):
        return self.weight * gradient.square().flatten(1).sum(1)

    def maximiser(self, gradient):
        return 2 * self.weight * gradient


@pytest.mark.parametrize("norm", [*NORMS, Quadratic()])
class TestEveryNorm:
    def test_the_maximiser_attains_the_conjugate(self, norm):
        g = normal(5, 3, 7, 6)
        best = norm.maximiser(g)
        torch.testing.assert_close(inner(g, best) - norm.penalty(best), norm.conjugate(g), rtol=1e-9, atol=1e-12)

    @given(seed=st.integers(0, 2**31), scale=st.floats(-4, 2), size=st.sampled_from([0.0, 1e-3, 1.0, 50.0]))
    def test_fenchel_young(self, norm, seed, scale, size):
        g, delta = size * normal(4, 2, 5, 4, seed=seed), 10**scale * normal(4, 2, 5, 4, seed=seed + 1)
        for candidate in (delta, norm.maximiser(delta), norm.maximiser(g) + 0.01 * delta):
            assert (inner(g, candidate) - norm.penalty(candidate) <= norm.conjugate(g) + 1e-9).all()

    def test_images_do_not_see_each_other(self, norm):
        g = normal(4, 2, 5, 4)
        g[2] = 1e6
        for method in (norm.conjugate, norm.maximiser, lambda v: norm.penalty(norm.maximiser(v))):
            together = method(g)
            assert together.shape[0] == 4
            assert torch.equal(together[1:2], method(g[1:2]))

    def test_zero_is_zero_and_stays_differentiable(self, norm):
        g = torch.zeros(2, 1, 4, 4, dtype=torch.float64, requires_grad=True)
        assert norm.conjugate(g).tolist() == norm.penalty(g).tolist() == [0, 0]
        assert not norm.maximiser(g).any()
        (slope,) = torch.autograd.grad(norm.conjugate(g).sum(), g, create_graph=True)
        assert not slope.any()
        if slope.requires_grad:
            (again,) = torch.autograd.grad(slope.sum(), g, allow_unused=True)
            assert again is None or torch.isfinite(again).all()

    @pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
    def test_keeps_the_dtype(self, norm, dtype):
        g = normal(2, 1, 4, 4).to(dtype)
        best = norm.maximiser(g)
        assert {best.dtype, norm.conjugate(g).dtype, norm.penalty(best).dtype} == {dtype}
        assert torch.isfinite(norm.penalty(best)).all()

    def test_the_gradient_of_the_conjugate_is_the_maximiser(self, norm):
        g = normal(2, 2, 5, 4).requires_grad_()
        (slope,) = torch.autograd.grad(norm.conjugate(g).sum(), g)
        torch.testing.assert_close(slope, norm.maximiser(g.detach()), rtol=1e-9, atol=1e-12)


@every_norm
def test_numerical_maximisation_finds_the_conjugate(norm):
    """Projected ascent that knows h only through its definition, per entry or per group, from a random start."""
    g = normal(1, 1, 4, 4, seed=3)
    delta = 0.1 * normal(1, 1, 4, 4, seed=4)
    for _ in range(4000):
        delta = project_by_hand(norm, delta + 0.02 * (g - slope_by_hand(norm, delta)))
    assert float(inner(g, delta) - norm.penalty(delta)) == pytest.approx(float(norm.conjugate(g)), rel=1e-9)


def slope_by_hand(norm, delta):
    if isinstance(norm, ElasticNet) and norm.eps2 > 0:
        delta = delta.clone().requires_grad_()
        (slope,) = torch.autograd.grad((torch.clamp(delta.abs() - norm.eps, min=0) ** 2).sum() / 4 / norm.eps2, delta)
        return slope
    return 0


def project_by_hand(norm, delta):
    if isinstance(norm, GroupNorm):
        delta = delta.clone()
        for top in range(0, 4, norm.block):
            for left in range(0, 4, norm.block):
                cell = delta[..., top : top + norm.block, left : left + norm.block]
                cell *= min(1.0, norm.eps / float(cell.square().sum().sqrt()))
        return delta
    return delta if getattr(norm, "eps2", 0) > 0 else delta.clamp(-norm.eps, norm.eps)


def test_golden_values_of_the_elastic_net():
    norm, g = ElasticNet(0.1, 0.05), torch.tensor([[-1.3], [2.5]], dtype=torch.float64)
    torch.testing.assert_close(
        norm.conjugate(g), torch.tensor([0.2145, 0.5625], dtype=torch.float64), rtol=1e-12, atol=0
    )
    torch.testing.assert_close(norm.maximiser(g), torch.tensor([[-0.23], [0.35]], dtype=torch.float64))


def test_golden_index_of_a_group():
    pixel = torch.zeros(1, 3, 224, 224)
    pixel[0, 1, 15, 30] = 2.0
    lengths = GroupNorm(1.0, 14).lengths(pixel)
    assert lengths.shape == (1, 3, 16, 16)
    assert lengths.nonzero().tolist() == [[0, 1, 1, 2]]
    assert lengths.sum() == 2


@every_norm
def test_outside_of_the_domain_the_penalty_is_infinite(norm):
    best = norm.maximiser(normal(3, 2, 6, 6))
    outside = norm.penalty(1.01 * best)
    if getattr(norm, "eps2", 0) > 0:
        assert torch.isfinite(outside).all()
        assert (outside > norm.penalty(best)).all()
    else:
        assert outside.tolist() == [math.inf] * 3


def test_without_eps2_the_elastic_net_is_l1_and_its_limit():
    g = normal(3, 2, 4, 4)
    for method in ("conjugate", "maximiser"):
        assert torch.equal(getattr(ElasticNet(0.1, 0), method)(g), getattr(L1(0.1), method)(g))
        near = getattr(ElasticNet(0.1, 1e-12), method)(g)
        torch.testing.assert_close(near, getattr(L1(0.1), method)(g), rtol=1e-6, atol=1e-9)


def groups_by_hand(values, block, joint):
    """Every group as (image, channels, rows, columns) slices."""
    channels = [slice(None)] if joint else [slice(c, c + 1) for c in range(values.shape[1])]
    for image in range(values.shape[0]):
        for channel in channels:
            for top in range(0, values.shape[2], block):
                for left in range(0, values.shape[3], block):
                    yield image, channel, slice(top, top + block), slice(left, left + block)


@pytest.mark.parametrize("joint", [False, True])
@pytest.mark.parametrize(("block", "size"), [(2, (6, 4)), (4, (6, 5)), (3, (7, 8)), (1, (3, 3)), (5, (5, 9))])
def test_groups_are_the_blocks_one_would_cut(block, size, joint):
    norm, g = GroupNorm(0.3, block, joint), normal(2, 3, *size)
    expected, total = torch.zeros_like(g), torch.zeros(2, dtype=torch.float64)
    for place in groups_by_hand(g, block, joint):
        length = g[place].square().sum().sqrt()
        expected[place] = 0.3 * g[place] / length
        total[place[0]] += 0.3 * length
    torch.testing.assert_close(norm.maximiser(g), expected, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(norm.conjugate(g), total, rtol=1e-12, atol=1e-12)


def test_padding_is_the_divisible_case_with_zeros():
    g, norm = normal(2, 3, 6, 5), GroupNorm(0.3, 4)
    padded = torch.zeros(2, 3, 8, 8, dtype=g.dtype)
    padded[:, :, :6, :5] = g
    assert torch.equal(norm.conjugate(g), norm.conjugate(padded))
    assert torch.equal(norm.maximiser(g), norm.maximiser(padded)[:, :, :6, :5])
    assert not norm.maximiser(padded)[:, :, 6:].any()


def test_a_zero_group_among_others_is_left_alone():
    g = normal(1, 1, 4, 4)
    g[..., :2, :2] = 0
    best = GroupNorm(0.3, 2).maximiser(g)
    assert not best[..., :2, :2].any()
    assert float(GroupNorm(0.3, 2).lengths(best).sum()) == pytest.approx(0.9)


def test_tiny_gradients_still_have_a_direction():
    g = normal(1, 1, 4, 4, dtype=torch.float32)
    torch.testing.assert_close(GroupNorm(0.3, 2).maximiser(1e-30 * g), GroupNorm(0.3, 2).maximiser(g))


def test_projection_is_the_nearest_point_of_the_domain():
    norm, delta = GroupNorm(0.5, 2), normal(1, 1, 5, 5)
    delta[..., :2, :2] *= 1e-3
    nearest = norm.project(delta)
    assert torch.equal(nearest[..., :2, :2], delta[..., :2, :2])
    assert float(norm.penalty(nearest)) == 0
    for seed in range(50):  # the obtuse-angle criterion
        assert float(inner(delta - nearest, norm.maximiser(normal(1, 1, 5, 5, seed=seed)) - nearest)) <= 1e-12


@pytest.mark.parametrize(
    "norm", [L1(1.0), ElasticNet(1.0, 0.0), ElasticNet(1.0, 2.0), GroupNorm(1.0, 2), GroupNorm(1.0, 4)]
)
def test_the_adversarial_gradient_is_the_gradient_of_the_penalised_loss(norm, tiny_net, tiny_batch):
    """∇_w CE(x + δ*) - ∇_w [CE(x) + h*(∇ₓℓ)] falls as ε²: gradient penalties without double backward."""
    x, y = tiny_batch
    weights = list(tiny_net.parameters())

    def flat(loss):
        return torch.cat([part.flatten() for part in torch.autograd.grad(loss, weights)])

    def error(eps):
        scaled = ElasticNet(eps, eps * norm.eps2) if isinstance(norm, ElasticNet) else rescaled(norm, eps)
        _, g = input_gradient(tiny_net, x, cross_entropy_with(y), create_graph=True)
        penalised = cross_entropy(tiny_net(x), y) + scaled.conjugate(g).mean()
        adversarial = cross_entropy(tiny_net(x + scaled.maximiser(g.detach())), y)
        plain, adversarial = flat(cross_entropy(tiny_net(x), y)), flat(adversarial)
        difference = (adversarial - flat(penalised)).norm()
        assert difference < 0.2 * (adversarial - plain).norm()
        return difference

    errors = [float(error(eps)) for eps in (4e-3, 2e-3, 1e-3)]
    assert errors[0] / errors[1] == pytest.approx(4, rel=0.15)
    assert errors[1] / errors[2] == pytest.approx(4, rel=0.1)


def rescaled(norm, eps):
    return L1(eps) if isinstance(norm, L1) else GroupNorm(eps, norm.block)


@pytest.mark.parametrize("norm", [*NORMS, Quadratic()])
def test_steps_towards_the_closed_form_arrive(norm):
    g = normal(3, 2, 6, 6)
    move, delta = towards(norm, share=0.3), torch.zeros_like(g)
    values = []
    for _ in range(5):
        delta = move(delta, g)
        values.append(inner(g, delta) - norm.penalty(delta))
    assert (torch.stack(values).diff(dim=0) >= -1e-12).all()
    torch.testing.assert_close(delta, norm.maximiser(g))
    torch.testing.assert_close(values[0], inner(g, 0.3 * norm.maximiser(g)) - norm.penalty(0.3 * norm.maximiser(g)))
    assert torch.equal(towards(norm)(torch.zeros_like(g), g), norm.maximiser(g))


def test_a_norm_of_ones_own_can_be_trained_on(tiny_net, tiny_batch):
    x, y = tiny_batch
    _, g = input_gradient(tiny_net, x, cross_entropy_with(y))
    torch.testing.assert_close(ascend(tiny_net, x, y, towards(Quadratic())), (x + 0.14 * g).clamp(0, 1))


def test_bad_weights_and_blocks_are_named():
    for make in (L1, lambda eps: ElasticNet(eps, 0.1), lambda eps: GroupNorm(eps, 2)):
        for eps in (-0.1, math.nan, math.inf):
            with pytest.raises(BadInput, match="eps must be a finite number ≥ 0; got"):
                make(eps)
    with pytest.raises(BadInput, match="eps2 must be a finite number ≥ 0; got -1"):
        ElasticNet(0.1, -1)
    with pytest.raises(BadInput, match="must be ≥ 1; got 0"):
        GroupNorm(0.1, 0)
    with pytest.raises(BadInput, match="block 5 does not fit in images of shape"):
        GroupNorm(0.1, 5).maximiser(torch.zeros(1, 1, 4, 8))
