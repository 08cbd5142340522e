"""A run that trains on attention maps, from its config to a loaded model; and one that cannot."""

import pytest

from pellucid.errors import BadInput
from pellucid.experiments.config import check
from pellucid.experiments.train import dry_run, load_run, train

TRAINING = {"batch_size": 20, "max_steps": 2, "device": "cpu", "augmentation": {"crop": 2, "flip": True}}


def config(**data):
    data = {"name": "fashion-mnist-mini", "validation": 0.01} | data
    return check({"data": data, "objective": {"name": "gaze", "eps": 0.5}, "training": TRAINING})


def test_garments_as_attention_from_config_to_model(tmp_path):
    manifest = train(config(attention="garment"), tmp_path)
    assert manifest["status"] == "finished"
    resolved, _, _, splits = load_run(tmp_path)
    assert resolved == config(attention="garment")
    assert splits.train.attention is not None
    assert splits.test.attention.shape == splits.test.images.shape


def test_without_maps_nothing_is_begun(tmp_path):
    message = "objective 'gaze' needs attention maps; data set 'fashion-mnist-mini' has none: .*attention: garment"
    with pytest.raises(BadInput, match=message):
        train(config(), tmp_path / "run")
    assert not (tmp_path / "run").exists()
    with pytest.raises(BadInput, match=message):
        dry_run(config())
