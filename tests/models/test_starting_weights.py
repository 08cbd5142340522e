"""Weights from elsewhere: which files are read, and what of them fits."""

import pickle

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from pellucid.errors import BadInput
from pellucid.models.opening import open_model
from pellucid.models.weights import carries_normalisation, load_start, read_weights, weights_file

SHAPE = {"channels": 1, "classes": 4, "image_size": 16}


def network(classes=4, channels=3, width=6):
    return nn.Sequential(
        nn.Conv2d(channels, width, 3), nn.BatchNorm2d(width), nn.ReLU(), nn.Flatten(), nn.Linear(36 * width, classes)
    )


@pytest.fixture
def source():
    torch.manual_seed(5)
    return network()


def same(first, second):
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)


class TestFiles:
    @pytest.mark.parametrize("name", ["w.safetensors", "w.pt", "w.pth"])
    def test_of_the_safe_kinds_are_read(self, tmp_path, source, name):
        write(tmp_path / name, source.state_dict())
        assert same(read_weights(tmp_path / name), source.state_dict())

    @pytest.mark.parametrize("key", ["state_dict", "model_state_dict", "model"])
    def test_of_a_training_script_are_read(self, tmp_path, source, key):
        torch.save({"epoch": 3, key: source.state_dict()}, tmp_path / "w.pt")
        assert same(read_weights(tmp_path / "w.pt"), source.state_dict())

    def test_in_a_folder_are_found(self, tmp_path, source):
        write(tmp_path / "weights.safetensors", source.state_dict())
        assert weights_file(tmp_path) == tmp_path / "weights.safetensors"

    def test_that_would_run_code_are_refused_and_run_nothing(self, tmp_path):
        class Bomb:
            def __reduce__(self):
                return (pytest.fail, ("the pickle was loaded",))

        torch.save({"bomb": Bomb()}, tmp_path / "w.pt")
        with pytest.raises(BadInput, match="cannot be read without running code that it holds"):
            read_weights(tmp_path / "w.pt")
        torch.save(network(), tmp_path / "w.pth")
        with pytest.raises(BadInput, match="cannot be read without running code"):
            read_weights(tmp_path / "w.pth")
        (tmp_path / "w.bin").write_bytes(pickle.dumps({}))
        with pytest.raises(BadInput, match=r"no safetensors file and no .pt or .pth state dict; convert it"):
            read_weights(tmp_path / "w.bin")

    @pytest.mark.parametrize(
        ("name", "content", "message"),
        [
            ("w.safetensors", b"x" * 50, "not a usable safetensors file"),
            ("w.pt", b"", "damaged or no file of torch.save"),
            ("w.pt", b"<html>", "cannot be read without running code|damaged or no file"),
        ],
    )
    def test_that_are_damaged_are_named(self, tmp_path, name, content, message):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(BadInput, match=message) as error:
            read_weights(tmp_path / name)
        assert "\n" not in str(error.value)

    def test_that_hold_no_state_dict_are_named(self, tmp_path):
        torch.save([1, 2], tmp_path / "w.pt")
        with pytest.raises(BadInput, match="holds no state dict"):
            read_weights(tmp_path / "w.pt")

    def test_that_are_not_there_are_named(self, tmp_path):
        with pytest.raises(BadInput, match="there are no weights at .*absent"):
            read_weights(tmp_path / "absent")
        with pytest.raises(BadInput, match="holds no weights .weights.safetensors or model.safetensors"):
            read_weights(tmp_path)


def write(path, tensors):
    if path.suffix == ".safetensors":
        save_file(tensors, path)
    else:
        torch.save(tensors, path)


class TestLoading:
    @pytest.mark.parametrize("prefix", ["", "module.", "network.", "_orig_mod.", "_orig_mod.module.network."])
    def test_prefixes_do_not_matter(self, source, prefix):
        target = network()
        start = load_start(target, {prefix + name: t for name, t in source.state_dict().items()}, what="w")
        assert same(target.state_dict(), source.state_dict())
        assert (start.head, start.first_layer) == ("kept", "kept")

    def test_a_network_that_has_such_a_prefix_itself_is_loaded(self, source):
        target = nn.Sequential()
        target.network = network()
        load_start(target, source.state_dict(), what="w")
        assert same(target.network.state_dict(), source.state_dict())

    def test_the_head_of_other_classes_stays_as_it_is(self, source):
        target = network(classes=7)
        before = target[4].weight.clone()
        assert load_start(target, source.state_dict(), what="w").head == "new"
        assert torch.equal(target[4].weight, before)
        assert torch.equal(target[0].weight, source[0].weight)

    def test_a_head_that_sees_other_features_is_no_head_of_other_classes(self, source):
        with pytest.raises(BadInput, match=r"'0.weight' is \(6, 3, 3, 3\) there, \(8, 3, 3, 3\) here"):
            load_start(network(classes=7, width=8), source.state_dict(), what="w")

    def test_nor_is_a_last_layer_that_sees_another_number_of_them(self):
        source, target = (nn.Sequential(nn.Flatten(), nn.Linear(*shape)) for shape in ((8, 4), (9, 7)))
        with pytest.raises(BadInput, match=r"'1.weight' is \(4, 8\) there, \(7, 9\) here"):
            load_start(target, source.state_dict(), what="w")

    def test_no_other_layer_may_differ(self, source):
        tensors = source.state_dict() | {"1.weight": torch.zeros(5)}
        with pytest.raises(BadInput, match=r"'1.weight' is \(5,\) there, \(6,\) here"):
            load_start(network(), tensors, what="w")

    def test_grey_images_see_what_three_equal_channels_saw(self, source):
        target, x = network(channels=1), torch.rand(2, 1, 8, 8)
        assert load_start(target, source.state_dict(), what="w").first_layer == "summed"
        torch.testing.assert_close(target.eval()(x), source.eval()(x.expand(-1, 3, -1, -1)))

    def test_and_the_other_way_round(self):
        source, target, x = network(channels=1), network(channels=3), torch.rand(2, 1, 8, 8)
        load_start(target, source.state_dict(), what="w")
        torch.testing.assert_close(target.eval()(x.expand(-1, 3, -1, -1)), source.eval()(x))

    def test_missing_and_superfluous_names_are_the_first_few(self, source):
        tensors = {name: tensor for name, tensor in source.state_dict().items() if not name.startswith("1.")}
        with pytest.raises(BadInput, match=r"missing 1.weight, 1.bias, 1.running_mean and 2 more; unexpected extra$"):
            load_start(network(), tensors | {"extra": torch.zeros(1)}, what="w")


class TestOpenModel:
    def test_is_in_eval_mode_and_always_the_same(self):
        first, second = (open_model("lenet", **SHAPE) for _ in range(2))
        assert not any(module.training for module in first.modules())
        assert same(first.state_dict(), second.state_dict())
        assert first.normalise.std.tolist() == [[[[1.0]]]]

    def test_takes_weights_and_the_normalisation_among_them(self, tmp_path):
        source = open_model("lenet", **SHAPE)
        nn.init.constant_(source.normalise.mean, 0.3)
        nn.init.normal_(source.network.fc3.weight)
        save_file(source.state_dict(), tmp_path / "weights.safetensors")
        assert carries_normalisation(tmp_path)
        opened = open_model("lenet", **SHAPE, weights=tmp_path)
        assert same(opened.state_dict(), source.state_dict())

    def test_normalises_as_a_librarys_published_weights_want(self):
        model = open_model("torchvision:resnet18", channels=3, classes=4, image_size=32)
        assert model.normalise.mean.flatten().tolist() == pytest.approx([0.485, 0.456, 0.406])

    def test_has_no_published_weights_of_its_own(self):
        with pytest.raises(BadInput, match="'lenet' has no published weights"):
            open_model("lenet", **SHAPE, weights="pretrained")

    def test_says_that_a_smooth_block_is_a_runs(self, tmp_path):
        save_file({"network.pool1.block.mix.weight": torch.zeros(1)}, tmp_path / "w.safetensors")
        with pytest.raises(BadInput, match="holds a SmoothBlock, which 'lenet' has not"):
            open_model("lenet", **SHAPE, weights=tmp_path / "w.safetensors")


def test_weights_without_normalisation_carry_none(tmp_path, source):
    save_file(source.state_dict(), tmp_path / "w.safetensors")
    assert not carries_normalisation(tmp_path / "w.safetensors")
    assert not carries_normalisation(tmp_path / "absent")
    torch.save(source.state_dict(), tmp_path / "w.pt")
    assert not carries_normalisation(tmp_path / "w.pt")
