import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
from linearmodels.iv.absorbing import AbsorbingLS

from pipeline.runtime.errors import StudyError
from pipeline.stats.absorbed import (
    absorbed_linear,
    absorbed_logit,
    grouped_logit,
    number_of_effects,
    spread_of_groups,
    standing,
)
from pipeline.stats.design import design_matrix
from pipeline.stats.regression import logit
from pipeline.stats.sampling import prior_ratio

LOANS, BANKS = 1_200, 30


@pytest.fixture(scope="module")
def loans():
    rng = np.random.default_rng(11)
    bank = rng.integers(0, BANKS, LOANS)
    habit = rng.normal(size=BANKS)
    treated = (rng.random(LOANS) < 1 / (1 + np.exp(-habit[bank]))).astype(float)
    frame = pd.DataFrame(
        {
            "bank": [f"bank {number:02d}" for number in bank],
            "state": bank // 6,
            "treated": treated,
            "score": rng.normal(size=LOANS) + habit[bank],
            "year": pd.Categorical(rng.integers(2000, 2004, LOANS).astype(str)),
            "of_bank": habit[bank],
        }
    )
    chance = 1 / (1 + np.exp(0.4 - 0.5 * treated - 0.4 * frame["score"] + habit[bank]))
    frame["default"] = (rng.random(LOANS) < chance).astype(int)
    return frame.assign(weight=np.where(frame["default"] == 1, 2.0, 7.0))


@pytest.fixture(scope="module")
def design(loans):
    return design_matrix(loans, ["treated", "score", "year"]).matrix


@pytest.fixture(scope="module")
def with_dummies(loans):
    return design_matrix(loans.astype({"bank": "category"}), ["treated", "score", "year", "bank"]).matrix


@pytest.mark.parametrize("weighted", [False, True])
def test_slopes_are_those_with_a_dummy_for_every_bank(loans, design, with_dummies, weighted):
    weights = loans["weight"] if weighted else None
    found = absorbed_linear(loans["default"], design, ["treated", "score"], loans["bank"], loans["bank"], 0.95, weights)
    model = sm.WLS(loans["default"], with_dummies, weights=loans["weight"] if weighted else 1.0)
    fit = model.fit(cov_type="cluster", cov_kwds={"groups": pd.factorize(loans["bank"])[0]})
    for factor in ("treated", "score"):
        assert found.effects[factor].estimate == pytest.approx(fit.params[factor], rel=1e-9)
        assert found.effects[factor].std_error == pytest.approx(fit.bse[factor], rel=1e-9)
    assert (found.loans, found.groups, found.clusters) == (LOANS, BANKS, BANKS)


def test_a_factor_in_small_units_has_a_large_slope(loans, design):
    arguments = ["treated", "score"], loans["bank"], loans["bank"], 0.95
    found, small = (
        absorbed_linear(loans["default"], design.assign(score=unit * design["score"]), *arguments).effects["score"]
        for unit in (1.0, 1e-7)
    )
    assert 1e-7 * small.estimate == pytest.approx(found.estimate, rel=1e-9)
    assert 1e-7 * small.std_error == pytest.approx(found.std_error, rel=1e-9)


def test_banks_across_clusters_cost_degrees_of_freedom_as_in_linearmodels(loans, design):
    clusters = pd.Series(np.arange(LOANS) % 40)
    found = absorbed_linear(loans["default"], design, ["treated"], loans["bank"], clusters, 0.95)
    fit = AbsorbingLS(
        loans["default"], design.drop(columns="intercept"), absorb=loans[["bank"]].astype("category")
    ).fit(cov_type="clustered", clusters=clusters, debiased=True)
    assert found.effects["treated"].estimate == pytest.approx(fit.params["treated"], rel=1e-8)
    assert found.effects["treated"].std_error == pytest.approx(fit.std_errors["treated"], rel=1e-8)


@pytest.mark.parametrize("apart", [1, 2, 3])
def test_two_kinds_of_effects_are_as_many_as_their_indicators_have_rank(apart):
    rng = np.random.default_rng(apart)
    world = rng.integers(0, apart, 200)
    first, second = 4 * world + rng.integers(0, 4, 200), 3 * world + rng.integers(0, 3, 200)
    indicators = np.hstack([np.eye(4 * apart)[first], np.eye(3 * apart)[second]])
    assert number_of_effects([first, second]) == np.linalg.matrix_rank(indicators) == 7 * apart - apart
    assert number_of_effects([first]) == 4 * apart


def test_what_does_not_vary_inside_banks_is_refused_as_a_factor_and_dropped_as_a_control(loans, design):
    wider = design.assign(of_bank=loans["of_bank"])
    plain = absorbed_linear(loans["default"], design, ["treated"], loans["bank"], loans["bank"], 0.95)
    found = absorbed_linear(loans["default"], wider, ["treated"], loans["bank"], loans["bank"], 0.95)
    assert found.effects["treated"] == pytest.approx(plain.effects["treated"])
    with pytest.raises(StudyError, match="of_bank: no variation is left inside the groups"):
        absorbed_linear(loans["default"], wider, ["of_bank"], loans["bank"], loans["bank"], 0.95)


def test_logit_is_that_with_a_dummy_for_every_bank(loans, design, with_dummies):
    found = absorbed_logit(loans["default"], design, "treated", loans["bank"], loans["bank"], 0.95, smallest=2)
    fit = sm.Logit(loans["default"], with_dummies).fit(
        disp=0, tol=1e-12, cov_type="cluster", cov_kwds={"groups": pd.factorize(loans["bank"])[0]}
    )
    effects = found.effects["treated"]
    assert np.log(effects.odds_ratio.estimate) == pytest.approx(fit.params["treated"], rel=1e-8)
    assert effects.odds_ratio.std_error == pytest.approx(fit.bse["treated"], rel=1e-7)


@pytest.mark.parametrize("factor", ["treated", "score"])
def test_marginal_effects_are_those_of_dummies_brought_to_the_population(loans, design, with_dummies, factor):
    found = absorbed_logit(
        loans["default"], design, factor, loans["bank"], loans["bank"], 0.95, loans["weight"], smallest=2
    ).effects[factor]
    other = logit(loans["default"], with_dummies, factor, loans["bank"], 0.95, loans["weight"])
    assert found.average_marginal_effect.estimate == pytest.approx(other.average_marginal_effect.estimate, rel=1e-8)

    # The error by brute force: for other slopes the bank effects are solved anew, so the gradient is numerical.
    fit = sm.Logit(loans["default"], with_dummies).fit(disp=0, tol=1e-12)
    names = ["treated", "score", "year[2001]", "year[2002]", "year[2003]"]
    shift = np.log(prior_ratio(loans["default"], loans["weight"]))
    bank, share = pd.factorize(loans["bank"], sort=True)[0], loans["weight"] / loans["weight"].sum()

    def margin(slopes):
        fixed = (with_dummies[names] @ slopes).to_numpy()
        effects = np.zeros(BANKS)
        for _ in range(60):
            p = 1 / (1 + np.exp(-(fixed + effects[bank])))
            effects = effects + np.bincount(bank, loans["default"] - p) / np.bincount(bank, p * (1 - p))
        place, value = names.index(factor), with_dummies[factor].to_numpy()
        index = fixed + effects[bank] + shift
        if factor == "treated":
            on, off = index + (1 - value) * slopes[place], index - value * slopes[place]
            return share @ (1 / (1 + np.exp(-on)) - 1 / (1 + np.exp(-off)))
        p = 1 / (1 + np.exp(-index))
        return share @ (p * (1 - p)) * slopes[place]

    slopes = fit.params[names].to_numpy()
    gradient = np.array([(margin(slopes + h) - margin(slopes - h)) / 2e-5 for h in 1e-5 * np.eye(5)])
    clustered = sm.Logit(loans["default"], with_dummies).fit(
        disp=0, tol=1e-12, cov_type="cluster", cov_kwds={"groups": bank}
    )
    variance = clustered.cov_params().loc[names, names].to_numpy()
    expected = float(np.sqrt(gradient @ variance @ gradient))
    assert found.average_marginal_effect.std_error == pytest.approx(expected, rel=1e-4)


def test_small_and_one_sided_banks_and_levels_leave(loans, design):
    one_sided = loans["bank"] == "bank 03"
    default = loans["default"].mask(one_sided, 1)
    found = absorbed_logit(default, design, "treated", loans["bank"], loans["bank"], 0.95, smallest=2)
    assert found.groups == BANKS - 1
    assert found.loans == LOANS - one_sided.sum()

    sizes = loans["bank"].value_counts()
    found = absorbed_logit(loans["default"], design, "treated", loans["bank"], loans["bank"], 0.95, smallest=40)
    assert found.loans == sizes[sizes >= 40].sum()

    # The level that the design leaves out separates as well as any other.
    for year in ("2000", "2002"):
        of_year = loans["year"] == year
        found = absorbed_logit(
            loans["default"].mask(of_year, 0), design, "treated", loans["bank"], loans["bank"], 0.95, smallest=2
        )
        assert found.loans == LOANS - of_year.sum()


def test_without_informative_banks_there_is_a_sentence(loans, design):
    with pytest.raises(StudyError, match="no group has 5000 loans"):
        absorbed_logit(loans["default"], design, "treated", loans["bank"], loans["bank"], 0.95, smallest=5_000)


def world(spread, seed, banks=80):
    rng = np.random.default_rng(seed)
    size = rng.integers(20, 120, banks)
    bank = np.repeat(np.arange(banks), size)
    score = rng.normal(size=len(bank))
    outcome = 0.3 * score + (spread * rng.normal(size=banks))[bank] + rng.normal(size=len(bank))
    frame = pd.DataFrame({"score": score, "outcome": outcome, "bank": bank})
    return frame, design_matrix(frame, ["score"]).matrix


def test_the_spread_of_banks_comes_out_and_chance_is_taken_out():
    held, alarms = 0, 0
    for seed in range(60):
        frame, design = world(0.4, seed)
        found = spread_of_groups(frame["outcome"], design, frame["bank"], 0.95).effects["spread"]
        held += found.ci_low <= 0.4 <= found.ci_high
        frame, design = world(0.0, seed)
        alarms += spread_of_groups(frame["outcome"], design, frame["bank"], 0.95).effects["spread"].ci_low > 0
    # 95% of 60 worlds with a Monte Carlo error of three points.
    assert held / 60 > 0.86
    assert alarms / 60 < 0.12


def test_the_spread_counts_large_banks_alone():
    frame, design = world(0.4, 1)
    sizes = frame["bank"].value_counts()
    found = spread_of_groups(frame["outcome"], design, frame["bank"], 0.95, smallest=60)
    assert found.groups == (sizes >= 60).sum()
    assert found.loans == sizes[sizes >= 60].sum()
    with pytest.raises(StudyError, match="needs at least three with 500 loans, and there are 0"):
        spread_of_groups(frame["outcome"], design, frame["bank"], 0.95, smallest=500)


def test_weights_of_one_size_change_no_spread():
    frame, design = world(0.4, 2)
    plain = spread_of_groups(frame["outcome"], design, frame["bank"], 0.95).effects["spread"]
    weighted = spread_of_groups(frame["outcome"], design, frame["bank"], 0.95, pd.Series(3.0, frame.index))
    assert weighted.effects["spread"] == pytest.approx(plain)


@pytest.mark.parametrize("spoilt", ["a constant of each group", "a sum of others"])
def test_a_column_that_groups_or_others_determine_is_refused_not_estimated_from_rounding(spoilt):
    rng = np.random.default_rng(3)
    groups, clusters = rng.integers(0, 8, 600), rng.integers(0, 30, 600)
    x = rng.normal(size=(600, 2))
    last = 0.1 * groups if spoilt == "a constant of each group" else x @ [0.3, 0.7] + groups
    y = (rng.random(600) < 0.4).astype(float)
    bad = np.column_stack([x, last])
    assert list(standing(bad, [groups])) == [True, True, False]
    with pytest.raises(StudyError, match=r"groups and other columns determine|no maximum"):
        grouped_logit(y, bad, [groups], clusters, "calls")
    kept = grouped_logit(y, bad[:, standing(bad, [groups])], [groups], clusters)
    assert np.array_equal(kept.slopes, grouped_logit(y, x, [groups], clusters).slopes)


def test_where_a_logit_starts_does_not_move_its_maximum():
    rng = np.random.default_rng(3)
    x, groups = rng.normal(size=(800, 3)), [rng.integers(0, 9, 800), rng.integers(0, 4, 800)]
    y = (rng.random(800) < 1 / (1 + np.exp(1 - x[:, 0]))).astype(float)
    few = grouped_logit(y, x[:, :2], groups, groups[0])
    plain = grouped_logit(y, x, groups, groups[0])
    from_few = grouped_logit(y, x, groups, groups[0], start=(np.append(few.slopes, 0.0), few.index))
    for name in ("slopes", "variance", "index", "log_likelihood"):
        np.testing.assert_allclose(getattr(from_few, name), getattr(plain, name), rtol=1e-8, atol=1e-12)


def test_the_interval_of_the_spread_is_that_of_its_square():
    frame, design = world(0.8, 3)
    found = spread_of_groups(frame["outcome"], design, frame["bank"], 0.95).effects["spread"]
    # By the delta method the error of a square is twice the root times its error.
    variance, half = found.estimate**2, 1.959964 * 2 * found.estimate * found.std_error
    assert variance > half
    assert (found.ci_low, found.ci_high) == pytest.approx((np.sqrt(variance - half), np.sqrt(variance + half)))
    frame, design = world(0.0, 3)
    nothing = spread_of_groups(frame["outcome"], design, frame["bank"], 0.95).effects["spread"]
    assert nothing.ci_low == 0 < nothing.ci_high
