import signal
from contextlib import contextmanager

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.runtime.errors import StudyError
from pipeline.stats import matching
from pipeline.stats.matching import nearest_neighbour
from pipeline.stats.scores import propensity_logit

ORDERS = ("closest", "largest", "smallest", "data")


def plainly(treated, score, stratum, identifier, ratio, caliper, order):
    """The definition of matching, pair by pair: slow, and plain enough to be read."""
    limit = np.inf if caliper is None else caliper
    free = [row for row in range(len(treated)) if not treated[row]]
    found = []
    for _ in range(ratio):
        waiting = [row for row in range(len(treated)) if treated[row]]
        while True:
            pairs = [
                (
                    round(abs(score[loan] - score[control]), 9),
                    identifier[loan],
                    identifier[control],
                    loan,
                    control,
                )
                for loan in waiting
                for control in free
                if stratum[loan] == stratum[control]
            ]
            pairs = [pair for pair in pairs if pair[0] <= limit]
            if not pairs:
                break
            if order != "closest":
                direction = {"largest": -1, "smallest": 1, "data": 0}[order]
                turn = min((direction * score[pair[3]], pair[1]) for pair in pairs)
                pairs = [pair for pair in pairs if pair[1] == turn[1]]
            *_, loan, control = min(pairs)
            found.append((loan, control))
            waiting.remove(loan)
            free.remove(control)
    return sorted(found, key=lambda pair: identifier[pair[0]])


class EndlessError(BaseException):
    """No Exception, so that hypothesis does not go on to shrink what never ends."""


@contextmanager
def at_most(seconds):
    def stop(*_):
        raise EndlessError

    signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)


def matched(*loans, **choices):
    with at_most(2):
        return nearest_neighbour(*loans, **choices)


def pairs(*loans, **choices):
    found = matched(*loans, **choices)
    return list(zip(found.treated.tolist(), found.control.tolist(), strict=True))


# Few distinct scores, so that most choices are between ties. Quarters are exact in binary.
LOAN = st.tuples(st.booleans(), st.integers(0, 8).map(lambda step: step / 4), st.integers(0, 1))
LOANS = st.lists(LOAN, max_size=16).flatmap(
    lambda rows: st.permutations(range(len(rows))).map(lambda numbers: arrays(rows, numbers))
)
CHOICES = st.fixed_dictionaries(
    {
        "ratio": st.integers(1, 3),
        "caliper": st.sampled_from([None, 0.0, 0.25, 0.5, 1.0]),
        "order": st.sampled_from(ORDERS),
    }
)


def arrays(rows, numbers):
    treated, score, stratum = zip(*rows, strict=True) if rows else ((), (), ())
    return (
        np.array(treated, dtype=int),
        np.array(score, dtype=float),
        np.array(stratum, dtype=int),
        np.array([f"loan {number:02d}" for number in numbers], dtype=object),
    )


@settings(max_examples=400, deadline=None)
@given(LOANS, CHOICES)
def test_finds_what_the_definition_finds(loans, choices):
    assert pairs(*loans, **choices) == plainly(*loans, **choices)


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("caliper", [None, 1.0])
def test_treated_loans_for_whom_no_control_is_left_go_without(order, caliper):
    loans = arrays([(1, 0.0, 0), (1, 0.0, 0), (1, 0.5, 0), (0, 0.0, 0)], range(4))
    assert pairs(*loans, order=order, caliper=caliper, ratio=2) == [(2 if order == "largest" else 0, 3)]


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize(("ratio", "caliper"), [(1, None), (1, 0.1), (3, None), (2, 0.3)])
def test_finds_what_the_definition_finds_among_distinct_scores(order, ratio, caliper):
    rng = np.random.default_rng(7)
    for _ in range(5):
        loans = (
            rng.integers(0, 2, 40),
            rng.normal(size=40).round(6),
            rng.integers(0, 3, 40),
            rng.permutation(40).astype(str).astype(object),
        )
        choices = {"ratio": ratio, "caliper": caliper, "order": order}
        assert pairs(*loans, **choices) == plainly(*loans, **choices)


@pytest.mark.parametrize("decimals", [1, 6])
def test_pairs_formed_many_at_a_time_are_those_of_the_definition(monkeypatch, decimals):
    rng = np.random.default_rng(8)
    for _ in range(6):
        loans = (
            (rng.random(90) < 0.3).astype(int),
            rng.normal(size=90).round(decimals),
            rng.integers(0, 2, 90) * 70_000,
            rng.permutation(90),
        )
        for choices in ({}, {"caliper": 0.05}, {"ratio": 2}):
            choices = {"ratio": 1, "caliper": None, "order": "closest"} | choices
            plain = plainly(*loans, **choices)
            for fewest in (0, 2, 5):
                monkeypatch.setattr(matching._Closest, "FEWEST", fewest)
                assert pairs(*loans, **choices) == plain, fewest


def test_many_loans_in_many_strata():
    """Long enough for several rounds and the queue after them; order by order no loan could do better."""
    rng = np.random.default_rng(9)
    number = 20_000
    treated, score = (rng.random(number) < 0.3).astype(int), rng.normal(size=number).round(3)
    stratum, identifier = rng.integers(0, 5, number), rng.permutation(number)
    with at_most(20):
        found = nearest_neighbour(treated, score, stratum, identifier, caliper=0.01, order="closest")
    distance = np.full(number, np.inf)
    for side in found:
        distance[side] = np.abs(score[found.treated] - score[found.control]).round(9)
    # A pair that would be closer than what both of its members got could have been formed first.
    for label in range(5):
        one, other = (np.flatnonzero((treated == arm) & (stratum == label)) for arm in (1, 0))
        gap = np.abs(score[one][:, None] - score[other]).round(9)
        assert not (gap < np.minimum(np.minimum.outer(distance[one], distance[other]), 0.01)).any()


@settings(max_examples=200, deadline=None)
@given(LOANS, CHOICES, st.randoms())
def test_the_order_of_the_rows_plays_no_part(loans, choices, random):
    place = list(range(len(loans[0])))
    random.shuffle(place)
    identifier = loans[3]

    def named(loans):
        return [(loans[3][one], loans[3][other]) for one, other in pairs(*loans, **choices)]

    shuffled = tuple(column[place] for column in loans)
    assert sorted(shuffled[3]) == sorted(identifier)
    assert named(shuffled) == named(loans)


@settings(max_examples=200, deadline=None)
@given(LOANS, CHOICES)
def test_every_match_keeps_the_rules(loans, choices):
    treated, score, stratum, _ = loans
    found = matched(*loans, **choices)
    assert treated[found.treated].all()
    assert not treated[found.control].any()
    assert len(set(found.control)) == len(found.control)
    assert np.bincount(found.treated, minlength=1).max() <= choices["ratio"]
    assert (stratum[found.treated] == stratum[found.control]).all()
    if choices["caliper"] is not None:
        assert (abs(score[found.treated] - score[found.control]) <= choices["caliper"]).all()


@pytest.mark.parametrize("order", ORDERS)
def test_a_sample_and_its_copy_match_at_no_distance(order):
    rng = np.random.default_rng(1)
    score, stratum = rng.normal(size=50).round(1), rng.integers(0, 3, 50)
    found = matched(
        np.repeat([1, 0], 50),
        np.tile(score, 2),
        np.tile(stratum, 2),
        np.arange(100),
        caliper=1e-6,
        order=order,
    )
    assert sorted(found.treated) == list(range(50))
    assert (np.tile(score, 2)[found.treated] == np.tile(score, 2)[found.control]).all()


@pytest.mark.parametrize("treated", [[], [0, 0], [1, 1]])
@pytest.mark.parametrize("order", ORDERS)
def test_nothing_to_match(treated, order):
    loans = arrays([(arm, 0.0, 0) for arm in treated], range(len(treated)))
    assert pairs(*loans, order=order) == []


def test_a_treated_loan_alone_in_its_stratum_is_left_out():
    loans = arrays([(1, 0.0, 0), (1, 0.0, 1), (0, 0.0, 1), (0, 0.0, 2)], range(4))
    assert pairs(*loans) == [(1, 2)]


def test_the_closest_pair_is_formed_first():
    # In turn, the loan at 0 would take the control at 0.5 that lies nearer to the loan at 0.75.
    loans = arrays([(1, 0.0, 0), (1, 0.75, 0), (0, 0.5, 0), (0, -2.0, 0)], range(4))
    assert pairs(*loans, order="closest") == [(0, 3), (1, 2)]
    assert pairs(*loans, order="smallest") == [(0, 2), (1, 3)]


def test_largest_and_smallest_begin_at_different_ends():
    loans = arrays([(1, 0.0, 0), (1, 1.0, 0), (0, 0.5, 0)], range(3))
    assert pairs(*loans, order="smallest") == [(0, 2)]
    assert pairs(*loans, order="largest") == [(1, 2)]


def test_equally_far_on_either_side_the_lower_identifier_is_taken():
    rows = [(1, 0.5, 0), (0, 0.0, 0), (0, 1.0, 0)]
    assert pairs(*arrays(rows, [0, 1, 2])) == [(0, 1)]
    assert pairs(*arrays(rows, [0, 2, 1])) == [(0, 2)]


@pytest.mark.parametrize("order", ORDERS)
def test_sides_are_compared_again_when_a_control_is_taken(order):
    # The first loan takes identifier 2 at 0; of 5 at 0 and 3 at 1, the second takes the lower.
    rows = [(1, 0.5, 0), (1, 0.5, 0), (0, 0.0, 0), (0, 0.0, 0), (0, 1.0, 0)]
    assert pairs(*arrays(rows, [0, 1, 2, 5, 3]), order=order) == [(0, 2), (1, 4)]


def test_every_loan_gets_its_first_control_before_any_gets_its_second():
    rows = [(1, 0.0, 0), (1, 5.0, 0), (0, 0.0, 0), (0, 0.25, 0)]
    assert pairs(*arrays(rows, range(4)), ratio=2) == [(0, 2), (1, 3)]


def test_the_caliper_itself_is_within_reach():
    rows = [(1, 0.0, 0), (0, 0.5, 0)]
    assert pairs(*arrays(rows, range(2)), caliper=0.5) == [(0, 1)]
    assert pairs(*arrays(rows, range(2)), caliper=0.4999) == []


def test_distances_that_differ_by_rounding_alone_are_equal():
    # 0.3 - 0.2 and 0.2 - 0.1 differ in the last bit.
    assert 0.3 - 0.2 != 0.2 - 0.1
    assert pairs(*arrays([(1, 0.2, 0), (0, 0.1, 0), (0, 0.3, 0)], [0, 1, 2])) == [(0, 1)]
    assert pairs(*arrays([(1, 0.2, 0), (0, 0.1, 0), (0, 0.3, 0)], [0, 2, 1])) == [(0, 2)]


@pytest.fixture(scope="module")
def arms():
    rng = np.random.default_rng(3)
    covariates = pd.DataFrame(
        {
            "score": rng.normal(700, 40, 800),
            "income": rng.lognormal(11, 0.5, 800),
            "inquiries": rng.poisson(1, 800),
            "owner": rng.integers(0, 2, 800),
        }
    )
    logit = (covariates["score"] - 700) / 50 + covariates["inquiries"] / 3 + covariates["owner"] - 1
    return covariates, (rng.random(800) < 1 / (1 + np.exp(-logit))).astype(int).to_numpy()


def test_the_score_is_the_maximum_likelihood_one(arms):
    import statsmodels.api as sm

    covariates, treated = arms
    standardised = (covariates - covariates.mean()) / covariates.std()
    fit = sm.Logit(treated, sm.add_constant(standardised)).fit(method="newton", tol=1e-13, maxiter=100, disp=0)
    # Half a unit of the last of six decimals, and the solver's own error.
    assert abs(propensity_logit(covariates, treated) - fit.predict(which="linear")).max() < 1e-6


def test_the_score_has_six_decimals(arms):
    score = propensity_logit(*arms)
    assert (score == score.round(6)).all()


def test_units_play_no_part(arms):
    covariates, treated = arms
    other = covariates * [1e-6, 1e6, 1, 1] + [1, 0, 5, 0]
    assert abs(propensity_logit(other, treated) - propensity_logit(covariates, treated)).max() <= 1.1e-6


@pytest.mark.parametrize("arm", [0, 1])
def test_one_arm_is_no_comparison(arms, arm):
    covariates, treated = arms
    with pytest.raises(StudyError, match="all 800 loans are in one arm"):
        propensity_logit(covariates, np.full_like(treated, arm))


@pytest.mark.parametrize("value", [0, 1, 0.1, 0.3, 1e9 / 3])
def test_a_constant_covariate_is_named(arms, value):
    covariates, treated = arms
    with pytest.raises(StudyError, match="are constant: market"):
        propensity_logit(covariates.assign(market=value), treated)


def test_covariates_that_separate_the_arms_are_an_error(arms):
    covariates, _ = arms
    with pytest.raises(StudyError, match="separate the two arms"):
        propensity_logit(covariates, (covariates["score"] > 700).astype(int).to_numpy())


def test_separation_of_a_few_loans_is_an_error():
    covariates = pd.DataFrame({"score": [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]})
    with pytest.raises(StudyError, match="separate the two arms"):
        propensity_logit(covariates, np.array([0, 0, 0, 1, 1, 1]))


@pytest.mark.parametrize("size", [1, 20])
def test_a_group_that_is_all_treated_is_an_error(size):
    rng = np.random.default_rng(3)
    score, treated = rng.normal(size=5000), rng.integers(0, 2, 5000)
    group = np.arange(5000) < size
    covariates = pd.DataFrame({"score": score, "group": group.astype(float)})
    with pytest.raises(StudyError, match="separate the two arms"):
        propensity_logit(covariates, np.where(group, 1, treated))


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize(("distance", "pairs"), [(0.099999999, 1), (0.1, 1), (0.100000001, 0)])
def test_a_caliper_holds_to_the_last_decimal(order, distance, pairs):
    nothing = np.zeros(2, int)
    found = nearest_neighbour(
        np.array([1, 0]), np.array([0.0, distance]), nothing, np.arange(2), caliper=0.1, order=order
    )
    assert len(found.treated) == pairs
