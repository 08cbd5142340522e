"""Small galleries: untrained networks of two seeds, few test images."""

from dataclasses import replace

import torch

from pellucid.data import fashion_mnist_mini
from pellucid.explore.gallery import UNKNOWN, Gallery, Model
from pellucid.explore.views import Subject
from pellucid.models import lenet

ODD = "<img src=x onerror=alert(1)>'\"&"


def network(seed, test):
    """An untrained network whose classes are about equally frequent; networks of two seeds agree on some images."""
    shape = {"channels": test.channels, "classes": len(test.classes), "image_size": test.image_size}
    with torch.random.fork_rng(), torch.no_grad():
        torch.manual_seed(0)
        net = lenet(**shape).eval()
        torch.manual_seed(seed)
        for weight in net.parameters():
            weight.mul_(1 + 0.2 * (seed > 0) * torch.randn_like(weight))
        last = [module for module in net.modules() if isinstance(module, torch.nn.Linear)][-1]
        last.weight *= 30
        last.bias -= net(test.batch(range(len(test)))[0]).mean(0)
    return net


def gallery(images=40, *, names=("run-one", "run-two"), test=None):
    test = test or fashion_mnist_mini(None, "test").subset(range(images))
    models = tuple(Model(name, "NA"[seed % 2], network(seed, test)) for seed, name in enumerate(names))
    return Gallery(models, test, 0.1, torch.full((len(models), len(test)), UNKNOWN))


def odd_gallery():
    """Classes and runs with names that a browser must not take for markup."""
    test = fashion_mnist_mini(None, "test").subset(range(30))
    classes = (ODD, *test.classes[1:])
    return gallery(test=replace(test, classes=classes), names=(f"run{ODD}", "$plain$"))


def subject(place=3, of=None):
    test = (of or gallery()).test
    pixels, labels = test.batch([place])
    return Subject(f"test-{place}", pixels, int(test.ids[place]), f"Test image {place}", int(labels))


def never():
    """A check that lets everything go on."""
