"""The findings of a grid as JSON, and the ledger that is made from such files."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from constructed import first, run, spread

from pellucid.report.findings import findings, ledger

ROOT = Path(__file__).parents[2]


def through_json(runs):
    return json.loads(json.dumps(findings(runs), allow_nan=False))


@pytest.fixture
def result():
    natural = [run("N", seed=seed, gini=spread(0.5 + 0.001 * seed), correct=first(860)) for seed in range(3)]
    attacked = [run("A", seed=seed, gini=spread(0.7 - 0.001 * seed), correct=first(760)) for seed in range(3)]
    return through_json(natural + attacked)


def test_holds_arms_numbers_and_verdicts(result):
    (setting,) = result["settings"]
    assert [(arm["name"], arm["seeds"]) for arm in setting["arms"]] == [("N", [0, 1, 2]), ("A", [0, 1, 2])]
    gini = setting["arms"][1]["numbers"]["Gini"]
    assert gini["value"] == pytest.approx(0.699)
    assert gini["low"] < 0.699 < gini["high"]
    assert gini["by_seed"] == pytest.approx([0.7, 0.699, 0.698])
    verdicts = {one["key"]: one["verdict"] for one in setting["relations"]}
    assert (verdicts["R1"], verdicts["R2"]) == ("holds", "not testable here")
    assert setting["published"] == []


def test_every_row_of_the_table_that_is_no_detail_is_kept_for_each_attribution():
    values = {"gini": spread(0.5), "gini_all_entries": spread(0.4), "other_image_cosine": spread(0.3)}
    (setting,) = through_json([run("N", seed=seed, **values) for seed in range(2)])["settings"]
    (maps,) = [arm["maps"] for arm in setting["arms"]]
    assert maps["Gradient"].keys() == {"Gini", "Cosine with the map of another image (control)"}
    assert maps["Gradient"]["Gini"]["by_seed"] == pytest.approx([0.5, 0.5])


def test_the_ledger_says_what_was_tested_and_leaves_out_what_was_not(result):
    page = ledger({"small": result})
    assert "## small" in page
    assert "| A | 3 | 76.0 [" in page
    assert "**R1** Gini: A > N (Gradient) | 6 of 6 published cells | ✓ holds |" in page
    assert "**R2**" not in page
    assert "Fewer than five seeds an arm" in page


def test_bars_in_a_claim_do_not_break_the_table(result):
    result["settings"][0]["relations"][0]["claim"] = "|G − A| is small"
    assert "\\|G − A\\| is small" in ledger({"small": result})


def test_numbers_that_are_not_there_are_a_dash(result):
    result["settings"][0]["arms"][0]["numbers"]["Gini"] |= {"value": None}
    assert "| N | 3 | 86.0 [" in ledger({"small": result})
    line = next(line for line in ledger({"small": result}).splitlines() if line.startswith("| N "))
    assert line.endswith("| – |")


def test_the_ledger_in_the_documentation_is_what_the_kept_results_say():
    asked = subprocess.run(
        [sys.executable, ROOT / "scripts" / "findings.py", "--check"], check=False, capture_output=True, text=True
    )
    assert asked.returncode == 0, asked.stderr
