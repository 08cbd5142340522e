"""LeNet-5 as in the code of T3S for Fashion-MNIST."""

from collections import OrderedDict

from torch import nn

from pellucid.models.checks import check_shape


class LeNet(nn.Sequential):
    """Two unpadded 5×5 convolutions (6, 16 channels), each with ReLU and 2×2 max-pooling; then 120, 84, classes."""

    smooth_after = "pool1"


def lenet(*, channels: int, classes: int, image_size: int) -> LeNet:
    """LeNet-5 (T3S code; definitions §1.2): 44,426 parameters at 1×28×28 and 10 classes, PyTorch's default weights.

    Raises
    ------
    BadInput
        If the images are smaller than 16×16.
    """
    check_shape("LeNet", channels=channels, classes=classes, image_size=image_size, smallest=16)
    side = ((image_size - 4) // 2 - 4) // 2
    return LeNet(
        OrderedDict(
            conv1=nn.Conv2d(channels, 6, 5),
            relu1=nn.ReLU(),
            pool1=nn.MaxPool2d(2),
            conv2=nn.Conv2d(6, 16, 5),
            relu2=nn.ReLU(),
            pool2=nn.MaxPool2d(2),
            flatten=nn.Flatten(),
            fc1=nn.Linear(16 * side**2, 120),
            relu3=nn.ReLU(),
            fc2=nn.Linear(120, 84),
            relu4=nn.ReLU(),
            fc3=nn.Linear(84, classes),
        )
    )
