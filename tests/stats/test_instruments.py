import numpy as np
import pandas as pd
import pytest
from linearmodels.iv import IV2SLS
from scipy.stats import norm

from pipeline.runtime.errors import StudyError
from pipeline.stats.instruments import _solve, inside, two_sample, two_stage
from pipeline.stats.regression import linear_probability

ROWS, LENDERS = 3_000, 12


def simulated(strength=1.0, seed=1):
    rng = np.random.default_rng(seed)
    lender = rng.integers(0, LENDERS, ROWS)
    hidden, lot = rng.normal(size=ROWS), rng.integers(0, 2, ROWS)
    takes = (strength * lot + hidden + rng.normal(size=ROWS) > 0.5).astype(float)
    score = rng.normal(size=ROWS) + lender / 6
    outcome = 0.5 * takes - hidden + 0.3 * score + rng.normal(size=LENDERS)[lender] + rng.normal(size=ROWS)
    return pd.DataFrame(
        {
            "outcome": outcome,
            "takes": takes,
            "lot": lot,
            "score": score,
            "lender": lender,
            "branch": lender * 3 + lot % 3,
        }
    ).assign(branch=lambda rows: rows["lender"] * 4 + rng.integers(0, 4, ROWS))


def estimate(loans, clusters="branch", level=0.95):
    return two_stage(
        loans["outcome"].to_numpy(),
        loans["takes"].to_numpy(),
        loans["lot"].to_numpy(),
        groups=loans["lender"],
        controls=loans[["score"]],
        clusters=None if clusters is None else loans[clusters],
        level=level,
    )


@pytest.fixture(scope="module")
def loans():
    return simulated()


@pytest.fixture(scope="module")
def exogenous(loans):
    return pd.concat([loans[["score"]], pd.get_dummies(loans["lender"], prefix="lender", dtype=float)], axis=1)


def test_two_stage_is_that_of_linearmodels(loans, exogenous):
    fit = IV2SLS(loans["outcome"], exogenous, loans["takes"], loans["lot"])
    found = estimate(loans)
    clustered = fit.fit(cov_type="clustered", clusters=loans["branch"], debiased=True)
    assert found.effect.estimate == pytest.approx(clustered.params["takes"], rel=1e-8)
    assert found.effect.std_error == pytest.approx(clustered.std_errors["takes"], rel=1e-8)
    robust = fit.fit(cov_type="robust", debiased=True)
    assert estimate(loans, None).effect.std_error == pytest.approx(robust.std_errors["takes"], rel=1e-3)


def test_first_stage_and_reduced_form_are_regressions_on_the_instrument(loans, exogenous):
    found = estimate(loans)
    for part, column in ((found.first_stage, "takes"), (found.reduced_form, "outcome")):
        fit = IV2SLS(loans[column], exogenous.assign(lot=loans["lot"]), None, None).fit(
            cov_type="clustered", clusters=loans["branch"], debiased=True
        )
        assert part.estimate == pytest.approx(fit.params["lot"], rel=1e-8)
        assert part.std_error == pytest.approx(fit.std_errors["lot"], rel=1e-8)
    assert found.first_stage_f == pytest.approx((found.first_stage.estimate / found.first_stage.std_error) ** 2)
    assert found.effect.estimate == pytest.approx(found.reduced_form.estimate / found.first_stage.estimate)


def test_without_controls_it_is_the_wald_ratio(loans):
    one = loans.assign(lender=0)
    found = two_stage(
        one["outcome"].to_numpy(),
        one["takes"].to_numpy(),
        one["lot"].to_numpy(),
        groups=one["lender"],
        controls=pd.DataFrame(index=one.index),
        clusters=None,
        level=0.95,
    )
    means = loans.groupby("lot")[["outcome", "takes"]].mean().diff().loc[1]
    assert found.effect.estimate == pytest.approx(means["outcome"] / means["takes"])


def test_a_known_effect_is_found_where_least_squares_errs(loans, exogenous):
    found = estimate(loans).effect
    assert abs(found.estimate - 0.5) < 3 * found.std_error
    naive = IV2SLS(loans["outcome"], exogenous.assign(takes=loans["takes"]), None, None).fit().params["takes"]
    assert naive < 0


@pytest.mark.parametrize("level", [0.9, 0.95])
def test_anderson_rubin_by_inversion(loans, level):
    """Every effect inside the interval is one that the test of the instrument in y - b d does not reject."""
    low, high = estimate(loans, level=level).anderson_rubin
    bound = norm.ppf(0.5 + level / 2)
    for b, holds in ((low - 1e-4, False), (low + 1e-4, True), (high - 1e-4, True), (high + 1e-4, False)):
        shifted = loans.assign(outcome=loans["outcome"] - b * loans["takes"])
        reduced = estimate(shifted).reduced_form
        assert (abs(reduced.estimate / reduced.std_error) <= bound) == holds
    grid = np.linspace(low - 1, high + 1, 41)
    kept = []
    for b in grid:
        reduced = estimate(loans.assign(outcome=loans["outcome"] - b * loans["takes"])).reduced_form
        kept.append(abs(reduced.estimate / reduced.std_error) <= bound)
    assert (np.array(kept) == ((grid >= low) & (grid <= high))).all()


def test_a_weak_instrument_gives_an_interval_without_end():
    found = estimate(simulated(strength=0.0, seed=4))
    assert found.first_stage_f < 3
    assert found.anderson_rubin == (-np.inf, np.inf)
    assert _solve(1.0, 0.5, 0.5, 1.0, 0.0, 3.84) == (-np.inf, np.inf)


def test_two_samples_that_are_one_give_two_stage(loans):
    found = estimate(loans)
    both = two_sample(found.reduced_form, found.first_stage, 0.95)
    assert both.estimate == pytest.approx(found.effect.estimate)
    first, reduced = found.first_stage, found.reduced_form
    variance = reduced.std_error**2 / first.estimate**2
    variance += (reduced.estimate * first.std_error / first.estimate**2) ** 2
    assert both.std_error == pytest.approx(variance**0.5)


def test_an_instrument_that_does_not_vary_is_an_error(loans):
    with pytest.raises(StudyError, match="instrument"):
        estimate(loans.assign(lot=loans["lender"]))


def test_inside_groups_is_the_regression_with_an_indicator_for_each():
    rng = np.random.default_rng(4)
    group = pd.Series(rng.integers(0, 12, 900)).map("lender {}".format)
    controls = pd.DataFrame(rng.normal(size=(900, 2)), columns=["a", "b"])
    factor = rng.normal(size=900) + 0.3 * controls["a"].to_numpy() + group.str[-1].astype(int).to_numpy() / 5
    outcome = (rng.random(900) < 0.3 + 0.05 * np.tanh(factor)).astype(float)
    found = inside(outcome, factor, groups=group, controls=controls, level=0.9)
    dummies = pd.get_dummies(group, dtype=float).iloc[:, 1:]
    design = pd.concat([controls.assign(intercept=1.0, factor=factor), dummies], axis=1)
    plain = linear_probability(pd.Series(outcome), design, "factor", group, 0.9)
    assert found == pytest.approx(plain, rel=1e-9)
    with pytest.raises(StudyError, match="vary inside"):
        inside(outcome, group.str[-1].astype(float).to_numpy(), groups=group, controls=controls, level=0.9)


@pytest.mark.parametrize("unit", [1e-9, 1.0, 1e9])
def test_inside_groups_the_unit_of_the_factor_does_not_decide_whether_it_varies(unit):
    rng = np.random.default_rng(5)
    group = pd.Series(rng.integers(0, 12, 900))
    controls = pd.DataFrame(rng.normal(size=(900, 2)), columns=["a", "b"])
    factor = rng.normal(size=900) + group.to_numpy()
    outcome = 0.3 * factor + rng.normal(size=900)

    def found(values):
        return inside(outcome, unit * values, groups=group, controls=controls, level=0.9)

    assert unit * found(factor).estimate == pytest.approx(
        inside(outcome, factor, groups=group, controls=controls, level=0.9).estimate, rel=1e-9
    )
    for nothing in (np.zeros(900), np.ones(900), group / 3, group / 3 + controls @ [0.1, 0.7]):
        with pytest.raises(StudyError, match="vary inside"):
            found(np.asarray(nothing))
