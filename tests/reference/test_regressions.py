"""Parts of regressions beside statsmodels, linearmodels, scikit-learn, patsy and pandas, on loans made up here."""

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
import statsmodels.formula.api as smf
from scipy import stats

from pipeline.stats import (
    absorbed,
    composition,
    cross_fitting,
    design,
    feedback,
    histories,
    inference,
    instruments,
    marginal_structural,
    matched_effects,
    month_regression,
    orthogonal,
    policy,
    products,
    randomisation,
    weighting,
)
from pipeline.stats import difference_in_differences as did

LEVEL = 0.95


def made(seed, number=400, lenders=8):
    """Loans of several lenders: a treatment, two covariates, a 0/1 outcome, a number and a lender."""
    rng = np.random.default_rng(seed)
    lender = rng.integers(0, lenders, number)
    x, z = rng.normal(size=(2, number))
    treated = (rng.random(number) < 1 / (1 + np.exp(-0.6 * x))).astype(int)
    y = (rng.random(number) < 1 / (1 + np.exp(1 - 0.5 * x + 0.4 * treated - 0.2 * lender / lenders))).astype(int)
    amount = x - z + 0.5 * treated + rng.normal(size=number)
    weight = rng.uniform(0.5, 2, number)
    period = rng.integers(0, 5, number)
    columns = {"x": x, "z": z, "treated": treated, "y": y, "amount": amount, "weight": weight}
    return pd.DataFrame(columns | {"lender": lender, "period": period})


def dummies(*labels):
    """Indicators of every first label and of all but the first of the others."""
    parts = [np.eye(int(one.max()) + 1)[one][:, min(place, 1) :] for place, one in enumerate(labels)]
    return np.hstack(parts)


@pytest.mark.parametrize("kinds", [["lender"], ["lender", "period"]])
def test_within_is_what_indicators_leave(kinds):
    loans = made(1)
    groups, weights = [loans[kind].to_numpy() for kind in kinds], loans["weight"].to_numpy()
    found = absorbed.within(loans[["x", "amount"]].to_numpy(), groups, weights)
    for place, name in enumerate(("x", "amount")):
        assert found[:, place] == pytest.approx(sm.WLS(loans[name], dummies(*groups), weights).fit().resid, abs=1e-10)


def test_residuals_are_those_of_least_squares_with_indicators():
    loans = made(2)
    found = instruments.residuals(
        loans[["y", "x"]].to_numpy(dtype=float), loans["lender"].to_numpy(), loans[["z"]].to_numpy()
    )
    exog = np.column_stack([dummies(loans["lender"].to_numpy()), loans["z"]])
    for place, name in enumerate(("y", "x")):
        assert found[:, place] == pytest.approx(sm.OLS(loans[name], exog).fit().resid, abs=1e-10)


def test_inference_is_that_of_scipy_pandas_and_statsmodels():
    loans = made(3)
    found = inference.effect(0.7, 0.3, 0.9, degrees=11)
    assert (found.ci_low, found.ci_high) == pytest.approx(stats.t.interval(0.9, 11, 0.7, 0.3))
    assert found.p_value == pytest.approx(2 * stats.t.cdf(-0.7 / 0.3, 11))
    assert inference.effect(0.7, 0.3, 0.9).p_value == pytest.approx(2 * stats.norm.cdf(-0.7 / 0.3))
    moved = inference.scaled(found, 100)
    assert moved[:4] == pytest.approx([100 * value for value in found[:4]]) and moved.p_value == found.p_value

    groups = loans["lender"].to_numpy()
    values = loans[["x", "z"]].to_numpy()
    sums = loans.groupby("lender")[["x", "z"]].sum().to_numpy()
    order = np.argsort(groups, kind="stable")
    assert inference.group_sums(values, groups) == pytest.approx(sums)
    assert inference.group_sums(values[order], groups[order]) == pytest.approx(sums)
    assert inference.group_sums(values[:, 0], groups) == pytest.approx(sums[:, 0])
    assert inference.adding(groups) @ values == pytest.approx(sums)
    times = loans["weight"].to_numpy()
    assert inference.adding(groups, times) @ values == pytest.approx(
        loans.mul(times, axis=0).assign(lender=groups).groupby("lender")[["x", "z"]].sum().to_numpy()
    )
    assert inference.cluster_codes(np.array(["b", "a", "b"])).tolist() == [1, 0, 1]

    fit = sm.OLS(loans["amount"], sm.add_constant(loans[["x", "z"]]))
    plain, right = (
        fit.fit(cov_type="cluster", cov_kwds={"groups": groups, "use_correction": use}).bse["x"]
        for use in (False, True)
    )
    assert inference.correction(8, 400, 3) == pytest.approx((right / plain) ** 2)


def test_a_design_is_patsys():
    from patsy import dmatrix

    loans = made(4).assign(size=lambda frame: np.exp(frame["x"]), place=lambda frame: frame["lender"].map("l{}".format))
    found = design.design_matrix(loans, ["z", "log(size)", "place"]).matrix
    theirs = dmatrix("z + np.log(size) + C(place)", loans)
    assert found.to_numpy() == pytest.approx(np.asarray(theirs)[:, [0, *range(8, 10), *range(1, 8)]])
    assert design.term_values(loans, ["log(size)"]).iloc[:, 0].to_numpy() == pytest.approx(loans["x"].to_numpy())
    scored = design.score_columns(loans, ["z", "log(size)", "place"]).to_numpy()
    assert scored == pytest.approx(np.asarray(theirs)[:, [*range(8, 10), *range(1, 8)]])
    assert design.score_columns(loans, ["z"]).equals(loans[["z"]])


def test_products_are_those_of_numpy():
    loans = made(5)
    x, weights = loans[["x", "z", "amount"]].to_numpy(), loans["weight"].to_numpy()
    assert products.weighted_products(x, weights) == pytest.approx(x.T @ np.diag(weights) @ x)


def test_newtons_steps_lead_to_the_maximum_of_statsmodels():
    """At the maximum the score is nought, and the information is what statsmodels inverts."""
    loans = made(6).sort_values("lender", ignore_index=True)
    group, ones = loans["lender"].to_numpy(), np.ones(len(loans))
    exog = np.column_stack([loans[["x", "z"]], dummies(group)])
    fit = sm.GLM(loans["y"], exog, family=sm.families.Binomial()).fit(tol=1e-14)
    found = products.newton_sums(
        loans[["x", "z"]].to_numpy().T.copy(),
        loans["y"].to_numpy(dtype=float),
        ones,
        group,
        fit.params.to_numpy()[2:],
        fit.params.to_numpy()[:2],
        "logit",
        30.0,
    )
    assert found.score == pytest.approx(np.zeros(2), abs=1e-8)
    assert found.fitted == pytest.approx(fit.fittedvalues.to_numpy())
    sizes = np.bincount(group, found.density)
    inner = found.products - found.by_group.T @ (found.by_group / sizes[:, None])
    assert np.linalg.inv(inner) == pytest.approx(fit.cov_params().to_numpy()[:2, :2], rel=1e-7)
    assert found.rest == pytest.approx((loans["y"] - fit.fittedvalues).to_numpy())


def test_the_score_test_of_a_column_is_that_of_the_regression_without_it():
    """Cluster-robust score test from statsmodels' restricted fit and information, with the correction of its k."""
    loans = made(7)
    lender = loans["lender"].to_numpy()
    fit = month_regression.month_regression(loans["y"].to_numpy(), loans[["x"]], lender)
    found = fit.adds(loans["z"].to_numpy(), loans["period"].to_numpy())
    exog = np.column_stack([loans["x"], dummies(lender)])
    restricted = sm.GLM(loans["y"], exog, family=sm.families.Binomial()).fit(tol=1e-14)
    p = restricted.fittedvalues.to_numpy()
    weights = p * (1 - p)
    left = loans["z"].to_numpy() - exog @ sm.WLS(loans["z"], exog, weights).fit().params.to_numpy()
    sums = np.bincount(loans["period"], left * (loans["y"] - p))
    parameters = exog.shape[1]
    variance = 5 / 4 * (len(loans) - 1) / (len(loans) - parameters) * (sums**2).sum()
    assert found.statistic == pytest.approx(sums.sum() ** 2 / variance, rel=1e-5)
    assert found.p_value == pytest.approx(stats.chi2.sf(found.statistic, 1))
    assert month_regression.log_odds(p) == pytest.approx(stats.logistic.ppf(p))


def test_permuted_adoption_has_the_score_of_the_model_without_it():
    rng = np.random.default_rng(8)
    lender = np.repeat(np.arange(10), 60)
    month = np.tile(np.arange(60) // 5, 10)
    adoption = np.where(np.arange(10) < 6, np.array([3, 5, 7, 4, 6, 8, 0, 0, 0, 0]), 99)[lender]
    events = (rng.random(600) < 0.15 + 0.1 * (month < adoption)).astype(int)
    text = np.array([f"2004-{one + 1:02d}" for one in range(12)])
    cohort = pd.DataFrame(
        {
            "institution_id": lender.astype(str),
            "origination_month": text[month],
            "origination_quarter": [f"2004q{one // 3 + 1}" for one in month],
            "adoption_month": np.where(adoption < 99, text[adoption % 12], None),
            "institution_type": "bank",
            "default": events,
        }
    )
    found = did.permuted_adoption(cohort, "default", 49, 3)
    exog = dummies(lender, month // 3)
    restricted = sm.GLM(events, exog, family=sm.families.Poisson()).fit(tol=1e-14)
    adopted = (month >= adoption).astype(float)
    left = adopted - exog @ sm.WLS(adopted, exog, restricted.fittedvalues).fit().params
    sums = np.bincount(lender, left * (events - restricted.fittedvalues))
    assert found.statistic == pytest.approx(sums.sum() / np.sqrt((sums**2).sum()), rel=1e-6)
    # A p-value of fifty permutations, the real one among them, is a whole number of fiftieths.
    assert found.p_value * 50 == pytest.approx(round(found.p_value * 50)) and 1 / 50 <= found.p_value <= 1


def test_poisson_with_exposure_is_glm():
    loans = made(9)
    exposure, exog = loans["weight"].to_numpy(), dummies(loans["lender"].to_numpy(), loans["period"].to_numpy())
    events = np.random.default_rng(1).poisson(exposure * np.exp(0.3 * loans["lender"] / 8))
    found = did.fit_poisson(events.astype(float), exposure, exog)
    theirs = sm.GLM(events, exog, family=sm.families.Poisson(), exposure=exposure).fit(tol=1e-14)
    assert found.coefficients == pytest.approx(theirs.params, rel=1e-7)
    assert found.inverse_information == pytest.approx(theirs.cov_params(), rel=1e-7)
    assert found.mean == pytest.approx(theirs.fittedvalues, rel=1e-8)
    table = loans.assign(institution_id=loans["lender"].astype(str), origination_quarter=loans["period"].astype(str))
    assert did.two_way_dummies(table) == pytest.approx(exog)


def test_cells_have_the_log_rates_of_glm():
    loans = made(10, 600)
    lender, period = loans["lender"].to_numpy(), loans["period"].to_numpy()
    cells = composition.Cells.of(loans[["treated"]].to_numpy(dtype=float), lender, period)
    found = cells.log_rate(cells.sums(loans["y"].to_numpy()), cells.sums(np.ones(len(loans))))
    exog = np.column_stack([loans["treated"], dummies(lender, period)])
    theirs = sm.GLM(loans["y"], exog, family=sm.families.Poisson()).fit(tol=1e-14)
    assert found == pytest.approx(theirs.params.to_numpy()[:1], rel=1e-6)


def test_composition_is_weighted_by_the_odds_of_a_logit():
    """The weights, the total, its two parts and the drift, each from statsmodels' logit and Poisson regressions."""
    loans = made(11, 800)
    lender, after = loans["lender"].to_numpy(), loans["treated"].to_numpy()
    y, period = loans["y"].to_numpy(), loans["period"].to_numpy()
    exog = np.column_stack([loans[["x", "z"]], dummies(lender)])
    logit = sm.GLM(after, exog, family=sm.families.Binomial()).fit(tol=1e-14)
    odds = np.exp(-loans[["x", "z"]].to_numpy() @ logit.params[:2])
    late = after == 1
    weights = np.ones(len(loans))
    weights[late] = odds[late] / pd.Series(odds[late]).groupby(lender[late]).transform("mean").to_numpy()
    found, _ = composition.composition_weights(after, loans[["x", "z"]], lender)
    assert found == pytest.approx(weights, rel=1e-6)

    effects = np.column_stack([after, dummies(lender, period)])
    slopes = [
        sm.GLM(y, effects, family=sm.families.Poisson(), freq_weights=one).fit(tol=1e-14).params[0]
        for one in (np.ones(len(loans)), weights)
    ]
    split = composition.by_composition(y, after, loans[["x", "z"]], lender, period, LEVEL)
    assert split.total.estimate == pytest.approx(slopes[0], rel=1e-6)
    assert split.behaviour.estimate == pytest.approx(slopes[1], rel=1e-6)
    assert split.screening.estimate == pytest.approx(slopes[0] - slopes[1], rel=1e-5)
    left_out = [
        sm.GLM(
            y[kept],
            np.column_stack([after[kept], dummies(np.unique(lender[kept], return_inverse=True)[1], period[kept])]),
            family=sm.families.Poisson(),
        )
        .fit(tol=1e-14)
        .params[0]
        for kept in (lender != one for one in range(8))
    ]
    error = np.sqrt(7 / 8 * ((np.array(left_out) - slopes[0]) ** 2).sum())
    assert split.total.std_error == pytest.approx(error, rel=1e-5)
    drift = composition.drift(y, after, loans[["x", "z"]], lender, LEVEL)
    assert drift.estimate == pytest.approx(
        np.log(y[late].mean() / np.average(y[late], weights=weights[late])), rel=1e-5
    )


def test_screening_by_lot_is_the_line_through_two_arms():
    loans = made(12, 1500)
    rng = np.random.default_rng(2)
    lender, adopted = loans["lender"].to_numpy(), loans["treated"].to_numpy()
    y, period = loans["y"].to_numpy(), loans["period"].to_numpy()
    drawn = rng.integers(0, 2, len(loans)).astype(float)
    enrolled = (rng.random(len(loans)) < 0.2 + 0.5 * drawn).astype(int)
    found = composition.by_lot(y, adopted, drawn, enrolled, lender, period, LEVEL)
    exog = np.column_stack([adopted * drawn, adopted * (1 - drawn), dummies(lender, period)])
    winners, losers = sm.GLM(y, exog, family=sm.families.Poisson()).fit(tol=1e-14).params[:2]
    high, low = (enrolled[(adopted == 1) & (drawn == one)].mean() for one in (1, 0))
    line = np.polynomial.Polynomial.fit([low, high], [losers, winners], 1)
    assert found.screening.estimate == pytest.approx(line(0.0), rel=1e-6)


def test_cross_lags_are_those_of_linearmodels():
    from linearmodels.panel import PanelOLS

    rng = np.random.default_rng(13)
    panel = pd.DataFrame(
        {"lender": np.repeat(np.arange(12), 10), "quarter": np.tile(np.arange(10), 12)}
        | {name: rng.normal(size=120) for name in ("calls", "default")}
    )
    found = feedback.cross_lags(panel, LEVEL)
    lagged = panel.groupby("lender")[["calls", "default"]].shift(1).add_suffix("_before")
    both = panel.join(lagged).dropna().set_index(["lender", "quarter"])
    for cause, outcome in (("calls", "default"), ("default", "calls")):
        theirs = PanelOLS(
            both[outcome], both[["calls_before", "default_before"]], entity_effects=True, time_effects=True
        ).fit()
        assert found[cause, outcome].estimate == pytest.approx(theirs.params[f"{cause}_before"], rel=1e-9)
        exog = np.column_stack(
            [both[["calls_before", "default_before"]], dummies(*(both.index.codes[place] for place in (0, 1)))]
        )
        dense = sm.OLS(both[outcome].to_numpy(), exog).fit(
            cov_type="cluster", cov_kwds={"groups": both.index.codes[0], "use_correction": True}
        )
        assert found[cause, outcome].std_error == pytest.approx(dense.bse[["calls", "default"].index(cause)], rel=1e-7)


def test_months_before_are_those_of_pandas():
    rng = np.random.default_rng(14)
    months = pd.DataFrame({"loan": np.repeat(np.arange(20), 9), "month": np.tile(np.arange(1, 10), 20)})
    months = months.assign(calls=rng.poisson(1.0, 180).astype(float))
    loan, month, calls = (months[name].to_numpy() for name in ("loan", "month", "calls"))
    by_loan = months.groupby("loan")["calls"]
    for back in (1, 2, -1):
        np.testing.assert_array_equal(histories.shifted(calls, loan, month, back), by_loan.shift(back).to_numpy())
    rolled = by_loan.transform(lambda one: one.shift(1).rolling(3).sum()).to_numpy()
    np.testing.assert_allclose(histories.window_sum(calls, loan, month, 3), rolled)


def test_weights_of_repeated_counts_are_ratios_of_poissons():
    rng = np.random.default_rng(15)
    loan, month = np.repeat(np.arange(30), 6), np.tile(np.arange(6), 30)
    start, history = rng.uniform(0.5, 2, (2, 180))
    count = rng.poisson(history)
    found = marginal_structural.stabilised_weights(count, start, history, loan, month, 2)
    ratio = pd.Series(stats.poisson.pmf(count, start) / stats.poisson.pmf(count, history)).groupby(loan)
    np.testing.assert_allclose(found, (ratio.shift(1) * ratio.shift(2)).to_numpy())
    known = found[np.isfinite(found)]
    low, high = np.quantile(known, [0.05, 0.95])
    assert marginal_structural.truncated(known, 0.05) == pytest.approx(
        np.where(known < low, low, np.minimum(known, high))
    )
    fit = sm.GLM(count, np.ones(180), family=sm.families.Poisson()).fit()
    expected = fit.pearson_chi2 / 180
    assert marginal_structural.dispersion(count, fit.fittedvalues) == pytest.approx(expected)


@pytest.mark.parametrize("method", ["inverse_probability", "overlap", "entropy_balancing"])
def test_the_error_of_weights_is_the_sandwich_of_all_their_equations(method):
    """Score, weights and means as one set of estimating equations, differentiated numerically."""
    from scipy.optimize import approx_fprime, root

    loans = made(16, 300)
    arm, y = loans["treated"].to_numpy(dtype=float), loans["amount"].to_numpy()
    x = loans[["x", "z"]].to_numpy()
    design_of = np.column_stack([np.ones(len(x)), x])

    def equations(theta):
        if method == "entropy_balancing":
            slopes, target = theta[:2], theta[2:4]
            weight = np.where(arm == 1, 1.0, np.exp((x - target) @ slopes))
            of_weights = np.column_stack([((1 - arm) * weight)[:, None] * (x - target), arm[:, None] * (x - target)])
        else:
            p = 1 / (1 + np.exp(-design_of @ theta[:3]))
            of_weights = design_of * (arm - p)[:, None]
            weight = np.where(arm == 1, 1 - p, p) if method == "overlap" else np.where(arm == 1, 1.0, p / (1 - p))
        one, other = theta[-2:]
        return np.column_stack([of_weights, arm * weight * (y - one), (1 - arm) * weight * (y - other)])

    size = 6 if method == "entropy_balancing" else 5
    start = np.zeros(size)
    if method == "entropy_balancing":
        start[2:4] = x[arm == 1].mean(axis=0)
    theta = root(lambda at: equations(at).mean(axis=0), start, tol=1e-12).x
    bread = np.linalg.inv(
        np.array([approx_fprime(theta, lambda at, k=k: equations(at)[:, k].mean(), 1e-7) for k in range(size)])
    )
    parts = equations(theta) @ bread.T / len(y)
    moved = parts[:, -2] - parts[:, -1]
    found = matched_effects.weighting_effect(y, loans["treated"].to_numpy(), x, LEVEL, method=method)
    assert found.estimate == pytest.approx(theta[-2] - theta[-1], rel=1e-8)
    # Behind the weights stand three coefficients of the score, or two moments; and there are two means.
    k = 2 + (2 if method == "entropy_balancing" else 3)
    assert found.std_error == pytest.approx(np.sqrt(len(y) / (len(y) - k) * (moved**2).sum()), rel=1e-4)


def test_entropy_balancing_minimises_divergence_from_even_weights():
    """By scipy's minimiser on the primal problem: weights as even as possible that meet the treated loans' means."""
    from scipy.optimize import minimize

    loans = made(17, 60)
    x, arm = loans[["x", "z"]].to_numpy(), loans["treated"].to_numpy() == 1
    found = weighting.entropy_balance(x, loans["treated"].to_numpy())
    target, inner = x[arm].mean(axis=0), x[~arm]
    moments = weighting.balancing_moments(x, arm)
    assert moments == pytest.approx((x - target) / x.std(axis=0))
    even = np.full(len(inner), 1 / len(inner))
    constraints = [
        {"type": "eq", "fun": lambda w: w.sum() - 1, "jac": lambda w: np.ones(len(w))},
        {"type": "eq", "fun": lambda w: w @ inner - target, "jac": lambda w: inner.T},
    ]
    theirs = minimize(
        lambda w: (w * np.log(w / even)).sum(),
        even,
        jac=lambda w: np.log(w / even) + 1,
        bounds=[(1e-12, 1)] * len(inner),
        constraints=constraints,
        method="SLSQP",
        options={"ftol": 1e-14, "maxiter": 500},
    )
    assert found[~arm] / arm.sum() == pytest.approx(theirs.x, abs=2e-5)


def test_weighted_rates_are_wilsons_of_the_effective_size():
    from statsmodels.stats.proportion import proportion_confint

    loans = made(18)
    found = weighting.weighted_rates(loans["y"], loans["lender"], loans["weight"], 0.9)
    for lender, inside in loans.groupby("lender"):
        size = weighting.effective_size(inside["weight"].to_numpy())
        rate = np.average(inside["y"], weights=inside["weight"])
        row = found.loc[lender]
        assert row["rate"] == pytest.approx(rate)
        assert (row["ci_low"], row["ci_high"]) == pytest.approx(proportion_confint(rate * size, size, 0.1, "wilson"))
        assert (row["n"], row["defaults"]) == (len(inside), inside["y"].sum())


def test_cross_fitting_is_scikit_learns_ridge_on_the_other_folds():
    """A ridge of one on the scale of all loans, whichever fold comes first."""
    from sklearn.linear_model import LogisticRegression

    loans = made(19)
    x, y, arm = loans[["x", "z"]].to_numpy(), loans["y"].to_numpy(), loans["treated"].to_numpy()
    fold = cross_fitting.assign_folds(cross_fitting.hashes(np.arange(400), "salt"), 2 * arm + y, 4)
    found = cross_fitting.cross_fit("logistic", x, arm, y, fold)
    standard = (x - x.mean(axis=0)) / x.std(axis=0)

    def theirs(rows, of):
        model = LogisticRegression(C=1.0, solver="newton-cholesky", tol=1e-12).fit(standard[rows], of[rows])
        return model.predict_proba(standard)[:, 1]

    for number in range(4):
        inside = fold == number
        known = np.flatnonzero(~inside)
        assert found.score[inside] == pytest.approx(theirs(known, arm)[inside], rel=1e-6)
        assert found.untreated[inside] == pytest.approx(theirs(known[arm[known] == 0], y)[inside], rel=1e-6)
    turned = cross_fitting.cross_fit("logistic", x, arm, y, 3 - fold)
    assert turned.score == pytest.approx(found.score, rel=1e-9)
    fitted = cross_fitting.penalised_logit(x, y)
    assert isinstance(fitted, cross_fitting.Logistic)
    assert fitted(x) == pytest.approx(theirs(np.arange(400), y), rel=1e-6)


def test_names_are_hashed_by_blake2b_and_assigned_evenly():
    from hashlib import blake2b

    found = cross_fitting.hashes(np.array(["a", "b"]), "salt")
    theirs = [int.from_bytes(blake2b(name, digest_size=8, key=b"salt").digest(), "big") for name in (b"a", b"b")]
    assert found.tolist() == theirs
    fold = cross_fitting.assign_folds(cross_fitting.hashes(np.arange(90), "salt"), np.arange(90) % 3, 5)
    counts = pd.crosstab(np.arange(90) % 3, fold).to_numpy()
    assert counts.min() == counts.max() == 6


def test_boosted_trees_are_scikit_learns():
    from sklearn.ensemble import HistGradientBoostingClassifier

    loans = made(20)
    x, y = loans[["x", "z"]].to_numpy(), loans["y"].to_numpy()
    with cross_fitting.one_thread():
        found = cross_fitting.boosted(x, y, loans["weight"].to_numpy(), seed=3)(x)
        theirs = HistGradientBoostingClassifier(
            learning_rate=0.2, max_iter=30, max_leaf_nodes=8, min_samples_leaf=40, early_stopping=False, random_state=3
        ).fit(x, y, sample_weight=loans["weight"])
        assert found == pytest.approx(theirs.predict_proba(x)[:, 1])


def test_the_effect_on_the_treated_by_its_algebra():
    """The doubly robust score of Chernozhukov et al. (2018, section 5.1) with weights scaled to one, loan by loan."""
    loans = made(21)
    arm, y = loans["treated"].to_numpy(), loans["y"].to_numpy()
    p, g = 1 / (1 + np.exp(-0.5 * loans["x"].to_numpy())), np.clip(0.3 + 0.1 * loans["x"].to_numpy(), 0.02, 0.9)
    found = orthogonal.effect_on_treated(y, arm, cross_fitting.Nuisances(p, g), loans["lender"].to_numpy(), LEVEL)
    odds = p / (1 - p)
    without = g[arm == 1].mean() + np.average((y - g)[arm == 0], weights=odds[arm == 0])
    assert found.difference.estimate == pytest.approx(y[arm == 1].mean() - without)
    assert found.log_ratio.estimate == pytest.approx(np.log(y[arm == 1].mean() / without))

    def estimate(weight):
        """The same with each lender's loans counted some times: the influence is the derivative by these times."""
        one = weight * arm
        other = weight * (1 - arm) * odds
        return np.average(y - g, weights=one) - np.average(y - g, weights=other)

    lenders = loans["lender"].to_numpy()
    moved = [(estimate(1 + 1e-6 * (lenders == one)) - estimate(1 - 1e-6 * (lenders == one))) / 2e-6 for one in range(8)]
    assert found.difference.std_error == pytest.approx(np.sqrt(8 / 7 * np.square(moved).sum()), rel=1e-5)
    balanced = orthogonal.balancing(arm, p, 0.6)
    assert balanced.kept.tolist() == (p <= 0.6).tolist()
    assert balanced.weight == pytest.approx(np.where(p > 0.6, 0, np.where(arm == 1, 1, odds)))


def test_the_median_over_repetitions_by_hand():
    """Chernozhukov et al. (2018, definition 3.3) on three repetitions."""
    three = [inference.effect(value, error, LEVEL) for value, error in ((1.0, 0.3), (1.4, 0.5), (1.1, 0.2))]
    found = orthogonal.median_of(three, LEVEL)
    assert found.estimate == 1.1
    assert found.std_error**2 == pytest.approx(np.median([0.09 + 0.01, 0.25 + 0.09, 0.04]))


def test_the_lottery_is_walds_ratio_where_models_say_nothing():
    """With models that expect the same of all loans it is two-stage least squares with the lot as instrument."""
    from linearmodels.iv import IV2SLS

    loans = made(22)
    rng = np.random.default_rng(5)
    lot = rng.integers(0, 2, 400)
    treated = np.where(rng.random(400) < 0.4, lot, loans["treated"])
    event = loans["y"].to_numpy()
    flat = policy.Learned(*(np.full(400, value) for value in (0.5, 0.2, 0.2, 0.0)))
    found = policy.by_lot(lot, treated, event, flat)
    theirs = IV2SLS(event, np.ones(400), treated, lot).fit()
    assert found.event.sum() / found.treated.sum() == pytest.approx(-theirs.params["endog"])


def test_what_is_learned_of_each_half_is_scikit_learns():
    from sklearn.linear_model import LogisticRegression

    loans = made(23)
    x, arm, event = loans[["x", "z"]].to_numpy(), loans["treated"].to_numpy(), loans["y"].to_numpy()
    part = policy.halves(400, [7])
    found = policy.learn(x, arm, event, part)
    for half in (0, 1):
        rows = {
            "propensity": part != half,
            "untreated": (part != half) & (arm == 0),
            "treated": (part != half) & (arm == 1),
        }
        for name, fit in rows.items():
            centre, spread = x[fit].mean(axis=0), x[fit].std(axis=0)
            of = arm if name == "propensity" else event
            model = LogisticRegression(tol=1e-10).fit((x[fit] - centre) / spread, of[fit])
            share = model.predict_proba((x[part == half] - centre) / spread)[:, 1]
            assert getattr(found, name)[part == half] == pytest.approx(share, abs=2e-5)
    without = np.average(found.untreated + (1 - arm) * (event - found.untreated) / (1 - found.propensity))
    with_it = np.average(found.treated + arm * (event - found.treated) / found.propensity)
    assert policy.untreated_scores(arm, event, found).mean() == pytest.approx(without)
    assert policy.avoided(arm, event, found).mean() == pytest.approx(without - with_it)


def test_studentised_statistics_are_those_of_statsmodels():
    loans = made(24)
    controls = np.column_stack([np.ones(400), loans["x"]])
    assigned = np.random.default_rng(1).integers(0, 2, (400, 3)).astype(float)
    regress = randomisation.Studentised(
        loans["amount"].to_numpy(), controls, loans["lender"], loans["weight"].to_numpy()
    )
    slopes, errors = regress.coefficients(assigned)
    for place in range(3):
        fit = sm.WLS(loans["amount"], np.column_stack([controls, assigned[:, place]]), loans["weight"]).fit(
            cov_type="cluster", cov_kwds={"groups": loans["lender"], "use_correction": True}
        )
        assert (slopes[place], errors[place]) == pytest.approx((fit.params.iloc[-1], fit.bse.iloc[-1]))
    assert regress(assigned) == pytest.approx(slopes / errors)


@pytest.mark.parametrize("factor", ["treated", "x"])
@pytest.mark.parametrize("clusters", ["lender", "period"])
def test_absorbed_marginal_effects_are_those_of_indicators_in_and_across_clusters(factor, clusters):
    """By statsmodels with an indicator for each lender; periods cross lenders, and so do errors clustered by them."""
    loans = made(25)
    loans = loans.assign(treated=loans["treated"].astype(float))
    fit = smf.logit("y ~ treated + x + z + C(lender)", loans).fit(
        disp=0, tol=1e-12, cov_type="cluster", cov_kwds={"groups": loans[clusters]}
    )
    found = absorbed.absorbed_logit(
        loans["y"], loans[["treated", "x", "z"]], factor, loans["lender"], loans[clusters], LEVEL, smallest=1
    ).effects[factor]
    margins = fit.get_margeff(dummy=factor == "treated").summary_frame().loc[factor]
    assert found.average_marginal_effect.estimate == pytest.approx(margins["dy/dx"], rel=1e-7)
    assert found.average_marginal_effect.std_error == pytest.approx(margins["Std. Err."], rel=1e-6)


def test_an_outcome_less_a_multiple_of_another_is_that_of_statsmodels():
    loans = made(26)
    controls = np.column_stack([np.ones(400), loans["x"]])
    assigned = np.random.default_rng(2).integers(0, 2, 400).astype(float)
    both = loans[["amount", "z"]].to_numpy()
    slopes, variances = randomisation.Studentised(both, controls, loans["lender"]).shifted(assigned[:, None])
    fit = sm.OLS(both @ [1, -0.7], np.column_stack([controls, assigned])).fit(
        cov_type="cluster", cov_kwds={"groups": loans["lender"], "use_correction": True}
    )
    assert slopes[0, 0] - 0.7 * slopes[1, 0] == pytest.approx(fit.params[-1])
    assert variances[0, 0] - 1.4 * variances[1, 0] + 0.49 * variances[2, 0] == pytest.approx(fit.bse[-1] ** 2)


def test_what_nothing_varies_is_certain_and_clusters_of_one_size_have_one_degree_less():
    assert inference.certain(0.7, 0.3, 0.9, 11) == inference.effect(0.7, 0.3, 0.9, 11)
    assert inference.certain(0.7, 0.0, 0.9) == (0.7, 0.0, 0.7, 0.7, 0.0)
    assert inference.degrees_of_freedom(np.full(8, 5)) == 7
    # Carter, Schnepel and Steigerwald (2017): (1 + 1 + 2)^2 / (1 + 1 + 4) less one.
    assert inference.degrees_of_freedom(np.array([1, 1, 2])) == pytest.approx(16 / 6 - 1)
