"""What stands for an image's place in a data set where nobody knows it."""

import hashlib

from pellucid.types import Image


def image_ids(x: Image) -> list[int]:
    """A number for each image [B, C, H, W] that depends on its pixels alone, so in any batch it gets the same noise."""
    rows = x.detach().float().cpu().contiguous().numpy()
    return [int.from_bytes(hashlib.blake2b(row.tobytes(), digest_size=7).digest(), "big") for row in rows]
