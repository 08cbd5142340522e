import pytest
import torch
from torch import nn

from pellucid.errors import BadInput
from pellucid.metrics.stability import misalignment, relative_misalignment

SHAPE = (6, 1, 4, 4)
each = pytest.mark.parametrize("metric", [misalignment, relative_misalignment])


def draw(seed, *shape):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def network():
    torch.manual_seed(0)
    return nn.Sequential(nn.Flatten(), nn.Linear(16, 8), nn.Tanh(), nn.Linear(8, 3)).double().eval()


def scaled(model, factor):
    wrapped = nn.Module()
    wrapped.forward = lambda x: factor * model(x)
    return wrapped.eval()


def by_hand(model, x, noise, *, relative):
    """Loops over images and copies, gradients by autograd on one image at a time."""
    values = []
    for image, copies in zip(x, noise, strict=True):
        label = model(image[None]).argmax()
        fields = []
        for point in [image, *(image + copy for copy in copies)]:
            leaf = point[None].clone().requires_grad_(True)
            logits = model(leaf)[0]
            fields.append(torch.autograd.grad(logits[label] - logits.mean(), leaf)[0].flatten())
        own = fields[0]
        each = []
        for other in fields[1:]:
            if relative:
                each.append(((own - other) ** 2).sum() / (2 * (own @ own + other @ other)))
            else:
                each.append((1 - own @ other / (own.norm() * other.norm())) / 2)
        values.append(torch.stack(each).mean())
    return torch.stack(values)


@each
def test_it_is_the_mean_over_copies_written_out(metric):
    model, x, noise = network(), draw(0, *SHAPE).sigmoid(), 0.3 * draw(1, 6, 5, *SHAPE[1:])
    expected = by_hand(model, x, noise, relative=metric is relative_misalignment)
    assert expected.min() > 1e-4
    torch.testing.assert_close(metric(model, x, noise=noise), expected, rtol=1e-7, atol=1e-9)


@each
@pytest.mark.parametrize("factor", [1e-6, 1e6])
def test_neither_scale_nor_batch_mates_matter(metric, factor):
    model, x, noise = network(), draw(0, *SHAPE).sigmoid(), 0.3 * draw(1, 6, 5, *SHAPE[1:])
    whole = metric(model, x, noise=noise)
    torch.testing.assert_close(metric(scaled(model, factor), x, noise=noise), whole, rtol=1e-7, atol=1e-10)
    torch.testing.assert_close(metric(model, x[2:3], noise=noise[2:3]), whole[2:3], rtol=1e-9, atol=1e-12)


@each
def test_a_model_without_gradient_has_no_misalignment(metric):
    x, noise = draw(0, *SHAPE).sigmoid(), draw(1, 6, 5, *SHAPE[1:])
    assert metric(scaled(network(), 0.0), x, noise=noise).isnan().all()


def test_a_copy_without_gradient_is_left_out():
    def bent(x):  # no gradient where the first pixel is above 2
        flat = x.flatten(1)
        value = torch.where(flat[:, 0] > 2, 0 * flat.sum(1), flat @ torch.arange(16.0, dtype=x.dtype))
        return torch.stack([value, -value], 1)

    wrapped = nn.Module()
    wrapped.forward = bent
    x, noise = draw(0, *SHAPE).sigmoid(), torch.zeros(6, 2, *SHAPE[1:], dtype=torch.float64)
    noise[:, 1, 0, 0, 0] = 5
    torch.testing.assert_close(misalignment(wrapped, x, noise=noise), torch.zeros(6, dtype=torch.float64))


def test_noise_of_another_shape_is_refused():
    with pytest.raises(BadInput, match=r"need noise \[B, S, C, H, W\]"):
        misalignment(network(), draw(0, *SHAPE), noise=draw(1, *SHAPE))
