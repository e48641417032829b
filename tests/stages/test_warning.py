"""The stage warning on small books of loans: it judges what can be judged and says why the rest cannot."""

import numpy as np
import pandas as pd
import pytest
import statsmodels.formula.api as smf
from sklearn.metrics import roc_auc_score

from pipeline.analyses.warning import alerts as warning_alerts
from pipeline.analyses.warning import book as warning_book
from pipeline.analyses.warning import signals as warning_signals
from pipeline.core import results
from pipeline.core.params import load
from pipeline.runtime import places, store
from pipeline.stages import warning
from tests.sample import PARAMS, completed

LOANS, LENGTH = 3000, 12


def book(loans=LOANS, seed=1):
    """Return loans of thirty months of origination; late payment comes before most defaults."""
    rng = np.random.default_rng(seed)
    risk = np.clip(rng.gamma(2, 0.02, loans), 0.001, 0.3)
    frame = pd.DataFrame(
        {
            "loan_id": [f"{place:05d}" for place in range(loans)],
            "institution_id": rng.integers(0, 20, loans).astype(str),
            "credit_grade": pd.Categorical(np.where(risk > 0.04, "B", "A"), ["A", "B"], ordered=True),
            "credit_score": -risk * 1000,
            "amount": rng.uniform(1000, 9000, loans),
            "treated": rng.integers(0, 2, loans),
        }
    )
    start = rng.integers(0, 30, loans)
    rows = []
    for place in range(loans):
        late = False
        for month in range(1, LENGTH + 1):
            default = late and rng.random() < 0.3
            late_now = not default and (rng.random() < (0.5 if late else risk[place]))
            when = pd.Period("2004-01", "M") + int(start[place]) + month
            alert = int(rng.random() < 0.05 + 0.1 * late)
            contacts = float(rng.poisson(0.5))
            row = [frame["loan_id"][place], month, str(when), int(not late), int(late_now), int(default)]
            rows.append([*row, alert, contacts])
            late = late_now
            if default:
                break
    names = ["loan_id", "month_number", "calendar_month", "current_at_start", "delinquent", "default"]
    months = pd.DataFrame(rows, columns=[*names, "alert", "proactive_contacts"])
    months["treated"] = months["loan_id"].map(frame.set_index("loan_id")["treated"])
    defaulted = months.groupby("loan_id")["default"].max()
    return frame.assign(default=frame["loan_id"].map(defaulted).astype(int)), months


@pytest.fixture(scope="module")
def loans():
    return book()


def ran(cohort, **tables):
    """Return the rows of the stage, run in the folder at work."""
    store.write_parquet(places.processed("reference") / "cohort.parquet", completed(cohort, "reference"))
    for name, table in tables.items():
        store.write_parquet(places.processed("reference") / "more" / f"{name}.parquet", table)
    warning.run("reference", load(PARAMS))
    return results.read(places.results("reference", "warning"))


@pytest.fixture(scope="module")
def found(loans, tmp_path_factory):
    """The rows of the whole book."""
    cohort, months = loans
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp("whole"))
        return ran(cohort, loan_months=months)


@pytest.fixture
def rows(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return ran


def test_an_answer_after_an_alert_is_set_against_the_same_without_one(found, loans):
    cohort, months = loans
    row = found.one(estimator="response_after_alert", specification="less_other_months")
    # In a formula: months that begin on time, after an alert or not, with what they had in either case.
    ready = months.sort_values(["loan_id", "month_number"]).reset_index(drop=True)
    by_loan = ready.groupby("loan_id")
    ready["alerted"] = by_loan["alert"].shift().eq(1).astype(float)
    default_month = ready["month_number"].where(ready["default"] == 1).groupby(ready["loan_id"]).transform("max")
    gap = default_month - ready["month_number"]
    ready["event"] = gap.between(1, 3).astype(float)
    stays = (ready["current_at_start"] == 1) & (ready["default"] == 0) & (ready["month_number"] + 3 <= LENGTH)
    place = pd.Index(cohort["loan_id"]).get_indexer(months["loan_id"])
    known = load(PARAMS)
    _, static = warning_book.fit(completed(cohort, "reference"), months, place, known.study("reference"), known.warning)
    ready["static"] = static[pd.Index(cohort["loan_id"]).get_indexer(ready["loan_id"])]
    ready["contacted"] = (ready["proactive_contacts"] > 0).astype(float)
    asked = ready[stays].merge(cohort[["loan_id", "institution_id"]], on="loan_id")
    formula = "event ~ alerted * (contacted + static + I(static**2) + treated + C(month_number) + C(calendar_month))"
    fit = smf.ols(formula, asked).fit()
    assert row.n == len(asked) and row.n_treated == (asked["alerted"] * asked["contacted"]).sum()
    assert row.estimate == pytest.approx(100 * fit.params["alerted:contacted"], rel=1e-5)
    alone = found.one(estimator="response_after_alert", specification="controls")
    others = smf.ols(formula.replace("alerted * ", ""), asked[asked["alerted"] == 0]).fit()
    assert alone.estimate - 100 * others.params["contacted"] == pytest.approx(row.estimate, rel=1e-5)
    assert row.ci_low < row.estimate < row.ci_high and "take no notice" in row.note


def test_hidden_risk_is_told_among_loans_that_never_paid_late(found, loans):
    cohort, months = loans
    row = found.one(estimator="area_under_curve", specification="updated", estimand="always_on_time")
    known, place = load(PARAMS), pd.Index(cohort["loan_id"]).get_indexer(months["loan_id"])
    book, _ = warning_book.fit(completed(cohort, "reference"), months, place, known.study("reference"), known.warning)
    table = pd.DataFrame({"loan": book.loan, "month": book.month, "score": book.scores["updated"]})
    table["late"] = (book.months["current_at_start"] != 1).groupby(table["loan"]).cummax().to_numpy()
    last = pd.Series(np.where(book.months["default"] == 1, book.month, 0)).groupby(table["loan"]).transform("max")
    table["event"] = (last >= table["month"]) & (last < table["month"] + 6)
    asked = table[~table["late"] & (table["month"] + 5 <= LENGTH)]
    assert asked["event"].any() and row.n == len(asked) < len(table)
    assert row.estimate == pytest.approx(roc_auc_score(asked["event"], asked["score"]), rel=1e-6)
    gain = found.one(estimator="area_under_curve", specification="gain", estimand="always_on_time")
    static = found.one(estimator="area_under_curve", specification="static", estimand="always_on_time")
    assert gain.estimate == pytest.approx(row.estimate - static.estimate, abs=1e-7) and gain.ci_low < gain.ci_high


def test_a_renewed_score_finds_who_is_late_and_capacity_is_respected(found):
    gain = found.one(estimator="area_under_curve", specification="gain", estimand="month_10")
    assert gain.ci_low > 0
    alerted = found.where(estimator="alerts", specification="updated", estimand="alerted")
    alerted = alerted[alerted["factor"].str.startswith("capacity[") & (alerted["factor"] != "capacity[as_lender]")]
    # Judged are the months whose window ends inside the records, so the share may differ from that of all months.
    capacity = alerted["factor"].str.extract(r"\[(.*)\]")[0].astype(float)
    assert (alerted["estimate"] < 100 * capacity * 1.5 + 0.5).all()
    # Alerts and contacts are drawn without regard to anything here but late payment.
    records = found.one(estimator="area_under_curve", specification="gain_of_records", estimand="all_months")
    assert abs(records.estimate) < 0.02
    late = found.one(
        estimator="before_default", specification="late_payment", factor="months_before[01]", estimand="defaulting"
    )
    assert late.estimate == 100


def test_alerts_are_set_against_as_many_at_random_and_rows_add_up(found):
    found = found.where(estimator="alerts")
    wide = found.pivot(index=["specification", "factor"], columns="estimand", values="estimate").dropna()
    for name in ("caught", "caught_early"):
        gain = wide[name] - wide[f"{name}_random"]
        assert np.allclose(gain, wide[f"{name}_over_random"])
        assert (wide[f"{name}_random"] > 0).all()
    assert (wide["caught"] > wide["caught_early"]).any() and (wide["caught"] >= wide["caught_early"]).all()
    assert (wide["in_time"] <= wide["precision"]).all() and (wide["median_lead"] >= 1).all()
    # Alerts of the lender are drawn with no regard to what comes but late payment, from the month before.
    gain = found[(found["specification"] == "updated") & (found["estimand"] == "caught_over_random")]
    assert (gain["ci_low"] > 0).any()
    # More alerts at random catch more.
    some = found[(found["specification"] == "updated") & (found["estimand"] == "caught_random")].set_index("factor")
    assert some.loc["capacity[0.01]", "estimate"] < some.loc["capacity[0.05]", "estimate"]


def test_as_many_alerts_as_the_lender_means_as_many_as_it_had_raised_before(loans):
    cohort, months = loans
    params = load(PARAMS)
    ready = months.sort_values(["loan_id", "month_number"], ignore_index=True)
    place = pd.Index(cohort["loan_id"]).get_indexer(ready["loan_id"])
    book, _ = warning_book.fit(cohort, ready, place, params.study("reference"), params.warning)
    horizon = params.warning.horizon_months
    ended = (pd.PeriodIndex(ready["calendar_month"], freq="M") + (horizon - 1)).astype(str) < book.cut
    ended &= ready["month_number"] + horizon - 1 <= LENGTH
    raised = ready.groupby("loan_id")["alert"].shift().eq(1)
    assert book.taught["lenders_alert"].mean() == raised[ended].mean() > 0
    # Later the lender raises far more: that is not known when its usual number is counted.
    later = ready["calendar_month"] >= book.cut
    other, _ = warning_book.fit(
        cohort, ready.assign(alert=ready["alert"].where(~later, 1)), place, params.study("reference"), params.warning
    )
    judged = pd.DataFrame(warning_alerts.judged(other, {}, 0.95, [1])).set_index(["specification", "estimand"])
    open_loans = np.bincount(other.period)
    alerted = np.floor(raised[ended].mean() * open_loans + 1e-9).sum() / open_loans.sum()
    assert judged.loc[("updated", "alerted"), "estimate"] == pytest.approx(100 * alerted, rel=0.1)
    assert judged.loc[("lender", "alerted"), "estimate"] > 5 * 100 * alerted


def test_the_months_before_default_stand_beside_the_risk_set():
    """Of four alike, one defaults in month 3 and was late, one in month 4 and was late twice, two never."""
    late = {0: [2], 1: [2, 3], 2: [], 3: [], 4: [1, 2, 3, 4]}
    ends = [3, 4, 4, 4, 4]
    rows, loans = [], []
    for copy in range(10):
        for kind, end in enumerate(ends):
            loan = f"{copy}-{kind}"
            loans.append([loan, int(kind < 2), float(copy % 2)])
            # The fifth began a year later, and stands beside nobody.
            start = pd.Period("2004-01", "M") + (12 if kind == 4 else 0)
            for month in range(1, end + 1):
                default = int(kind < 2 and month == end)
                rows.append([loan, month, str(start + month), int(month in late[kind]), default])
    months = pd.DataFrame(rows, columns=["loan_id", "month_number", "calendar_month", "delinquent", "default"])
    cohort = pd.DataFrame(loans, columns=["loan_id", "default", "treated"])
    place = pd.Index(cohort["loan_id"]).get_indexer(months["loan_id"])
    found = warning_signals.before_default(cohort, months, place, load(PARAMS).study("reference"), 0.95)
    table = pd.DataFrame(found).query("specification == 'late_payment'").set_index(["factor", "estimand"])["estimate"]
    # Month 2 of those that default in 3, month 3 of those that default in 4: all late. Beside the first, one in three.
    assert table["months_before[01]", "defaulting"] == pytest.approx(100)
    assert table["months_before[01]", "others"] == pytest.approx(100 * (1 / 3 + 0) / 2)
    assert table["months_before[01]", "difference"] == pytest.approx(100 * (1 - 1 / 6))
    # Two months before: month 1, in which nobody is late; month 2 of those that default in 4.
    assert table["months_before[02]", "defaulting"] == pytest.approx(50)
    assert table["months_before[02]", "others"] == 0


def test_the_order_of_rows_is_no_matter(rows, loans, found):
    cohort, months = loans
    other = rows(cohort, loan_months=months.sample(frac=1, random_state=2))
    pd.testing.assert_frame_equal(found.frame, other.frame)


def test_scores_are_fitted_on_months_that_had_ended_and_judged_on_loans_granted_later(rows, loans):
    cohort, months = loans
    params = load(PARAMS)
    protocol = params.study("reference")
    ready = months.sort_values(["loan_id", "month_number"], ignore_index=True)
    place = pd.Index(cohort["loan_id"]).get_indexer(ready["loan_id"])
    book, static = warning_book.fit(cohort, ready, place, protocol, params.warning)
    assert (book.months.groupby("loan_id")["calendar_month"].min() >= book.cut).all()
    # Another course of things from the cut on leaves what is fitted as it is.
    later = ready["calendar_month"] >= book.cut
    changed = ready.assign(delinquent=ready["delinquent"].where(~later, 1 - ready["delinquent"]))
    changed["default"] = changed["default"].where(~later, 0)
    changed.loc[(changed["month_number"] == LENGTH) & later, "default"] = 1
    other, other_static = warning_book.fit(cohort, changed, place, protocol, params.warning)
    assert np.array_equal(static, other_static)
    first = book.month == 1
    assert np.array_equal(book.scores["updated"][first], other.scores["updated"][first])
    assert not np.array_equal(book.event, other.event)


def test_gaps_are_filled_from_the_loans_on_which_scores_are_fitted(loans):
    cohort, months = loans
    params = load(PARAMS)
    ready = months.sort_values(["loan_id", "month_number"], ignore_index=True)
    place = pd.Index(cohort["loan_id"]).get_indexer(ready["loan_id"])
    rng = np.random.default_rng(9)
    cohort = cohort.assign(
        credit_score=cohort["credit_score"].where(rng.random(len(cohort)) > 0.3),
        loan_type=pd.Series(rng.choice(["home", "car"], len(cohort))).where(rng.random(len(cohort)) > 0.3),
    )
    book, static = warning_book.fit(cohort, ready, place, params.study("reference"), params.warning)
    later = (ready.groupby("loan_id")["calendar_month"].min() >= book.cut).reindex(cohort["loan_id"]).to_numpy()
    assert 0 < later.sum() < len(cohort)
    # Later loans have other scores and another commonest type; those that lack both are judged as before.
    changed = cohort.assign(
        credit_score=cohort["credit_score"] + 500.0 * later,
        loan_type=cohort["loan_type"].mask(later & cohort["loan_type"].notna(), "boat"),
    )
    _, other = warning_book.fit(changed, ready, place, params.study("reference"), params.warning)
    unknown = cohort["credit_score"].isna().to_numpy() & cohort["loan_type"].isna().to_numpy()
    assert (later & unknown).any()
    assert np.array_equal(static[~later | unknown], other[~later | unknown])
    assert not np.array_equal(static, other)


@pytest.mark.parametrize("taken", [0, 1, 30, 300])
def test_few_loans_are_rows_with_notes_and_no_error(rows, loans, taken):
    cohort, months = loans
    cohort = cohort.iloc[:taken]
    if taken:
        found = rows(cohort, loan_months=months[months["loan_id"].isin(cohort["loan_id"])])
        assert "not_estimated" in set(found.frame["estimator"])
    else:
        assert "follows neither" in rows(loans[0]).frame["note"].iloc[0]


def test_few_columns_are_enough(rows, loans):
    cohort, months = loans
    few = months[["loan_id", "month_number", "calendar_month", "current_at_start", "delinquent", "default"]]
    found = rows(cohort.drop(columns=["amount", "institution_id", "credit_grade"]), loan_months=few)
    assert found.one(estimator="area_under_curve", specification="gain", estimand="all_months").ci_low > 0
    notes = set(found.where(estimator="not_estimated")["specification"])
    assert {"alert", "lender_contact", "client_contact", "costs", "response", "records"} <= notes
    written = few.assign(calendar_month="April 2004")
    assert "must read like" in rows(cohort, loan_months=written).where(specification="scores")["note"].item()
    missing = rows(cohort, loan_months=few.drop(columns="default"))
    assert "no default" in missing.frame["note"].iloc[0]


def test_falling_accounts_before_the_loan(rows):
    rng = np.random.default_rng(4)
    cohort = pd.DataFrame({"loan_id": [f"{place:03d}" for place in range(400)], "treated": 0})
    cohort["default"] = (rng.random(400) < 0.2).astype(int)
    month = np.tile(np.arange(1, 7), 400)
    bad = np.repeat(cohort["default"], 6).to_numpy()
    # Falls towards the loan, where it defaults.
    balance = 100 + rng.normal(0, 10, 2400) - 20 * bad * (month <= 3)
    accounts = pd.DataFrame({"loan_id": np.repeat(cohort["loan_id"], 6), "months_before": month, "balance": balance})
    accounts["credits"] = rng.normal(100, 10, 2400)
    found = rows(cohort, account_months=accounts)
    areas = found.where(estimator="falling_before_loan", estimand="area_under_curve").set_index("specification")
    assert areas.loc["balance", "estimate"] > 0.9 and areas.loc["balance", "p_adjusted"] < 0.001
    assert areas.loc["credits", "ci_low"] < 0.5 < areas.loc["credits", "ci_high"]
    assert areas.loc["balance", "p_adjusted"] == pytest.approx(2 * areas.loc["balance", "p_value"], abs=1e-12)
    short = rows(cohort, account_months=accounts[accounts["months_before"] < 5])
    assert short.where(estimator="falling_before_loan")["note"].str.contains("too few months").all()


def test_alerts_above_a_threshold_are_right_as_often_as_their_risk_or_more(found):
    threshold = load(PARAMS).warning.threshold
    both = {"estimator": "alerts", "specification": "updated"}
    for estimand in ("precision", "recall", "median_lead"):
        assert np.isfinite(found.one(**both, factor=f"threshold[{threshold:g}]", estimand=estimand).ci_low)
    precision = found.one(**both, factor=f"threshold[{threshold:g}]", estimand="precision")
    assert precision.ci_high > 100 * threshold
    # Whoever is above a higher threshold is above the lower one.
    choice = load(PARAMS).warning
    lower, upper = (
        warning_alerts.raised(_small_book(), choice.model_copy(update={"threshold": one})) for one in (0.1, 0.3)
    )
    low, high = lower["updated", "threshold[0.1]"], upper["updated", "threshold[0.3]"]
    assert low.tolist() == [False, True, True] and high.tolist() == [False, False, True]
    none = warning_alerts.raised(_small_book(), choice.model_copy(update={"threshold": None}))
    assert not [rule for _, rule in none if rule.startswith("threshold")]


def _small_book():
    risk = np.array([0.05, 0.2, 0.5])
    numbers = np.arange(3)
    scores = {"static": np.log(risk / (1 - risk)), "updated": np.log(risk / (1 - risk))}
    ones = np.ones(3, dtype=bool)
    taught = pd.DataFrame({"month": [1], "updated": [0.0]})
    return warning_book.Book(
        pd.DataFrame(index=numbers), numbers, numbers + 1, np.zeros(3, dtype=int), numbers, numbers, numbers, ones,
        None, scores, "2004-01", taught,
    )  # fmt: skip


def test_falling_activity_is_taken_from_the_lenders_records_and_warns(rows, loans, tmp_path):
    cohort, months = loans
    rng = np.random.default_rng(5)
    # What comes in falls in the three months before a default, and otherwise at random.
    default = months.groupby("loan_id")["default"]
    ahead = np.any([(default.shift(-back) == 1).to_numpy() for back in (1, 2, 3)], axis=0)
    inflow = np.where(ahead | (rng.random(len(months)) < 0.02), 0.5, 1.0)
    records = months[["loan_id", "month_number"]].assign(account_inflow_ratio=inflow, loan_id=months["loan_id"])
    # The records go on after the months that are followed, and hold a row twice.
    records = pd.concat([records, records.head(1), records.tail(1).assign(month_number=LENGTH + 1)])
    store.write_parquet(places.interim("reference") / "repayments.parquet", records)
    found = rows(cohort, loan_months=months)
    gain = found.one(specification="gain_of_account", estimand="all_months")
    assert gain.ci_low > 0.01
    fallen = {"estimator": "before_default", "specification": "falling_activity"}
    assert found.one(**fallen, factor="months_before[03]", estimand="defaulting").estimate == 100
    assert found.one(**fallen, factor="months_before[05]", estimand="difference").ci_low < 0
    alert = found.where(estimator="alerts", specification="falling_activity").set_index("estimand")["estimate"]
    assert alert["precision"] > 50 and alert["median_lead"] == 2


def test_moves_between_grades_add_up(found):
    found = found.where(estimator="grade_moves")
    cells = found[found["factor"].str.startswith("from[")]
    assert np.allclose(cells.groupby(["specification", "factor"])["estimate"].sum(), 100)
    every = found[found["factor"] == "all"]
    assert np.allclose(every.groupby("specification")["estimate"].sum(), 100)
    later = found[found["estimand"] == "default_afterwards"].set_index("factor")["estimate"]
    assert later["downgraded"] > later["upgraded"]


def test_a_months_inflow_is_the_first_on_record_and_missing_without_one(tmp_path):
    recorded = pd.DataFrame(
        {
            "loan_id": [7, 7, 7, 12, 7],
            "month_number": [1, 2, 1, 1, 9],
            "account_inflow_ratio": [0.5, np.nan, 0.9, 1.1, 0.3],
        }
    )
    recorded.to_parquet(tmp_path / "repayments.parquet")
    months = pd.DataFrame({"loan_id": ["12", "7", "7", "8", "12"], "month_number": [1, 1, 2, 1, 2]})
    inflow = warning.recorded_inflow(tmp_path / "repayments.parquet", months)
    assert inflow["month_number"].max() == 2
    found = warning_signals.with_activity(months, inflow)
    nothing = np.nan
    np.testing.assert_array_equal(found["inflow"], [1.1, 0.5, nothing, nothing, nothing])
    np.testing.assert_array_equal(found["falling_activity"], [0.0, 1.0, nothing, nothing, nothing])
