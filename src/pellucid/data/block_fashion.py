"""Garments among meaningless patterns: images of which the relevant pixels are known."""

from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d

from pellucid.data.dataset import Dataset, Split
from pellucid.data.fashion_mnist_mini import fashion_mnist_mini
from pellucid.randomness import uniform_per_image

BLOCK = 14
"""Side of a block in pixels; an image is 2 × 2 blocks."""

BRIGHTNESS = 148
"""Of the bright half of the pattern, so that its mean is that of the garments (72.5 of 255)."""


def block_fashion(root: Path | None = None, split: Split = "train") -> Dataset:
    """A garment of 14 × 14 pixels in one quadrant of a 28 × 28 grey image, one and the same pattern in the other three.

    10,000 training and 2,000 test images with the classes of Fashion-MNIST, made from
    :func:`~pellucid.data.fashion_mnist_mini` (MIT licence) by averaging 2 × 2 pixels. The quadrant is drawn for each
    image from its id. The pattern, a checkerboard of 2 × 2 pixel squares, is as bright on average as the garments and
    has sharper edges, but says nothing about the class. So `attention` is not what people looked at but the truth: 255
    in the quadrant of the garment, 0 in the others. Looked for in: the package itself; `root` is not used.

    Raises
    ------
    BadInput
        If the split is unknown, or the file in the package is missing or damaged.

    References
    ----------
    After BlockMNIST of Shah et al. 2021, "Do input gradients highlight discriminative features?".
    """
    garments = fashion_mnist_mini(root, split)
    small = avg_pool2d(garments.images.float(), 2).round().to(torch.uint8)
    drawn = uniform_per_image(garments.ids.tolist(), (1,), seed=0, stream=f"block-fashion {split}")[:, 0]
    quadrant = (4 * drawn).long()
    images = _placed(small, pattern().expand_as(small), quadrant)
    relevant = _placed(torch.full_like(small, 255), torch.zeros_like(small), quadrant)
    return replace(garments, name="block-fashion", images=images, attention=relevant)


def pattern() -> Tensor:
    """The meaningless block: uint8 [14, 14]."""
    rows, columns = torch.meshgrid(torch.arange(BLOCK) // 2, torch.arange(BLOCK) // 2, indexing="ij")
    return (BRIGHTNESS * ((rows + columns) % 2)).to(torch.uint8)


def _placed(signal: Tensor, null: Tensor, quadrant: Tensor) -> Tensor:
    """Images [N, 1, 28, 28] with `signal` [N, 1, 14, 14] in `quadrant` [N] (reading order) and `null` elsewhere."""
    is_signal = quadrant[:, None, None, None] == torch.arange(4)[:, None, None]
    blocks = torch.where(is_signal, signal, null)
    grid: Tensor = blocks.unflatten(1, (2, 2))
    return grid.permute(0, 1, 3, 2, 4).reshape(-1, 1, 2 * BLOCK, 2 * BLOCK)
