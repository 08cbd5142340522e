"""The claims of the 2-D study, on numbers that are made up and so have known verdicts."""

import json
from xml.etree import ElementTree

import numpy as np
import pytest
import yaml

from pellucid.errors import BadInput
from pellucid.report.field import claims_table, judge, read_study, to_report, write_field_report

SETS, KINDS = ["moons", "blobs", "xor", "spirals", "circles"], ["flips", "interior", "far"]
DRAWN = ["moons", "blobs"]
CONFIG = {
    "sets": SETS,
    "corruptions": KINDS,
    "rates": [0.1],
    "seeds": 10,
    "network": {"width": 64, "activation": "tanh"},
    "training": {"steps": 300, "lr": 0.01},
    "methods": {"cross_entropy": {}, "misalignment": {}, "gaussian_noise": {}},
    "tested": "misalignment",
    "reference": "cross_entropy",
}
BETTER = {"accuracy": 0.02, "cosine": 0.2, "worst_cosine": 0.2, "spearman": 0.2, "bayes_cosine": 0.1}
BETTER |= {"roughness": -0.05, "total_variation": -1.0, "gap": -0.1, "memorisation": -0.3, "dependence": -0.1}
BETTER |= {"dependence_near": -0.1, "dependence_elsewhere": -0.1}
BASE = {"roughness": 0.1, "total_variation": 2.0, "dispersion_ratio": 1.0} | dict.fromkeys(
    ["accuracy", "cosine", "worst_cosine", "spearman", "bayes_cosine", "gap", "memorisation"], 0.5
)
BASE |= dict.fromkeys(["dependence", "dependence_near", "dependence_elsewhere"], 0.5)


def made_up():
    """Misalignment better than cross-entropy in everything, on every set, and equal to Gaussian noise."""
    noise = np.random.default_rng(0).uniform(0, 1e-3, 10)
    blocks = {}
    for name in SETS:
        for condition in ["clean", *(f"{kind}-0.1" for kind in KINDS)]:
            plain = {metric: list(value + noise) for metric, value in BASE.items()}
            good = {metric: list(value + noise * 0.9 + BETTER.get(metric, 0)) for metric, value in BASE.items()}
            blocks[name, condition] = {"cross_entropy": plain, "misalignment": good, "gaussian_noise": good}
    return blocks


def verdicts(blocks, against="cross_entropy"):
    return {claim["claim"]: claim["verdict"] for claim in judge(CONFIG, blocks, against, rate=0.1)}


def test_better_everywhere_holds_everywhere():
    found = verdicts(made_up())
    assert len(found) == 7
    assert set(found.values()) == {"holds"}


def test_equal_numbers_are_within_noise():
    found = verdicts(made_up(), "gaussian_noise")
    assert found.pop("accuracy preserved") == found.pop("no collapse") == "holds"  # these ask for no improvement
    assert found.pop("smoother field") == "does not hold"  # and this asks for 30 %
    assert set(found.values()) == {"within noise"}


@pytest.mark.parametrize(
    ("metric", "condition", "sets", "change", "claim", "verdict"),
    [
        ("accuracy", "clean", ["moons"], -0.05, "accuracy preserved", "does not hold"),
        ("accuracy", "clean", ["moons"], -0.025, "accuracy preserved", "holds"),
        ("accuracy", "far-0.1", ["moons"], -0.025, "accuracy preserved", "does not hold"),
        ("roughness", "clean", ["moons"], 0.05, "smoother field", "holds"),
        ("roughness", "clean", ["moons", "xor"], 0.03, "smoother field", "does not hold"),
        ("total_variation", "clean", ["moons", "xor"], 1.0, "smoother field", "does not hold"),
        ("gap", "flips-0.1", ["moons", "xor"], 0.3, "controls overfitting", "does not hold"),
        ("gap", "interior-0.1", ["moons", "xor"], 0.3, "controls overfitting", "holds"),
        ("memorisation", "flips-0.1", ["moons", "xor"], 0.4, "controls overfitting", "does not hold"),
        ("spearman", "clean", ["moons", "xor"], -0.4, "robust explanations", "does not hold"),
        ("worst_cosine", "clean", ["moons", "xor"], -0.4, "robust explanations", "does not hold"),
        ("dependence", "far-0.1", ["moons", "xor"], 0.2, "less dependence on outliers", "does not hold"),
        ("dependence", "flips-0.1", ["moons", "xor"], 0.2, "less dependence on outliers", "holds"),
        ("bayes_cosine", "clean", ["blobs", "xor"], -0.2, "reliability", "does not hold"),
        ("dispersion_ratio", "clean", ["xor"], -0.3, "no collapse", "does not hold"),
        ("dispersion_ratio", "clean", ["xor"], 0.3, "no collapse", "does not hold"),
        ("dispersion_ratio", "clean", ["xor"], -0.19, "no collapse", "holds"),
        ("accuracy", "clean", ["spirals"], -0.05, "no collapse", "does not hold"),
        ("accuracy", "clean", ["moons"], -0.05, "no collapse", "holds"),
    ],
)
def test_each_number_can_refute_its_claim_and_no_other_number_does(metric, condition, sets, change, claim, verdict):
    blocks = made_up()
    for name in sets:
        block = blocks[name, condition]
        worse = block["misalignment"] | {metric: [value + change for value in block["misalignment"][metric]]}
        blocks[name, condition] = block | {"misalignment": worse}
    found = verdicts(blocks)
    assert found[claim] == verdict
    others = {name for name, other in found.items() if other != "holds"} - {claim}
    assert others <= ({"accuracy preserved", "no collapse"} if metric == "accuracy" else set())


def test_sets_without_a_bayes_gradient_are_not_counted():
    blocks = made_up()
    for name in ("moons", "spirals"):
        for method in ("cross_entropy", "misalignment"):
            blocks[name, "clean"][method]["bayes_cosine"] = [None] * 10
    (reliability,) = [c for c in judge(CONFIG, blocks, "cross_entropy", rate=0.1) if c["claim"] == "reliability"]
    assert reliability["verdict"] == "holds"
    assert list(reliability["criteria"][0]["sets"]) == ["blobs", "xor", "circles"]


def test_numbers_behind_a_verdict():
    claims = judge(CONFIG, made_up(), "cross_entropy", rate=0.1)
    found = claims[1]["criteria"][0]["sets"]["moons"]
    assert found["difference"] == pytest.approx(-0.05, abs=1e-3)
    assert found["low"] < found["difference"] < found["high"]
    assert found["p"] == pytest.approx(2**-10)
    assert found["pairs"] == 10


@pytest.fixture
def study(tmp_path):
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(CONFIG | {"sets": DRAWN}))
    (tmp_path / "blocks").mkdir()
    draws = np.random.default_rng(0)
    for (name, condition), methods in made_up().items():
        if name not in DRAWN:
            continue
        stem = tmp_path / "blocks" / f"{name}-{condition}"
        stem.with_name(stem.name + ".json").write_text(json.dumps({"methods": methods}))
        arrays = {"x": draws.normal(size=(40, 2)), "y": draws.integers(3 if name == "blobs" else 2, size=40)}
        arrays |= {"corrupted": np.arange(40) < (0 if condition == "clean" else 4)}
        for kind, side in (("regions", 20), ("arrows", 7)):
            arrays |= {f"{kind}:x": np.linspace(-3, 3, side), f"{kind}:y": np.linspace(-2, 2, side)}
        for method in CONFIG["methods"]:
            arrays[f"regions:{method}"] = draws.integers(2, size=(20, 20)).astype(np.int8)
            arrays[f"arrows:{method}"] = np.where(np.arange(7)[:, None, None] > 2, draws.normal(size=(7, 7, 2)), 0)
        np.savez(stem.with_name(stem.name + ".npz"), **arrays)
    return tmp_path


def test_a_report_is_written_with_pictures_of_every_set(study):
    claims = write_field_report(study)
    assert len(claims) == 14
    names = {path.name for path in (study / "figures").iterdir()}
    stems = ["claims", *(f"field-{name}" for name in DRAWN)]
    assert names == {f"{stem}.{kind}" for stem in stems for kind in ("svg", "png")}
    before = {path.name: path.read_bytes() for path in (study / "figures").iterdir()}
    for name, content in before.items():
        if name.endswith("svg"):
            ElementTree.fromstring(content)
            assert b"<image" in content or name == "claims.svg"  # the regions are drawn
    write_field_report(study)
    assert before == {path.name: path.read_bytes() for path in (study / "figures").iterdir()}
    saved = json.loads((study / "field.json").read_text())
    assert saved["claims"] == json.loads(json.dumps(claims).replace("NaN", "null"))
    assert "not public" in saved["note"]
    assert len(saved["results"]) == 8


def test_the_report_says_what_was_compared(study):
    config, blocks = read_study(study)
    claims = [c for other in ("cross_entropy", "gaussian_noise") for c in judge(config, blocks, other, rate=0.1)]
    text = to_report(config, claims)
    assert "| smoother field | holds | does not hold |" in text
    assert "10 paired seeds" in text
    assert "not public" in text
    assert "figures/field-blobs.svg" in text
    assert "nan" not in text
    table = claims_table(claims)
    assert table.row_count == 7
    assert len(table.columns) == 3


def test_an_unfinished_or_absent_study_is_named(study, tmp_path):
    (study / "blocks" / "blobs-far-0.1.json").unlink()
    with pytest.raises(BadInput, match=r"blobs-far-0.1.json"):
        write_field_report(study)
    with pytest.raises(BadInput, match="holds no field study"):
        write_field_report(study / "blocks")
