"""Networks of other libraries and of users: any images, logits, second derivatives, nothing in place."""

import ast
import json
import sys
from functools import partial
from pathlib import Path

import pytest
import torch
from torch import nn
from torchvision.ops import StochasticDepth

from pellucid.errors import BadInput
from pellucid.models import adapting, hugging_face, timm, torchvision
from pellucid.models.adapting import HardSigmoid, HardSwish, logits_only
from pellucid.models.architectures import build_network, label, model_options, spelled_out
from pellucid.models.initialisation import initialised
from pellucid.models.normalised import fitted, normalised, own_normalisation
from pellucid.models.opening import open_model
from pellucid.models.smoothing import insert_smoothing
from pellucid.regularisers import misalignment

TINY_VIT = {"architecture": "vit_tiny_patch16_224", "patch_size": 7, "embed_dim": 32, "depth": 2, "num_heads": 2}
HF_VIT = {
    "architecture": "vit",
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 64,
    "patch_size": 8,
}
CASES = {  # builder, options, channels, image size, where it is smoothed
    "timm-vit": ("timm", TINY_VIT, 1, 28, "patch_embed.proj"),
    "timm-convnext": ("timm", {"architecture": "convnext_atto", "dims": (8, 16, 24, 32)}, 3, 64, "stem"),
    "hf-vit": ("hugging_face", HF_VIT, 3, 32, "vit.embeddings.patch_embeddings.projection"),
    "torchvision-resnet18": ("torchvision", {"architecture": "resnet18"}, 1, 28, "layer1"),
    "torchvision-efficientnet": ("torchvision", {"architecture": "efficientnet_b0"}, 3, 32, "features.2"),
    "torchvision-mobilenet": ("torchvision", {"architecture": "mobilenet_v3_small"}, 1, 32, "features.1"),
    "own": ("odd_nets.Odd", {"width": 4}, 1, 28, "second"),
}
NEEDS = {"timm": "timm", "hugging_face": "transformers"}
BUILT = {}


def build(case):
    """Built once; tests that change it take another."""
    name, options, channels, size, _ = CASES[case]
    pytest.importorskip(NEEDS.get(name, "torch"))
    if case not in BUILT:
        shape = {"channels": channels, "classes": 5, "image_size": size}
        BUILT[case] = initialised(lambda: build_network(name, model_options(name, options), **shape), 0)
    draws = torch.Generator().manual_seed(1)
    return BUILT[case], torch.rand(3, channels, size, size, generator=draws)


@pytest.mark.parametrize("case", CASES)
class TestEveryAdapter:
    def test_gives_logits_and_gradients_at_the_pixels(self, case):
        network, x = build(case)
        leaf = x.requires_grad_(True)
        logits = network.train()(leaf)
        assert logits.shape == (3, 5)
        logits[:, 0].sum().backward()
        assert leaf.grad.isfinite().all()
        assert leaf.grad.any()

    def test_can_be_trained_on_its_gradients(self, case):
        network, x = build(case)
        network.train().zero_grad()
        loss = misalignment(network, x, torch.zeros(3).long(), generator=torch.Generator().manual_seed(0)).mean()
        loss.backward()
        gradients = [weight.grad for weight in network.parameters() if weight.grad is not None]
        assert all(gradient.isfinite().all() for gradient in gradients)
        assert any(gradient.any() for gradient in gradients)

    def test_nothing_works_in_place(self, case):
        network, x = build(case)
        assert not any(getattr(module, "inplace", False) for module in network.modules())
        before = {}

        def look(module, _, output):
            before.setdefault(module, (output, output.clone()))

        hooks = [module.register_forward_hook(look) for module in leaves(network)]
        with torch.no_grad():
            network.eval()(x)
        for hook in hooks:
            hook.remove()
        changed = [module for module, (output, copy) in before.items() if not torch.equal(output, copy)]
        # timm and torchvision add a shortcut to the last output of a block in place.
        assert not [module for module in changed if not isinstance(module, nn.BatchNorm2d | StochasticDepth)]

    def test_takes_a_smooth_block_where_it_says(self, case):
        network, x = build(case)
        assert network.smooth_after == CASES[case][4]
        smoothed = insert_smoothing(network, network.smooth_after, example=x[:1])
        assert smoothed.eval()(x).shape == (3, 5)


def leaves(network):
    return [module for module in network.modules() if not list(module.children())]


def test_the_last_layer_of_a_transformer_does_not_start_at_zero():
    network = torchvision(channels=3, classes=4, image_size=32, architecture="vit_b_32")
    assert network.heads.head.weight.any()


def test_hard_activations_keep_their_numbers():
    x = torch.linspace(-5, 5, 101, dtype=torch.float64)
    torch.testing.assert_close(HardSigmoid()(x), nn.functional.hardsigmoid(x))
    torch.testing.assert_close(HardSwish()(x), nn.functional.hardswish(x))


def test_timm_attention_is_not_fused():
    network, _ = build("timm-vit")
    assert [module.fused_attn for module in network.modules() if hasattr(module, "fused_attn")] == [False, False]


def test_attention_of_hugging_face_is_eager():
    network, _ = build("hf-vit")
    assert network.config._attn_implementation == "eager"
    assert (network.config.num_labels, network.config.num_channels, network.config.image_size) == (5, 3, 32)


def test_googlenet_has_no_auxiliary_heads():
    network = torchvision(channels=3, classes=4, image_size=32, architecture="googlenet").train()
    assert network(torch.rand(2, 3, 32, 32)).shape == (2, 4)


def test_torchvisions_first_convolution_for_other_channels_keeps_its_form():
    network = torchvision(channels=5, classes=4, image_size=32, architecture="convnext_tiny")
    first = network.features[0][0]
    assert (first.in_channels, first.out_channels, first.kernel_size, first.stride) == (5, 96, (4, 4), (4, 4))
    assert first.bias is not None


class TestSpelling:
    @pytest.mark.parametrize(
        ("name", "expected"),
        [
            ("timm:resnet18", {"name": "timm", "architecture": "resnet18"}),
            ("hf:google/vit", {"name": "hugging_face", "architecture": "google/vit"}),
            ("hugging-face:vit", {"name": "hugging_face", "architecture": "vit"}),
            ("torchvision:vgg11", {"name": "torchvision", "architecture": "vgg11"}),
            ("lenet", {"name": "lenet"}),
            ("my.nets:Net", {"name": "my.nets:Net"}),
        ],
    )
    def test_of_a_librarys_architecture(self, name, expected):
        assert spelled_out(name) == expected

    def test_the_label_is_the_way_back(self):
        assert label("timm", {"architecture": "resnet18"}) == "timm:resnet18"
        assert label("hugging-face", {"architecture": "a/b"}) == "hf:a/b"
        assert label("lenet", {}) == "lenet"

    def test_of_nothing(self):
        with pytest.raises(BadInput, match="'timm:' names no architecture"):
            spelled_out("timm:")


SHAPE = {"channels": 3, "classes": 4, "image_size": 8}


TV, TIMM, HF = (partial(door, **SHAPE) for door in (torchvision, timm, hugging_face))
ODD = partial(build_network, options={}, **SHAPE)


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: TV(architecture="resnet19"), "no classifier 'resnet19': did you mean 'resnet18'"),
        (lambda: TV(architecture="resnet18", widht=3), "unknown option of model 'torchvision:resnet18' 'widht'"),
        (lambda: TV(architecture="alexnet"), "'torchvision:alexnet' does not work on images of 3×8×8: "),
        (lambda: TV(architecture="vit_b_16"), "'torchvision:vit_b_16' .*(divisible|8)"),
        (lambda: TV(architecture="resnet18", classes=0), "at least one channel and one class"),
        (lambda: TIMM(architecture="resnet19"), "timm has no architecture 'resnet19': did you mean 'resnet18'"),
        (lambda: TIMM(architecture="resnet18", widht=3), "unknown option of model 'timm:resnet18' 'widht'"),
        (lambda: HF(architecture="vit", hiden_size=3), "did you mean 'hidden_size'"),
        (lambda: HF(architecture="vitt"), "no model type 'vitt' .did you mean 'vit'.*pretrained: true"),
        (lambda: HF(architecture="vit", hidden_act="nope"), "'hf:vit' cannot be built: "),
        (lambda: model_options("timm", {}), "model 'timm': architecture: field required"),
        (
            lambda: model_options("odd_nets.Odd", {"widht": 3}),
            "option of model 'odd_nets.Odd' 'widht': did you mean 'width'",
        ),
        (lambda: model_options("odd_nets.Odd", {"num_classes": 3}), "unknown option of model 'odd_nets.Odd' 'num_cl"),
        (lambda: ODD("odd_nets.text"), "returned a str, not a torch.nn.Module"),
        (lambda: ODD("odd_nets.positional"), "takes 'classes' by position only"),
        (lambda: ODD("odd_nets.ten_always"), r"must give logits \[1, 4\] .* it gave \[1, 10\]"),
        (lambda: ODD("odd_nets.list_of_names"), "does not work .* it gave a list"),
        (lambda: ODD("odd_nets.Dictionary", image_size=9), "does not work on images of 3×9×9"),
        (lambda: ODD("odd_nets.Nothing"), "cannot import the model 'odd_nets.Nothing'"),
    ],
)
def test_what_is_wrong_gets_one_sentence(build, message, monkeypatch):
    if "timm" in message or "hf:" in message or "vitt" in message or "hidden" in message:
        pytest.importorskip("timm")
        pytest.importorskip("transformers")
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(BadInput, match=message) as error:
        build()
    assert "\n" not in str(error.value)
    assert len(str(error.value)) < 1500


@pytest.mark.parametrize(("module", "build"), [("timm", timm), ("transformers", hugging_face)])
def test_a_missing_extra_is_named(monkeypatch, module, build):
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(BadInput, match=r"needs the models extra: pip install 'pellucid\[models\]'"):
        build(**SHAPE, architecture="resnet18")


class TestPublishedWeights:
    def test_that_cannot_be_fetched(self, monkeypatch):
        from torchvision.models import ResNet18_Weights

        def offline(self, **_):
            raise OSError("no route\nto host")

        monkeypatch.setattr(ResNet18_Weights, "get_state_dict", offline)
        with pytest.raises(BadInput, match="weights of model 'torchvision:resnet18' cannot be had: no route to host$"):
            torchvision(**{**SHAPE, "image_size": 32}, architecture="resnet18", pretrained=True)

    @pytest.mark.parametrize("module", ["timm", "transformers"])
    def test_of_an_extra_that_cannot_be_fetched(self, monkeypatch, module):
        library = pytest.importorskip(module)

        def offline(*_, **options):
            raise OSError("no route\nto host")

        if module == "timm":
            monkeypatch.setattr(library, "create_model", offline)
            with pytest.raises(BadInput, match="weights of model 'timm:resnet18' cannot be had: no route to host$"):
                TIMM(architecture="resnet18", pretrained=True)
        else:
            monkeypatch.setattr(library.AutoConfig, "from_pretrained", offline)
            with pytest.raises(BadInput, match="no model type 'a/b', and the config .* on this machine: no route"):
                HF(architecture="a/b", pretrained=True)

    @pytest.mark.parametrize("classes", [4, 1000])
    def test_of_torchvision_keep_a_head_for_the_same_classes(self, monkeypatch, classes):
        from torchvision.models import ResNet18_Weights

        published = torchvision(channels=3, classes=1000, image_size=32, architecture="resnet18").state_dict()
        monkeypatch.setattr(ResNet18_Weights, "get_state_dict", lambda self, **_: published)
        network = torchvision(channels=1, classes=classes, image_size=32, architecture="resnet18", pretrained=True)
        assert torch.equal(network.layer1[0].conv1.weight, published["layer1.0.conv1.weight"])
        torch.testing.assert_close(network.conv1.weight, published["conv1.weight"].sum(1, keepdim=True))
        assert network.head_is_new == (classes == 4)
        assert torch.equal(network.fc.bias, published["fc.bias"]) == (classes == 1000)
        assert own_normalisation(network) == ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))


class TestUsersModules:
    def test_may_return_a_dictionary(self):
        network = build_network("odd_nets.Dictionary", {}, **SHAPE)
        x = torch.rand(2, 3, 8, 8)
        assert torch.equal(network(x), network.head(x.flatten(1)))

    def test_may_return_more_in_train_mode_alone(self):
        network = build_network("odd_nets.AuxiliaryInTraining", {}, **SHAPE)
        assert network.training
        assert network(torch.rand(2, 3, 8, 8)).shape == (2, 4)

    def test_keep_their_frozen_batchnorm_their_hooks_and_their_ties(self):
        network = build_network("odd_nets.Odd", {"width": 4}, **SHAPE)
        assert not network.norm.training
        assert network.training
        assert network.first.weight is network.second.weight
        network.train(network.training)  # the user's own doing
        x = torch.rand(2, 3, 8, 8)
        network(x)
        assert network.seen == [(2, 4, 8, 8)]

    def test_options_are_those_that_a_config_can_write(self):
        assert model_options("odd_nets.Odd", {}) == {"width": 8}
        assert model_options("odd_nets.ours", {"depth": 2}) == {"depth": 2}

    def test_in_our_own_form_still_work(self):
        assert build_network("odd_nets.ours", {"depth": 1}, **SHAPE)(torch.rand(2, 3, 8, 8)).shape == (2, 4)

    def test_without_maps_have_no_place_for_a_block(self):
        assert not hasattr(build_network("odd_nets.Dictionary", {}, **SHAPE), "smooth_after")

    def test_may_be_stacked_under_a_normalisation(self):
        network = build_network("odd_nets.Odd", {"width": 4}, **SHAPE)
        model = normalised(network, (0.5,) * 3, (0.5,) * 3).eval()
        x = torch.rand(2, 3, 8, 8)
        torch.testing.assert_close(model(x), network((x - 0.5) / 0.5))


def test_logits_are_taken_out_of_what_is_returned():
    logits, other = torch.rand(2, 3), torch.rand(2, 9)

    class Output:
        pass

    found = Output()
    found.logits = logits
    for output in (logits, found, {"loss": other, "logits": logits}, (logits, other), [logits]):
        assert logits_only(None, None, output) is logits
    for output in ({"scores": logits}, (), "text", (None, logits)):
        with pytest.raises(BadInput, match="must return logits"):
            logits_only(None, None, output)


class TestNormalisation:
    def test_is_fitted_to_the_channels(self):
        three = ((0.1, 0.2, 0.6), (1.0, 2.0, 3.0))
        assert fitted(three, 3) == three
        assert fitted(three, 1) == ((pytest.approx(0.3),), (2.0,))
        assert fitted(((0.5,), (0.2,)), 3) == ((0.5,) * 3, (0.2,) * 3)
        with pytest.raises(BadInput, match="has 3 channels, the images have 4"):
            fitted(three, 4)

    def test_of_a_silent_network_is_asked_for(self):
        with pytest.raises(BadInput, match="says nothing of a normalisation of its own; write normalise: data"):
            own_normalisation(nn.Linear(1, 1))


class TestHuggingFaceFolder:
    @pytest.fixture
    def folder(self, tmp_path, monkeypatch):
        transformers = pytest.importorskip("transformers")
        monkeypatch.setenv("HF_HUB_OFFLINE", "1")
        options = {key: value for key, value in HF_VIT.items() if key != "architecture"}
        config = transformers.AutoConfig.for_model("vit", **options, image_size=32, num_labels=4)
        network = initialised(lambda: transformers.AutoModelForImageClassification.from_config(config), 1)
        network.save_pretrained(tmp_path)
        keys = {"image_processor_type": "ViTImageProcessor", "image_mean": [0.4, 0.5, 0.6], "image_std": [0.2] * 3}
        self.write(tmp_path, keys)
        return tmp_path, network.eval()

    def write(self, folder: Path, keys: dict[str, object]) -> None:
        (folder / "preprocessor_config.json").write_text(json.dumps(keys))

    def test_opens_with_its_weights_and_its_normalisation_inside(self, folder):
        path, network = folder
        x = torch.rand(2, 3, 32, 32)
        mean = torch.tensor([0.4, 0.5, 0.6]).view(1, 3, 1, 1)
        model = open_model(f"hf:{path}", channels=3, classes=4, image_size=32)
        assert not model.training
        torch.testing.assert_close(model(x), network((x - mean) / 0.2).logits)

    def test_takes_images_of_another_size(self, folder):
        path, network = folder
        x = torch.rand(2, 3, 48, 48)
        mean = torch.tensor([0.4, 0.5, 0.6]).view(1, 3, 1, 1)
        model = open_model(f"hf:{path}", channels=3, classes=4, image_size=48)
        torch.testing.assert_close(model(x), network((x - mean) / 0.2, interpolate_pos_encoding=True).logits)

    def test_takes_grey_images_as_three_equal_channels(self, folder):
        path, network = folder
        self.write(path, {"image_processor_type": "ViTImageProcessor", "image_mean": [0.5] * 3, "image_std": [0.2] * 3})
        x = torch.rand(2, 1, 32, 32)
        model = open_model(f"hf:{path}", channels=1, classes=4, image_size=32)
        torch.testing.assert_close(model(x), network((x.expand(-1, 3, -1, -1) - 0.5) / 0.2).logits)

    @pytest.mark.parametrize(
        "keys", [{"do_rescale": False}, {"rescale_factor": 1 / 127.5}, {"rescale_factor": 1 / 127.5, "offset": True}]
    )
    def test_whose_pixels_are_scaled_otherwise_is_refused_with_the_reason(self, folder, keys):
        path, _ = folder
        self.write(
            path, {"image_processor_type": "ViTImageProcessor", "image_mean": [0.5] * 3, "image_std": [0.5] * 3} | keys
        )
        with pytest.raises(
            BadInput, match="does not scale pixels from 0 … 255 to 0 … 1 .*write normalise: mean and std"
        ):
            open_model(f"hf:{path}", channels=3, classes=4, image_size=32)

    def test_without_all_weights_is_refused(self, folder):
        from safetensors.torch import load_file, save_file

        path, _ = folder
        tensors = load_file(path / "model.safetensors")
        del tensors["classifier.weight"]
        save_file(tensors, path / "model.safetensors", metadata={"format": "pt"})
        with pytest.raises(BadInput, match="incomplete: missing classifier.weight"):
            open_model(f"hf:{path}", channels=3, classes=4, image_size=32)


def test_importing_the_models_imports_no_optional_library():
    for path in Path(adapting.__file__).parent.glob("*.py"):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        top = [node for node in tree.body if isinstance(node, ast.Import | ast.ImportFrom)]
        names = [node.module if isinstance(node, ast.ImportFrom) else node.names[0].name for node in top]
        assert not {"timm", "transformers"} & {name.split(".")[0] for name in names}, path
