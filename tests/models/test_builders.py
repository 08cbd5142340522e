"""Every network: published sizes, the form that all builders share, and what they refuse."""

import inspect

import pytest
import torch
from torch import nn

from pellucid import models
from pellucid.errors import BadInput
from pellucid.models import lenet, resnet18, small_cnn, vgg16_bn, vit, wide_resnet
from pellucid.models.wide_resnet import PreActivationBlock

NETWORKS = [
    name for name in models.__all__ if "architecture" not in inspect.signature(getattr(models, name)).parameters
]
"""Pellucid's own; the doors to other libraries have tests of their own."""
SHAPE = {"channels": 3, "classes": 10, "image_size": 32}
SMALL = {"wide_resnet": {"depth": 10, "width": 1}}
SMOOTHED = {  # maps after `smooth_after` at 32×32
    "lenet": (6, 14, 14),
    "small_cnn": (32, 16, 16),
    "wide_resnet": (16, 32, 32),
    "resnet18": (64, 32, 32),
    "vgg16_bn": (64, 16, 16),
    "vit": (64, 8, 8),
}
SMALLEST = {"lenet": 16, "small_cnn": 4, "wide_resnet": 4, "resnet18": 8, "vgg16_bn": 32, "vit": 8}


def build(name, **changes):
    return getattr(models, name)(**{**SHAPE, **SMALL.get(name, {}), **changes})


def size(network):
    return sum(parameter.numel() for parameter in network.parameters())


def outputs(network, *names, image=(3, 32, 32), batch=1):
    """Shapes of the outputs of the named modules."""
    seen = {}
    for name in names:
        hook = lambda _, __, output, name=name: seen.update({name: tuple(output.shape)})  # noqa: E731
        network.get_submodule(name).register_forward_hook(hook)
    with torch.no_grad():
        network.eval()(torch.zeros(batch, *image))
    return [seen[name] for name in names]


def without_weights(builder, **options):
    """The shapes of a network too large to build in a test."""
    with torch.device("meta"):
        return builder(**options)


class TestPublishedSizes:
    def test_lenet(self):
        network = lenet(channels=1, classes=10, image_size=28)
        assert size(network) == 44_426
        assert outputs(network, "pool1", "pool2", "flatten", image=(1, 28, 28)) == [
            (1, 6, 12, 12),
            (1, 16, 4, 4),
            (1, 256),
        ]

    def test_small_cnn(self):
        network = small_cnn(channels=1, classes=10, image_size=28)
        assert size(network) == 832 + 51_264 + (3136 + 1) * 1024 + 10_250
        assert outputs(network, "pool1", "flatten", image=(1, 28, 28)) == [(1, 32, 14, 14), (1, 3136)]

    def test_wide_resnet_28_10(self):
        assert size(without_weights(wide_resnet, **SHAPE)) == 36_479_194  # the 36.5 M of the paper

    def test_wide_resnet_stages(self):
        network = wide_resnet(**SHAPE, depth=16, width=2)
        stages = outputs(network, "conv1", "block1", "block2", "block3", "flatten")
        assert stages == [(1, 16, 32, 32), (1, 32, 32, 32), (1, 64, 16, 16), (1, 128, 8, 8), (1, 128)]
        assert [len(network.get_submodule(f"block{stage}")) for stage in (1, 2, 3)] == [2, 2, 2]

    def test_resnet18_is_torchvisions_with_the_large_stem(self):
        network = resnet18(channels=3, classes=10, image_size=224)
        assert size(network) == 11_181_642
        assert outputs(network, "layer1", image=(3, 224, 224)) == [(1, 64, 56, 56)]

    def test_resnet18_with_the_small_stem(self):
        network = resnet18(**SHAPE)
        assert size(network) == 11_173_962
        assert outputs(network, "layer1", "layer4") == [(1, 64, 32, 32), (1, 512, 4, 4)]

    def test_vgg16_bn(self):
        network = vgg16_bn(**SHAPE)
        assert size(network) == 14_723_136 + 5_130  # convolutions and norms of VGG-16; the small head
        assert outputs(network, "features.6", "classifier") == [(1, 64, 16, 16), (1, 10)]

    def test_vgg16_bn_is_torchvisions_with_the_large_head(self):
        assert size(without_weights(vgg16_bn, channels=3, classes=1000, image_size=224)) == 138_365_992


@pytest.mark.parametrize("name", models.__all__)
def test_every_builder_has_the_common_signature(name):
    parameters = inspect.signature(getattr(models, name)).parameters
    assert list(parameters)[:3] == ["channels", "classes", "image_size"]
    assert all(p.kind in {p.KEYWORD_ONLY, p.VAR_KEYWORD} for p in parameters.values())


@pytest.mark.parametrize("name", NETWORKS)
class TestEveryNetwork:
    @pytest.mark.parametrize(("channels", "image_size"), [(1, 32), (3, 37), (4, 32)])
    def test_gives_finite_logits_for_other_images(self, name, channels, image_size):
        network = build(name, channels=channels, image_size=image_size, classes=7).eval()
        with torch.no_grad():
            logits = network(torch.rand(2, channels, image_size, image_size))
        assert logits.shape == (2, 7)
        assert logits.isfinite().all()
        assert not torch.equal(logits[0], logits[1])

    def test_is_smoothed_where_the_definitions_say(self, name):
        network = build(name)
        assert outputs(network, network.smooth_after) == [(1, *SMOOTHED[name])]

    def test_has_no_relu_in_place(self, name):
        activations = [module for module in build(name).modules() if isinstance(module, nn.ReLU | nn.GELU)]
        assert activations
        assert not any(getattr(module, "inplace", False) for module in activations)

    def test_calls_every_module_once(self, name):
        network, calls = build(name), []
        for module in network.modules():
            module.register_forward_hook(lambda module, *_: calls.append(module))
        with torch.no_grad():
            network.eval()(torch.zeros(1, 3, 32, 32))
        # Attention uses the weights of its last linear layer without calling it.
        uncalled = {module.out_proj for module in network.modules() if isinstance(module, nn.MultiheadAttention)}
        assert set(calls) == set(network.modules()) - uncalled
        twice = {type(module) for module in calls if calls.count(module) > 1}
        assert twice == ({nn.ReLU} if name == "resnet18" else set())  # torchvision's blocks use one ReLU twice

    def test_trains(self, name):
        network = build(name).train()
        network(torch.rand(2, 3, 32, 32)).square().sum().backward()
        assert all(parameter.grad is not None for parameter in network.parameters())

    def test_works_at_the_smallest_size_it_names_and_refuses_a_smaller_one(self, name):
        smallest = SMALLEST[name]
        with torch.no_grad():
            network = build(name, image_size=smallest).eval()
            assert network(torch.zeros(1, 3, smallest, smallest)).shape == (1, 10)
        with pytest.raises(BadInput, match=f"at least {smallest}×{smallest} pixels; these are {smallest - 1}×"):
            build(name, image_size=smallest - 1)

    @pytest.mark.parametrize("option", ["channels", "classes"])
    def test_refuses_data_without_channels_or_classes(self, name, option):
        with pytest.raises(BadInput, match="at least one channel and one class"):
            build(name, **{option: 0})


class TestVit:
    def test_has_the_size_that_its_options_say(self):
        patches, layer = (48 + 1) * 64, 2 * 2 * 64 + 4 * (64 + 1) * 64 + (64 + 1) * 256 + (256 + 1) * 64
        assert size(vit(**SHAPE)) == patches + 64 + 65 * 64 + 4 * layer + 2 * 64 + 650
        assert outputs(vit(**SHAPE, patch=8, width=12, heads=3, depth=1), "conv_proj") == [(1, 12, 4, 4)]
        assert len(vit(**SHAPE, depth=2).encoder.layers) == 2

    def test_pads_at_the_bottom_and_right_with_zeros(self):
        network = vit(**{**SHAPE, "image_size": 30}).eval()
        x = torch.rand(2, 3, 30, 30)
        tokens = outputs(network, "conv_proj", image=(3, 30, 30))
        assert tokens == [(1, 64, 8, 8)]
        with torch.no_grad():
            torch.testing.assert_close(network(nn.functional.pad(x, (0, 2, 0, 2))), network(x))
            assert not torch.allclose(network(nn.functional.pad(x, (2, 0, 2, 0))), network(x), atol=1e-4)

    @pytest.mark.parametrize("channels", [1, 3])
    def test_starts_with_gradients_of_usable_size(self, channels):
        torch.manual_seed(0)
        network, x = vit(**{**SHAPE, "channels": channels}), torch.rand(8, channels, 32, 32, requires_grad=True)
        logits = network(x)
        assert 0.3 < logits.std() < 3
        logits[:, 0].sum().backward()
        assert x.grad.flatten(1).norm(dim=1).min() > 1e-2

    def test_refuses_heads_that_do_not_divide_the_width(self):
        with pytest.raises(BadInput, match="5 heads for a width of 64"):
            vit(**SHAPE, heads=5)


@pytest.mark.parametrize("depth", [9, 3, 27, 12, -2, 4])
def test_wide_resnet_refuses_a_depth_that_is_not_6n_plus_4(depth):
    with pytest.raises(BadInput, match=rf"6n \+ 4 .*; got {depth}, try (10|22)$"):
        wide_resnet(**SHAPE, depth=depth, width=1)


def test_wide_resnet_refuses_a_width_below_one():
    with pytest.raises(BadInput, match="at least 1; got 0"):
        wide_resnet(**SHAPE, depth=10, width=0)


def test_wide_resnet_block_is_pre_activation_with_the_published_shortcut():
    block = PreActivationBlock(4, 8, stride=2).eval()
    x = torch.randn(2, 4, 6, 6)
    pre = torch.relu(x / (1 + 1e-5) ** 0.5)  # a fresh BatchNorm in eval mode
    conv = nn.functional.conv2d
    middle = torch.relu(conv(pre, block.conv1.weight, stride=2, padding=1) / (1 + 1e-5) ** 0.5)
    expected = conv(middle, block.conv2.weight, padding=1) + conv(pre, block.shortcut.weight, stride=2)
    torch.testing.assert_close(block(x), expected)
    same = PreActivationBlock(4, 4, stride=1).eval()
    nn.init.zeros_(same.conv2.weight)
    assert torch.equal(same(x), x)  # the shortcut is the signed input itself


def test_residual_networks_start_as_in_the_published_code():
    torch.manual_seed(0)
    grey = {**SHAPE, "channels": 1}
    networks = [wide_resnet(**SHAPE, depth=10, width=4), resnet18(**SHAPE), resnet18(**grey), vgg16_bn(**SHAPE)]
    networks.append(vgg16_bn(**grey))
    for network in networks:
        for module in network.modules():
            if isinstance(module, nn.Conv2d):
                fan_out = module.out_channels * module.kernel_size[0] ** 2
                assert module.weight.std().item() == pytest.approx((2 / fan_out) ** 0.5, rel=0.15)
                assert module.bias is None or not module.bias.any()
    assert not networks[0].fc.bias.any()
    assert networks[-1].classifier.weight.std().item() == pytest.approx(0.01, rel=0.1)
    assert not networks[-1].classifier.bias.any()


@pytest.mark.parametrize(("name", "option"), [("resnet18", "stem"), ("vgg16_bn", "head")])
def test_unknown_options_are_named_with_the_nearest(name, option):
    with pytest.raises(BadInput, match=rf"unknown {option} of {name} 'smal': did you mean 'small'\?"):
        build(name, **{option: "smal"})


def test_options_override_what_the_image_size_suggests():
    assert outputs(resnet18(**SHAPE, stem="large"), "layer1") == [(1, 64, 8, 8)]
    assert size(without_weights(vgg16_bn, **SHAPE, head="large")) > 100_000_000
