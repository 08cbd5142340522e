import pytest
import torch

from pellucid.attacks import Linf, ball
from pellucid.metrics.robustness import natural_accuracy, robust_accuracy

torchattacks = pytest.importorskip("torchattacks")


def labelled(net, x):
    y = net(x).argmax(1)
    y[::4] = (y[::4] + 1) % 3
    return y


def test_natural_accuracy_is_per_image(tiny_net, tiny_batch):
    x, _ = tiny_batch
    expected = torch.ones(8, dtype=torch.bool)
    expected[::4] = False
    assert torch.equal(natural_accuracy(tiny_net, x, labelled(tiny_net, x)), expected)


@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_batch_size_and_mates_change_no_verdict(tiny_net, tiny_batch, norm):
    x, _ = tiny_batch
    y, options = labelled(tiny_net, x), {"region": ball(norm, 0.1 if norm == "linf" else 0.5), "restarts": 2}
    whole = robust_accuracy(tiny_net, x, y, ids=range(8), **options)
    assert 0 < int(whole.sum()) < 6
    for size in (1, 3):
        parts = [robust_accuracy(tiny_net, x[p], y[p], ids=p.tolist(), **options) for p in torch.arange(8).split(size)]
        assert torch.equal(torch.cat(parts), whole)


def test_grows_harder_with_eps_and_restarts(tiny_net, tiny_batch):
    x, _ = tiny_batch
    y = labelled(tiny_net, x)
    held = [int(robust_accuracy(tiny_net, x, y, ids=range(8), region=Linf(eps)).sum()) for eps in (0, 0.05, 0.1, 0.3)]
    assert held == sorted(held, reverse=True)
    assert held[0] == 6
    assert held[-1] < held[0]
    one = robust_accuracy(tiny_net, x, y, ids=range(8), region=Linf(0.1))
    many = robust_accuracy(tiny_net, x, y, ids=range(8), region=Linf(0.1), restarts=4)
    assert not (many & ~one).any()


def test_agrees_with_torchattacks_where_the_last_iterate_is_the_worst(tiny_net, tiny_batch):
    x, _ = tiny_batch
    y = labelled(tiny_net, x)
    theirs = (
        tiny_net(torchattacks.PGD(tiny_net, eps=0.1, alpha=0.025, steps=20, random_start=False)(x, y)).argmax(1) == y
    )
    ours = robust_accuracy(tiny_net, x, y, ids=range(8), region=Linf(0.1))
    assert not (ours & ~theirs).any()
    assert int((ours != theirs).sum()) <= 1
