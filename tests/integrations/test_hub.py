"""A run as a folder with a model card, up to the hub (whose door is replaced) and back; the ONNX command beside it."""

import re
import shutil
from pathlib import Path
from typing import ClassVar

import huggingface_hub
import pytest
import torch
import typer
import yaml
from typer.testing import CliRunner

from pellucid.cli.export import export, measured
from pellucid.errors import BadInput, RunFailed
from pellucid.experiments.config import check
from pellucid.experiments.train import load_run, train
from pellucid.files import read_json, write_json
from pellucid.integrations.hub import FILES, export_run, pull, push


@pytest.fixture(scope="module")
def exported(measured_run, tmp_path_factory):
    folder = tmp_path_factory.mktemp("hub") / "clear-lenet"
    export_run(measured_run, folder, measured=measured(measured_run), name="someone/clear-lenet", licence="apache-2.0")
    return folder


@pytest.fixture(scope="module")
def loaded(measured_run):
    _, _, model, splits = load_run(measured_run)
    return model, splits.test.batch(range(9))[0]


@pytest.fixture
def copy(exported, tmp_path):
    return Path(shutil.copytree(exported, tmp_path / "copy"))


def command(function, *words):
    app = typer.Typer()
    app.command()(function)
    return CliRunner().invoke(app, [str(word) for word in words])


def test_what_is_pulled_gives_bitwise_the_logits_of_the_run(exported, loaded):
    model, x = loaded
    pulled = pull(exported)
    assert torch.equal(pulled(x), model(x))
    assert not pulled.training
    assert pulled.class_names[9] == "Ankle boot"
    assert {path.name for path in exported.iterdir()} == set(FILES) - {"architecture.json"}


def test_the_card_has_a_header_that_the_hub_understands(exported, measured_run):
    card = huggingface_hub.ModelCard.load(exported / "README.md")
    assert (card.data.license, card.data.library_name) == ("apache-2.0", "pellucid")
    assert {"saliency", "adversarial"} <= set(card.data.tags)
    results = {result.metric_type: result for result in card.data.eval_results}
    (row,) = [found for found in measured(measured_run).results if found.key == "natural_accuracy"]
    assert results["accuracy"].metric_value == pytest.approx(row.value, rel=1e-5)
    assert results["accuracy"].dataset_name == "fashion-mnist-mini"


def test_the_card_tells_what_is_in_manifest_and_measurements(exported, measured_run):
    text, manifest = (exported / "README.md").read_text(), read_json(measured_run / "manifest.json")
    for fact in (manifest["weights"]["sha256"], manifest["data"]["train_sha256"], "SmoothBlock: gaussian", "eps 0.05"):
        assert fact in text
    (gini,) = [found for found in measured(measured_run).results if (found.group, found.key) == ("Gradient", "gini")]
    assert f"| Gradient | Gini | {gini.value:.4g} ↑ | {gini.low:.4g} … {gini.high:.4g} | {gini.n} |" in text
    assert "linf, ε = 0.05 in pixel units, 1 steps" in text
    assert "Another seed" in text or "another seed" in text


def test_the_code_of_the_card_runs(copy, loaded, monkeypatch):
    (block,) = re.findall(r"```python\n(.*?)```", (copy / "README.md").read_text(), flags=re.DOTALL)
    monkeypatch.setattr(huggingface_hub, "snapshot_download", lambda name, **_: {"someone/clear-lenet": copy}[name])
    names = {"images": loaded[1]}
    exec(compile(block, "README.md", "exec"), names)
    assert names["maps"].shape == (9, 28, 28)


def test_a_run_without_measurements_says_so(measured_run, tmp_path):
    bare = Path(shutil.copytree(measured_run, tmp_path / "bare"))
    shutil.rmtree(bare / "measurements")
    export_run(bare, tmp_path / "out", measured=measured(bare))
    text = (tmp_path / "out" / "README.md").read_text()
    assert "without measurements" in text
    assert "model-index" not in text


def test_no_path_of_this_machine_leaves_it(measured_run, tmp_path):
    run = Path(shutil.copytree(measured_run, tmp_path / "run"))
    config = yaml.safe_load((run / "config.yaml").read_text())
    config["data"]["root"] = str(tmp_path)
    (run / "config.yaml").write_text(yaml.safe_dump(config))
    origin = {"path": f"{tmp_path}/secret/start.safetensors", "sha256": "0", "head": "kept"}
    manifest = read_json(run / "manifest.json")
    write_json(run / "manifest.json", manifest | {"model": manifest["model"] | {"started_from": origin}})
    export_run(run, tmp_path / "out")
    texts = [path.read_text() for path in (tmp_path / "out").iterdir() if path.suffix != ".safetensors"]
    assert not any(str(tmp_path) in text for text in texts)
    assert yaml.safe_load((tmp_path / "out" / "config.yaml").read_text())["data"]["root"] is None
    assert any("Started from start.safetensors, its last layer kept" in text for text in texts)


def test_changed_weights_are_noticed(copy):
    manifest = read_json(copy / "manifest.json")
    manifest["weights"]["sha256"] = "0" * 64
    write_json(copy / "manifest.json", manifest)
    with pytest.raises(BadInput, match="SHA-256 differs"):
        pull(copy)


def test_a_pickle_is_refused(copy):
    torch.save({"a": torch.ones(1)}, copy / "model.safetensors")
    with pytest.raises(BadInput, match="loads no pickles"):
        pull(copy)


@pytest.mark.parametrize("section", ["model", "smoothing"])
def test_a_config_may_not_call_outside_code_unasked(copy, section, tmp_path):
    config = yaml.safe_load((copy / "config.yaml").read_text())
    config[section] = {
        "model": {"name": "os.mkdir", "path": str(tmp_path / "made")},
        "smoothing": {"filter": "os.mkdir"},
    }[section]
    (copy / "config.yaml").write_text(yaml.safe_dump(config))
    with pytest.raises(BadInput, match="own_code=True"):
        pull(copy)
    assert not (tmp_path / "made").exists()


def test_a_network_of_ones_own_comes_back_with_leave(tmp_path, monkeypatch):
    (tmp_path / "my_net.py").write_text(
        "from torch import nn\n\n\ndef build(*, classes):\n    return nn.Sequential("
        "nn.Flatten(), nn.Linear(784, classes))\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    training = {"max_steps": 1, "batch_size": 8, "device": "cpu"}
    train(check({"model": "my_net.build", "data": {"validation": 16}, "training": training}), tmp_path / "run")
    exported = export_run(tmp_path / "run", tmp_path / "out")
    x = torch.rand(3, 1, 28, 28)
    assert torch.equal(pull(tmp_path / "out", own_code=True)(x), exported(x))
    assert "own_code=True" in (tmp_path / "out" / "README.md").read_text()
    with pytest.raises(BadInput, match="my_net.build"):
        pull(tmp_path / "out")


def test_what_is_no_folder_and_no_repository(tmp_path):
    with pytest.raises(BadInput, match="no repository of the hub"):
        pull(tmp_path / "nowhere" / "at all")
    with pytest.raises(BadInput, match="write owner/name"):
        push(tmp_path, "justaname")
    with pytest.raises(BadInput, match="no exported run"):
        push(tmp_path, "someone/net")


def test_a_hub_without_it_is_one_sentence(monkeypatch):
    def offline(name, **_):
        raise huggingface_hub.errors.LocalEntryNotFoundError("cannot find an appropriate\ncached snapshot folder")

    monkeypatch.setattr(huggingface_hub, "snapshot_download", offline)
    with pytest.raises(BadInput, match="cannot pull someone/net from the hub: cannot find an appropriate cached"):
        pull("someone/net")


def test_a_folder_with_other_things_is_left_alone(measured_run, tmp_path):
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(BadInput, match=r"not empty \(thesis.tex"):
        export_run(measured_run, tmp_path)


class Hub:
    """What the hub would be asked for."""

    calls: ClassVar[list] = []

    def create_repo(self, name, *, private, exist_ok):
        self.calls.append(("create_repo", name, private, exist_ok))
        return f"https://huggingface.co/{name}"

    def upload_folder(self, *, repo_id, folder_path, allow_patterns):
        chosen = huggingface_hub.utils.filter_repo_objects(
            [path.name for path in Path(folder_path).iterdir()], allow_patterns=allow_patterns
        )
        self.calls.append(("upload_folder", repo_id, sorted(chosen)))


def test_the_command_exports_and_pushes(measured_run, tmp_path, monkeypatch):
    monkeypatch.setattr(huggingface_hub, "HfApi", Hub)
    Hub.calls.clear()
    told = command(export, measured_run, "--to", tmp_path / "net", "--push", "someone/net")
    assert told.exit_code == 0, told.output
    assert "https://huggingface.co/someone/net" in told.output
    files = ["README.md", "config.yaml", "manifest.json", "measurements.json", "model.safetensors"]
    assert Hub.calls == [("create_repo", "someone/net", True, True), ("upload_folder", "someone/net", files)]
    assert 'pull("someone/net")' in (tmp_path / "net" / "README.md").read_text()


def test_what_came_into_the_folder_later_is_not_pushed(copy, monkeypatch):
    monkeypatch.setattr(huggingface_hub, "HfApi", Hub)
    (copy / "notes.txt").write_text("not for everybody")
    push(copy, "someone/net", private=False)
    assert Hub.calls[-2][2] is False
    assert "notes.txt" not in Hub.calls[-1][2]


def test_a_hub_that_refuses_is_one_sentence(exported, monkeypatch):
    def refuse(*args, **kwargs):
        raise huggingface_hub.errors.LocalTokenNotFoundError("Token is required")

    monkeypatch.setattr(Hub, "create_repo", refuse)
    monkeypatch.setattr(huggingface_hub, "HfApi", Hub)
    with pytest.raises(RunFailed, match="the hub did not take someone/net: Token is required"):
        push(exported, "someone/net")


def test_the_command_needs_to_know_what(measured_run):
    assert isinstance(command(export, measured_run).exception, BadInput)
    assert "say where to write" in str(command(export, measured_run, "--push", "someone/net").exception)


def test_the_command_writes_onnx_and_compares(measured_run, tmp_path, monkeypatch):
    told = command(export, measured_run, "--onnx", tmp_path / "net.onnx")
    assert told.exit_code == 0, told.output
    assert "the same to 0.0001" in told.output
    assert float(re.search(r"logit (\S+) on 16", told.output).group(1)) < 1e-4
    monkeypatch.setattr("pellucid.integrations.onnx.export_onnx", lambda *args, **options: None)
    monkeypatch.setattr("pellucid.integrations.onnx.largest_difference", lambda *args: 2e-4)
    told = command(export, measured_run, "--onnx", tmp_path / "net.onnx")
    assert (told.exit_code, "NOT the same" in told.output) == (1, True)
