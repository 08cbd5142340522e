"""Training from given weights: what is kept of them, what the run notes, and that it needs them no more afterwards."""

import json
import re
import shutil
from pathlib import Path

import pytest
import torch
import yaml
from safetensors.torch import load_file, save_file
from small_grid import spec as grid_spec
from torch import nn
from typer.testing import CliRunner

from pellucid.cli import app
from pellucid.data.dataset import Dataset
from pellucid.errors import BadInput
from pellucid.experiments import diffroar
from pellucid.experiments.build import build_model, load_splits
from pellucid.experiments.config import check, plain
from pellucid.experiments.grid.cells import identity_of, plan
from pellucid.experiments.start import started_from
from pellucid.experiments.trade_off import map_quality
from pellucid.experiments.train import dry_run, load_run, standing_alone, train
from pellucid.models.opening import open_model

ROOT = Path(__file__).parents[2]
SMALL = {
    "data": {"name": "fashion-mnist-mini", "validation": 100},
    "training": {"max_steps": 4, "batch_size": 16, "device": "cpu"},
}


def small(**changes):
    return json.loads(json.dumps(SMALL)) | changes


@pytest.fixture(scope="module")
def start(tmp_path_factory):
    """A run to start from."""
    directory = tmp_path_factory.mktemp("start") / "N"
    train(check(small(seed=3)), directory)
    return directory


@pytest.fixture
def copy(start, tmp_path):
    return Path(shutil.copytree(start, tmp_path / "N"))


def tensors(run):
    return load_file(run / "weights.safetensors")


class TestStartingFromARun:
    def test_begins_with_its_very_weights_and_normalisation(self, start):
        config = check(started_from(small(), start))
        model = build_model(config, load_splits(config).train)
        assert config.model.normalise == "model"
        assert all(torch.equal(tensor, tensors(start)[name]) for name, tensor in model.state_dict().items())

    def test_takes_model_data_and_seed_where_the_config_is_silent(self, start):
        config = check(started_from({"objective": "natural"}, start))
        assert (config.model.name, config.data.validation, config.seed) == ("lenet", 100, 3)
        spoken = check(started_from(small(seed=9, data={"name": "fashion-mnist-mini", "validation": 50}), start))
        assert (spoken.seed, spoken.data.validation) == (9, 50)

    def test_is_noted_in_the_manifest_and_said(self, start, tmp_path, capsys):
        manifest = train(check(started_from(small(), start)), tmp_path / "run")
        assert manifest["model"]["started_from"] == {
            "path": str(start),
            "sha256": json.loads((start / "manifest.json").read_text())["weights"]["sha256"],
            "head": "kept",
            "first_layer": "kept",
        }
        assert f"run: starts from {start}, its last layer kept" in capsys.readouterr().err.replace("\n", " ")

    def test_can_be_loaded_and_finished_when_the_start_is_gone(self, copy, tmp_path):
        config = check(started_from(small(), copy))
        train(config, tmp_path / "run")
        shutil.rmtree(copy)
        loaded = load_run(tmp_path / "run")[2]
        assert all(torch.equal(t, tensors(tmp_path / "run")[name]) for name, t in loaded.state_dict().items())
        again = check(yaml.safe_load((tmp_path / "run" / "config.yaml").read_text()))
        assert train(again, tmp_path / "run")["status"] == "finished"
        manifest = json.loads((tmp_path / "run" / "manifest.json").read_text())
        (tmp_path / "run" / "manifest.json").write_text(json.dumps(manifest | {"status": "running"}))
        assert train(again, tmp_path / "run")["status"] == "finished"

    def test_that_normalises_otherwise_than_the_data_is_remembered_in_numbers(self, copy, tmp_path):
        other = tensors(copy) | {"normalise.mean": torch.full((1, 1, 1, 1), 0.25)}
        save_file(other, copy / "weights.safetensors")
        config = check(started_from(small(), copy))
        train(config, tmp_path / "run")
        shutil.rmtree(copy)
        alone = standing_alone(config, tmp_path / "run")
        assert alone.model.weights is None
        assert alone.model.normalise["mean"] == (0.25,)
        assert load_run(tmp_path / "run")[2].normalise.mean.item() == 0.25

    def test_that_changed_is_another_start(self, copy, tmp_path):
        config = check(started_from(small(), copy))
        train(config, tmp_path / "run")
        save_file(tensors(copy) | {"network.fc3.bias": torch.zeros(10)}, copy / "weights.safetensors")
        with pytest.raises(BadInput, match="holds a run of another config .model.weights_sha256: "):
            train(check(started_from(small(), copy)), tmp_path / "run")
        with pytest.raises(BadInput, match="is not the file that the config describes .SHA-256 differs"):
            dry_run(config)

    def test_that_moved_is_the_same_start(self, copy, tmp_path):
        train(check(started_from(small(), copy)), tmp_path / "run")
        moved = copy.rename(tmp_path / "moved")
        assert train(check(started_from(small(), moved)), tmp_path / "run")["status"] == "finished"

    def test_with_a_block_starts_with_its_block(self, tmp_path):
        train(check(small(smoothing={"filter": "mean"})), tmp_path / "G")
        config = check(started_from(small(), tmp_path / "G"))
        assert config.smoothing.filter == "mean"
        model = build_model(config, load_splits(config).train)
        assert all(torch.equal(tensor, tensors(tmp_path / "G")[name]) for name, tensor in model.state_dict().items())

    def test_with_a_block_normalises_as_the_config_says(self, tmp_path):
        train(check(small(smoothing={"filter": "mean"})), tmp_path / "G")
        config = check(started_from(small(model={"normalise": "none"}), tmp_path / "G"))
        assert build_model(config, load_splits(config).train).normalise.mean.item() == 0

    def test_without_a_block_may_get_one(self, start):
        config = check(started_from(small(smoothing={"filter": "gaussian"}), start))
        model = build_model(config, load_splits(config).train)
        assert torch.equal(model.network.conv1.weight, tensors(start)["network.conv1.weight"])
        assert torch.equal(model.network.pool1.block.mix.weight, build_model(
            check(small(seed=3, smoothing={"filter": "gaussian"})), load_splits(config).train
        ).network.pool1.block.mix.weight)  # fmt: skip


class TestStartingFromAFile:
    def test_needs_an_architecture(self, start):
        with pytest.raises(BadInput, match="does not say of what architecture; add model.name"):
            check(small(model={"weights": str(start / "weights.safetensors")}))

    @pytest.mark.parametrize("kind", ["safetensors", "pt"])
    def test_replaces_the_head_of_other_classes_by_one_of_the_runs_seed(self, tmp_path, kind):
        eleven = open_model("lenet", channels=1, classes=11, image_size=28).network
        path = tmp_path / f"w.{kind}"
        save_file(eleven.state_dict(), path) if kind == "safetensors" else torch.save(eleven.state_dict(), path)
        config = check(small(model={"name": "lenet", "weights": str(path)}))
        splits = load_splits(config)
        model, fresh = build_model(config, splits.train), build_model(check(small()), splits.train)
        assert torch.equal(model.network.fc3.weight, fresh.network.fc3.weight)
        assert torch.equal(model.network.fc2.weight, eleven.fc2.weight)
        other = build_model(config.model_copy(update={"seed": 1}), splits.train)
        assert not torch.equal(model.network.fc3.weight, other.network.fc3.weight)
        assert config.model.normalise == "data"
        assert train(config, tmp_path / "run")["model"]["started_from"]["head"] == "new"

    def test_that_does_not_fit_is_named(self, start):
        config = check(small(model={"name": "small_cnn", "weights": str(start)}))
        with pytest.raises(BadInput, match="not of this architecture: unexpected fc3.bias, fc3.weight$"):
            dry_run(config)

    def test_that_is_not_there_is_named(self):
        with pytest.raises(BadInput, match="there are no weights at .*nowhere"):
            check(small(model={"name": "lenet", "weights": "nowhere"}))


class TestNormalisation:
    @pytest.mark.parametrize(
        ("model", "expected"),
        [
            ("lenet", "data"),
            ("torchvision:resnet18", "data"),
            ({"name": "torchvision:resnet18", "pretrained": True}, "model"),
            ({"name": "torchvision:resnet18", "pretrained": True, "normalise": "none"}, "none"),
            ({"name": "hf:a/b", "pretrained": True}, "model"),
            ("hf:vit", "data"),
        ],
    )
    def test_is_chosen_by_what_the_weights_come_with(self, model, expected):
        assert check({"model": model}).model.normalise == expected

    def test_of_a_librarys_architecture_with_own_weights_is_the_published_one(self, tmp_path):
        save_file({"a": torch.zeros(1)}, tmp_path / "w.safetensors")
        named = check({"model": {"name": "torchvision:resnet18", "weights": str(tmp_path / "w.safetensors")}})
        assert named.model.normalise == "model"

    def test_of_the_model_is_refused_where_it_says_nothing(self):
        with pytest.raises(BadInput, match="says nothing of a normalisation of its own"):
            dry_run(check(small(model={"name": "lenet", "normalise": "model"})))

    def test_of_a_librarys_model_is_inside_and_its_mean_for_grey_images(self):
        config = check(small(model={"name": "torchvision:squeezenet1_1", "normalise": "model"}))
        model = build_model(config, load_splits(config).train)
        assert model.normalise.mean.item() == pytest.approx((0.485 + 0.456 + 0.406) / 3)


class TestConfig:
    def test_the_shorthand_resolves_to_itself(self):
        for model in ("torchvision:resnet18", {"name": "timm:resnet18", "drop_rate": 0.1}):
            resolved = plain(check({"model": model}))
            assert plain(check(resolved)) == resolved
            assert resolved["model"]["architecture"] == "resnet18"

    def test_names_the_architecture_in_one_word(self):
        assert check({"model": "torchvision:resnet18"}).model.label == "torchvision:resnet18"

    @pytest.mark.parametrize(
        ("training", "message"),
        [
            ({"choose": "trade_off"}, "choose 'trade_off' needs max_accuracy_drop"),
            ({"choose": "clean", "max_accuracy_drop": 2}, "bounds the choice 'trade_off', not 'clean'"),
            ({"max_accuracy_drop": -1}, "max_accuracy_drop: input should be greater than or equal to 0"),
            ({"ema": 1.0}, "ema: input should be less than 1"),
            ({"eps_warm_up": 0.2}, "eps_warm_up lets an objective's eps grow; objective 'natural' has none"),
            ({"frezee": ["a"]}, "unknown key in training 'frezee': did you mean 'freeze'"),
        ],
    )
    def test_what_is_wrong_gets_one_sentence(self, training, message):
        with pytest.raises(BadInput, match=message):
            check({"training": training})

    def test_a_drop_alone_is_the_choice(self):
        assert check({"training": {"max_accuracy_drop": 1}}).training.choose == "trade_off"


class TestGrids:
    def test_an_identity_without_the_new_keys_is_what_it_was(self):
        import hashlib

        import pellucid
        from pellucid.experiments.grid.cells import FORMAT

        raw = plain(check(small()))
        raw["data"].pop("root")
        for section, keys in {
            "model": ["weights", "weights_sha256"],
            "training": ["freeze", "ema", "eps_warm_up", "max_accuracy_drop", "snapshots"],
        }.items():
            for key in keys:
                raw[section].pop(key)
        parts = {"format": FORMAT, "pellucid": pellucid.__version__, "config": raw, "data": ["a", "b"]}
        expected = hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()
        assert identity_of(check(small()), ["a", "b"]) == expected

    def test_a_changed_file_is_another_cell_and_a_moved_one_is_not(self, copy, tmp_path):
        def identity(path):
            return identity_of(check(small(model={"name": "lenet", "weights": str(path)})), [])

        before = identity(copy)
        assert before == identity(Path(shutil.copytree(copy, tmp_path / "elsewhere")))
        save_file(tensors(copy) | {"network.fc3.bias": torch.zeros(10)}, copy / "weights.safetensors")
        assert before != identity(copy)

    def test_every_new_key_makes_another_cell(self):
        changes = [{"freeze": ["conv1"]}, {"ema": 0.9}, {"max_accuracy_drop": 2}]
        identities = {identity_of(check(small(training=SMALL["training"] | change)), []) for change in [{}, *changes]}
        assert len(identities) == 4

    def test_two_architectures_of_a_library_are_two_settings(self, start):
        base = grid_spec().base | {"objective": "natural"}
        nets = {"A": {"model": "torchvision:squeezenet1_0"}, "B": {"model": "torchvision:squeezenet1_1"}}
        cells = plan(grid_spec(base=base, axes={"net": nets}))
        assert [cell.setting.split()[-1] for cell in cells] == [
            "torchvision:squeezenet1_0",
            "torchvision:squeezenet1_1",
        ]


class TestTradeOff:
    def test_the_result_keeps_what_was_promised(self, start, tmp_path):
        training = {"epochs": 2, "max_steps": 120, "batch_size": 64, "max_accuracy_drop": 2, "device": "cpu"}
        raw = started_from({"training": training | {"optimizer": {"name": "adam", "lr": 0.01}}}, start)
        manifest = train(check(raw), tmp_path / "run")
        rows = [json.loads(line) for line in (tmp_path / "run" / "history.jsonl").read_text().splitlines()]
        assert rows[0]["epoch"] == 0
        allowed = [row for row in rows if row["clean_accuracy"] >= rows[0]["clean_accuracy"] - 0.02]
        best = max(allowed, key=lambda row: row["map_score"])
        assert manifest["weights"]["epoch"] == best["epoch"]
        assert manifest["weights"]["chosen_by"].startswith("the best maps at no more than 2.0 points below")
        _, _, model, splits = load_run(tmp_path / "run")
        assert map_quality(model, splits.validation, seed=3)["map_score"] == pytest.approx(best["map_score"], abs=1e-6)

    def test_needs_a_start_that_knows_the_classes(self, tmp_path):
        with pytest.raises(BadInput, match="but this run starts at random; train with choose: clean first"):
            dry_run(check(small(training={"max_accuracy_drop": 2})))
        eleven = open_model("lenet", channels=1, classes=11, image_size=28).network
        save_file(eleven.state_dict(), tmp_path / "w.safetensors")
        model = {"name": "lenet", "weights": str(tmp_path / "w.safetensors")}
        with pytest.raises(BadInput, match="but the starting model knows other classes"):
            train(check(small(model=model, training={"max_accuracy_drop": 2})), tmp_path / "run")
        assert not (tmp_path / "run").exists()


class TestMapQuality:
    def images(self, count=6):
        draws = torch.Generator().manual_seed(0)
        pixels = torch.randint(0, 256, (count, 1, 8, 8), generator=draws).to(torch.uint8)
        return Dataset("noise", "validation", pixels, torch.zeros(count).long(), ("a", "b"), torch.arange(count) + 50)

    def test_of_a_linear_model_is_perfectly_stable_and_its_gini_that_of_its_weights(self):
        model = nn.Sequential(nn.Flatten(), nn.Linear(64, 2)).eval()
        found = map_quality(model, self.images(), seed=0)
        weights = model[1].weight.detach().abs().sort(1).values.double()
        rank = torch.arange(1, 65)
        gini = ((2 * rank - 65) * weights).sum(1) / (64 * weights.sum(1))
        predicted = model(self.images().batch(range(6))[0]).argmax(1)
        assert found["map_ssim"] == pytest.approx(1)
        assert found["map_gini"] == pytest.approx(gini[predicted].mean().item(), rel=1e-5)
        assert found["map_score"] == pytest.approx((1 + found["map_gini"]) / 2)

    def test_maps_of_zeros_count_as_nothing(self):
        model = nn.Sequential(nn.Flatten(), nn.Linear(64, 2)).eval()
        nn.init.zeros_(model[1].weight)
        assert map_quality(model, self.images(), seed=0) == {"map_ssim": 0, "map_gini": 0, "map_score": 0}

    def test_follows_the_images_not_their_batches_and_leaves_the_model_as_it_was(self, monkeypatch):
        torch.manual_seed(0)
        model = nn.Sequential(
            nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.Tanh(), nn.Flatten(), nn.Linear(144, 2)
        ).double()
        whole = map_quality(model, self.images(), seed=1)
        assert model.training
        monkeypatch.setattr("pellucid.experiments.trade_off.AT_ONCE", 2)
        assert map_quality(model, self.images(), seed=1) == pytest.approx(whole)
        assert map_quality(model, self.images(), seed=2)["map_ssim"] != whole["map_ssim"]
        assert 0 < whole["map_ssim"] < 1

    def test_looks_at_the_first_images_only(self, monkeypatch):
        model = nn.Sequential(nn.Conv2d(1, 4, 3), nn.Tanh(), nn.Flatten(), nn.Linear(144, 2)).double()
        monkeypatch.setattr("pellucid.experiments.trade_off.IMAGES", 3)
        assert map_quality(model, self.images(6), seed=0) == map_quality(model, self.images(3), seed=0)


class TestCommandLine:
    def test_fine_tunes_by_the_default_recipe(self, start, tmp_path):
        command = ["train", str(ROOT / "configs" / "fine-tune.yaml"), "--from", str(start), "--max-accuracy-drop", "5"]
        out = tmp_path / "run"
        found = CliRunner().invoke(app, [*command, "training.max_steps=2", "training.device=cpu", "--out", str(out)])
        assert found.exit_code == 0, found.output
        config = yaml.safe_load((out / "config.yaml").read_text())
        assert (config["training"]["max_accuracy_drop"], config["model"]["weights"]) == (5.0, str(start))
        assert config["data"]["validation"] == 100

    def test_says_what_is_wrong_with_the_start(self, tmp_path):
        command = ["train", str(ROOT / "configs" / "fine-tune.yaml"), "--from", str(tmp_path), "--dry-run"]
        found = CliRunner().invoke(app, command)
        assert isinstance(found.exception, BadInput)
        assert "holds no weights" in str(found.exception)


class TestHuggingFace:
    def test_a_run_stays_loadable_when_the_folder_is_gone(self, tmp_path, monkeypatch):
        transformers = pytest.importorskip("transformers")
        monkeypatch.setenv("HF_HUB_OFFLINE", "1")
        keys = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
        config = transformers.AutoConfig.for_model("vit", **keys, patch_size=8, image_size=32, num_labels=10)
        folder = tmp_path / "folder"
        transformers.AutoModelForImageClassification.from_config(config).save_pretrained(folder)
        resolved = check(small(model=f"hf:{folder}"))
        assert resolved.model.weights == folder
        assert resolved.model.normalise == "data"  # no preprocessor's config
        manifest = train(resolved, tmp_path / "run")
        assert manifest["model"]["name"] == f"hf:{folder}"
        assert manifest["model"]["started_from"]["head"] == "kept"
        assert manifest["model"]["started_from"]["first_layer"] == "summed"
        shutil.rmtree(folder)
        model = load_run(tmp_path / "run")[2]
        assert model(torch.rand(2, 1, 28, 28)).shape == (2, 10)
        further = check(started_from(small(), tmp_path / "run"))
        again = build_model(further, load_splits(further).train)
        assert all(torch.equal(t, tensors(tmp_path / "run")[name]) for name, t in again.state_dict().items())


class TestDocumentation:
    TEXT = (ROOT / "docs" / "models.md").read_text(encoding="utf-8")

    def test_every_config_in_it_is_valid(self):
        blocks = re.findall(r"```yaml\n(.*?)```", self.TEXT, flags=re.DOTALL)
        assert len(blocks) == 5
        resolved = [check(yaml.safe_load(block)) for block in blocks]
        assert [config.model.label for config in resolved[:2]] == ["timm:resnet18", "torchvision:efficientnet_b0"]
        assert resolved[-1].training.freeze == ("conv1", "bn1", "layer1")

    def test_its_code_runs(self):
        (code,) = re.findall(r"```python\n(.*?)```", self.TEXT, flags=re.DOTALL)
        found = {}
        exec(code, found)
        assert found["logits"].shape == (2, 10)

    def test_its_commands_name_options_that_exist(self):
        for command in re.findall(r"^pellucid train (.*)$", self.TEXT, flags=re.MULTILINE):
            for option in re.findall(r"--[a-z-]+", command):
                assert option in {"--from", "--max-accuracy-drop", "--out"}


def test_diffroar_retrains_from_random_weights_and_not_from_those_that_saw_whole_images(start, tmp_path, monkeypatch):
    train(check(started_from(small(), start)), tmp_path / "tuned")
    begun = []

    def stop_at_the_start(model, *_, **__):
        begun.append(model)
        raise KeyboardInterrupt

    monkeypatch.setattr(diffroar, "fit", stop_at_the_start)
    with pytest.raises(KeyboardInterrupt):
        diffroar.diffroar([tmp_path / "tuned"], diffroar.DiffroarSettings(("gradient",), (0.5,), 1, 1))
    known = tensors(start)
    assert not any(torch.equal(value, known[name]) for name, value in begun[0].named_parameters())
