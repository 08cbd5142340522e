from pathlib import Path

import pytest
import yaml

from pellucid.errors import BadInput
from pellucid.experiments.config import check, override_key, plain, read_config

OTHER_KINDS = {"axes", "sets"}
"""Keys of grids and of the 2-D study, which have tests of their own."""

CONFIGS = [
    path
    for path in sorted((Path(__file__).parents[2] / "configs").glob("*.yaml"))
    if not OTHER_KINDS & yaml.safe_load(path.read_text()).keys()
]


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_every_shipped_config_is_valid_and_resolves_to_itself(path):
    resolved = plain(read_config(path))
    assert plain(check(yaml.safe_load(yaml.safe_dump(resolved)))) == resolved


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("training.epocs=3", "unknown key in training 'epocs': did you mean 'epochs'"),
        ("trainig.epochs=3", "unknown key in the config 'trainig': did you mean 'training'"),
        ("training.robust_validation.stps=3", "unknown key in training.robust_validation 'stps': did you mean 'steps'"),
        ("model.name=lenett", "unknown model 'lenett': did you mean 'lenet'"),
        ("model.widht=3", "unknown option of model 'lenet' 'widht'"),
        ("data.name=fashion-mnist-min", "unknown data set 'fashion-mnist-min': did you mean 'fashion-mnist-mini'"),
        ("objective.name=adversarail", "unknown objective 'adversarail': did you mean 'adversarial'"),
        ("objective.esp=0.1", "unknown option of objective 'adversarial' 'esp': did you mean 'eps'"),
        ("objective.eps=-0.1", "objective 'adversarial': eps: input should be greater than or equal to 0 .got -0.1"),
        ("smoothing.filter=gausian", "unknown filter 'gausian': did you mean 'gaussian'"),
        ("smoothing.sgma=1", "unknown key in smoothing 'sgma': did you mean 'sigma'"),
        ("training.optimizer=adm", "unknown optimizer 'adm': did you mean 'adam"),
        ("training.schedule.name=cosin", "unknown schedule 'cosin': did you mean 'cosine'"),
        ("training.batch_size=0", "config: training.batch_size: input should be greater than or equal to 1"),
        ("training.choose=robst", "training.choose"),
        ("seed=-1", "config: seed: input should be greater than or equal to 0"),
        ("training.epochs", "is not an override; write key=value"),
        ("seed={", "not valid YAML"),
        ("regularisers.1.weight=2", "'regularisers' is a list of 1; '1' is not one of its positions"),
        ("regularisers.0.weight=-2", "regularisers.0.weight: input should be greater than or equal to 0"),
    ],
)
def test_what_is_wrong_gets_one_sentence(tmp_path, override, message):
    path = tmp_path / "c.yaml"
    path.write_text("objective: {name: adversarial, eps: 0.1}\nregularisers: [misalignment]\n")
    with pytest.raises(BadInput, match=message) as error:
        read_config(path, [override])
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("a: [", "not valid YAML"),
        ("- 1", "must hold keys and values"),
        ("\x00", "not valid YAML"),
        ("model: lenet\ntraining: {epochs: 1}\nmodel: small_cnn", "not valid YAML: 'model' stands twice.*line 3"),
        ("training: {epochs: 1, epochs: 2}", "'epochs' stands twice"),
    ],
)
def test_a_damaged_file_is_named(tmp_path, content, message):
    path = tmp_path / "c.yaml"
    path.write_text(content)
    with pytest.raises(BadInput, match=message):
        read_config(path)
    with pytest.raises(BadInput, match="cannot read"):
        read_config(tmp_path / "absent.yaml")


def test_defaults_are_filled_in_down_to_the_functions_options():
    config = plain(check({"objective": {"name": "adversarial", "eps": 0.1}}))
    assert config["objective"] == {"name": "adversarial", "eps": 0.1, "norm": "linf", "step_size": None, "steps": 7}
    assert config["training"]["optimizer"]["betas"] == [0.9, 0.999]
    assert config["training"]["robust_validation"]["eps"] == 0.1
    assert config["training"]["choose"] == "robust"
    assert plain(check({}))["training"]["choose"] == "clean"


def test_overrides_reach_into_shorthand():
    raw = {"objective": "natural", "training": {"schedule": "cosine"}}
    override_key(raw, "objective.name=adversarial")
    override_key(raw, "objective.eps=0.2")
    override_key(raw, "training.schedule.warmup=0.1")
    assert raw == {
        "objective": {"name": "adversarial", "eps": 0.2},
        "training": {"schedule": {"name": "cosine", "warmup": 0.1}},
    }


def test_attention_is_supplied_not_configured():
    config = plain(check({"objective": {"name": "gaze", "eps": 0.5}, "data": {"name": "fashion-mnist-mini"}}))
    assert config["objective"] == {"name": "gaze", "eps": 0.5}
    assert config["data"]["attention"] is None
    with pytest.raises(BadInput, match="unknown option of objective 'gaze' 'attention'"):
        check({"objective": {"name": "gaze", "eps": 0.5, "attention": 1}})


def test_attention_maps_in_a_config_are_plain_and_resolve_to_themselves():
    for data, expected in (
        ({"name": "fashion-mnist-mini", "attention": "garment"}, "garment"),
        ({"name": "folder", "attention": "maps"}, "maps"),
    ):
        config = plain(check({"data": data}))
        assert config["data"]["attention"] == expected
        assert plain(check(yaml.safe_load(yaml.safe_dump(config)))) == config
    with pytest.raises(BadInput, match="data set 'fashion-mnist-mini': attention: input should be 'garment'"):
        check({"data": {"name": "fashion-mnist-mini", "attention": "garmnt"}})
