from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pellucid.errors import BadInput
from pellucid.statistics.signed_rank import Rule, all_of, decide, over_sets, signed_rank_p

HIGHER, LOWER, REDUCED = Rule(1), Rule(-1), Rule(-1, reduction=0.3)
TEN = np.arange(1.0, 11.0)


def by_enumeration(differences):
    """P(W ≥ w) over all signs of the ranks."""
    ranks = np.abs(differences).argsort().argsort() + 1
    seen = ranks[np.asarray(differences) > 0].sum()
    sums = [np.dot(signs, ranks) for signs in product((0, 1), repeat=len(ranks))]
    return np.mean(np.array(sums) >= seen)


@given(st.lists(st.integers(1, 1000), min_size=1, max_size=8, unique=True), st.integers(0, 2**8 - 1))
def test_p_is_the_share_of_sign_patterns_that_are_as_extreme(sizes, signs):
    differences = [size if signs >> place & 1 else -size for place, size in enumerate(sizes)]
    assert signed_rank_p(differences) == pytest.approx(by_enumeration(differences))


def test_known_p():
    assert signed_rank_p(TEN) == pytest.approx(2**-10)
    assert signed_rank_p(-TEN) == 1
    assert signed_rank_p([np.nan, *TEN[:5]]) == pytest.approx(2**-5)
    assert signed_rank_p([0.0, 0.0, *TEN[:5]]) == pytest.approx(2**-5)
    assert signed_rank_p([0.0, 0.0]) == 1
    assert np.isnan(signed_rank_p([np.nan]))


@pytest.mark.parametrize(
    ("ours", "reference", "rule", "verdict"),
    [
        (TEN + 1, TEN, HIGHER, "holds"),
        (TEN - 1, TEN, HIGHER, "does not hold"),
        (TEN, TEN, HIGHER, "within noise"),
        (TEN - 1, TEN, LOWER, "holds"),
        (TEN + 1, TEN, LOWER, "does not hold"),
        (TEN + [1, -1] * 5, TEN, LOWER, "within noise"),
        (TEN[:4] + 1, TEN[:4], HIGHER, "within noise"),  # four pairs cannot reach .05
        (TEN[:5] + 1, TEN[:5], HIGHER, "holds"),
        (0.65 * TEN, TEN, REDUCED, "holds"),
        (0.75 * TEN, TEN, REDUCED, "does not hold"),  # significantly lower, but by a quarter only
        (1.1 * TEN, TEN, REDUCED, "does not hold"),
        (TEN * np.tile([0.35, 1.1], 5), TEN, REDUCED, "within noise"),
        (TEN - 0.009, TEN, Rule(1, margin=0.01), "holds"),
        (TEN - 0.011, TEN, Rule(1, margin=0.01), "does not hold"),
        (TEN - 0.01 + np.tile([0.5, -0.52], 5), TEN, Rule(1, margin=0.01), "within noise"),
        (TEN, TEN, Rule(1, margin=0.0), "holds"),
        ([np.nan] * 5, TEN[:5], HIGHER, "not testable here"),
    ],
)
def test_decisions(ours, reference, rule, verdict):
    assert decide(ours, reference, rule)[0] == verdict


def test_p_belongs_to_the_claimed_direction():
    assert decide(TEN - 1, TEN, LOWER)[1] == pytest.approx(2**-10)
    assert decide(TEN + 1, TEN, LOWER)[1] == 1
    assert decide(0.75 * TEN, TEN, REDUCED)[1] == pytest.approx(2**-10)
    assert decide(TEN - 0.009, TEN, Rule(1, margin=0.01))[1] == pytest.approx(2**-10)


@settings(max_examples=20)
@given(st.lists(st.floats(-5, 5), min_size=5, max_size=7), st.sampled_from([HIGHER, LOWER]))
def test_a_common_factor_changes_no_decision(values, rule):
    ours, reference = np.round(values, 3), np.linspace(-1, 1, len(values))
    assert decide(ours, reference, rule)[0] == decide(ours * 2.0**4, reference * 2.0**4, rule)[0]


def test_pairs_with_a_missing_number_are_left_out():
    ours, reference = np.append(TEN + 1, np.nan), np.append(TEN, 1e9)
    assert decide(ours, reference, HIGHER) == decide(TEN + 1, TEN, HIGHER)


def test_over_sets_needs_its_share_and_knows_when_it_is_out_of_reach():
    yes, no, maybe, none = "holds", "does not hold", "within noise", "not testable here"
    assert over_sets([yes] * 4 + [no], 0.8) == yes
    assert over_sets([yes] * 3 + [maybe, no], 0.8) == maybe
    assert over_sets([yes] * 3 + [no, no], 0.8) == no
    assert over_sets([yes] * 4 + [no], 1.0) == no
    assert over_sets([yes] * 3 + [none], 1.0) == yes
    assert over_sets([none], 1.0) == none
    assert over_sets([], 0.8) == none


def test_all_parts_of_a_claim_must_hold():
    yes, no, maybe, none = "holds", "does not hold", "within noise", "not testable here"
    assert all_of([yes, yes]) == yes
    assert all_of([yes, maybe]) == maybe
    assert all_of([none, maybe]) == none
    assert all_of([maybe, no, none]) == no
    assert all_of([]) == none


def test_wrong_use():
    with pytest.raises(BadInput, match="one length"):
        decide([1.0], [1.0, 2.0], HIGHER)
    for options in ({"better": 0}, {"better": 1, "reduction": 0.3}, {"better": -1, "reduction": 1.0}):
        with pytest.raises(BadInput, match="better is 1 or -1"):
            Rule(**options)
