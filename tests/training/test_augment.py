import torch

from pellucid.training.augment import augment


def draws(seed=0):
    return torch.Generator().manual_seed(seed)


def test_every_window_of_the_padded_image_occurs_and_nothing_else():
    image = torch.arange(1.0, 10).view(1, 1, 3, 3)
    padded = torch.nn.functional.pad(image, (1, 1, 1, 1))[0, 0]
    windows = {tuple(padded[i : i + 3, j : j + 3].flatten().tolist()) for i in range(3) for j in range(3)}
    cropped = augment(image.expand(300, -1, -1, -1), draws(), crop=1, flip=False)
    assert {tuple(c.flatten().tolist()) for c in cropped} == windows


def test_half_of_the_images_are_mirrored():
    image = torch.arange(6.0).view(1, 1, 2, 3).expand(400, 2, -1, -1)
    flipped = augment(image, draws(), crop=0, flip=True)
    mirrored = (flipped == image.flip(-1)).flatten(1).all(1)
    assert (mirrored | (flipped == image).flatten(1).all(1)).all()
    assert 0.4 < mirrored.double().mean() < 0.6


def test_nothing_asked_nothing_done():
    image = torch.rand(2, 3, 4, 4)
    assert torch.equal(augment(image, draws(), crop=0, flip=False), image)
