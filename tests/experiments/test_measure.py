"""Measuring run directories: resuming, the map of another seed, sanity rows, further metrics."""

import json
import shutil
from dataclasses import replace

import pytest
import torch

from pellucid.attacks.explanation import Budget
from pellucid.errors import BadInput
from pellucid.experiments import measure as measuring
from pellucid.experiments.config import check
from pellucid.experiments.measure import MeasureSettings, Robustness, make_settings, measure
from pellucid.experiments.measure.rows import Study, next_of_another_class
from pellucid.experiments.measure.runs import loaded
from pellucid.experiments.suite import evidence, explainer
from pellucid.experiments.train import train
from pellucid.metrics.stability.ssim import ssim_clean

ATTACK = Robustness(eps=0.1, steps=2, images=300)
SETTINGS = MeasureSettings(images=70, attributions={"gradient": ("gini", "ssim")}, robustness=ATTACK)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs")
    for name, seed, weight in (("a", 0, 1.0), ("b", 1, 1.0), ("other", 0, 2.0)):
        config = {
            "data": {"name": "fashion-mnist-mini", "attention": "garment"},
            "regularisers": [{"name": "misalignment", "weight": weight}],
            "training": {"max_steps": 6, "device": "cpu"},
            "seed": seed,
        }
        train(check(config), folder / name)
    return folder


@pytest.fixture
def runs(trained, tmp_path):
    shutil.copytree(trained, tmp_path / "runs")
    return [tmp_path / "runs" / name for name in ("a", "b", "other")]


def rows(run, attribution="gradient"):
    return [json.loads(line) for line in (run / "measurements" / f"{attribution}.jsonl").read_text().splitlines()]


def about(run):
    return json.loads((run / "measurements" / "measurement.json").read_text())


def test_a_measurement_stopped_anywhere_goes_on_and_ends_with_the_same_numbers(runs, tmp_path, monkeypatch):
    settings = MeasureSettings(images=70, profile="both", attributions={"gradient": ("gini",)}, robustness=ATTACK)
    whole = tmp_path / "whole"
    shutil.copytree(runs[0], whole / "a")
    measure([whole / "a"], settings)
    left = {"clean": 1, "legacy": 2}  # batches until the power fails
    genuine = {"clean": Study._clean, "legacy": Study._legacy}

    def failing(part):
        def run(self, positions):
            left[part] -= 1
            if left[part] < 0:
                raise KeyboardInterrupt
            return genuine[part](self, positions)

        return run

    for _ in range(2):
        with monkeypatch.context() as patched:
            for part in left:
                patched.setattr(Study, f"_{part}", failing(part))
            with pytest.raises(KeyboardInterrupt):
                measure(runs[:1], settings)
        assert not (runs[0] / "measurements" / "measurement.json").exists()
        left = {"clean": 1, "legacy": 1}
    counted = []
    monkeypatch.setattr(Study, "_clean", lambda self, p: counted.append(p) or genuine["clean"](self, p))
    measure(runs[:1], settings)
    assert len(counted) <= 1  # 70 images are two clean batches, and at least one was kept
    assert rows(runs[0]) == rows(whole / "a")
    assert not list((runs[0] / "measurements").glob(".*.notes"))


def test_runs_that_differ_in_their_seed_alone_are_compared_with_each_other(runs):
    measure(runs, SETTINGS)
    a, b, other = (rows(run) for run in runs)
    assert [row["other_seed_ssim"] for row in a] == pytest.approx([row["other_seed_ssim"] for row in b])
    assert all(-1 <= row["other_seed_spearman"] <= 1 for row in a)
    assert "other_seed_ssim" not in other[0]
    assert about(runs[0])["other_seed_sha256"] == about(runs[1])["weights_sha256"]
    assert 0 < about(runs[0])["train_accuracy"] < 1


def test_the_map_of_another_image_is_that_of_the_next_one_of_another_class(runs, monkeypatch):
    measure(runs[:1], SETTINGS)
    at_once = rows(runs[0])
    shutil.rmtree(runs[0] / "measurements")
    monkeypatch.setattr("pellucid.experiments.measure.rows.images_per_unit", lambda x: 3)
    measure(runs[:1], SETTINGS)
    found = rows(runs[0])
    assert [row["other_image_ssim"] for row in found] == pytest.approx([row["other_image_ssim"] for row in at_once])
    run = loaded(runs[0])
    chosen = run.test.subset([run.test.ids.tolist().index(row["id"]) for row in found])
    x, y = chosen.batch(range(len(chosen)))
    maps = explainer("gradient")(run.model, x, y, chosen.ids)
    for i, row in enumerate(found):
        j = next(k % len(found) for k in range(i + 1, 2 * len(found)) if chosen.labels[k % len(found)] != row["label"])
        assert row["other_image_ssim"] == pytest.approx(float(ssim_clean(maps[[i]], maps[[j]])), abs=1e-5)


@pytest.mark.parametrize(
    ("labels", "wanted"),
    [([0, 1, 1, 2], [1, 3, 3, 0]), ([1, 0, 0], [1, 0, 0]), ([0, 0, 1], [2, 2, 0]), ([3, 3], [1, 1]), ([1], [0])],
)
def test_the_next_image_of_another_class_is_looked_for_around_the_end(labels, wanted):
    assert next_of_another_class(torch.tensor(labels)).tolist() == wanted


def test_further_metrics_have_one_value_an_image(runs):
    wanted = make_settings(
        images=5,
        profile="clean",
        attributions=["gradient"],
        metrics=["misalignment", "curvature", "groups", "held_out", "alignment", "diffroad"],
        attack={"eps": 0.1, "steps": 1, "images": 10},
        seed=0,
    )
    measure(runs[:1], wanted)
    row = rows(runs[0])[0]
    listed = about(runs[0])
    assert 0 <= row["misalignment"] <= 1
    assert row["curvature"] > 0 == row["curvature_hvp"]  # ReLU: linear in pieces
    assert 0 <= row["group_gini"] <= 1
    assert len(row["held_out_ssim"]) == len(listed["held_out"]) == 6
    assert 0 <= row["energy_inside"] <= 1
    assert 0 <= row["precision_at_truth"] <= 1
    assert len(row["diffroad"]) == len(listed["diffroad_levels"])


def test_what_replaces_a_pixel_does_not_depend_on_the_images_that_are_measured(runs):
    def found(images):
        about = {"profile": "clean", "attributions": ["gradient"], "attack": {"eps": 0.1, "steps": 1, "images": 10}}
        measure(runs[:1], make_settings(images=images, metrics=["diffroad"], seed=0, **about))
        return {row["id"]: row["diffroad"] for row in rows(runs[0])}

    few, many = found(4), found(9)
    assert few == {key: many[key] for key in few}


def test_attacks_on_the_interpretation_are_made_on_the_first_images_only(runs, monkeypatch):
    monkeypatch.setattr(evidence, "BUDGETS", {"fashion-mnist": Budget(eps=0.1, step_size=0.05, steps=2, k=50)})
    attributions = {"gradient": ("gini", "interpretation")}
    measure(runs[:1], replace(SETTINGS, attributions=attributions, interpretation_images=66))
    found = rows(runs[0])
    assert all(0 <= row["top_k_intersection"] <= 1 for row in found[:66])
    assert all(row["top_k_intersection"] is None and row["gini"] > 0 for row in found[66:])
    assert {tuple(row) for row in found} == {tuple(found[0])}


def test_models_that_give_all_images_one_class_are_named(runs, monkeypatch):
    classes = iter([0, 1])
    monkeypatch.setattr(measuring, "predictions", lambda _, test, **__: torch.full_like(test.labels, next(classes)))
    with pytest.raises(BadInput, match="nothing can be measured: a, b give all images one class; measure the others"):
        measure(runs[:2], SETTINGS)


def test_what_is_measured_by_default_has_sanity_rows_beside_it():
    options = {"images": 5, "profile": "clean", "attributions": [], "attack": {}, "seed": 0}
    assert set(make_settings(metrics=[], **options).attributions) == {
        "gradient",
        "integrated_gradients",
        "random_map",
        "edge_detector",
    }
    assert set(make_settings(metrics=["gini"], **options).attributions) == {"gradient", "integrated_gradients"}
    everything = make_settings(metrics=["all"], **options).attributions["gradient"]
    assert {"road", "interpretation", "diffroad"} <= set(everything)
    with pytest.raises(BadInput, match="unknown metric 'misalignement': did you mean 'misalignment'"):
        make_settings(metrics=["misalignement"], **options)


def test_alignment_without_attention_maps_is_refused(tmp_path):
    train(check({"training": {"max_steps": 1, "device": "cpu"}}), tmp_path / "run")
    settings = MeasureSettings(images=3, attributions={"gradient": ("alignment",)}, robustness=ATTACK)
    with pytest.raises(BadInput, match="needs attention maps"):
        measure([tmp_path / "run"], settings)


def test_the_names_that_others_use_are_there():
    assert set(measuring.__all__) <= set(dir(measuring))
