"""A built study is blinded: neither its file nor its stimuli lead to a model; the key lies apart."""

import json
import re
import stat
from dataclasses import replace
from pathlib import Path

import pytest
from tiny_study import MODELS, Visitor, build_tiny, material, open_app, renamed

from pellucid.errors import BadInput
from pellucid.study.building import Material, build
from pellucid.study.key import Sealed, key_path, open_key, seal
from pellucid.study.protocol import Protocol, read_protocol, read_study


def key_of(folder):
    return open_key(key_path(folder), read_study(folder).key_sha256)


def test_study_json_names_no_model_and_no_run(folder):
    text = (folder / "study.json").read_text()
    assert "run-" not in text
    assert all(f'"{model}"' not in text for model in MODELS)


def test_the_key_lies_beside_the_study_for_its_owner_only(built):
    path = key_path(built)
    assert path == built.parent / "tiny.key.json"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert not list(built.rglob("*key*"))


def test_the_key_knows_every_stimulus_and_the_hash_fits(built):
    study, key = read_study(built), key_of(built)
    assert set(study.stimuli()) == set(key.stimuli) == {path.stem for path in (built / "stimuli").iterdir()}
    for item in study.images:
        assert {key.stimuli[name].model for name in item.orders[0]} == set(MODELS)
        assert len({key.stimuli[name].image for name in item.orders[0]}) == 1
        assert {key.stimuli[name].class_name for name in item.orders[0]} == {item.label}
    assert key.stimuli[study.training[0].stimulus].run == f"run-{key.stimuli[study.training[0].stimulus].model}"


def test_models_are_balanced_over_the_cells_of_every_image(built):
    study, key = read_study(built), key_of(built)
    assert study.cells == 6
    for item in study.images:
        models = sorted(tuple(key.stimuli[name].model for name in row) for row in item.orders)
        assert len(set(models)) == 6


def test_files_do_not_differ_in_size_or_date(built):
    files = list((built / "stimuli").iterdir())
    assert len(files) == 3 * 3 + 1
    assert len({path.stat().st_size for path in files}) == 1
    assert len({path.stat().st_mtime for path in files}) == 1


def test_the_seed_does_not_lead_to_the_models(tmp_path):
    """Two studies of the same seed put the models into different places."""
    places = set()
    for number in range(6):
        folder = tmp_path / str(number)
        study = build_tiny(folder, seed=7)
        key = key_of(folder)
        places.add(tuple(key.stimuli[item.orders[0][0]].model for item in study.images))
    assert len(places) > 2


def test_the_order_of_the_images_is_not_that_of_the_data_set(tmp_path):
    orders = set()
    for number in range(6):
        study = build_tiny(tmp_path / str(number), images=5)
        key = key_of(tmp_path / str(number))
        orders.add(tuple(key.stimuli[item.orders[0][0]].image for item in study.images))
    assert len(orders) > 2


def test_a_changed_key_is_refused(built, tmp_path):
    content = json.loads(key_path(built).read_text())
    stimuli = content["stimuli"]
    first, second = [name for name in stimuli if stimuli[name]["model"] in {"N", "A"}][:2]
    stimuli[first]["model"] = "G" if stimuli[first]["model"] != "G" else "N"
    (tmp_path / "changed.json").write_text(json.dumps(content))
    with pytest.raises(BadInput, match="is not the key of this study"):
        open_key(tmp_path / "changed.json", read_study(built).key_sha256)
    (tmp_path / "broken.json").write_text("{}")
    with pytest.raises(BadInput, match="is not a key: nonce"):
        open_key(tmp_path / "broken.json", read_study(built).key_sha256)


def test_the_hash_is_that_of_the_canonical_json_and_changes_with_the_nonce():
    import hashlib

    facts = {"ab": Sealed(model="N", run="é", image=3, class_name="coat")}
    key = seal(facts)
    content = {"nonce": key.nonce, "stimuli": {"ab": {"model": "N", "run": "é", "image": 3, "class": "coat"}}}
    canonical = json.dumps(content, sort_keys=True, separators=(",", ":"))
    assert key.sha256() == hashlib.sha256(canonical.encode()).hexdigest()
    assert seal(facts).sha256() != key.sha256()


def test_it_refuses_to_overwrite_or_to_put_the_key_into_the_study(tmp_path):
    build_tiny(tmp_path / "s")
    with pytest.raises(BadInput, match="is not empty"):
        build_tiny(tmp_path / "s")
    (tmp_path / "t.key.json").write_text("{}")
    with pytest.raises(BadInput, match=r"t\.key\.json exists already"):
        build_tiny(tmp_path / "t")
    made = material()
    made = Material(renamed(made.images), [], made.models)
    with pytest.raises(BadInput, match="must not lie inside the study"):
        build(made, Protocol(), tmp_path / "u", seed=0, key=tmp_path / "u" / "deep" / "key.json")
    assert not (tmp_path / "u").exists()


def test_one_model_is_no_study(tmp_path):
    with pytest.raises(BadInput, match="at least two models; got 1"):
        build_tiny(tmp_path / "s", models=("N",))
    with pytest.raises(BadInput, match="at least one image"):
        build_tiny(tmp_path / "s", images=0)


@pytest.mark.parametrize("models", [("N", "A"), ("a", "b", "c", "d"), tuple("abcdefg")])
def test_any_number_of_models(tmp_path, models):
    study = build_tiny(tmp_path / "s", models=models, images=2)
    assert study.conditions == len(models)
    assert all(len(row) == len(models) for item in study.images for row in item.orders)


def test_signed_maps_are_announced_as_such(tmp_path):
    made = material()
    turned = [replace(item, maps={run: -values for run, values in item.maps.items()}) for item in renamed(made.images)]
    study = build(Material(turned, [], made.models), Protocol(), tmp_path / "s", seed=0)
    assert study.signed_maps
    assert not build_tiny(tmp_path / "t").signed_maps
    for folder, colour in (("s", "Red places"), ("t", "Bright places")):
        visitor = Visitor(open_app(tmp_path / folder))
        visitor.join()
        assert colour in visitor.post("/study/demographics", data={"csrf": visitor.csrf}).text


def test_a_study_reads_back_as_it_was_built(tmp_path):
    assert build_tiny(tmp_path / "s") == read_study(tmp_path / "s")


@pytest.mark.parametrize(
    ("yaml", "message"),
    [
        ("titel: x", "titel: extra inputs are not permitted"),
        ("questions: []", "questions: tuple should have at least 1 item"),
        ("scale: [a, b]", "scale: tuple should have at least 5 items"),
        ("attention: [{id: c, text: t, expected: 6}]", "attention.0.expected"),
        ("attention: [{id: trust, text: t, expected: 2}]", "two questions are called 'trust'"),
        ("demographics: [{id: cell, text: t, kind: text}]", "two questions are called 'cell'"),
        ("demographics: [{id: age, text: t}]", "needs options"),
        ("questions: [{id: a b, text: t}]", "questions.0.id"),
        ("[", "not valid YAML"),
        ("texts: {nxt: Weiter}", "texts.nxt"),
    ],
)
def test_a_wrong_protocol_is_named(tmp_path, yaml, message):
    (tmp_path / "p.yaml").write_text(yaml)
    with pytest.raises(BadInput, match=message):
        read_protocol(tmp_path / "p.yaml")


def test_a_protocol_changes_what_it_names_and_keeps_the_rest(tmp_path):
    (tmp_path / "p.yaml").write_text("title: Karten\nlanguage: de\ntexts: {next: Weiter}\n")
    found = read_protocol(tmp_path / "p.yaml")
    assert (found.title, found.language, found.texts.next) == ("Karten", "de", "Weiter")
    assert [question.id for question in found.questions] == ["sufficiency", "trust"]
    assert read_protocol(None) == Protocol()


def test_the_protocol_in_the_documentation_is_valid(tmp_path):
    guide = Path(__file__).parents[2] / "docs" / "study.md"
    (block,) = re.findall(r"```yaml\n(.*?)```", guide.read_text(encoding="utf-8"), flags=re.DOTALL)
    (tmp_path / "p.yaml").write_text(block)
    found = read_protocol(tmp_path / "p.yaml")
    assert found.demographics[1].kind == "number"
    assert found.attention[0].expected == 2


def test_a_folder_without_a_study_is_named(tmp_path):
    with pytest.raises(BadInput, match=r"holds no study \(no study.json\)"):
        read_study(tmp_path)
    (tmp_path / "study.json").write_text("{}")
    with pytest.raises(BadInput, match="study.json: seed: field required"):
        read_study(tmp_path)
