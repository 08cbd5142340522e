"""Wide residual networks (Zagoruyko & Komodakis 2016) as in the code of T3S for CIFAR-10."""

from collections import OrderedDict

from torch import Tensor, nn

from pellucid.errors import BadInput
from pellucid.models.checks import check_shape
from pellucid.models.initialisation import kaiming


class WideResNet(nn.Sequential):
    """A 3×3 convolution, three stages of blocks with 16, 32, 64 × width channels, BN-ReLU, mean, linear."""

    smooth_after = "block1"


def wide_resnet(*, channels: int, classes: int, image_size: int, depth: int = 28, width: int = 10) -> WideResNet:
    """WRN-depth-width without dropout (T3S code; definitions §1.2); convolutions kaiming, linear bias 0.

    Parameters
    ----------
    channels, classes, image_size
        Of the data; images need at least 4×4 pixels.
    depth
        Number of convolutions, 6n + 4 with n blocks a stage: 10, 16, 22, 28, 40.
    width
        Factor on the channels of every stage.

    Raises
    ------
    BadInput
        If `depth` is not 6n + 4, `width` is below 1, or the images are too small.
    """
    name = f"WRN-{depth}-{width}"
    check_shape(name, channels=channels, classes=classes, image_size=image_size, smallest=4)
    if depth < 10 or depth % 6 != 4:
        below = max(10, depth - (depth - 4) % 6)
        raise BadInput(f"the depth of a wide ResNet must be 6n + 4 (10, 16, 22, 28, …); got {depth}, try {below}")
    if width < 1:
        raise BadInput(f"the width of a wide ResNet must be at least 1; got {width}")
    stages = [16 * width, 32 * width, 64 * width]
    blocks = (depth - 4) // 6
    network = WideResNet(
        OrderedDict(
            conv1=nn.Conv2d(channels, 16, 3, padding=1, bias=False),
            block1=_stage(16, stages[0], blocks, stride=1),
            block2=_stage(stages[0], stages[1], blocks, stride=2),
            block3=_stage(stages[1], stages[2], blocks, stride=2),
            bn=nn.BatchNorm2d(stages[2]),
            relu=nn.ReLU(),
            pool=nn.AdaptiveAvgPool2d(1),  # the code's 8×8 mean at 32×32 pixels
            flatten=nn.Flatten(),
            fc=nn.Linear(stages[2], classes),
        )
    )
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            kaiming(module)
        elif isinstance(module, nn.Linear):
            nn.init.zeros_(module.bias)
    return network


def _stage(inputs: int, outputs: int, blocks: int, *, stride: int) -> nn.Sequential:
    first = PreActivationBlock(inputs, outputs, stride=stride)
    return nn.Sequential(first, *(PreActivationBlock(outputs, outputs, stride=1) for _ in range(blocks - 1)))


class PreActivationBlock(nn.Module):
    """x + conv(ReLU(BN(conv(ReLU(BN(x)))))).

    Where the channels change, the shortcut is a 1×1 convolution of the first ReLU(BN(x)) instead of x, as published.
    """

    def __init__(self, inputs: int, outputs: int, *, stride: int) -> None:
        super().__init__()
        self.bn1 = nn.BatchNorm2d(inputs)
        self.relu1 = nn.ReLU()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride=stride, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.relu2 = nn.ReLU()
        self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1, bias=False)
        self.shortcut = nn.Conv2d(inputs, outputs, 1, stride=stride, bias=False) if inputs != outputs else None

    def forward(self, x: Tensor) -> Tensor:
        """Maps [B, inputs, H, W] to [B, outputs, H / stride, W / stride], of either sign."""
        activated = self.relu1(self.bn1(x))
        residual: Tensor = self.conv2(self.relu2(self.bn2(self.conv1(activated))))
        return residual + (x if self.shortcut is None else self.shortcut(activated))
