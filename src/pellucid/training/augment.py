"""Random crops and flips of a batch, drawn per image from a generator."""

import torch
from torch.nn.functional import pad

from pellucid.types import Image


def augment(x: Image, generator: torch.Generator, *, crop: int, flip: bool) -> Image:
    """Pad by `crop` zero pixels and cut a random window of the old size; mirror left-right with probability ½.

    Parameters
    ----------
    x
        Images [B, C, H, W].

    Returns
    -------
    Images of the same shape; each image has its own draw.
    """
    batch, _, height, width = x.shape
    if crop:
        top, left = torch.randint(0, 2 * crop + 1, (2, batch), generator=generator)
        rows = top[:, None] + torch.arange(height)
        columns = left[:, None] + torch.arange(width)
        padded = pad(x, (crop, crop, crop, crop))
        # Advanced indices apart from the channel slice put the batch and window axes first: [B, H, W, C].
        picked = padded[torch.arange(batch)[:, None, None], :, rows[:, :, None], columns[:, None, :]]
        x = picked.permute(0, 3, 1, 2).contiguous()
    if flip:
        mirrored = torch.rand(batch, generator=generator) < 0.5
        x = torch.where(mirrored[:, None, None, None].to(x.device), x.flip(-1), x)
    return x
