"""Networks as people write them."""

from torch import nn


class Odd(nn.Module):
    """In-place ReLUs, one of them used twice, a hook, tied weights, a frozen BatchNorm; returns a tuple."""

    def __init__(self, num_classes=10, in_channels=3, width=8, norm=nn.BatchNorm2d):
        super().__init__()
        self.conv = nn.Conv2d(in_channels, width, 3, padding=1)
        self.norm = norm(width)
        self.relu = nn.ReLU(inplace=True)
        self.first, self.second = nn.Conv2d(width, width, 1), nn.Conv2d(width, width, 1)
        self.second.weight = self.first.weight
        self.pool = nn.AdaptiveAvgPool2d(4)
        self.head = nn.Linear(16 * width, num_classes)
        self.seen = []
        self.norm.eval().requires_grad_(False)
        self.conv.register_forward_hook(self._look)

    def _look(self, module, inputs, output):
        self.seen = [tuple(output.shape)]

    def forward(self, x):
        x = self.relu(self.norm(self.conv(x)))
        x = self.relu(self.second(self.first(x)) + x)
        features = self.pool(x).flatten(1)
        return self.head(features), features


class Dictionary(nn.Module):
    def __init__(self, classes):
        super().__init__()
        self.head = nn.Linear(3 * 8 * 8, classes)

    def forward(self, x):
        return {"features": x, "logits": self.head(x.flatten(1))}


class AuxiliaryInTraining(nn.Module):
    def __init__(self, num_classes):
        super().__init__()
        self.head = nn.Linear(3 * 8 * 8, num_classes)

    def forward(self, x):
        logits = self.head(x.flatten(1))
        return (logits, logits) if self.training else logits


def text(num_classes):
    return "no network"


def positional(classes, /):
    return Dictionary(classes)


def ten_always():
    return nn.Sequential(nn.Flatten(), nn.LazyLinear(10))


def ours(*, channels, classes, image_size, depth: int = 1):
    return nn.Sequential(nn.Flatten(), nn.Linear(channels * image_size**2, classes))


def list_of_names(num_classes):
    class Names(nn.Module):
        def forward(self, x):
            return ["cat"] * len(x)

    return Names()
