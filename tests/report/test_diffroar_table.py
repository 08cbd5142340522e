import json

import pytest
from rich.console import Console
from scipy import stats

from pellucid.errors import BadInput
from pellucid.report.diffroar import diffroar_table, read_diffroar

LEVELS = [
    {"level": 0.1, "most": [0.8, 0.9, 0.7], "least": [0.5, 0.7, 0.3], "difference": [0.3, 0.2, 0.4]},
    {"level": 0.125, "most": [0.5], "least": [0.75], "difference": [-0.25]},
]


@pytest.fixture
def run(tmp_path):
    path = tmp_path / "A" / "measurements" / "diffroar.json"
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps({"format": 1, "attributions": {"gradient": {"levels": LEVELS}}}))
    return tmp_path / "A"


def test_one_row_a_level_with_students_interval(run):
    first, second = read_diffroar([run])
    assert (first.run, first.attribution, first.level) == ("A", "gradient", 0.1)
    assert (first.most, first.least) == pytest.approx((0.8, 0.5))
    low, high = stats.t.interval(0.95, 2, 0.3, stats.sem([0.3, 0.2, 0.4]))
    found = first.difference
    assert (found.value, found.low, found.high, found.n) == pytest.approx((0.3, low, high, 3))
    assert second.difference.value == -0.25


def test_the_table_shows_them(run):
    console = Console(width=120, record=True, file=open("/dev/null", "w"))  # noqa: SIM115
    console.print(diffroar_table(read_diffroar([run])))
    text = console.export_text()
    assert "A     Gradient        10 %   0.800   0.500     +0.300   [+0.052, +0.548]   3" in text
    assert "12.5 %   0.500   0.750     −0.250      needs 2 seeds   1" in text


def test_a_missing_or_damaged_result_is_named(run):
    path = run / "measurements" / "diffroar.json"
    path.write_text("{}")
    with pytest.raises(BadInput, match="diffroar.json is damaged or not a Pellucid file: the key 'attributions'"):
        read_diffroar([run])
    path.unlink()
    with pytest.raises(BadInput, match="cannot read .*diffroar.json"):
        read_diffroar([run])
