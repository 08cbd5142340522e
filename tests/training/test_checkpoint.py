import pickle

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from pellucid.errors import BadInput
from pellucid.training.checkpoint import load, load_weights, save


@pytest.fixture
def path(tmp_path):
    target = tmp_path / "weights.safetensors"
    save(target, nn.Linear(3, 2).state_dict(), {"epoch": 1})
    return target


def test_round_trip(path):
    tensors, header = load(path)
    assert header == {"epoch": 1}
    model = nn.Linear(3, 2)
    load_weights(model, tensors, path)
    assert torch.equal(model.weight, tensors["weight"])


@pytest.mark.parametrize("kept", [0, 5, 8, 40, 0.5, 0.99])
def test_a_truncated_file_is_refused(path, kept):
    content = path.read_bytes()
    path.write_bytes(content[: int(kept * len(content)) if isinstance(kept, float) else kept])
    with pytest.raises(BadInput, match="empty|damaged or truncated"):
        load(path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (pickle.dumps({"a": 1}), "it is a pickle"),
        (b"<!DOCTYPE html><html>Google Drive: quota exceeded</html>", "it is a web page"),
        (b"x" * 500, "damaged or truncated"),
        (b"\xff" * 500, "damaged or truncated"),
        ((2).to_bytes(8, "little") + b"[]", "damaged or truncated"),
    ],
)
def test_foreign_content_is_named(path, content, message):
    path.write_bytes(content)
    with pytest.raises(BadInput, match=message):
        load(path)


def test_a_torch_save_file_is_never_unpickled(path):
    class Bomb:
        def __reduce__(self):
            return (pytest.fail, ("the pickle was loaded",))

    torch.save({"bomb": Bomb()}, path)
    with pytest.raises(BadInput, match="it is a pickle"):
        load(path)


def test_foreign_safetensors_and_missing_files(path, tmp_path):
    save_file({"a": torch.zeros(1)}, path)
    with pytest.raises(BadInput, match="Pellucid did not write"):
        load(path)
    with pytest.raises(BadInput, match="cannot read the checkpoint"):
        load(tmp_path / "absent")
    with pytest.raises(BadInput, match="cannot read the checkpoint"):
        load(tmp_path)


@pytest.mark.parametrize("other", [nn.Linear(3, 2, bias=False), nn.Linear(4, 2), nn.Sequential(nn.Linear(3, 2))])
def test_another_architecture_is_named(path, other):
    tensors, _ = load(path)
    with pytest.raises(BadInput, match="checkpoint for another architecture: '(bias|weight|0.weight)'"):
        load_weights(other, tensors, path)
