"""What every builder refuses."""

from pellucid.errors import BadInput


def check_shape(network: str, *, channels: int, classes: int, image_size: int, smallest: int) -> None:
    """Raise BadInput unless images of `image_size`² pixels with `channels` channels suit a network for `classes`."""
    if image_size < smallest:
        raise BadInput(
            f"{network} needs images of at least {smallest}×{smallest} pixels; these are {image_size}×{image_size}"
        )
    if channels < 1 or classes < 1:
        raise BadInput(f"{network} needs at least one channel and one class; got {channels} and {classes}")
