"""One proportion for each unit: tests and ends against statsmodels and patsy, the link against Stata's regression."""

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
from scipy.stats import chi2, norm

from pipeline.runtime.errors import StudyError
from pipeline.stats.inference import Effect, as_ratio
from pipeline.stats.shape import constant_proportion, informative, link_test, spline, standardised, thirds

LOANS = 2_000


@pytest.fixture(scope="module")
def loans():
    rng = np.random.default_rng(12)
    calls, size = rng.gamma(2, 2, LOANS), rng.normal(size=LOANS)
    month = rng.integers(0, 6, LOANS)
    chance = 1 / (1 + np.exp(0.5 + 0.4 * calls - 0.03 * calls**2 - 0.3 * size - 0.2 * month))
    frame = pd.DataFrame({"intercept": 1.0, "calls": calls, "size": size, "month": month})
    return frame.assign(default=(rng.random(LOANS) < chance).astype(int), bank=rng.integers(0, 40, LOANS))


def fitted(y, x, clusters):
    model = sm.Logit(y, x)
    return model.fit(disp=False, tol=1e-12, cov_type="cluster", cov_kwds={"groups": np.asarray(clusters)})


def harrell(values, knots):
    """Harrell's equation 2.25, written out for four knots or three."""
    *inner, before, last = knots
    columns = []
    for knot in inner:
        first = np.clip(values - knot, 0, None) ** 3
        second = np.clip(values - before, 0, None) ** 3 * (last - knot) / (last - before)
        third = np.clip(values - last, 0, None) ** 3 * (before - knot) / (last - before)
        columns.append((first - second + third) / (last - knots[0]) ** 2)
    return np.column_stack(columns)


def test_the_spline_is_straight_beyond_its_knots_and_smooth_at_them():
    knots = np.array([1.0, 2.0, 4.0, 7.0])
    values = np.linspace(-3, 15, 1801)
    found = spline(values, knots)
    assert found == pytest.approx(harrell(values, knots))
    assert (found[values < 1] == 0).all()
    assert np.diff(found[values > 7.02], 2, axis=0) == pytest.approx(0, abs=1e-9)
    # Its second derivative has no jump: second differences are of the order of the step's square, and move by its cube.
    assert np.abs(np.diff(found, 3, axis=0)).max() < 1e-5


@pytest.mark.parametrize("absorb", [False, True])
def test_a_curve_is_tested_as_statsmodels_does(loans, absorb):
    design = loans[["intercept", "calls", "size"]]
    months = loans["month"] if absorb else None
    found = constant_proportion(loans["default"], design, "calls", loans["bank"], 0.95, months)
    assert (found.form, found.degrees, found.rows, found.clusters) == ("restricted_cubic_spline", 2, LOANS, 40)
    knots = np.quantile(loans["calls"], [0.05, 0.35, 0.65, 0.95])
    groups = pd.get_dummies(loans["month"], dtype=float).to_numpy() if absorb else np.ones((LOANS, 1))
    line = np.column_stack([loans[["calls", "size"]], groups])
    bent = np.column_stack([loans["calls"], harrell(loans["calls"].to_numpy(), knots), loans["size"], groups])
    curve, straight = fitted(loans["default"], bent, loans["bank"]), fitted(loans["default"], line, loans["bank"])
    restrictions = np.eye(bent.shape[1])[1:3]
    wald = curve.wald_test(restrictions, use_f=False, scalar=True)
    assert found.wald == pytest.approx(float(wald.statistic), rel=1e-6)
    assert found.wald_p == pytest.approx(float(wald.pvalue), rel=1e-5)
    assert found.likelihood_ratio == pytest.approx(2 * (curve.llf - straight.llf), rel=1e-6)
    assert found.likelihood_ratio_p == pytest.approx(chi2.sf(found.likelihood_ratio, 2))
    assert found.wald_p < 0.05
    for name, share in {"low_end": 0.1, "high_end": 0.9}.items():
        at, step = np.quantile(loans["calls"], share), 1e-4
        slope = np.zeros(bent.shape[1])
        slope[0] = 1
        slope[1:3] = np.squeeze(harrell(np.array([at + step]), knots) - harrell(np.array([at - step]), knots)) / 2e-4
        theirs = curve.t_test(slope)
        assert np.log(found.ends[name].estimate) == pytest.approx(float(np.squeeze(theirs.effect)), rel=1e-5)
        assert found.ends[name].std_error == pytest.approx(float(np.squeeze(theirs.sd)), rel=1e-5)
        assert found.ends[name].p_value == pytest.approx(float(np.squeeze(theirs.pvalue)), rel=1e-3)


def test_a_control_that_only_a_month_of_one_outcome_knew_leaves_with_it(loans):
    last = loans["month"] == 5
    only = np.where(last, np.random.default_rng(1).random(LOANS), 0.1)
    frame = loans.assign(default=loans["default"].where(~last, 0), only=only)
    rest = frame[~last]
    for test in (constant_proportion, link_test):
        level = (0.95,) if test is constant_proportion else ()
        more, less = (
            test(of["default"], of[columns], *named, of["month"])
            for of, columns, named in (
                (frame, ["intercept", "calls", "size", "only"], _named(test, frame, *level)),
                (rest, ["intercept", "calls", "size"], _named(test, rest, *level)),
            )
        )
        for mine, theirs in zip(more[:3], less[:3], strict=True):
            assert mine == (theirs if isinstance(theirs, str) else pytest.approx(theirs, rel=1e-9))


def _named(test, loans, *level):
    """Arguments between design and groups: the two tests take the factor and the clusters the other way round."""
    return ("calls", loans["bank"], *level) if test is constant_proportion else (loans["bank"], "calls")


def test_a_curve_of_what_groups_determine_is_refused(loans):
    frame = loans.assign(calls=loans["month"] * 0.1)
    with pytest.raises(StudyError, match="no variation left inside the groups"):
        constant_proportion(
            frame["default"], frame[["intercept", "calls", "size"]], "calls", frame["bank"], 0.95, frame["month"]
        )


def test_a_handful_of_values_are_categories(loans):
    four = loans.assign(calls=np.minimum(np.floor(loans["calls"] / 2), 3))
    found = constant_proportion(four["default"], four[["intercept", "calls", "size"]], "calls", four["bank"], 0.95)
    assert (found.form, found.degrees, found.ends) == ("categories", 2, {})
    bends = [(four["calls"] == level) * 1.0 for level in (1, 2)]
    curve = fitted(four["default"], np.column_stack([four[["intercept", "calls"]], *bends, four["size"]]), four["bank"])
    wald = curve.wald_test(np.eye(5)[2:4], use_f=False, scalar=True)
    assert found.wald == pytest.approx(float(wald.statistic), rel=1e-6)


def test_where_knots_fall_together_a_square_is_tested(loans):
    heaped = loans.assign(calls=np.where(np.arange(LOANS) % 20 < 19, 0.0, np.round(loans["calls"])))
    found = constant_proportion(heaped["default"], heaped[["intercept", "calls", "size"]], "calls", heaped["bank"], 0.9)
    assert (found.form, found.degrees) == ("quadratic", 1)
    x = np.column_stack([heaped[["intercept", "calls"]], heaped["calls"] ** 2, heaped["size"]])
    curve = fitted(heaped["default"], x, heaped["bank"])
    assert found.wald == pytest.approx(curve.tvalues.iloc[2] ** 2, rel=1e-5)
    at = np.quantile(heaped["calls"], 0.9)
    theirs = curve.t_test(np.array([0, 1, 2 * at, 0]))
    assert np.log(found.ends["high_end"].estimate) == pytest.approx(float(np.squeeze(theirs.effect)), rel=1e-5)
    assert found.ends["high_end"].std_error == pytest.approx(float(np.squeeze(theirs.sd)), rel=1e-5)


def test_no_curve_through_two_values(loans):
    with pytest.raises(StudyError, match="two values"):
        two = loans.assign(calls=(loans["calls"] > 3) * 1.0)
        constant_proportion(two["default"], two[["intercept", "calls", "size"]], "calls", two["bank"], 0.95)
    with pytest.raises(StudyError, match="does not vary"):
        constant_proportion(loans["default"], loans[["intercept", "size"]], "calls", loans["bank"], 0.95)


@pytest.mark.parametrize("absorb", [False, True])
def test_the_link_is_tested_by_a_regression_on_fitted_odds_and_their_square(loans, absorb):
    months = loans["month"] if absorb else None
    found = link_test(loans["default"], loans[["intercept", "calls", "size"]], loans["bank"], "calls", months)
    groups = pd.get_dummies(loans["month"], dtype=float).to_numpy() if absorb else np.ones((LOANS, 1))
    line = fitted(loans["default"], np.column_stack([loans[["calls", "size"]], groups]), loans["bank"])
    odds = line.fittedvalues
    again = fitted(loans["default"], np.column_stack([np.ones(LOANS), odds, odds**2]), loans["bank"])
    assert found.statistic == pytest.approx(again.tvalues.iloc[2], rel=1e-5)
    assert found.p_value == pytest.approx(2 * norm.sf(abs(again.tvalues.iloc[2])), rel=1e-4)
    assert found.rows == LOANS


@pytest.mark.long
def test_the_link_is_rejected_where_it_is_wrong_and_keeps_its_size_where_not():
    """A link that flattens at a half is found; a logistic one is rejected about as often as it should be."""
    rng = np.random.default_rng(3)
    rejected = {True: 0, False: 0}
    for _ in range(200):
        x = rng.normal(size=800)
        frame, clusters = pd.DataFrame({"intercept": 1.0, "x": x}), pd.Series(np.arange(800))
        for right in rejected:
            odds = x if right else np.exp(x) - 1.5
            y = pd.Series((rng.random(800) < 1 / (1 + np.exp(-odds))).astype(int))
            rejected[right] += link_test(y, frame, clusters, "x").p_value < 0.05
    assert 2 <= rejected[True] <= 22
    assert rejected[False] > 150


def test_thirds_keep_ties_together():
    found = thirds(pd.Series([1, 2, 3, 4, 5, 6, 7, 8, 9]))
    assert list(found) == ["middle_third", "top_third"]
    assert list(found["middle_third"]) == [0, 0, 0, 1, 1, 1, 0, 0, 0]
    assert list(found["top_third"]) == [0, 0, 0, 0, 0, 0, 1, 1, 1]
    assert thirds(pd.Series([0.0] * 95 + [1.0] * 5)) is None


def test_small_parts():
    stays, groups = informative(pd.Series([0, 1, 1, 1, 0]), pd.Series(list("aabbc")))
    assert list(stays) == [True, True, False, False, False] and list(groups) == [0, 0]
    with pytest.raises(StudyError, match="no group"):
        informative(pd.Series([1, 1]), None)
    frame = pd.DataFrame({"x": [1.0, 2.0, 3.0], "same": 1.0})
    assert standardised(frame) == pytest.approx(np.array([[-(1.5**0.5)], [0], [1.5**0.5]]))
    assert as_ratio(Effect(0.0, 0.5, -1.0, 1.0, 1.0)) == pytest.approx((1.0, 0.5, np.exp(-1), np.exp(1), 1.0))
