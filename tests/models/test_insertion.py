"""insert_smoothing: into every network and into odd ones, without a trace, and clear about what it cannot do."""

import copy
import inspect

import pytest
import torch
from safetensors.torch import load, save
from torch import nn

from pellucid import filters, models
from pellucid.errors import BadInput
from pellucid.models import lenet
from pellucid.models.normalised import normalised
from pellucid.models.smoothing import SmoothBlock, Smoothed, insert_smoothing

NETWORKS = [
    name for name in models.__all__ if "architecture" not in inspect.signature(getattr(models, name)).parameters
]
SMALL = {"wide_resnet": {"depth": 10, "width": 1}}
IMAGES = torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))


def network_of(name):
    return getattr(models, name)(channels=3, classes=10, image_size=32, **SMALL.get(name, {})).eval()


def lenet_model():
    return normalised(lenet(channels=3, classes=10, image_size=32), (0.5,) * 3, (0.25,) * 3).eval()


def traces(model):
    """All that an insertion could leave behind."""
    hooks = [(len(m._forward_hooks), len(m._forward_pre_hooks), len(m._backward_hooks)) for m in model.modules()]
    modes = [module.training for module in model.modules()]
    return hooks, modes, {key: value.clone() for key, value in model.state_dict().items()}


def assert_untouched(model, before):
    hooks, modes, state = traces(model)
    assert (hooks, modes) == before[:2]
    assert list(state) == list(before[2])
    assert all(torch.equal(state[key], before[2][key]) for key in state)


def silence(model):
    """Make every SmoothBlock the identity."""
    for module in model.modules():
        if isinstance(module, SmoothBlock):
            nn.init.zeros_(module.mix.weight)
            nn.init.zeros_(module.mix.bias)
    return model


class Odd(nn.Module):
    """What people write: members of lists, shared, unused and outside modules, several outputs."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(inplace=True))
        self.items = nn.ModuleList([nn.Conv2d(4, 4, 1), nn.Conv2d(4, 5, 1)])
        self.table = nn.ModuleDict({"pool": nn.MaxPool2d(2)})
        self.relu = nn.ReLU()
        self.alias = self.table["pool"]
        self.unused = nn.Conv2d(3, 3, 1)
        self.hidden = nn.Conv2d(5, 5, 1)
        self.outside = [self.hidden]
        self.weighed = nn.Conv2d(5, 5, 1)
        self.several = Several()
        self.norm = nn.BatchNorm2d(5)
        self.keyword = Keyword()
        self.head = nn.Linear(5, 3)

    def forward(self, x):
        x = self.stem(x)
        for item in self.items:
            x = self.relu(item(x))
        x = self.outside[0](self.alias(x)) * self.weighed.bias.mean()
        x = self.norm(self.weighed(x) + self.several(x)["maps"])
        return self.head(self.keyword(maps=x).mean((2, 3)))


class Several(nn.Module):
    def forward(self, x):
        return {"maps": x}


class Keyword(nn.Module):
    def forward(self, *, maps):
        return torch.tanh(maps)


@pytest.mark.parametrize("name", NETWORKS)
class TestEveryNetwork:
    def test_takes_a_block_where_it_belongs(self, name):
        network = network_of(name)
        smoothed = insert_smoothing(network, network.smooth_after, "gaussian", example=IMAGES)
        site = smoothed.get_submodule(network.smooth_after)
        assert isinstance(site, Smoothed)
        channels = site.block.mix.in_channels
        with torch.no_grad():
            assert not torch.allclose(smoothed(IMAGES), network(IMAGES))
            assert torch.equal(silence(smoothed)(IMAGES), network(IMAGES))
        assert len(list(smoothed.parameters())) == len(list(network.parameters())) + 2
        added = sum(p.numel() for p in smoothed.parameters()) - sum(p.numel() for p in network.parameters())
        assert added == channels**2 + channels

    def test_takes_the_name_inside_a_normalised_model(self, name):
        network = network_of(name)
        model = normalised(network, (0.5,) * 3, (0.25,) * 3)
        short, full = (
            insert_smoothing(model, after, example=IMAGES)
            for after in (network.smooth_after, f"network.{network.smooth_after}")
        )
        assert list(short.state_dict()) == list(full.state_dict())
        assert torch.equal(short(IMAGES), full(IMAGES))

    def test_survives_a_checkpoint(self, name):
        network = network_of(name)
        first, second = (insert_smoothing(network, network.smooth_after, example=IMAGES, seed=s) for s in (1, 2))
        assert not torch.equal(first(IMAGES), second(IMAGES))
        second.load_state_dict(load(save(first.state_dict())))
        assert torch.equal(first(IMAGES), second(IMAGES))


@pytest.mark.parametrize("name", filters.__all__)
def test_every_filter_smooths_what_the_module_returned(name):
    model = lenet_model()
    smoothed = insert_smoothing(model, "pool1", name, example=IMAGES)
    with torch.no_grad():
        pooled = model.network[:3](model.normalise(IMAGES))
        expected = model.network[3:](smoothed.network.pool1.block(pooled))
        assert torch.equal(smoothed(IMAGES), expected)


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("after", ["norm", "missing", "head", "items.0"])
def test_leaves_no_trace_in_the_model_it_was_given(training, after):
    model = Odd().train(training)
    model.norm.eval()  # a BatchNorm that its owner froze
    model.stem.register_forward_hook(lambda *_: None)
    before, random_state = traces(model), torch.get_rng_state()
    if after in ("missing", "head"):
        with pytest.raises(BadInput):
            insert_smoothing(model, after, example=IMAGES)
    else:
        smoothed = insert_smoothing(model, after, example=IMAGES)
        modes = {name: module.training for name, module in smoothed.named_modules()}
        wrapped = {name.replace(after, f"{after}.module"): m.training for name, m in model.named_modules()}
        assert {name: modes[name] for name in wrapped} == wrapped
        assert modes[after] == modes[f"{after}.block.mix"] == model.get_submodule(after).training
        kept = "norm.module" if after == "norm" else "norm"
        assert torch.equal(smoothed.state_dict()[f"{kept}.running_mean"], torch.zeros(5))
        assert sum(traces(smoothed)[0][i][0] for i in range(len(modes))) == 1  # only the owner's own hook
    assert_untouched(model, before)
    assert torch.equal(torch.get_rng_state(), random_state)


def test_the_probing_passes_move_no_statistics_and_draw_nothing():
    """Neither in the model nor in the copy that is returned, with layers that learn and draw even while they look."""

    class Drawing(nn.Module):
        def forward(self, x):
            return x + torch.rand_like(x)

    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Dropout(), Drawing()).train()
    before, random_state = traces(model), torch.get_rng_state()
    smoothed = insert_smoothing(model, "0", example=IMAGES)
    assert_untouched(model, before)
    assert torch.equal(torch.get_rng_state(), random_state)
    assert torch.equal(smoothed[1].running_mean, torch.zeros(4))
    assert smoothed[1].num_batches_tracked == 0


def test_leaves_no_trace_where_the_model_fails():
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Flatten(), nn.Linear(5, 2)).train()
    before, state = traces(model), torch.get_rng_state()
    with pytest.raises(BadInput, match=r"^the model fails on the example of shape \(2, 3, 32, 32\): .*mat1 and mat2"):
        insert_smoothing(model, "0", example=IMAGES)
    assert_untouched(model, before)
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize("after", ["stem.0", "stem.1", "stem", "items.0", "items.1", "table.pool", "alias", "keyword"])
def test_reaches_modules_wherever_they_sit(after):
    model = Odd().eval()
    smoothed = insert_smoothing(model, after, "mean", example=IMAGES)
    assert isinstance(smoothed.get_submodule(after), Smoothed)
    with torch.no_grad():
        assert not torch.allclose(smoothed(IMAGES), model(IMAGES))
        assert torch.equal(silence(smoothed)(IMAGES), model(IMAGES))


def test_replaces_a_module_under_all_its_names():
    smoothed = insert_smoothing(Odd().eval(), "table.pool", example=IMAGES)
    assert smoothed.alias is smoothed.table["pool"]


def test_smooths_the_output_of_the_whole_model_too():
    model = nn.Conv2d(3, 4, 3)
    smoothed = insert_smoothing(model, "", example=IMAGES)
    assert torch.equal(smoothed(IMAGES), smoothed.block(model(IMAGES)))


def test_two_insertions_smooth_twice():
    smoothed = insert_smoothing(insert_smoothing(lenet_model(), "pool1", example=IMAGES), "pool2", example=IMAGES)
    assert sum(isinstance(module, SmoothBlock) for module in smoothed.modules()) == 2


def test_takes_device_type_and_settings_from_where_it_stands():
    model = lenet_model().double()
    options = {"sigma": "input", "swapped_sigma": True}
    block = insert_smoothing(model, "pool1", example=IMAGES.double(), **options).network.pool1.block
    assert block.mix.weight.dtype == torch.float64
    assert block.sigma_at(14, 14) == pytest.approx((5.15, 5.15))  # 32 pixels
    assert block.swapped_sigma


def test_the_seed_alone_decides_the_blocks_weights():
    def weights(seed, **options):
        block = insert_smoothing(lenet_model(), "pool1", example=IMAGES, seed=seed, **options).network.pool1.block
        return block.mix.weight, block.mix.bias

    first = weights(1)
    torch.rand(3)
    again, other = weights(1), weights(2)
    assert torch.equal(first[0], again[0])
    assert torch.equal(first[1], again[1])
    assert not torch.equal(first[0], other[0])
    assert torch.equal(weights(1, initialisation="default")[0], first[0])
    assert torch.equal(weights(1, initialisation="kaiming")[1], first[1])  # the bias keeps PyTorch's


def test_kaiming_has_the_spread_of_fan_out():
    model = nn.Sequential(nn.Conv2d(3, 128, 3))
    plain, kaiming = (
        insert_smoothing(model, "0", example=IMAGES, initialisation=name)[0].block.mix.weight.std().item()
        for name in ("default", "kaiming")
    )
    assert kaiming == pytest.approx((2 / 128) ** 0.5, rel=0.05)
    assert plain == pytest.approx((1 / 3 / 128) ** 0.5, rel=0.05)


def test_is_independent_of_the_model_it_was_copied_from():
    model = lenet_model()
    smoothed = insert_smoothing(model, "pool1", example=IMAGES)
    before = copy.deepcopy(model.state_dict())
    with torch.no_grad():
        for parameter in smoothed.parameters():
            parameter.add_(1)
    assert all(torch.equal(before[key], value) for key, value in model.state_dict().items())
    assert smoothed.network.smooth_after == "pool1"


@pytest.mark.parametrize(
    ("after", "message"),
    [
        ("itmes.0", r"unknown layer 'itmes.0': did you mean 'items.0'\?"),
        ("head", r"layer 'head' has no spatial output .* has shape \(2, 3\), .* before it with maps is 'keyword'$"),
        ("", r"layer '' has no spatial output .* has shape \(2, 3\)"),
        ("several", r"layer 'several' has no spatial output .* is a dict, not \[B, C, H, W\]"),
        ("relu", r"layer 'relu' is called 2 times in one forward pass"),
        ("unused", r"layer 'unused' is never called"),
        ("items", r"layer 'items' is never called"),
        ("hidden", r"after 'hidden': the model holds this module outside its named modules"),
        ("weighed", r"after 'weighed': the model fails .* no attribute 'bias'"),
    ],
)
def test_says_why_a_layer_cannot_be_smoothed(after, message):
    with pytest.raises(BadInput, match=message) as caught:
        insert_smoothing(Odd().eval(), after, example=IMAGES)
    assert "\n" not in str(caught.value)


def test_names_no_network_prefix_and_not_a_hundred_layers():
    with pytest.raises(BadInput, match=r"unknown layer 'pol1': did you mean 'pool1'\? valid: conv1, ") as caught:
        insert_smoothing(lenet_model(), "pol1", example=IMAGES)
    assert "network." not in str(caught.value)
    with pytest.raises(BadInput, match=r"did you mean 'layer1.0.conv1'\?") as caught:
        insert_smoothing(network_of("resnet18"), "layer1.0.cnv1", example=IMAGES)
    assert len(str(caught.value)) < 500


@pytest.mark.parametrize(("name", "after"), [("lenet", "flatten"), ("lenet", "fc1"), ("resnet18", "fc")])
def test_says_so_after_a_flattening_or_linear_layer(name, after):
    with pytest.raises(BadInput, match=rf"layer '{after}' has no spatial output") as caught:
        insert_smoothing(network_of(name), after, example=IMAGES)
    assert str(caught.value).endswith("maps is 'pool2'" if name == "lenet" else "maps is 'layer4'")


def test_refuses_maps_of_one_pixel():
    with pytest.raises(BadInput, match="layer 'avgpool' returns maps of 1×1 pixels, too small for a filter"):
        insert_smoothing(network_of("resnet18"), "avgpool", example=IMAGES)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"filter": "medain"}, r"unknown filter 'medain': did you mean 'median'\?"),
        ({"sigma": "kernal"}, r"unknown sigma 'kernal': did you mean 'kernel'\?"),
        ({"sigma": 0.0}, "sigma must be a positive number"),
        ({"initialisation": "kaimin"}, r"unknown initialisation 'kaimin': did you mean 'kaiming'\?"),
        ({"example": IMAGES[:, :1]}, "the model fails on the example .* normalises 3 channels; the images have 1"),
    ],
)
def test_refuses_unknown_settings(options, message):
    with pytest.raises(BadInput, match=message):
        insert_smoothing(lenet_model(), "pool1", **{"example": IMAGES, **options})
