from itertools import product

import pandas as pd
import pytest
import statsmodels.api as sm

from pipeline.core import results
from pipeline.core.params import load
from pipeline.core.shared import Checks
from pipeline.stats.design import independent
from pipeline.studies.karlan_zinman import effects as module
from pipeline.studies.karlan_zinman import study
from tests.studies.karlan_zinman.sample import PARAMS, protocol, raw_offers

CHECKS = Checks(quarantine_share=0.01, balance=0.1)


def rows_of(seed, effect, rows=3000):
    prepared = study.prepare({"karlan_zinman": raw_offers(rows, seed, effect)}, protocol(), CHECKS)
    found = module.effects(prepared.cohort, dict(prepared.panels), protocol(), load(PARAMS))
    return prepared, results.Results(results.table("karlan_zinman", "effects", found))


@pytest.fixture(scope="module")
def quick():
    """Fewer lotteries and draws than in the study: these tests ask for rows, not for the last digit."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "PERMUTATIONS", 99)
        patch.setattr(module, "DRAWS", 19)
        yield


@pytest.fixture(scope="module")
def found(quick):
    return rows_of(5, -0.1)


def test_the_promise_is_the_regression_with_the_lotterys_strata_of_another_package(found):
    prepared, rows = found
    loans = prepared.cohort.assign(stratum=prepared.cohort["stratum"].astype(str))
    controls = {
        "strata_rates": "stratum + lottery_stratum + offer_rate + interest_rate",
        # The earlier specification: wave and risk class alone.
        "without_strata": "stratum + offer_rate + interest_rate",
    }
    for outcome, (name, terms) in product(module.OUTCOMES, controls.items()):
        x = pd.get_dummies(loans[terms.split(" + ")], dtype=float)
        x = x.assign(one=1.0, treated=loans["treated"])[["treated", "one", *x]]
        x = x.loc[:, independent(x.to_numpy())]
        fit = sm.OLS(loans[outcome].astype(float), x).fit(
            cov_type="cluster", cov_kwds={"groups": pd.factorize(loans["institution_id"])[0]}
        )
        row = rows.one(estimator="promise", specification=name, outcome=outcome)
        assert row.estimate == pytest.approx(100 * fit.params["treated"], rel=1e-6)
        assert row.std_error == pytest.approx(100 * fit.bse["treated"], rel=1e-6)
        test = {"estimator": "randomisation_test", "specification": name, "outcome": outcome}
        assert rows.one(**test, estimand="t_statistic").estimate == pytest.approx(row.estimate / row.std_error)
        by_lottery = rows.one(**test, estimand="difference")
        assert by_lottery.estimate == pytest.approx(row.estimate)
        assert by_lottery.ci_low < row.estimate < by_lottery.ci_high
        assert (by_lottery.p_value <= 0.05) == (not by_lottery.ci_low <= 0 <= by_lottery.ci_high)


def test_outcomes_and_waves_are_one_family_of_lotteries(found):
    _, rows = found
    names = ["strata_rates", "wave_2", "wave_3"]
    family = rows.where(estimator="randomisation_test", estimand="difference", specification=names)
    assert len(family) == len(names) * len(module.OUTCOMES)
    # Holm's method by hand: the least p-value times their number, the next times one less, none below the one before.
    wanted, highest = {}, 0.0
    for place, row in enumerate(family.sort_values("p_value").itertuples()):
        highest = max(highest, min(1.0, (len(family) - place) * row.p_value))
        wanted[row.specification, row.outcome] = highest
    for row in family.itertuples():
        assert row.p_adjusted == pytest.approx(wanted[row.specification, row.outcome])
    assert rows.where(estimator="randomisation_test", estimand="t_statistic")["p_adjusted"].isna().all()
    bounds = rows.where(estimator="lee_bounds", estimand="lower_bound", outcome=list(module.OUTCOMES))
    assert set(bounds["specification"]) == {"waves", "wave_2", "wave_3"}


def test_clients_with_another_promise_than_their_branch_can_stand_apart():
    loans = pd.DataFrame(
        {
            "loan_id": list("abcdef"),
            "treated": [1, 1, 0, 0, 0, 1],
            "lottery_unit": ["p", "p", "p", "q", "q", "client r"],
            "lottery_stratum": ["2", "2", "2", "2", "2", "3"],
        }
    )
    apart = module._exceptions_apart(loans)
    assert apart["lottery_unit"].tolist() == ["p", "p", "exception c", "q", "q", "client r"]
    assert apart["lottery_stratum"].tolist() == ["2", "2", "exception c", "2", "2", "3"]


def test_a_true_effect_is_found_and_lies_between_the_bounds(found):
    _, rows = found
    truth = rows.one(estimator="promise", specification="wave_3", outcome="past_due_any")
    assert truth.ci_high < 0
    assert (
        rows.one(
            estimator="randomisation_test", specification="wave_3", outcome="past_due_any", estimand="difference"
        ).p_value
        < 0.05
    )
    low = rows.one(estimator="lee_bounds", specification="wave_3", outcome="past_due_any", estimand="lower_bound")
    high = rows.one(estimator="lee_bounds", specification="wave_3", outcome="past_due_any", estimand="upper_bound")
    assert low.estimate <= truth.estimate + 2 and truth.estimate <= high.estimate + 2
    assert low.ci_low < low.estimate <= high.estimate < high.ci_high


@pytest.mark.long
def test_without_an_effect_the_lottery_sees_none(quick):
    _, rows = rows_of(6, 0.0)
    assert (
        rows.one(
            estimator="randomisation_test", specification="wave_3", outcome="default", estimand="difference"
        ).p_value
        > 0.01
    )
    assert abs(rows.one(estimator="take_up", specification="waves", estimand="difference").estimate) < 6


def test_take_up_is_shown_for_every_wave_the_first_included(found):
    prepared, rows = found
    offers = prepared.panels["offers"]
    first = offers[offers["origination_month"] == "2003-07"]
    rate = 100 * first.loc[first["treated"] == 1, "took_up"].mean()
    assert rows.one(estimator="take_up", specification="wave_1", estimand="rate_treated").estimate == pytest.approx(
        rate
    )
    assert set(rows.where(estimator="take_up", estimand="difference")["specification"]) == {
        "waves",
        *(f"wave_{wave}{risk}" for wave in (1, 2, 3) for risk in ("", "_low", "_medium", "_high")),
    }


def test_risk_classes_have_effects_and_a_test_of_their_difference(found):
    _, rows = found
    effects = rows.where(estimator="by_risk", outcome="default", estimand="difference")
    assert set(effects["specification"]) == {"low", "medium", "high"}
    contrast = rows.one(estimator="by_risk", outcome="default", estimand="last_against_first")
    by_class = effects.set_index("specification")["estimate"]
    assert contrast.estimate == pytest.approx(by_class["high"] - by_class["low"])
    equal = rows.one(estimator="by_risk", outcome="default", estimand="all_equal")
    assert 0 <= equal.p_value <= 1 and pd.isna(equal.estimate)


def test_every_label_that_the_rows_need_is_there(found):
    from pipeline.present.words import Words

    words = Words("en", "karlan_zinman")
    _, rows = found
    frame = rows.frame
    for kind in ("estimator", "specification", "estimand"):
        for name in frame[kind].unique():
            assert words.label(f"{kind}s", name)
    for outcome in module.OUTCOMES:
        assert words.label("outcomes", outcome)


def test_the_rows_are_the_same_twice(found, quick):
    _, rows = found
    pd.testing.assert_frame_equal(rows_of(5, -0.1)[1].frame, rows.frame)


def test_the_whole_record_is_set_against_its_latest_part(found):
    rows = {row.specification: row for row in found[1].where(estimator="record").itertuples()}
    assert rows["gain"].estimate == pytest.approx(rows["whole_record"].estimate - rows["latest_part"].estimate)
    assert rows["gain"].ci_low < rows["gain"].estimate < rows["gain"].ci_high
