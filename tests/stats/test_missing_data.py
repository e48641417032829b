from importlib.resources import files

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
from statsmodels.imputation.mice import MICEData

from pipeline.runtime.errors import StudyError
from pipeline.stats import missing_data
from pipeline.stats.missing_data import (
    Shifted,
    cluster_effects,
    feasible,
    impute,
    little,
    patterns,
    rubin,
    tipping_point,
    with_imputed_controls,
)
from pipeline.stats.regression import linear_probability
from pipeline.stats.response import response


@pytest.fixture(scope="module")
def air():
    """New York's air in 1973, the textbook example of gaps (Chambers et al. 1983)."""
    return pd.read_csv(str(files("great_tables") / "data" / "x-airquality.csv"))


def test_little_is_naniars(air):
    # The test of naniar's own mcar_test() expects these.
    found = little(air.to_numpy(dtype=float))
    assert found.statistic == pytest.approx(35.1061288689702, abs=1e-4)
    assert found.p_value == pytest.approx(0.00141778113856683, abs=1e-7)
    assert (found.degrees, found.patterns) == (14, 4)


def test_little_does_not_see_what_chance_took_away_and_sees_the_rest():
    rng = np.random.default_rng(2)
    values = rng.multivariate_normal([0, 0, 0], [[1, 0.5, 0.2], [0.5, 1, 0.4], [0.2, 0.4, 1]], 3000)
    by_chance, by_value = values.copy(), values.copy()
    by_chance[rng.random(3000) < 0.3, 1] = np.nan
    by_value[values[:, 0] > 0.5, 1] = np.nan
    assert little(by_chance).p_value > 0.01
    assert little(by_value).p_value < 1e-10


def test_little_needs_gaps():
    with pytest.raises(StudyError, match="with and without"):
        little(np.random.default_rng(1).normal(size=(20, 2)))


def test_patterns_of_the_air(air):
    found = patterns(air.isna())
    assert found["loans"].tolist() == [111, 35, 5, 2]
    assert found.iloc[1][["Ozone", "Solar_R"]].tolist() == [True, False]


@pytest.fixture(scope="module")
def survey():
    """Made-up loans: satisfaction lowers default by .05 a point; who is content, and pays, answers more."""
    rng = np.random.default_rng(11)
    n = 40_000
    score, size = rng.normal(size=n), rng.normal(size=n)
    satisfaction = 7 + score + rng.normal(size=n)
    default = (rng.random(n) < np.clip(0.4 - 0.05 * (satisfaction - 7) - 0.05 * score, 0, 1)).astype(int)
    answers = rng.random(n) < 1 / (1 + np.exp(-0.4 - 1.0 * score + 3 * default))
    bank = rng.integers(0, 60, n)
    frame = pd.DataFrame({"satisfaction": satisfaction, "score": score, "size": size, "default": default, "bank": bank})
    frame.insert(0, "intercept", 1.0)
    return frame.assign(answered=np.where(answers, satisfaction, np.nan))


def slope(loans, column, weights=None):
    design = loans[["intercept", "score", "size", column]]
    return linear_probability(loans["default"], design, column, loans["bank"], 0.95, weights)


def pooled(survey, imputed):
    controls = survey[["intercept", "score", "size"]].to_numpy()
    shifted = survey["answered"].isna().to_numpy()
    return Shifted(survey["default"].to_numpy(), imputed, controls, survey["bank"].to_numpy(), shifted)


@pytest.fixture(scope="module")
def imputed(survey):
    complete = survey[["intercept", "score", "size", "default"]].to_numpy()
    return impute(survey[["answered"]], complete, 10, 5, [1])["answered"]


def test_weights_and_imputation_find_what_complete_cases_miss(survey, imputed):
    truth = slope(survey, "satisfaction")
    there = survey[survey["answered"].notna()]
    found = response(
        survey["answered"].notna().to_numpy(),
        survey[["intercept", "score", "size", "default"]],
        survey["bank"],
        0.95,
    )
    assert abs(slope(there, "answered").estimate - truth.estimate) > 0.02
    weighted = slope(there, "answered", pd.Series(found.weights, there.index))
    assert weighted.estimate == pytest.approx(truth.estimate, abs=0.008)
    filled = pooled(survey, imputed).at(0, 0.95)
    assert filled.effect.estimate == pytest.approx(truth.estimate, abs=0.008)
    assert filled.effect.std_error > truth.std_error
    assert filled.missing_information > 0.2


def test_the_response_model_is_statsmodels_logit(survey):
    columns = ["intercept", "score", "size", "default"]
    found = response(survey["answered"].notna().to_numpy(), survey[columns], survey["bank"], 0.95)
    theirs = sm.Logit(survey["answered"].notna() * 1.0, survey[columns]).fit(
        disp=False, cov_type="cluster", cov_kwds={"groups": survey["bank"]}
    )
    for name in columns[1:]:
        assert np.log(found.odds_ratios[name].estimate) == pytest.approx(theirs.params[name], abs=1e-7)
        assert found.odds_ratios[name].std_error == pytest.approx(theirs.bse[name], rel=1e-6)
    assert found.probability == pytest.approx(np.asarray(theirs.predict()))
    assert found.weights.mean() == pytest.approx(1)
    assert 0.5 < found.area < 1 and 0 < found.effective_share < 1


def test_a_level_at_which_all_answered_joins_the_first(survey):
    all_answered = (survey["answered"].notna() & (survey["size"] > 1)).astype(float)
    design = survey[["intercept", "score"]].assign(**{"kind[x]": all_answered})
    found = response(survey["answered"].notna().to_numpy(), design, survey["bank"], 0.95)
    assert list(found.odds_ratios) == ["score"]


def test_rows_with_the_same_prediction_all_give():
    """Where one column of two levels predicts, imputed values are draws from all values of the level."""
    rng = np.random.default_rng(12)
    level = rng.integers(0, 2, 4_000)
    values = 3.0 * level + rng.normal(size=4_000)
    values[rng.random(4_000) < 0.5] = np.nan
    complete = np.column_stack([np.ones(4_000), level])
    copies = impute(pd.DataFrame({"values": values}), complete, 20, 1, [1])["values"]
    gone = np.isnan(values)
    for one in (0, 1):
        there, drawn = values[~gone & (level == one)], copies[:, gone & (level == one)]
        assert len(np.unique(drawn)) > 0.9 * len(there)
        assert drawn.std() == pytest.approx(there.std(), rel=0.03)
        # Between copies the mean moves as one of so many draws from so many values does.
        expected = there.std() * (1 / drawn.shape[1]) ** 0.5
        assert drawn.mean(axis=1).std(ddof=1) == pytest.approx(expected, rel=0.5)


MONTHS = 8


def over_time(seed, n=12_000):
    """Made-up loans: default falls by .05 a point and differs by month, and so do points, and who has any on record."""
    rng = np.random.default_rng(seed)
    month, bank = rng.integers(0, MONTHS, n), rng.integers(0, 40, n)
    level = np.array([-2.0, 1.5, -1.0, 2.0, 0.5, -1.5, 1.0, -0.5])[month]
    points = level + rng.normal(size=n)
    default = (rng.random(n) < np.clip(0.4 - 0.05 * points + 0.05 * level, 0, 1)).astype(float)
    seen = rng.random(n) < np.where(month % 2 == 0, 0.95, 0.4) - 0.2 * default
    dummies = {f"month[{place}]": (month == place).astype(float) for place in range(1, MONTHS)}
    frame = pd.DataFrame({"intercept": 1.0, "default": default, **dummies})
    return frame, np.where(seen, points, np.nan), bank


def test_without_the_time_effects_of_the_analysis_imputation_is_biased_and_with_them_it_is_not():
    found = {"with": [], "without": []}
    for seed in range(8):
        frame, points, bank = over_time(seed)
        analysis = frame.drop(columns="default").to_numpy()
        for name, complete in {"with": frame, "without": frame[["intercept", "default"]]}.items():
            copies = impute(pd.DataFrame({"points": points}), complete.to_numpy(), 5, 1, [seed, 1])["points"]
            one = Shifted(frame["default"].to_numpy(), copies, analysis, bank, np.isnan(points)).at(0.0, 0.95)
            found[name].append(one.effect.estimate)
    error = {name: np.std(values, ddof=1) / 8**0.5 for name, values in found.items()}
    assert abs(np.mean(found["with"]) + 0.05) < 3 * error["with"] < 0.01
    # Values from the wrong months hide more than a third of the effect.
    assert np.mean(found["without"]) > -0.035 and error["without"] < 0.003


def test_imputed_values_resemble_each_other_within_clusters_as_those_on_record_do():
    rng = np.random.default_rng(8)
    n, banks = 6_000, 30
    bank = rng.integers(0, banks, n)
    own = rng.normal(size=banks)
    values = own[bank] + rng.normal(size=n)
    # One bank keeps no record at all.
    seen = (rng.random(n) < 0.5) & (bank != 7)
    values[~seen] = np.nan
    ones = np.ones((n, 1))
    frame = pd.DataFrame({"values": values})
    plain, grouped = (impute(frame, ones, 3, 1, [1], clusters)["values"] for clusters in (None, bank))
    gone = pd.Series(bank[~seen])

    def means(copies):
        return pd.Series(copies[0][~seen]).groupby(gone.to_numpy()).mean()

    known = means(grouped).index != 7
    assert np.corrcoef(means(grouped)[known], own[known])[0, 1] > 0.95
    assert abs(np.corrcoef(means(plain)[known], own[known])[0, 1]) < 0.5
    # Where a bank has nothing on record, its values are those of the average bank.
    of_banks = pd.Series(values[seen]).groupby(bank[seen]).mean().mean()
    assert means(grouped)[7] == pytest.approx(of_banks, abs=0.25)


def test_effects_of_clusters_add_up_to_nought_and_need_values():
    clusters, seen = np.array([0, 0, 1, 2, 3]), np.array([True, False, True, True, False])
    assert cluster_effects(clusters, seen).tolist() == [[1, 0], [1, 0], [0, 1], [-1, -1], [0, 0]]
    many = np.repeat(np.arange(10), 20)
    assert feasible(many, np.ones(200, dtype=bool))
    assert not feasible(many, np.arange(200) > 0)
    assert not feasible(np.zeros(200, dtype=int), np.ones(200, dtype=bool))
    assert not feasible(np.repeat(np.arange(101), 30), np.ones(3030, dtype=bool))


def test_a_month_in_which_nobody_has_a_value_is_no_obstacle():
    frame, points, _ = over_time(1, 2_000)
    points[frame["month[3]"] == 1] = np.nan
    copies = impute(pd.DataFrame({"points": points}), frame.to_numpy(), 2, 1, [1])["points"]
    assert np.isfinite(copies).all()


def test_chained_equations_agree_with_statsmodels_mice():
    rng = np.random.default_rng(6)
    n = 1500
    z = rng.normal(size=n)
    a = z + rng.normal(size=n)
    b = 0.5 * a - z + rng.normal(size=n)
    frame = pd.DataFrame({"a": a, "b": b, "z": z})
    frame.loc[rng.random(n) < 1 / (1 + np.exp(1 - z)), "a"] = np.nan
    frame.loc[rng.random(n) < 0.25, "b"] = np.nan
    complete = np.column_stack([np.ones(n), z])
    ours = impute(frame[["a", "b"]], complete, 20, 5, [3])
    theirs = MICEData(frame, k_pmm=5)
    means, products = [], []
    np.random.seed(4)  # noqa: NPY002 - theirs draws from this one
    theirs.update_all(5)
    for _ in range(20):
        theirs.update_all(3)
        means.append(theirs.data["a"].mean())
        products.append(np.corrcoef(theirs.data["a"], theirs.data["b"])[0, 1])
    assert ours["a"].mean() == pytest.approx(np.mean(means), abs=0.02)
    mine = [np.corrcoef(x, y)[0, 1] for x, y in zip(ours["a"], ours["b"], strict=True)]
    assert np.mean(mine) == pytest.approx(np.mean(products), abs=0.015)
    assert a.mean() == pytest.approx(ours["a"].mean(), abs=0.1)
    assert frame["a"].mean() < a.mean() - 0.15


def test_imputation_keeps_what_is_there_and_takes_possible_values(survey, imputed):
    there = survey["answered"].notna().to_numpy()
    assert (imputed[:, there] == survey.loc[there, "answered"].to_numpy()).all()
    assert set(np.unique(imputed)) <= set(survey.loc[there, "answered"])
    again = impute(survey[["answered"]], survey[["intercept", "score", "size", "default"]].to_numpy(), 10, 5, [1])
    assert (again["answered"] == imputed).all()
    assert (imputed[0] != imputed[1]).any()


def test_too_few_values_are_refused(survey):
    few = survey["answered"].where(survey.index < 8)
    with pytest.raises(StudyError, match="too few loans have a value of answered"):
        impute(few.to_frame(), survey[["intercept", "score", "size", "default"]].to_numpy(), 2, 1, [1])


def test_rubins_rules_by_hand():
    # Means 2, within 1, between 1: total 1 + (1 + 1/3) x 1; degrees 2 / (4/7)^2.
    found = rubin(np.array([1.0, 2.0, 3.0]), np.array([0.5, 1.0, 1.5]), 0.95)
    assert found.effect.estimate == 2
    assert found.effect.std_error == pytest.approx((1 + 4 / 3) ** 0.5)
    assert found.missing_information == pytest.approx(4 / 7)
    assert found.degrees == pytest.approx(2 / (4 / 7) ** 2)
    # Barnard and Rubin's degrees never exceed those without missing values.
    assert rubin(np.array([1.0, 1.01, 0.99]), np.ones(3), 0.95, degrees=20).degrees < 20
    assert rubin(np.array([2.0, 2.0]), np.ones(2), 0.95).effect.std_error == 1


def test_without_shift_and_gaps_it_is_the_linear_regression(survey):
    copies = np.stack([survey["satisfaction"].to_numpy()] * 2)
    found = pooled(survey, copies)
    plain = slope(survey, "satisfaction")
    assert found.at(0, 0.95).effect.estimate == pytest.approx(plain.estimate, rel=1e-9)
    assert found.at(0, 0.95).effect.std_error == pytest.approx(plain.std_error, rel=1e-9)
    moved = survey.assign(satisfaction=survey["satisfaction"] - 2.5 * survey["answered"].isna())
    assert found.at(-2.5, 0.95).effect.estimate == pytest.approx(slope(moved, "satisfaction").estimate, rel=1e-9)
    assert found.at(-2.5, 0.95).effect.std_error == pytest.approx(slope(moved, "satisfaction").std_error, rel=1e-9)


def test_imputed_controls_are_those_of_the_plain_regressions(survey):
    rng = np.random.default_rng(5)
    size, more = (rng.normal(size=(3, len(survey))) for _ in range(2))
    controls, bank = survey[["intercept", "score"]], survey["bank"]
    weights = np.where(survey["default"] == 1, 2.0, 7.0)
    arrays = survey["default"].to_numpy(), survey["satisfaction"].to_numpy(), [size, more], controls.to_numpy()
    found = with_imputed_controls(*arrays, bank.to_numpy(), 0.95, weights)
    plain = []
    for a, b in zip(size, more, strict=True):
        design = controls.assign(satisfaction=survey["satisfaction"], a=a, b=b)
        fit = linear_probability(survey["default"], design, "satisfaction", bank, 0.95, pd.Series(weights))
        plain.append((fit.estimate, fit.std_error**2))
    expected = rubin(*np.array(plain).T, 0.95, 59)
    assert found.effect == pytest.approx(expected.effect, rel=1e-8)


def test_the_tipping_point_is_where_the_interval_meets_zero(survey, imputed):
    controls = survey[["intercept", "score", "size"]].to_numpy()
    shifted = (survey["answered"].isna() & (survey["default"] == 1)).to_numpy()
    found = Shifted(survey["default"].to_numpy(), imputed, controls, survey["bank"].to_numpy(), shifted)
    point = tipping_point(found, 3.0, 0.95)
    assert 0 < point < 3
    assert found.at(point, 0.95).effect.ci_high >= 0 > found.at(point - 0.015, 0.95).effect.ci_high
    assert np.isnan(tipping_point(found, 0.001, 0.95))


def test_the_donor_is_one_of_the_nearest():
    values = np.arange(100.0)
    rng = np.random.default_rng(1)
    given = missing_data._donated(values, values, np.array([50.2] * 400), rng)
    assert set(given) == {48.0, 49.0, 50.0, 51.0, 52.0}
    assert set(missing_data._donated(values, values, np.array([-9.0] * 400), rng)) == {0.0, 1.0, 2.0, 3.0, 4.0}
