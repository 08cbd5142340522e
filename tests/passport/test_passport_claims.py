"""A claim passes, fails, or cannot be decided, by where the whole interval lies."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pellucid.errors import BadInput
from pellucid.passport.claims import Claim, judge, measure_of, read_claims
from pellucid.report import measures, read_run


@pytest.fixture(scope="module")
def run(measured):
    return read_run(measured)


def ends(run, name):
    found = measures.estimate(measure_of(name, "gradient"), run)
    return found.low, found.high


@pytest.mark.parametrize("name", ["accuracy", "gini", "ssim", "ros", "road"])
def test_the_interval_decides(run, name):
    low, high = ends(run, name)
    step = (high - low) / 10
    expected = {low: "pass", low + step: "not testable", high: "not testable", high + step: "fail"}
    for value, verdict in expected.items():
        assert judge(run, [Claim(name, "at_least", value)])[0].verdict == verdict
    expected = {high: "pass", high - step: "not testable", low: "not testable", low - step: "fail"}
    for value, verdict in expected.items():
        assert judge(run, [Claim(name, "at_most", value)])[0].verdict == verdict


@given(value=st.floats(0, 1))
def test_no_claim_and_its_opposite_pass_together(run, value):
    both = judge(run, [Claim("gini", relation, value) for relation in ("at_least", "at_most")])
    verdicts = sorted(one.verdict for one in both)
    assert verdicts in (["fail", "pass"], ["not testable", "not testable"])


def test_it_says_why(run):
    low, high = ends(run, "accuracy")
    (one,) = judge(run, [Claim("accuracy", "at_least", (low + high) / 2)])
    assert one.why.startswith(f"not decided: the 95 % interval [{100 * low:.1f}, {100 * high:.1f}] holds")
    assert "these 2,000 images cannot tell" in one.why


def test_ros_is_claimed_as_the_ratio_that_it_is(run):
    (one,) = judge(run, [Claim("ros", "at_most", 1.0)])
    values = run.attributions["gradient"].values["ros_norm"]
    assert one.estimate.value == pytest.approx(np.median(values))


def test_what_was_not_measured_is_not_testable(run):
    (one,) = judge(run, [Claim("smooth_grad.gini", "at_least", 0.1)])
    assert (one.verdict, one.why) == ("not testable", "this was not measured")


def test_without_an_attribution_the_gradient_is_meant(run):
    first, named = judge(run, [Claim("gini", "at_least", 0.1), Claim("gradient.gini", "at_least", 0.1)])
    other = judge(run, [Claim("integrated_gradients.gini", "at_least", 0.1)])[0]
    assert first.estimate == named.estimate != other.estimate
    assert other.measure.label == "Gini of integrated gradients"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("metric: gini", "should hold a list"),
        ("[3]", "claim 1 needs metric, relation and value"),
        ("[{metric: gini, relation: at_least}]", "claim 1 needs metric"),
        ("[{metric: gini, relation: at_least, value: 1, nota: x}]", "did you mean 'note'"),
        ("[{metric: ginni, relation: at_least, value: 1}]", "did you mean 'gini'"),
        ("[{metric: gini, relation: above, value: 1}]", "valid: at_least, at_most"),
        ("[{metric: gini, relation: at_least, value: many}]", "which is no number"),
        ("[{metric: gini, relation: at_least, value: .nan}]", "which is no number"),
        ("[{metric: gini, relation: at_least, value: true}]", "which is no number"),
        ("[{metric: accuracy, relation: at_least, value: 85}]", "share between 0 and 1"),
        ("[", "not valid YAML"),
    ],
    ids=["mapping", "number", "short", "key", "metric", "relation", "text", "nan", "truth", "percent", "yaml"],
)
def test_claims_that_cannot_be_judged_are_refused(tmp_path, text, message):
    (tmp_path / "claims.yaml").write_text(text)
    with pytest.raises(BadInput, match=message):
        read_claims(tmp_path / "claims.yaml")


def test_the_example_of_the_documentation_is_valid(tmp_path, run):
    import re
    from pathlib import Path

    text = (Path(__file__).parents[2] / "docs" / "passport.md").read_text(encoding="utf-8")
    (block,) = re.findall(r"```yaml\n(.*?)```", text, flags=re.DOTALL)
    (tmp_path / "claims.yaml").write_text(block)
    assert len(judge(run, read_claims(tmp_path / "claims.yaml"))) == 3
