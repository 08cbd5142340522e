"""Measuring until an interval is tight enough: when it stops, what it writes, and what it refuses."""

import json
import math
import shutil
import sys

import pytest

from pellucid import cli
from pellucid.errors import BadInput
from pellucid.experiments import measure as measuring
from pellucid.experiments.config import check
from pellucid.experiments.measure import MeasureSettings, Robustness, make_settings, measure
from pellucid.experiments.measure.notebook import Notebook
from pellucid.experiments.measure.rows import Study
from pellucid.experiments.measure.stopping import Stream, stopping_time
from pellucid.experiments.measure.team import ALONE, Team
from pellucid.experiments.measure.until import WATCHED, Until, make_until
from pellucid.experiments.train import train
from pellucid.report import clean_table, read_listed
from pellucid.statistics.sequences import hedged_capital

ATTACK = {"eps": 0.1, "steps": 1, "images": 64}


def settings(until, metrics=("gini",), **options):
    common = {"profile": "clean", "attributions": ["gradient"], "metrics": list(metrics), "attack": ATTACK, "seed": 0}
    return make_settings(**(common | options), until=until)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs")
    for name, seed in (("a", 0), ("b", 1)):
        train(check({"training": {"max_steps": 30, "device": "cpu"}, "seed": seed}), folder / name)
    return folder


@pytest.fixture
def runs(trained, tmp_path):
    shutil.copytree(trained, tmp_path / "runs")
    return [tmp_path / "runs" / name for name in ("a", "b")]


def rows(run):
    return [json.loads(line) for line in (run / "measurements" / "gradient.jsonl").read_text().splitlines()]


def about(run):
    return json.loads((run / "measurements" / "measurement.json").read_text())


def test_runs_are_measured_on_the_same_images_until_all_intervals_are_tight(runs):
    measure(runs, settings("gini:ci<0.01"))
    first, second = (about(run) for run in runs)
    count = first["stopped"]["images"]
    assert count == second["stopped"]["images"] == first["images"]["measured"] == len(rows(runs[0]))
    assert count % 64 == 0
    assert 64 < count < first["images"]["asked"] <= first["images"]["candidates"] == 2000
    assert [row["id"] for row in rows(runs[0])] == sorted(row["id"] for row in rows(runs[1]))
    assert first["until"]["half_width"] == 0.01
    assert first["until"]["watched"]["gini"] == {
        "what": "Gini index", "bounds": [0.0, 1.0], "interval": "hedged capital",
    }  # fmt: skip
    for run, found in zip(runs, (first, second), strict=True):
        interval = found["stopped"]["intervals"]["gradient"]["gini"]
        assert interval["tight"]
        assert interval["high"] - interval["low"] < 0.02
        assert interval["n"] == count
        assert interval["value"] == pytest.approx(sum(row["gini"] for row in rows(run)) / count)
    assert clean_table(read_listed(runs)).rows  # reports read it
    assert measure(runs, settings("gini:ci<0.01"))["images"] == first["images"]


def test_what_was_measured_is_what_a_fixed_number_of_images_measures(runs):
    measure(runs[:1], settings("gini:ci<0.01"))
    stopped, count = rows(runs[0]), about(runs[0])["images"]["measured"]
    measure(runs[:1], settings(None, images=count))
    assert [row["id"] for row in stopped] == [row["id"] for row in rows(runs[0])]
    assert [row["gini"] for row in stopped] == pytest.approx([row["gini"] for row in rows(runs[0])], rel=1e-4)
    assert about(runs[0])["until"] is None
    assert "stopped" not in about(runs[0])


def test_it_stops_at_the_first_unit_after_which_the_sequence_is_tight(runs):
    measure(runs[:1], settings("gini:ci<0.01"))
    order = measuring._choose(measuring_correct(runs[0]), settings("gini:ci<0.01"))
    found = {row["id"]: row["gini"] for row in rows(runs[0])}
    values = [found[int(place)] for place in order[: len(found)]]  # ids are the positions in this data set

    def half(n):
        interval = hedged_capital(values[:n], bounds=(0, 1), aim=0.01)
        return (interval.high - interval.low) / 2

    assert half(len(values)) < 0.01 <= half(len(values) - 64)


def measuring_correct(run):
    loaded = measuring.loaded(run)
    return measuring.predictions(loaded.model, loaded.test) == loaded.test.labels


def test_images_is_the_most_it_measures(runs, capsys):
    measure(runs[:1], settings("ci<0.0001", images=100))
    assert "the 100 images did not suffice for ci<0.0001" in capsys.readouterr().err
    found = about(runs[0])
    assert found["images"]["asked"] == found["images"]["measured"] == 100
    assert not found["stopped"]["intervals"]["gradient"]["gini"]["tight"]


def test_interrupted_it_goes_on_and_stops_at_the_same_image(runs, tmp_path, monkeypatch):
    whole = tmp_path / "whole"
    shutil.copytree(runs[0], whole / "a")
    measure([whole / "a"], settings("gini:ci<0.01"))
    genuine, left = Study._clean, 2

    def failing(self, positions):
        nonlocal left
        left -= 1
        if left < 0:
            raise KeyboardInterrupt
        return genuine(self, positions)

    with monkeypatch.context() as patched:
        patched.setattr(Study, "_clean", failing)
        with pytest.raises(KeyboardInterrupt):
            measure(runs[:1], settings("gini:ci<0.01"))
    counted = []
    monkeypatch.setattr(Study, "_clean", lambda self, p: counted.append(p) or genuine(self, p))
    measure(runs[:1], settings("gini:ci<0.01"))
    assert len(counted) == len(rows(whole / "a")) // 64 - 2
    assert rows(runs[0]) == rows(whole / "a")
    assert about(runs[0])["stopped"] == about(whole / "a")["stopped"]


class Several(Team):
    """What all processes do, done by one: the rounds of several."""

    def share(self, items):
        return items

    def gather(self, value):
        return [value]


@pytest.mark.parametrize("size", [2, 3, 50])
def test_the_stopping_time_does_not_depend_on_how_many_processes_there_are(runs, tmp_path, size):
    loaded, wanted = measuring.loaded(runs[0]), settings("gini:ci<0.01")
    places = measuring._choose(measuring_correct(runs[0]), wanted)
    study = Study(loaded, loaded.test.subset(places), "gradient", ("gini",), wanted)

    def found(team):
        return stopping_time([Stream(study, Notebook(tmp_path / str(team.size), {}, team))], wanted.until, team)

    assert found(Several(0, size)) == found(ALONE)


def row(gini=0.5, ssim=(0.5,), road=(True,), ros=1.0):
    return {"gini": gini, "ssim": list(ssim), "road": list(road), "ros_norm": ros}


def test_the_numbers_that_are_watched():
    values = {name: watched.value(row(0.3, (0.2, None, 0.6), (True, False, False, False), 100.0)) for name, watched in
              WATCHED.items()}  # fmt: skip
    assert values == pytest.approx({"gini": 0.3, "ssim": 0.4, "road": 0.75, "ros": 2.0})
    undefined = row(None, (None, None), ros=None)
    assert all(math.isnan(WATCHED[name].value(undefined)) for name in ("gini", "ssim", "ros"))
    assert math.isnan(WATCHED["ros"].value(row(ros=0.0)))


def test_all_watched_metrics_must_be_tight():
    both = Until("ci<0.1", 0.1, ("gini", "road"))
    steady = [row(0.5, road=(True,)) for _ in range(300)]
    assert both.reached(steady, ("gini", "road"))
    noisy = [row(0.5, road=(place % 2 == 0,)) for place in range(100)]
    assert not both.reached(noisy, ("gini", "road"))
    assert both.reached(steady[:100], ("gini",))
    assert not both.reached(steady[:1], ("gini",))
    assert both.found(noisy, ("road",))["road"]["tight"] is False
    assert Until("ros:ci<0.1", 0.1, ("ros",)).reached([row(ros=1 + 0.1 * (i % 2)) for i in range(200)], ("ros",))


def test_the_rule_in_words():
    every = {"gradient": ("gini", "ssim", "ros", "road")}
    assert make_until("ci < 0.01", every).metrics == ("gini", "ssim", "road")  # that of ROS holds in the limit only
    assert make_until("ros:ci<5e-2", every) == Until("ros:ci<5e-2", 0.05, ("ros",))
    assert make_until("ci<0.01", {"gradient": ("gini",)}).metrics == ("gini",)


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        ("ci>0.01", r"takes a rule such as ci<0.01 or gini:ci<0.005 \(a half width\); got 'ci>0.01'"),
        ("ci<0", "takes a rule"),
        ("ci<e", "takes a rule"),
        ("ci<-1", "takes a rule"),
        ("gni:ci<0.01", "unknown metric to watch 'gni': did you mean 'gini'"),
        ("road:ci<0.01", "watches road, and none of it is measured; add it with --metric"),
    ],
)
def test_a_rule_that_cannot_be_used_is_refused(rule, message):
    with pytest.raises(BadInput, match=message):
        make_until(rule, {"gradient": ("gini",)})


def test_a_rule_goes_with_the_clean_numbers_only():
    with pytest.raises(BadInput, match="measure the profile 'both' with --images"):
        settings("ci<0.01", profile="both")
    with pytest.raises(BadInput, match="none of it is measured"):
        settings("ci<0.01", attributions=["random_map"])  # a sanity row: nobody waits for it
    assert MeasureSettings(robustness=Robustness(), until=None).images == 1000


def test_the_command_line_takes_the_rule_and_the_batch_size(runs, monkeypatch, capsys):
    words = ["measure", str(runs[0]), "--until", "gini:ci<0.05", "--batch-size", "48", "--metric", "gini"]
    options = ["--attribution", "gradient", "--robust-images", "5", "--steps", "1", "--json"]
    monkeypatch.setattr(sys, "argv", ["pellucid", *words, *options])
    with pytest.raises(SystemExit) as stop:
        cli.main()
    assert stop.value.code == 0, capsys.readouterr().err
    found = about(runs[0])
    assert found["batch_size"] == 48
    assert found["until"]["rule"] == "gini:ci<0.05"
    monkeypatch.setattr(sys, "argv", ["pellucid", *words[:2], "--until", "ci=1"])
    with pytest.raises(SystemExit) as stop:
        cli.main()
    assert stop.value.code == 2
    assert "takes a rule such as ci<0.01" in capsys.readouterr().err
