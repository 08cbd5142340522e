"""The benchmarks run, and their document keeps what was not run."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SMALLEST = ("--smallest", "--repeats", "1", "--threads", "1", "--device", "cpu")
OF_OURS_ALONE = ("published_suite", "bare_passes", "integrated_gradients", "pgd_step", "memory")


def run(*options, script="run.py"):
    command = [sys.executable, ROOT / "benchmarks" / script, *SMALLEST, *options]
    return subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)


@pytest.fixture
def benchmarks(monkeypatch):
    """The modules of the benchmarks, which lie outside of the package."""
    monkeypatch.syspath_prepend(ROOT / "benchmarks")
    import documents
    import ratios

    return documents, ratios


def test_the_command_writes_a_table_of_every_benchmark_that_needs_no_neighbour(tmp_path):
    document = tmp_path / "benchmarks.md"
    document.write_text("# Old\n\nnumbers\n\n## GPU (of somebody)\n\n### filters\n\nkept as it was\n", encoding="utf-8")
    done = run("--without-neighbours", "--only", *OF_OURS_ALONE, "filters", "--write", document)
    assert done.returncode == 0, done.stderr
    text = document.read_text(encoding="utf-8")
    gpu, cpu = text.index("## GPU (of somebody)"), text.index("## CPU")
    assert text[gpu:cpu] == "## GPU (of somebody)\n\n### filters\n\nkept as it was\n\n"
    assert "numbers\n" not in text[:gpu]
    assert [line[4:] for line in text[cpu:].splitlines() if line.startswith("### ")] == [*OF_OURS_ALONE]
    for work in (
        "32 images (legacy) | itself, 8",
        "full suite (clean), LeNet",
        "bare 50 passes",
        "cleverhans",
        "64 draws",
    ):
        assert work in text[cpu:]
    assert "1 threads; Python 3" in text
    assert "1 repeats." in text


def test_a_script_alone_prints_its_table():
    done = run("--without-neighbours", script="integrated_gradients.py")
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[2] == "| work | against | ratio | spread | target | met | what was checked |"
    assert "× the time" in done.stdout


@pytest.mark.slow
def test_every_benchmark_runs_with_its_neighbours(tmp_path):
    done = run("--write", tmp_path / "benchmarks.md")
    assert done.returncode == 0, done.stderr
    text = (tmp_path / "benchmarks.md").read_text(encoding="utf-8")
    for neighbour in (
        "the published pipeline",
        "Captum",
        "torchattacks",
        "Quantus 0.5.3",
        "pytorch-grad-cam",
        "kornia",
    ):
        assert f"| {neighbour}" in text


def test_only_what_was_run_is_replaced(benchmarks, tmp_path):
    documents, _ = benchmarks
    path = tmp_path / "benchmarks.md"
    documents.write(path, "CPU", {"one": "| a |", "two": "| b |"})
    documents.write(path, "GPU (X)", {"one": "| c |"})
    documents.write(path, "CPU", {"two": "line\n\n| d |"})
    assert documents.parts_of(path.read_text(encoding="utf-8")) == {
        "CPU": {"one": "| a |", "two": "line\n\n| d |"},
        "GPU (X)": {"one": "| c |"},
    }
    assert path.read_text(encoding="utf-8").startswith(documents.INTRODUCTION)


@pytest.mark.parametrize(
    ("unit", "target", "met", "shown"),
    [
        ("× faster", 15, True, "≥ 15 | yes"),
        ("× faster", 17, False, "≥ 17 | **no**"),
        ("× the time", 17, True, "≤ 17 | yes"),
        ("× the memory", 15, False, "≤ 15 | **no**"),
        ("× faster", None, None, " |  | "),
    ],
)
def test_the_median_decides_whether_a_target_is_met(benchmarks, unit, target, met, shown):
    _, ratios = benchmarks
    row = ratios.Row("work", "neighbour", [16, 1, 100], unit, target)
    assert row.met is met
    assert str(row).startswith(f"| work | neighbour | 16.0 {unit} | 1.00 … 100 |")
    assert shown in str(row)


def test_contestants_take_turns_and_the_first_round_only_warms_up(benchmarks):
    _, ratios = benchmarks
    seen = []
    clock = iter(range(100))

    def contestant(name):
        return lambda: (seen.append(name), float(next(clock)))[1]

    assert ratios.in_turn({"a": contestant("a"), "b": contestant("b")}, 2) == {"a": [2.0, 4.0], "b": [3.0, 5.0]}
    assert seen == ["a", "b"] * 3


@pytest.mark.parametrize("difference", [2e-3, float("nan")])
def test_contestants_that_disagree_are_not_compared(benchmarks, difference):
    _, ratios = benchmarks
    assert ratios.agreeing("maps", 1e-4, 1e-3) == "maps ±1e-04 (≤ 1e-03)"
    with pytest.raises(ratios.Disagreement, match="maps differs by"):
        ratios.agreeing("maps", difference, 1e-3)
