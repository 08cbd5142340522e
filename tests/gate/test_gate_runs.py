"""Run directories in, a verdict or one clear sentence out."""

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest

from pellucid.errors import BadInput
from pellucid.gate import gate, parse, read_side, to_json
from pellucid.gate.judging import judged as corrected
from pellucid.report.contents import SANITY


def judged(baseline, candidate, *wanted, **options):
    return gate(read_side(str(baseline)), read_side(str(candidate)), wanted=parse(wanted), **options)


def changed(path, name, change):
    """The file with `change` made to every object in it."""
    rows = [json.loads(line) for line in path.joinpath("measurements", name).read_text().splitlines()]
    for row in rows:
        change(row)
    path.joinpath("measurements", name).write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def verdicts(found):
    return {row.key: row.verdict for row in found.rows}


def test_a_run_passes_against_itself_at_margin_0(two_runs):
    for scope in ("recipe", "model"):
        found = judged(two_runs / "N", two_runs / "N", "accuracy:0", "gini:0", "ssim:0", "ros:0", "road:0", scope=scope)
        assert found.passed
        assert {row.p for row in found.rows} <= {0.5, 1.0}
        assert {row.contrast.difference for row in found.rows} == {0.0}


def test_worse_maps_fail_and_better_ones_pass(two_runs):
    worse, better = (judged(*(two_runs / name for name in pair), "gini", "ssim") for pair in (("A", "N"), ("N", "A")))
    assert verdicts(judged(two_runs / "A", two_runs / "N", "gini", scope="model"))["gradient.gini"] == "fail"
    assert better.passed
    assert worse.rows[0].contrast.difference == pytest.approx(-better.rows[0].contrast.difference)


def test_maps_of_noise_fail_with_one_seed(own_runs):
    shutil.copytree(own_runs / "N", own_runs / "noisy")

    def ruin(row):
        row["gini"], row["ssim"] = 0.1, [0.0] * 8

    found = judged(own_runs / "N", changed(own_runs / "noisy", "gradient.jsonl", ruin))
    failed = [row.key for row in found.rows if row.failed]
    assert failed == ["gradient.gini", "gradient.ssim"]


def test_several_seeds_come_with_commas_or_as_a_folder(seeds, tmp_path):
    names = ",".join(str(seeds / f"N-seed{seed}") for seed in range(3))
    one, two = judged(names, names), judged(names.replace(",", ", "), names)
    assert len(one.baseline.runs) == 3
    assert to_json(one) == to_json(two)
    for seed in range(3):
        shutil.copytree(seeds / f"N-seed{seed}", tmp_path / f"N-seed{seed}")
    assert judged(tmp_path, names).baseline.runs[2].seed == 2
    with pytest.raises(BadInput, match="nothing but their seed"):
        read_side(str(seeds))


def test_the_family_is_all_that_both_measured_without_the_sanity_rows(two_runs):
    keys = set(verdicts(judged(two_runs / "A", two_runs / "N")))
    names = {"gini", "ssim", "ros", "road", "ssim.undefined"}
    maps = {f"{of}.{name}" for of in ("gradient", "integrated_gradients") for name in names}
    assert keys == {"accuracy", "robust_accuracy"} | maps
    assert not any(key.split(".")[0] in SANITY for key in keys)


def test_holm_s_correction_covers_every_row(two_runs):
    found = judged(two_runs / "A", two_runs / "N", scope="model")
    alike = corrected([replace(row, p=0.004) for row in found.rows], 0.05)
    assert [row.holm for row in alike] == pytest.approx([0.004 * 12] * 12)
    assert {row.verdict for row in alike} == {"fail"}
    assert {row.verdict for row in corrected([replace(row, p=0.0045) for row in found.rows], 0.05)} == {"pass"}


def test_a_metric_that_the_candidate_lost_fails_with_its_own_sentence(own_runs):
    changed(own_runs / "A", "gradient.jsonl", lambda row: row.update(gini=None))
    (row,) = judged(own_runs / "N", own_runs / "A", "gradient.gini").rows
    assert (row.verdict, row.failed) == ("lost", True)
    assert "the candidate has none" in row.why
    changed(own_runs / "A", "gradient.jsonl", lambda row: row.pop("gini"))
    assert verdicts(judged(own_runs / "N", own_runs / "A"))["gradient.gini"] == "lost"
    with pytest.raises(BadInput, match=r"the baseline was not measured in gradient\.gini"):
        judged(own_runs / "A", own_runs / "N", "gradient.gini")
    assert "gradient.gini" not in verdicts(judged(own_runs / "A", own_runs / "N"))


def test_values_that_only_the_candidate_lacks_are_counted_and_fail_a_row_of_their_own(own_runs):
    shutil.copytree(own_runs / "N", own_runs / "gaps")

    def forget(row):
        row["gini"] = None if row["id"] % 2 == 0 else row["gini"]

    changed(own_runs / "gaps", "gradient.jsonl", forget)
    found = judged(own_runs / "N", own_runs / "gaps", "gradient.gini")
    value, share = found.rows
    assert value.undefined == (0, 6)
    assert (value.verdict, share.verdict) == ("pass", "fail")
    assert (share.key, share.contrast.difference) == ("gradient.gini.undefined", 0.5)
    gini = np.array(read_side(str(own_runs / "N")).runs[0].attributions["gradient"].values["gini"])
    lost = np.where(np.arange(0, 36, 3) % 2 == 0, 0.0, gini)
    assert value.worst_case == pytest.approx(lost.mean() - gini.mean())  # every lost Gini could be 0


def measured(path, **change):
    file = path / "measurements" / "measurement.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | change))
    return path


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"profile": "clean"}, "another profile"),
        ({"ssim_noise": [0.01, 0.03, 0.05, 0.07, 0.09, 0.1, 0.15, 0.3]}, "another ssim_noise"),
        ({"robustness": {"eps": 0.2}}, r"another robustness \(eps 0.1 against 0.2"),
        ({"attributions": {"gradient": {"metrics": [], "steps": 9}}}, r"another gradient \(steps None against 9"),
    ],
    ids=["profile", "noise", "attack", "attribution"],
)
def test_other_settings_are_refused_in_one_sentence(own_runs, change, message):
    with pytest.raises(BadInput, match=message) as caught:
        judged(own_runs / "N", measured(own_runs / "A", **change))
    assert "\n" not in str(caught.value)
    assert "pellucid measure BASELINE CANDIDATE" in str(caught.value)


def test_other_images_are_refused(own_runs):
    changed(own_runs / "A", "gradient.jsonl", lambda row: row.update(id=row["id"] + 1))
    with pytest.raises(BadInput, match="other images"):
        judged(own_runs / "N", own_runs / "A")


def test_another_test_set_is_refused(own_runs):
    file = own_runs / "A" / "manifest.json"
    file.write_text(file.read_text().replace(json.loads(file.read_text())["data"]["test_sha256"], "0" * 64))
    with pytest.raises(BadInput, match="different test images"):
        judged(own_runs / "N", own_runs / "A")


def test_one_run_given_twice_is_no_second_seed(two_runs):
    with pytest.raises(BadInput, match="same weights as another run"):
        read_side(f"{two_runs / 'N'},{two_runs / 'N'}")


@pytest.mark.parametrize(
    ("wanted", "message"),
    [
        ("ginni:0.1", "did you mean 'gini'"),
        ("gini:-1", "names no margin"),
        ("gini:nan", "names no margin"),
        ("gini:", "names no margin"),
        ("smooth_grad.gini", "measured are gradient, integrated_gradients"),
    ],
    ids=["name", "negative", "nan", "empty", "attribution"],
)
def test_a_wish_that_cannot_be_met_is_refused(two_runs, wanted, message):
    with pytest.raises(BadInput, match=message):
        judged(two_runs / "N", two_runs / "A", wanted)


@pytest.mark.parametrize("alpha", [0, 0.5, -1, float("nan")])
def test_a_level_has_its_range(two_runs, alpha):
    with pytest.raises(BadInput, match="is no level"):
        judged(two_runs / "N", two_runs / "N", alpha=alpha)


def test_an_unmeasured_run_says_what_to_do(own_runs):
    (own_runs / "A" / "measurements" / "measurement.json").unlink()
    with pytest.raises(BadInput, match="has not been measured"):
        judged(own_runs / "N", own_runs / "A")


def test_one_run_a_side_is_judged_as_a_model_and_several_as_a_recipe(two_runs, seeds):
    assert judged(two_runs / "N", two_runs / "A").scope == "model"
    two = ",".join(str(seeds / f"N-seed{seed}") for seed in range(2))
    assert judged(two, seeds / "A-seed0").scope == "recipe"


def test_the_notes_say_on_what_the_level_rests(two_runs, seeds):
    assert "stated noise" in judged(two_runs / "N", two_runs / "A", scope="recipe").notes[0]
    assert "these very weights" in judged(two_runs / "N", two_runs / "A", scope="model").notes[0]
    three = [",".join(str(seeds / f"{arm}-seed{seed}") for seed in range(3)) for arm in "NA"]
    assert "the seeds at hand" in judged(*three).notes[0]
