"""ONNX files give torch's logits, at any batch size, with normalisation and SmoothBlock inside."""

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from torch import nn

from pellucid.data import fashion_mnist_mini
from pellucid.errors import BadInput, RunFailed
from pellucid.integrations.onnx import TOLERANCE, export_onnx, largest_difference
from pellucid.models.architectures import build_network
from pellucid.models.initialisation import initialised
from pellucid.models.normalised import normalised
from pellucid.models.opening import open_model
from pellucid.models.smoothing import insert_smoothing

BUILT_IN = {
    "lenet": (28, {}),
    "small_cnn": (16, {}),
    "wide_resnet": (16, {"depth": 10, "width": 1}),
    "resnet18": (32, {}),
    "vgg16_bn": (32, {}),
    "vit": (32, {}),
}
QUICK = ("lenet", "wide_resnet")


def images(channels, size, count=9):
    """Pieces of clothing, in as many channels and pixels as wanted."""
    x, _ = fashion_mnist_mini(None, "test").batch(range(count))
    x = nn.functional.interpolate(x, size=(size, size), mode="bilinear")
    return x.repeat(1, channels, 1, 1)


def network(name, channels):
    size, options = BUILT_IN[name]
    model = initialised(lambda: build_network(name, options, channels=channels, classes=10, image_size=size), 0)
    return normalised(model, [0.3] * channels, [0.35] * channels).eval()


def smoothed(model, x, **options):
    after = model.network.smooth_after
    return insert_smoothing(model, after=after, example=x[:2], seed=1, **options).eval()


def exported_difference(model, x, path):
    """And the file mentions no image outside of the batch: one image alone gives the same."""
    export_onnx(model, path, example=x)
    assert [entry.version >= 17 for entry in onnx.load(path).opset_import if entry.domain == ""] == [True]
    return largest_difference(model, path, x, batch_sizes=(1, 2, 9))


FILTERS = [{"filter": name} for name in ("gaussian", "mean", "median", "identity", "learned")]


@pytest.mark.parametrize(
    "block", [*FILTERS, {"filter": "gaussian", "sigma": 0.7}], ids=lambda block: "-".join(map(str, block.values()))
)
def test_every_filter(block, tmp_path):
    x = images(1, 28)
    model = smoothed(network("lenet", 1), x, **block)
    if block["filter"] == "learned":
        nn.init.normal_(model.network.get_submodule(f"{model.network.smooth_after}.block").kernel)
    assert exported_difference(model, x, tmp_path / "net.onnx") < TOLERANCE


@pytest.mark.parametrize(
    "name", [name if name in QUICK else pytest.param(name, marks=pytest.mark.slow) for name in BUILT_IN]
)
def test_every_architecture_with_and_without_a_block(name, tmp_path):
    x = images(3, BUILT_IN[name][0])
    model = network(name, 3)
    assert exported_difference(model, x, tmp_path / "plain.onnx") < TOLERANCE
    if name not in QUICK:
        assert exported_difference(smoothed(model, x), x, tmp_path / "block.onnx") < TOLERANCE


@pytest.mark.slow
@pytest.mark.parametrize("spec", ["timm:vit_tiny_patch16_224", "timm:convnext_atto", "torchvision:efficientnet_b0"])
def test_architectures_of_other_libraries(spec, tmp_path):
    pytest.importorskip("timm")
    size = 224 if "vit" in spec else 32
    x = images(3, size)
    model = open_model(spec, channels=3, classes=10, image_size=size)
    assert exported_difference(smoothed(model, x), x, tmp_path / "net.onnx") < TOLERANCE


def test_the_file_takes_pixels_and_says_what_it_is(tmp_path):
    model, path = (
        normalised(nn.Sequential(nn.Flatten(), nn.Linear(4, 2, bias=False)), [0.5], [0.25]),
        tmp_path / "net.onnx",
    )
    export_onnx(model.train(), path, example=torch.rand(1, 1, 2, 2), notes={"classes": '["a", "b"]'})
    assert model.training
    session = onnxruntime.InferenceSession(path)
    (given,), (taken,) = session.get_inputs(), session.get_outputs()
    assert (given.name, given.shape[1:], taken.name) == ("images", [1, 2, 2], "logits")
    assert isinstance(given.shape[0], str)
    assert session.get_modelmeta().custom_metadata_map["classes"] == '["a", "b"]'
    grey = session.run(None, {"images": np.full((3, 1, 2, 2), 0.5, np.float32)})[0]
    assert np.abs(grey).max() == 0  # the mean pixel
    assert not list(tmp_path.glob("*.data"))


def test_a_file_of_another_model_is_found_out(tmp_path):
    x = torch.rand(5, 1, 2, 2)
    model, path = nn.Sequential(nn.Flatten(), nn.Linear(4, 2)), tmp_path / "net.onnx"
    export_onnx(model, path, example=x)
    assert largest_difference(model, path, x) < 1e-6
    with torch.no_grad():
        model[1].bias[1] += 0.01
        assert largest_difference(model, path, x) == pytest.approx(0.01, rel=1e-3)
        model[1].bias[0] = torch.nan
        assert largest_difference(model, path, x) == float("inf")
    with pytest.raises(RunFailed, match=r"gives a tensor of shape \(5, 2\), the model a tensor of shape \(5, 3\)"):
        largest_difference(nn.Sequential(nn.Flatten(), nn.Linear(4, 3)), path, x)
    path.write_bytes(b"no model")
    with pytest.raises(RunFailed, match="onnxruntime cannot run"):
        largest_difference(model, path, x)


def test_what_cannot_be_exported_is_one_sentence(tmp_path):
    class Moody(nn.Module):
        def forward(self, x):
            return x.flatten(1) if x.sum() > 0 else -x.flatten(1)

    with pytest.raises(BadInput, match="cannot be exported to ONNX: "):
        export_onnx(Moody(), tmp_path / "net.onnx", example=torch.rand(2, 1, 2, 2))
    assert not (tmp_path / "net.onnx").exists()
