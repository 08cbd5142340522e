import json
import re
import shutil
from html import unescape

import numpy as np
import pytest
from answer_rows import LENIENT, from_arrays, make_key, make_plan, make_study, person, simulated
from test_r_script import as_csv

from pellucid.study.analysis import analyse, blinded
from pellucid.study.reporting import blinded_lines, write_analysis
from pellucid.study.sentences import sentences
from pellucid.study.templating import p_cell, p_value

EVIL = "<script>alert('x')</script> \"&"
CHROMIUM = shutil.which("chromium")


@pytest.fixture(autouse=True, scope="module")
def _no_ordinal_model():
    """Its fit takes seconds, and has tests of its own."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("pellucid.study.rating_analysis.fit_ordinal", lambda _: "not fitted here")
        yield


def write(folder, answers, people, images=3, title="A study", **plan):
    study = make_study(images).model_copy(update={"title": title})
    key = make_key(images)
    result = analyse(study, make_plan(**{"exclusions": LENIENT} | plan), key, answers, people)
    return result, write_analysis(result, study, key, {"answers.csv": as_csv(answers)}, folder)


@pytest.fixture(scope="module")
def written(tmp_path_factory, _no_ordinal_model):
    return write_evil(tmp_path_factory.mktemp("study") / "out")


def write_evil(folder):
    answers, people = simulated(participants=14, images=3, seed=1)
    answers = [row | {"reason": EVIL} for row in answers]
    people[2] = people[2] | {"external_id": EVIL, "state": "open"}
    return write(folder, answers, people, title=EVIL, exclusions=LENIENT.model_copy(update={"unfinished": True}))


def test_it_writes_what_it_promises(written):
    result, page = written
    assert page.parent.name == "out"
    names = {path.relative_to(page.parent).as_posix() for path in page.parent.rglob("*") if path.is_file()}
    figures = {
        f"figures/{name}.{kind}" for name in ("ratings", "means", "contrasts", "shares") for kind in ("svg", "pdf")
    }
    assert names == figures | {"index.html", "analysis.json", "analysis.R", "answers.csv", "stimuli.csv", "numbers.csv"}
    assert (page.parent / "answers.csv").stat().st_mode & 0o077 == 0
    plain = json.loads((page.parent / "analysis.json").read_text())
    assert plain["questions"]["trust"]["descriptive"][0]["n"] == result["questions"]["trust"]["descriptive"][0]["n"]


def test_nothing_that_people_wrote_runs_in_the_page(written):
    text = written[1].read_text()
    assert "<script" not in text
    assert text.count("&lt;script&gt;") == 2 + 13 * 3  # the title twice, and the reasons of 13 people
    assert not re.search(r"\son\w+=", text)
    assert "default-src 'none'" in text
    assert not re.search(r"""(src|href)=["'](https?:)?//""", text)


def test_the_page_says_the_numbers(written):
    result, page = written
    text = " ".join(re.sub(r"<[^>]+>", " ", page.read_text()).split())
    for row in result["questions"]["trust"]["descriptive"]:
        assert f"{row['mean']['value']:.2f}" in text
    assert result["plan"]["sha256"] in text
    assert "P-00000002 did not finish" in text
    assert "280 a model" in text


def test_the_same_analysis_gives_the_same_bytes(written, tmp_path):
    first, second = written[1].parent, write_evil(tmp_path)[1].parent
    for path in first.rglob("*.*"):
        assert path.read_bytes() == (second / path.relative_to(first)).read_bytes(), path.name


@pytest.mark.parametrize("case", ["nobody", "alone", "identical"])
def test_a_page_for_any_data(tmp_path, case):
    likert = np.random.default_rng(0).integers(1, 6, (6, 3, 3)).astype(float)
    answers, people = {
        "nobody": ([], [person("a")]),
        "alone": from_arrays({"trust": likert[:1]}, np.full((1, 3), 1)),
        "identical": from_arrays({"trust": np.full((6, 3, 3), 3.0)}, np.full((6, 3), 1)),
    }[case]
    _, page = write(tmp_path, answers, people)
    assert "nan" not in re.sub(r"<[^>]+>", " ", page.read_text()).lower().split()


def test_sentences_say_who_what_and_how_sure():
    result = analyse(make_study(), make_plan(exclusions=LENIENT), make_key(), *simulated(participants=65))
    lines = sentences(result)
    assert lines[0] == "65 people took part; 65 finished; the answers of 65 were analysed."
    assert any(line.startswith("Sufficiency was rated N 2.") and "± 0.7" in line for line in lines)
    (tested,) = [line for line in lines if line.startswith("Sufficiency, G against A: ")]
    row = result["questions"]["sufficiency"]["repeated_measures"]["contrasts"][2]
    assert f"+{row['mean_difference']['value']:.2f} [+{row['mean_difference']['low']:.2f}" in tested
    assert f"z = {row['z']:.2f}" in tested
    assert "Holm p < .001" in tested
    (weak,) = [line for line in lines if line.startswith("Trust, G against A: ")]
    assert weak.endswith("This is no evidence of a difference.")
    (chosen,) = [line for line in lines if line.startswith("Side by side")]
    assert f"G in {100 * result['preference']['shares'][2]['share']['value']:.0f} %" in chosen


def test_p_values_in_words():
    assert [p_value(p) for p in (0.0321, 1.0, 0.0004, float("nan"), None)] == [
        "p = .032",
        "p = 1.000",
        "p < .001",
        "undefined",
        "undefined",
    ]
    assert [p_cell(p) for p in (0.0321, 0.0004, float("nan"))] == [".032", "< .001", "undefined"]


def test_figures_say_in_words_what_they_show(written):
    result, page = written
    text = unescape(page.read_text())
    counts = ", ".join(map(str, result["questions"]["trust"]["descriptive"][0]["distribution"]))
    share = result["preference"]["shares"][2]["share"]["value"]
    assert f"trust (answers 1 to 5): N {counts}" in text
    assert f"G {100 * share:.0f} %" in text


def test_blinded_lines_count_and_list_who_is_left_out():
    answers, people = simulated(participants=3, images=2)
    people[0] = people[0] | {"state": "open"}
    lines = blinded_lines(blinded(make_study(2), make_plan(), answers, people))
    assert lines[1].startswith("3 people took part; 2 finished; the answers of 2 were analysed.")
    assert lines[1].endswith("Left out by the frozen rules: 1 did not finish.")
    assert "trust: 12 answers, 0 missing" in lines
    assert "left out: P-00000000, did not finish (rule unfinished)" in lines


@pytest.mark.browser
@pytest.mark.skipif(CHROMIUM is None, reason="the report's browser test needs Debian's chromium")
@pytest.mark.parametrize(("width", "scheme"), [(1200, "light"), (390, "dark")])
def test_in_a_browser_it_is_offline_accessible_and_fits(written, width, scheme):
    playwright = pytest.importorskip("playwright.sync_api", reason="the report's browser test needs playwright")
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe")
    flags = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=flags)
        context = browser.new_context(
            viewport={"width": width, "height": 900}, color_scheme=scheme, offline=True, bypass_csp=True
        )
        tab, asked = context.new_page(), []
        tab.on("request", lambda request: asked.append(request.url))
        tab.goto(written[1].as_uri())
        assert [url for url in asked if not url.startswith("data:")] == [written[1].as_uri()]
        inner, seen = tab.evaluate("[document.documentElement.clientWidth, document.documentElement.scrollWidth]")
        assert seen <= inner
        tab.evaluate("document.querySelectorAll('details').forEach(one => one.open = true)")
        found = axe.Axe().run(tab).response["violations"]
        assert [one["id"] for one in found if one["impact"] in {"serious", "critical"}] == []
        browser.close()
