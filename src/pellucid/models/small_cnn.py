"""The 32/64/1024 network of T3S, appendix A (Chalasani et al. 2020)."""

from collections import OrderedDict

from torch import nn

from pellucid.models.checks import check_shape


class SmallCNN(nn.Sequential):
    """Two 5×5 'same' convolutions (32, 64 channels), each with ReLU and 2×2 max-pooling; then 1024, classes."""

    smooth_after = "pool1"


def small_cnn(*, channels: int, classes: int, image_size: int) -> SmallCNN:
    """The two-layer CNN of T3S's text (definitions §1.2; its code has LeNet-5 instead), PyTorch's default weights.

    Raises
    ------
    BadInput
        If the images are smaller than 4×4.
    """
    check_shape("the small CNN", channels=channels, classes=classes, image_size=image_size, smallest=4)
    side = image_size // 2 // 2
    return SmallCNN(
        OrderedDict(
            conv1=nn.Conv2d(channels, 32, 5, padding=2),
            relu1=nn.ReLU(),
            pool1=nn.MaxPool2d(2),
            conv2=nn.Conv2d(32, 64, 5, padding=2),
            relu2=nn.ReLU(),
            pool2=nn.MaxPool2d(2),
            flatten=nn.Flatten(),
            fc1=nn.Linear(64 * side**2, 1024),
            relu3=nn.ReLU(),
            fc2=nn.Linear(1024, classes),
        )
    )
