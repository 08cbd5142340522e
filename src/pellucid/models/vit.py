"""A small vision transformer (Dosovitskiy et al. 2021), on torchvision's."""

from torch import Tensor, nn
from torch.nn.functional import pad
from torchvision.models.vision_transformer import VisionTransformer

from pellucid.errors import BadInput
from pellucid.models.checks import check_shape
from pellucid.naming import Count


class ViT(VisionTransformer):  # type: ignore[misc]  # torchvision has no types
    """torchvision's network for images whose side need not be a multiple of the patch: zeros go on to the next one.

    The zeros stand at the bottom and right, behind the normalisation, so they are pixels of the mean colour.
    """

    smooth_after = "conv_proj"

    def forward(self, x: Tensor) -> Tensor:
        """Logits [B, K] of images [B, C, H, W]."""
        margins = [-side % self.patch_size for side in x.shape[2:]]
        logits: Tensor = super().forward(pad(x, (0, margins[1], 0, margins[0])))
        return logits


def vit(
    *,
    channels: int,
    classes: int,
    image_size: int,
    patch: Count = 4,
    width: Count = 64,
    depth: Count = 4,
    heads: Count = 4,
) -> ViT:
    """A vision transformer with random weights: about 0.2 million parameters by default. Without dropout; GELU.

    Unlike torchvision's, its last layer does not start at 0: all gradients with respect to the image would be 0 then.

    Parameters
    ----------
    channels, classes, image_size
        Of the data; images need at least 2·patch pixels a side.
    patch
        Side of a patch in pixels; a patch is a token.
    width, depth, heads
        Size of a token, number of layers, attention heads in each; the hidden layers are 4·width wide.

    Raises
    ------
    BadInput
        If the images are too small or `heads` does not divide `width`.
    """
    name = f"a ViT with patches of {patch} pixels"
    check_shape(name, channels=channels, classes=classes, image_size=image_size, smallest=2 * patch)
    if width % heads:
        raise BadInput(f"the heads of a ViT must divide its width; got {heads} heads for a width of {width}")
    network = ViT(image_size + -image_size % patch, patch, depth, heads, width, 4 * width, num_classes=classes)
    if channels != 3:
        network.conv_proj = nn.Conv2d(channels, width, patch, patch)
        nn.init.trunc_normal_(network.conv_proj.weight, std=(channels * patch**2) ** -0.5)  # torchvision's rule
        nn.init.zeros_(network.conv_proj.bias)
    nn.init.trunc_normal_(network.heads.head.weight, std=width**-0.5)
    return network
