"""The functions of pipeline/stats beside R on the same loans; the scripts that made R's values stand beside this file.

Standard errors: sandwich's type HC1 is G/(G-1) x (n-1)/(n-k) of the sum of squared cluster scores, where k counts every
coefficient, indicators of banks among them.
"""

import json
from math import comb
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from benchmarks import measures
from pipeline.stats import (
    absorbed,
    accuracy,
    cases,
    conditional,
    correlation,
    discrimination,
    early_warning,
    exact,
    firth,
    inference,
    instruments,
    matched_effects,
    missing_data,
    moderation,
    month_regression,
    power,
    rates,
    regression,
    response,
    robust_errors,
    sensitivity,
    survival,
    synthesis,
    trend,
)
from tests.reference import make_loans

HERE = Path(__file__).parent
R = {name: json.loads((HERE / f"{name}.json").read_text()) for name in ("regression", "ranks", "survival")}
LOANS = pd.read_csv(HERE / "loans.csv")
LEVEL = 0.95
CONTROLS = ["x", "z"]
CLOSE = 1e-7
"""Relative; R's iterations stop at deviances that agree to fourteen digits."""


def design(names, loans=LOANS):
    return loans[names].astype(float).assign(intercept=1.0)[["intercept", *names]]


def same(found, value, rel=CLOSE):
    """Compare an effect with R's estimate and standard error."""
    assert found.estimate == pytest.approx(value["estimate"], rel=rel)
    assert found.std_error == pytest.approx(value["std_error"], rel=rel)


def on_log_scale(found):
    return found._replace(estimate=np.log(found.estimate))


def numbers(name):
    return LOANS[name].to_numpy()


def test_the_loans_are_those_of_the_script():
    pd.testing.assert_frame_equal(make_loans.loans(), LOANS, check_dtype=False)


def test_linear_probability_is_lm_with_vcovcl():
    found = regression.linear_probability(
        LOANS["default"], design(["treated", *CONTROLS]), "treated", LOANS["bank"], LEVEL
    )
    same(found, R["regression"]["ols_bank"])


def test_robust_errors_are_those_of_sandwich_and_clubsandwich():
    banks = numbers("bank")
    fit = robust_errors.partial_out(LOANS["default"], design(["treated", *CONTROLS]), "treated")
    same(robust_errors.clustered(fit, banks, LEVEL), R["regression"]["ols_bank"])
    same(robust_errors.two_way(fit, banks, numbers("officer"), LEVEL), R["regression"]["ols_two_way"])
    same(robust_errors.heteroskedastic(fit, LEVEL), R["regression"]["ols_hc1"])
    found = robust_errors.jackknife(fit, robust_errors.leave_one_out(fit, banks), LEVEL)
    shrunk = R["regression"]["ols_cr3"]["std_error"] * np.sqrt((make_loans.BANKS - 1) / make_loans.BANKS)
    assert found.std_error == pytest.approx(shrunk, rel=CLOSE)


def test_weighted_least_squares_is_lm_with_weights():
    matrix = design(["treated", *CONTROLS])
    for labels, value in ((LOANS["bank"], "wls_bank"), (pd.Series(np.arange(len(LOANS))), "wls_hc1")):
        found = regression.linear_probability(LOANS["amount"], matrix, "treated", labels, LEVEL, LOANS["weight"])
        same(found, R["regression"][value])


@pytest.mark.parametrize(("clusters", "value"), [("officer", "inside_officer"), ("bank", "inside_bank")])
def test_absorbed_effects_are_those_of_lm_with_an_indicator_for_each_bank(clusters, value):
    """The last one's banks lie inside clusters, and are counted all the same."""
    found = absorbed.absorbed_linear(
        LOANS["default"], LOANS[["treated", *CONTROLS]], ["treated"], LOANS["bank"], LOANS[clusters], LEVEL
    )
    same(found.effects["treated"], R["regression"][value])


def test_effects_of_two_kinds_of_groups_are_those_of_lm_with_both_kinds_of_indicators():
    found = absorbed.absorbed_linear(
        LOANS["amount"], LOANS[["treated", "x"]], ["treated"], LOANS[["bank", "officer"]], LOANS["z"], LEVEL
    )
    same(found.effects["treated"], R["regression"]["both_z"])
    groupings = [numbers("bank"), numbers("officer")]
    indicators = np.hstack([np.eye(one.max() + 1)[one] for one in groupings])
    assert absorbed.number_of_effects(groupings) == np.linalg.matrix_rank(indicators)


def test_the_spread_of_groups_is_hedges_in_metafor():
    constant = LOANS[[]].assign(intercept=1.0)
    found = absorbed.spread_of_groups(LOANS["amount"], constant, LOANS["bank"], LEVEL, smallest=2).effects["spread"]
    assert found.estimate**2 == pytest.approx(R["survival"]["spread"], rel=1e-8)


def test_logit_is_glm_and_its_margins_have_numerical_gradients():
    for factor, value in (("treated", "margin_treated"), ("x", "margin_x")):
        found = regression.logit(LOANS["default"], design(["treated", *CONTROLS]), factor, LOANS["bank"], LEVEL)
        same(found.average_marginal_effect, R["regression"][value], 1e-6)
        if factor == "treated":
            same(on_log_scale(found.odds_ratio), R["regression"]["logit_bank"])


def test_weighted_logit_is_glm_with_weights():
    found = matched_effects.weighted_logit(
        LOANS["default"], design(["treated", *CONTROLS]), "treated", LOANS["bank"], LEVEL, LOANS["weight"]
    )
    same(on_log_scale(found.odds_ratio), R["regression"]["weighted_logit_bank"])


def test_logits_with_bank_effects_are_glm_with_indicators():
    value = R["regression"]["logit_banks"]
    found = absorbed.absorbed_logit(
        LOANS["default"], LOANS[["treated", *CONTROLS]], "treated", LOANS["bank"], LOANS["officer"], LEVEL, smallest=1
    )
    assert found.loans == make_loans.LOANS
    same(on_log_scale(found.effects["treated"].odds_ratio), value)
    x = LOANS[["treated", *CONTROLS]].to_numpy(dtype=float)
    fit = absorbed.grouped_logit(numbers("default").astype(float), x, [numbers("bank")], numbers("officer"))
    assert fit.log_likelihood == pytest.approx(value["log_likelihood"], rel=1e-10)
    found = month_regression.hazard_logit(
        numbers("default"), LOANS[["treated", *CONTROLS]], "treated", LOANS["bank"], LOANS["officer"], LEVEL
    )
    same(found, value)


@pytest.mark.parametrize(
    ("family", "outcome", "value"),
    [
        ("logit", "default", "logit_banks"),
        ("poisson", "calls", "poisson_banks"),
        ("linear", "amount", "linear_banks"),
    ],
)
def test_regressions_on_months_are_glm_with_indicators(family, outcome, value):
    fit = month_regression.month_regression(
        numbers(outcome), LOANS[["treated", *CONTROLS]], numbers("bank"), family=family
    )
    # Scores and information are those of the last step but one, which moved by less than 1e-6.
    same(fit.effects(numbers("officer"), LEVEL)["treated"], R["regression"][value], 1e-5)
    sums = fit.influence(numbers("officer"))
    assert fit.parameters == 3 + make_loans.BANKS
    scale = make_loans.OFFICERS / (make_loans.OFFICERS - 1)
    scale *= (make_loans.LOANS - 1) / (make_loans.LOANS - fit.parameters)
    assert np.sqrt(scale * (sums[:, 0] ** 2).sum()) == pytest.approx(R["regression"][value]["std_error"], rel=1e-5)


def test_separate_slopes_are_lm_with_indicators():
    found = month_regression.separate_slopes(
        numbers("amount"), LOANS[["treated"]], LOANS[CONTROLS], numbers("bank"), numbers("officer"), LEVEL
    )
    same(found["treated"], R["regression"]["linear_banks"])


def test_two_stage_is_ivreg_with_its_first_stage_and_reduced_form():
    found = instruments.two_stage(
        numbers("amount"),
        numbers("treated"),
        numbers("encouraged"),
        groups=LOANS["bank"],
        controls=LOANS[CONTROLS],
        clusters=LOANS["officer"],
        level=LEVEL,
    )
    same(found.effect, R["regression"]["iv_officer"])
    same(found.first_stage, R["regression"]["iv_first"])
    same(found.reduced_form, R["regression"]["iv_reduced"])
    first = R["regression"]["iv_first"]
    assert found.first_stage_f == pytest.approx((first["estimate"] / first["std_error"]) ** 2, rel=CLOSE)
    value = R["regression"]["inside_bank"]
    same(
        instruments.inside(
            numbers("default"), numbers("treated"), groups=LOANS["bank"], controls=LOANS[CONTROLS], level=LEVEL
        ),
        value,
    )


def test_two_samples_are_the_ratio_of_their_regressions():
    """Wald's ratio with the error of Angrist and Krueger's two samples, from R's two regressions."""
    first, reduced = (
        inference.Effect(R["regression"][name]["estimate"], R["regression"][name]["std_error"], 0, 0, 0)
        for name in ("iv_first", "iv_reduced")
    )
    found = instruments.two_sample(reduced, first, LEVEL)
    assert found.estimate == pytest.approx(R["regression"]["iv_officer"]["estimate"], rel=CLOSE)
    # By simulation: the ratio of two independent normal estimates, near its mean.
    rng = np.random.default_rng(5)
    small = 0.02
    drawn = (reduced.estimate + small * reduced.std_error * rng.standard_normal(400_000)) / (
        first.estimate + small * first.std_error * rng.standard_normal(400_000)
    )
    assert found.std_error == pytest.approx(drawn.std() / small, rel=0.01)


def test_firth_is_brglm2():
    found = firth.firth_logit(LOANS["rare"], design(["treated", *CONTROLS]), "treated", LEVEL)
    assert found.log_odds_ratio == pytest.approx(R["regression"]["firth"]["estimate"], rel=1e-6)
    assert found.std_error == pytest.approx(R["regression"]["firth"]["std_error"], rel=1e-6)


def test_effects_by_group_are_lm_with_interactions():
    value, group = R["regression"]["by_group"], pd.Series(pd.Categorical(LOANS["z"].astype(str)))
    found = moderation.Controlled(
        LOANS["default"], design(["treated", "x"]), "treated", LOANS["bank"], LEVEL
    ).differences(group)
    assert [each.estimate for each in found.effects.values()] == pytest.approx(value["estimate"], rel=CLOSE)
    assert [each.std_error for each in found.effects.values()] == pytest.approx(value["std_error"], rel=CLOSE)
    same(found.last_against_first, value["last"])
    assert (found.statistic, found.p_value) == pytest.approx((value["wald"], value["p_value"]), rel=1e-6)


def test_the_model_of_response_is_glm():
    value = R["regression"]["answer"]
    found = response.response(numbers("encouraged") == 1, design(CONTROLS), LOANS["bank"], LEVEL)
    same(on_log_scale(found.odds_ratios["x"]), value)
    assert found.probability[:5] == pytest.approx(value["probability"], rel=CLOSE)
    weights = 1 / found.probability[numbers("encouraged") == 1]
    assert found.weights == pytest.approx(weights / weights.mean())
    assert found.effective_share == pytest.approx(weights.mean() ** 2 / (weights**2).mean())


def test_studentised_residuals_are_rstandard():
    fitted, residual = cases.studentised(
        numbers("amount"), design(["treated", *CONTROLS]).to_numpy(), numbers("weight")
    )
    assert fitted[:5] == pytest.approx(R["regression"]["studentised"]["fitted"], rel=CLOSE)
    assert residual[:5] == pytest.approx(R["regression"]["studentised"]["residual"], rel=CLOSE)


def test_calibration_is_glm_on_the_predicted_log_odds():
    value = R["regression"]["calibration"]
    log_odds = numbers("second") - numbers("second").mean() - 0.5
    found = accuracy.calibration(numbers("default"), 1 / (1 + np.exp(-log_odds)), None, LEVEL)
    same(found.slope, value["slope"])
    same(found.intercept, value["intercept"])
    same(early_warning.calibration(numbers("default"), log_odds, numbers("bank"), LEVEL).slope, value["slope_bank"])


def test_areas_are_those_of_proc():
    value = R["ranks"]["area"]
    default, first, second = (numbers(name) for name in ("default", "first", "second"))
    found = discrimination.compare(default, first, second, LEVEL)
    for one, name in ((found.first, "first"), (found.second, "second")):
        assert one.estimate == pytest.approx(value[name], rel=1e-10)
        assert one.std_error**2 == pytest.approx(value[f"var_{name}"], rel=1e-10)
    assert (found.first.ci_low, found.first.ci_high) == pytest.approx(value["interval"][::2], rel=1e-10)
    # pROC takes the second from the first.
    assert found.difference.estimate / found.difference.std_error == pytest.approx(-value["z"], rel=1e-10)
    assert found.difference.p_value == pytest.approx(value["p_value"], rel=1e-10)
    assert accuracy.area(default, first, LEVEL) == pytest.approx(found.first)
    assert accuracy.gain(default, first, second, LEVEL) == pytest.approx(found.difference)
    of_bad, of_good = discrimination.placements(default == 1, first)
    # DeLong's variance is that of the placements.
    assert of_bad.mean() == pytest.approx(value["first"]) == of_good.mean()
    spread = of_bad.var(ddof=1) / len(of_bad) + of_good.var(ddof=1) / len(of_good)
    assert spread == pytest.approx(value["var_first"], rel=1e-10)


def test_the_curve_is_that_of_proc_and_the_distance_that_of_ks_test():
    default, first = numbers("default"), numbers("first")
    found = accuracy.roc(default, first, places=40)
    value = R["ranks"]["curve"]
    at = np.interp(found["false_alarms"], value["false_alarms"], value["found"])
    # Where the curve rises straight up R's points share a place, and interpolation may take either.
    steep = np.isin(np.round(found["false_alarms"], 12), np.round(value["false_alarms"], 12))
    assert found["found"][~steep].to_numpy() == pytest.approx(at[~steep], rel=1e-10)
    assert (~steep).sum() > 30
    assert accuracy.kolmogorov_smirnov(default, first) == pytest.approx(R["ranks"]["ks"], rel=1e-10)


@pytest.mark.parametrize(("outcome", "value"), [("amount", "jonckheere_amount"), ("default", "jonckheere_default")])
def test_jonckheere_and_terpstra_have_the_z_of_kendalls_test(outcome, value):
    values = numbers(outcome).round(1)
    z, p_value = trend.jonckheere_terpstra(values, numbers("z"))
    assert (z, p_value) == pytest.approx(tuple(R["ranks"][value].values()), rel=1e-9)


def test_cochran_and_armitage_are_prop_trend_test():
    found = trend.cochran_armitage(numbers("default"), numbers("z"))
    value = R["ranks"]["cochran_armitage"]
    assert (found.statistic**2, found.p_value) == pytest.approx((value["chi_squared"], value["p_value"]), rel=1e-10)


def test_exact_tests_are_fisher_test():
    found, value = exact.fisher((3, 9), (14, 16), 0.9), R["ranks"]["fisher"]
    assert (found.estimate, found.p_value) == pytest.approx((value["estimate"], value["p_value"]), rel=1e-4)
    # R looks for the ends no closer than this; by enumeration each tail is five in a hundred there.
    assert (found.ci_low, found.ci_high) == pytest.approx(value["interval"], rel=1e-3)
    tables = np.arange(13)
    for ratio, tail in ((found.ci_low, tables >= 3), (found.ci_high, tables <= 3)):
        likelihood = np.array([comb(14, one) * comb(16, 12 - one) * ratio**one for one in tables])
        assert likelihood[tail].sum() / likelihood.sum() == pytest.approx(0.05, rel=1e-6)
    of_groups = exact.exact_tests([1, 3, 7], [10, 11, 12], [0, 1, 2])
    assert of_groups.any_difference == pytest.approx(R["ranks"]["freeman_halton"], rel=1e-7)


def test_correlations_are_those_of_r():
    x, amount = numbers("x"), numbers("amount")
    found = correlation.pearson(x, amount, 0.9)
    assert found.estimate == pytest.approx(R["ranks"]["pearson"]["estimate"], rel=1e-10)
    assert (found.ci_low, found.ci_high) == pytest.approx(R["ranks"]["pearson"]["interval"], rel=1e-8)
    assert correlation.spearman(x, amount, 0.9).estimate == pytest.approx(R["ranks"]["spearman"], rel=1e-10)
    controls = design(["z", "treated"]).to_numpy()
    given = correlation.partial(LOANS[["x"]], LOANS["amount"], correlation.orthonormal(controls), 0.9)["x"]
    assert given.estimate == pytest.approx(R["ranks"]["partial"], rel=1e-10)
    weighted = correlation.pearson(x, amount, 0.9, weights=numbers("weight"))
    assert weighted.estimate == pytest.approx(R["ranks"]["weighted"], rel=1e-10)
    inflation = correlation.variance_inflation(
        numbers("treated").astype(float), correlation.orthonormal(design(CONTROLS).to_numpy())
    )
    assert inflation == pytest.approx(R["regression"]["vif"], rel=1e-10)
    assert correlation.holm([0.01, 0.04, 0.03, 0.002]) == pytest.approx(R["ranks"]["holm"])


def test_rates_have_the_intervals_of_prop_test():
    default = pd.Series([1] * 7 + [0] * 46)
    found = rates.default_rates(default, pd.Series(["all"] * 53), 0.9).iloc[0]
    assert (found["ci_low"], found["ci_high"]) == pytest.approx(R["ranks"]["wilson"], rel=1e-7)
    share = accuracy.share_interval(default.to_numpy(), None, 0.9)
    assert share[1:] == pytest.approx(R["ranks"]["wilson"], rel=1e-7)


def test_detectable_rates_are_those_of_power_prop_test():
    low, high = power.detectable_rates(0.2, 400, 400, 0.95, 0.8)
    assert (low, high) == pytest.approx((R["ranks"]["power"]["below"], R["ranks"]["power"]["above"]), rel=1e-5)


def test_rosenbaums_bounds_are_binomial_tests_of_the_discordant_pairs():
    outcome = np.array([1, 0] * 24 + [0, 1] * 7 + [0, 0] * 5 + [1, 1] * 4)
    treated, pair = np.tile([1, 0], 40), np.repeat(np.arange(40), 2)
    found = sensitivity.rosenbaum_bounds(outcome, treated, pair, np.array([1.0, 1.5, 2.0]))
    assert found["more"].to_numpy() == pytest.approx(R["ranks"]["rosenbaum"], rel=1e-8)
    reached = sensitivity.sensitivity_value(outcome, treated, pair, 0.025)
    assert reached == pytest.approx(R["ranks"]["sensitivity"], rel=1e-8)


def test_distributions_are_ecdf_and_quantile():
    x, arm, ones = numbers("x"), numbers("treated") == 1, np.ones(len(LOANS))
    steps = measures.ecdf(x, arm, ones)
    at = np.searchsorted(steps["value"], [-1, 0, 1], side="right") - 1
    assert steps["treated"].to_numpy()[at] == pytest.approx(R["ranks"]["ecdf"], rel=1e-10)
    found = measures.quantiles(x, arm, ones, number=3)
    assert found["treated"].tolist() == R["ranks"]["quantile"]


def test_log_rank_is_survdiff():
    months, left, treated = numbers("months"), numbers("way") == 1, numbers("treated")
    for strata, value in ((None, "log_rank"), (numbers("z"), "log_rank_strata")):
        found = survival.log_rank(months, left, treated, numbers("bank"), 24, strata=strata)
        value = R["survival"][value]
        assert (found.observed, found.expected) == pytest.approx((value["observed"], value["expected"]), rel=1e-10)
        assert found.chi_squared == pytest.approx(value["chi_squared"], rel=1e-10)
        if strata is None:
            assert found.p_value == pytest.approx(value["p_value"], rel=1e-10)
            banks = make_loans.BANKS
            robust = R["survival"]["robust_score"][0][0] * (banks - 1) / banks
            assert found.clustered == pytest.approx(robust, rel=1e-10)


def test_incidence_is_survfit():
    months, way, groups = numbers("months"), numbers("way"), numbers("bank")
    at = np.array([3, 6, 12, 24]) - 1
    together = survival.cumulative_incidence(survival.life_table(months, (way > 0).astype(int), 1, groups, 24))
    assert 1 - together[0, 0, at] == pytest.approx(R["survival"]["kaplan_meier"]["survival"], rel=1e-10)
    table = survival.life_table(months, way, 2, groups, 24)
    assert table.groups == make_loans.BANKS
    apart = survival.cumulative_incidence(table)
    for place, name in enumerate(("one", "two")):
        assert apart[0, place, at] == pytest.approx(R["survival"]["incidence"][name], rel=1e-10)


def test_the_jackknife_over_loans_is_near_greenwoods_error():
    table = survival.life_table(numbers("months"), (numbers("way") > 0).astype(int), 1, np.arange(make_loans.LOANS), 24)
    found = survival.jackknife(survival.cumulative_incidence(table)[:, 0, :], LEVEL)
    for month, error in zip((3, 6, 12), R["survival"]["kaplan_meier"]["std_error"], strict=False):
        assert found[month - 1].std_error == pytest.approx(error, rel=0.01)


def test_pooled_studies_are_those_of_metafor():
    value = R["survival"]["random_effects"]
    found = synthesis.random_effects(
        np.array([-0.31, 0.12, -0.55, -0.07, -0.90]), np.array([0.14, 0.22, 0.18, 0.09, 0.35]), LEVEL
    )
    assert found.effect.estimate == pytest.approx(value["estimate"], rel=1e-5)
    assert found.effect.std_error == pytest.approx(value["hartung_knapp"], rel=1e-5)
    assert (found.effect.ci_low, found.effect.ci_high) == pytest.approx((value["low"], value["high"]), rel=1e-4)
    assert (found.effect.p_value, found.between) == pytest.approx((value["p_value"], value["tau"]), rel=1e-4)
    assert found.p_heterogeneity == pytest.approx(value["p_q"], rel=1e-10)
    assert found.heterogeneity == pytest.approx(1 - 4 / value["q"], rel=1e-10)


def test_rubins_rules_are_those_of_mice():
    value = R["survival"]["rubin"]
    estimates, errors = np.array([1.1, 1.4, 0.8, 1.3, 1.2]), np.array([0.20, 0.25, 0.22, 0.19, 0.24])
    found = missing_data.rubin(estimates, errors, LEVEL, degrees=41)
    assert found.effect.estimate == pytest.approx(value["estimate"], rel=1e-10)
    assert found.effect.std_error**2 == pytest.approx(value["variance"], rel=1e-10)
    assert (found.degrees, found.missing_information) == pytest.approx((value["degrees"], value["missing"]), rel=1e-10)


def test_the_conditional_logit_is_clogit():
    value = R["survival"]["conditional"]
    found = conditional.conditional_logit(
        LOANS["default"], LOANS[["treated", *CONTROLS]].astype(float), "treated", LOANS["bank"], LOANS["bank"], LEVEL
    )
    assert np.log(found.odds_ratio.estimate) == pytest.approx(value["estimate"], rel=1e-6)


def test_the_conditional_logit_is_clogit_where_ones_are_many_and_where_they_are_few():
    """Five groups of four loans (clogit.R): log odds ratios as R prints them."""
    group = pd.Series(np.repeat(np.arange(5), 4))
    outcome = pd.Series([1, 1, 0, 1, 1, 0, 1, 1, 0, 1, 0, 0, 1, 0, 0, 0, 0, 0, 1, 0])
    loans = pd.DataFrame(
        {
            "b": [1, 0, 0, 1, 0, 1, 1, 0, 1, 1, 0, 0, 0, 1, 0, 1, 0, 1, 1, 0],
            "x": [
                *(0.4, -0.2, 0.9, 0.1, 1.2, 0.3, -0.7, 0.5, 0.0, 0.8),
                *(-0.4, 0.6, -1.1, 0.2, 0.7, -0.3, 0.9, 0.1, -0.6, 0.4),
            ],
        }
    ).astype(float)
    for name, value in (("b", 0.1515297434), ("x", -1.1991244736)):
        found = conditional.conditional_logit(outcome, loans, name, group, group, LEVEL)
        assert np.log(found.odds_ratio.estimate) == pytest.approx(value, abs=1e-8)
