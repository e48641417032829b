"""The simulated lenders: same bytes, sound tables, known dirt, and effects where the design puts them."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from pipeline.runtime.errors import StudyError
from pipeline.studies.reference import dirt, generator
from pipeline.studies.reference.settings import Settings
from pipeline.studies.reference.truth import summarise

SMALL = Settings(scale=0.05)
SEED = 11
KEYS = {
    "institutions": ["institution_id"],
    "branches": ["branch_id"],
    "applications": ["application_id"],
    "loans": ["loan_id"],
    "contacts": ["contact_id"],
    "surveys": ["survey_id"],
    "alerts": ["alert_id"],
    "repayments": ["loan_id", "month_number"],
    "documents": ["document_id"],
    "reviews": ["review_id"],
    "macro": ["year", "quarter"],
    "potential_outcomes": ["application_id"],
}
PARENTS = [
    ("branches", "institution_id", "institutions"),
    ("applications", "branch_id", "branches"),
    ("loans", "application_id", "applications"),
    ("loans", "branch_id", "branches"),
    ("contacts", "loan_id", "loans"),
    ("surveys", "loan_id", "loans"),
    ("alerts", "loan_id", "loans"),
    ("repayments", "loan_id", "loans"),
    ("documents", "loan_id", "loans"),
    ("reviews", "client_id", "applications"),
    ("potential_outcomes", "application_id", "applications"),
]


def hashes(folder: Path) -> dict[str, str]:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def months(dates: pd.Series) -> pd.Series:
    return dates.dt.year * 12 + dates.dt.month


@pytest.fixture(scope="session")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("reference")
    generator.generate(SMALL, SEED, folder)
    return folder


@pytest.fixture(scope="session")
def clean() -> dict[str, pd.DataFrame]:
    return generator.simulate(SMALL, SEED, dirt=False)


@pytest.fixture(scope="session")
def dirty() -> dict[str, pd.DataFrame]:
    return generator.simulate(SMALL, SEED)


@pytest.fixture(scope="session")
def moderate() -> tuple[dict[str, pd.DataFrame], dict]:
    """Three worlds of moderate size under one another: the tables of the landing zones."""
    settings = Settings(scale=0.3)
    names = ("institutions", "applications", "loans", "surveys", "reviews", "potential_outcomes")
    worlds = [generator.simulate(settings, seed, names, dirt=False) for seed in (1, 2, 3)]
    tables = {
        name: pd.concat([part[name].assign(world=k) for k, part in enumerate(worlds)], ignore_index=True)
        for name in names
    }
    return tables, summarise(settings, tables["potential_outcomes"])


def test_same_seed_gives_same_bytes_whatever_the_chunks(written: Path, tmp_path: Path) -> None:
    generator.generate(SMALL, SEED, tmp_path, institutions_per_chunk=5)
    assert hashes(tmp_path) == hashes(written)
    assert len(hashes(written)) == len(generator.RAW_TABLES) + len(generator.TRUTH_TABLES) + 1


def test_row_groups_do_not_depend_on_the_chunks(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(generator, "ROW_GROUP", 1000)
    tiny = replace(SMALL, institutions=(2, 1, 1))
    generator.generate(tiny, SEED, tmp_path / "a", institutions_per_chunk=1)
    generator.generate(tiny, SEED, tmp_path / "b", institutions_per_chunk=4)
    assert hashes(tmp_path / "a") == hashes(tmp_path / "b")


def test_another_seed_gives_another_world(clean: dict[str, pd.DataFrame]) -> None:
    other = generator.simulate(SMALL, SEED + 1, ("loans",), dirt=False)["loans"]
    assert not other["amount"].head(50).equals(clean["loans"]["amount"].head(50))


def test_an_institution_is_the_same_in_a_larger_study() -> None:
    few, many = (
        generator.simulate(replace(SMALL, institutions=counts), SEED, ("repayments",))["repayments"]
        for counts in ((2, 0, 1), (3, 1, 1))
    )
    shared = many[many["loan_id"].isin(few["loan_id"])].reset_index(drop=True)
    pd.testing.assert_frame_equal(shared, few)


def test_memory_and_files_hold_the_same_rows(written: Path, dirty: dict[str, pd.DataFrame]) -> None:
    for name, frame in dirty.items():
        folder = written / "truth" if name in generator.TRUTH_TABLES else written
        pd.testing.assert_frame_equal(pd.read_parquet(folder / f"{name}.parquet"), frame)


def test_a_table_does_not_depend_on_which_others_are_built(dirty: dict[str, pd.DataFrame]) -> None:
    alone = generator.simulate(SMALL, SEED, ("contacts", "loans"))
    assert list(alone) == ["loans", "contacts"]
    for name, frame in alone.items():
        pd.testing.assert_frame_equal(frame, dirty[name])


def test_the_truth_stands_apart(written: Path) -> None:
    raw = {path.stem for path in written.glob("*.parquet")}
    assert raw == set(generator.RAW_TABLES)
    hidden = {"hidden_creditworthiness", "enrolled_if_drawn", "default_if_enrolled", "stress_arrivals"}
    for name in raw:
        assert not hidden & set(pd.read_parquet(written / f"{name}.parquet").columns)


def test_keys_are_unique_and_parents_exist(clean: dict[str, pd.DataFrame]) -> None:
    for name, key in KEYS.items():
        assert not clean[name].duplicated(key).any(), name
        assert clean[name][key].notna().all(axis=None), name
    for child, key, parent in PARENTS:
        assert clean[child][key].isin(clean[parent][key]).all(), (child, parent)
    outcomes = clean["potential_outcomes"]
    assert set(outcomes.loc[outcomes["granted"], "loan_id"]) == set(clean["loans"]["loan_id"])
    granted = clean["applications"].query("decision == 'granted'")
    assert set(granted["application_id"]) == set(clean["loans"]["application_id"])


def test_dates_are_ordered(clean: dict[str, pd.DataFrame]) -> None:
    loans = clean["loans"].merge(
        clean["applications"][["application_id", "application_date", "decision_date"]], on="application_id"
    )
    start = pd.to_datetime(loans["origination_date"])
    assert (pd.to_datetime(loans["application_date"]) < loans["decision_date"]).all()
    assert (loans["decision_date"] <= start).all()
    assert start.min() >= pd.Timestamp("2002-10-01")
    assert start.max() < pd.Timestamp("2007-10-01")
    for later in ("next_loan_date", "left_lender_date"):
        assert (loans[later].dropna() > start[loans[later].notna()]).all()
    ends = clean["repayments"].groupby("loan_id")["month_end"].max()
    starts = pd.Series(start.to_numpy(), index=loans["loan_id"])
    for name, date in (
        ("contacts", "contact_date"),
        ("surveys", "answer_date"),
        ("alerts", "alert_date"),
        ("repayments", "month_end"),
    ):
        frame = clean[name]
        assert (frame[date] > frame["loan_id"].map(starts)).all(), name
        if name in ("contacts", "alerts"):
            assert (frame[date] <= frame["loan_id"].map(ends)).all(), name
    assert clean["repayments"]["month_end"].max() <= pd.Timestamp("2009-09-30")
    contacts = clean["contacts"]
    assert contacts.groupby("loan_id")["contact_date"].is_monotonic_increasing.all()


def test_loan_histories_are_possible(clean: dict[str, pd.DataFrame]) -> None:
    months_of = clean["repayments"]
    first = months_of.groupby("loan_id").head(1)
    assert (first["month_number"] == 1).all()
    assert first["state"].isin(["current", "delinquent", "prepaid"]).all()
    before = months_of.groupby("loan_id")["state"].shift()
    assert not before.isin(["default", "prepaid"]).any()
    assert (before[months_of["state"] == "default"] == "delinquent").all()
    last = months_of.groupby("loan_id").tail(1)
    assert ((last["month_number"] == 24) | last["state"].isin(["default", "prepaid"])).all()
    days = months_of.groupby("state")["days_past_due"].agg(["min", "max"])
    assert days.loc["default"].tolist() == [90, 90]
    assert days.loc["current"].tolist() == [0, 0]
    assert days.loc["delinquent", "min"] == 30
    assert (months_of["balance"] >= 0).all()
    outcome = months_of[(months_of["state"] == "default") & (months_of["month_number"] <= 12)]["loan_id"]
    truth = clean["potential_outcomes"]
    assert set(outcome) == set(truth.loc[truth["granted"] & truth["default"], "loan_id"])


def test_shared_items_give_the_sharing_index(clean: dict[str, pd.DataFrame]) -> None:
    items = clean["documents"].groupby("loan_id")[["items_shared", "items_requested"]].sum()
    index = items["items_shared"] / items["items_requested"]
    truth = clean["potential_outcomes"].dropna(subset="loan_id").set_index("loan_id")["sharing"]
    assert (index - truth.loc[index.index]).abs().max() <= 1 / 80 + 1e-4
    assert (clean["documents"]["items_shared"] <= clean["documents"]["items_requested"]).all()


def test_programme_only_after_adoption(clean: dict[str, pd.DataFrame]) -> None:
    loans = clean["loans"].merge(clean["institutions"], on="institution_id")
    after = pd.to_datetime(loans["origination_date"]) >= loans["crm_adoption_date"]
    assert not loans.loc[~after, "crm_enrolled"].any()
    assert (loans["programme_lot"].notna() == after).all()
    assert loans.loc[after, "crm_enrolled"].mean() == pytest.approx(0.55, abs=0.08)


def test_contacts_follow_the_state_of_the_loan(clean: dict[str, pd.DataFrame]) -> None:
    loans = clean["loans"].merge(clean["institutions"], on="institution_id")
    silent = loans.loc[~loans["contact_log_available"], "loan_id"]
    assert len(silent)
    assert not clean["contacts"]["loan_id"].isin(silent).any()
    contacts = clean["contacts"].merge(loans[["loan_id", "origination_date"]], on="loan_id")
    contacts["month_number"] = months(contacts["contact_date"]) - months(pd.to_datetime(contacts["origination_date"]))
    late = clean["repayments"].query("state == 'delinquent'")[["loan_id", "month_number"]]
    late = late.assign(month_number=late["month_number"] + 1, late=True)
    contacts = contacts.merge(late, on=["loan_id", "month_number"], how="left")
    reactive = contacts["reason"].isin(["arrears", "payment_difficulty"])
    assert reactive.any()
    assert contacts.loc[reactive, "late"].eq(True).all()
    assert set(contacts.loc[~reactive, "initiated_by"]) == {"lender"}


def test_dirt_is_exactly_what_the_truth_says(
    written: Path, clean: dict[str, pd.DataFrame], dirty: dict[str, pd.DataFrame]
) -> None:
    record = dirty["dirty_rows"]
    counts = json.loads((written / "truth" / "truth.json").read_text())["dirt"]["rows"]
    assert sum(n for part in counts.values() for n in part.values()) == len(record)
    for name in generator.RAW_TABLES:
        rows = record[record["table"] == name]
        spoilt, twice = rows[rows["column"] != ""], rows[rows["kind"] == "duplicate_row"]
        restored = dirty[name].copy()
        assert restored.duplicated().sum() == len(twice) == counts.get(name, {}).get("duplicate_row", 0), name
        if rows.empty:
            pd.testing.assert_frame_equal(restored, clean[name])
            continue
        restored.index = dirt.identifiers(name, restored)
        assert set(restored.index[restored.index.duplicated()]) == set(twice["row_id"])
        for (column, kind), part in spoilt.groupby(["column", "kind"]):
            assert counts[name][f"{kind} in {column}"] == len(part) > 0
            assert (restored.loc[part["row_id"], column] != "").all()
            for row_id, value in zip(part["row_id"], part["clean_value"], strict=True):
                assert (restored.loc[[row_id], column] != value).all()
                restored.loc[row_id, column] = value
        restored = restored.drop_duplicates().reset_index(drop=True)
        pd.testing.assert_frame_equal(restored, clean[name])


def test_dirt_can_be_seen_in_the_extract(dirty: dict[str, pd.DataFrame]) -> None:
    """What a cleaning rule without the truth would flag is what was spoilt, no more and no less."""
    record = dirty["dirty_rows"]

    def recorded(name: str, column: str) -> set[int]:
        return set(record.loc[(record["table"] == name) & (record["column"] == column), "row_id"])

    for name, column in (("applications", "application_date"), ("loans", "origination_date")):
        dates = pd.to_datetime(dirty[name][column], errors="coerce", format="%Y-%m-%d")
        wrong = ~dates.between("2002-01-01", "2009-12-31")
        assert set(dirt.identifiers(name, dirty[name])[wrong]) == recorded(name, column)
    for name, column in (("applications", "annual_income"), ("loans", "amount")):
        values = dirty[name][column]
        wrong = values.notna() & pd.to_numeric(values, errors="coerce").isna()
        assert set(dirt.identifiers(name, dirty[name])[wrong]) == recorded(name, column)
    for name, column in (("applications", "industry"), ("loans", "loan_type"), ("contacts", "channel")):
        wrong = dirty[name][column].isin(dirt.UNKNOWN_CODES)
        assert set(dirt.identifiers(name, dirty[name])[wrong]) == recorded(name, column)


def test_null_programme_has_no_effect_at_all() -> None:
    settings = Settings(scenario="null", scale=0.05)
    outcomes = generator.simulate(settings, SEED, ("potential_outcomes",))["potential_outcomes"]
    assert outcomes["enrolled"].any()
    assert (outcomes["granted"] == outcomes["granted_without_adoption"]).all()
    after = outcomes[outcomes["after_adoption"]]
    assert (after["risk_if_enrolled"] == after["risk_if_not_enrolled"]).all()
    assert (after["default_if_enrolled"] == after["default_if_not_enrolled"]).all()
    truth = summarise(settings, outcomes)
    for effect in (
        truth["enrolment_on_treated"],
        truth["enrolment_on_treated"]["realised"],
        truth["enrolment_on_lottery_compliers"],
        truth["adoption_on_institution_quarters"],
    ):
        assert effect["difference_points"] == 0
        assert effect["risk_ratio"] == 1
    assert truth["satisfaction_one_point"]["difference_points"] < 0


def test_switching_the_programme_off_changes_only_what_it_touches(clean: dict[str, pd.DataFrame]) -> None:
    """Common random numbers: clients never enrolled fare the same in a world without the programme."""
    off = generator.simulate(replace(SMALL, scenario="null"), SEED, dirt=False)
    never = set(clean["institutions"].query("crm_adoption_date.isna()")["institution_id"])
    assert never
    untouched = set(clean["loans"].loc[clean["loans"]["institution_id"].isin(never), "loan_id"])
    for name in ("loans", "repayments", "contacts", "alerts", "surveys", "documents"):
        with_, without = (
            frame[frame["loan_id"].isin(untouched)].reset_index(drop=True) for frame in (clean[name], off[name])
        )
        assert len(with_)
        pd.testing.assert_frame_equal(with_, without)
    both = clean["potential_outcomes"].merge(off["potential_outcomes"], on="application_id")
    assert (both["risk_if_not_enrolled_x"] == both["risk_if_not_enrolled_y"]).all()
    assert (both["risk_x"] == both["risk_y"])[~both["enrolled_x"]].all()
    assert (both["default_x"] == both["default_y"])[~both["enrolled_x"]].all()


def test_macro_is_the_real_series(clean: dict[str, pd.DataFrame]) -> None:
    macro = clean["macro"].set_index(["year", "quarter"])
    assert len(macro) == 32
    assert macro.index[0] == (2001, 4)
    assert macro.index[-1] == (2009, 3)
    assert macro.loc[(2008, 4), "unemployment"] == 6.9
    assert macro.loc[(2009, 3), "treasury_bill_rate"] == 0.12
    assert macro["gdp_growth"].idxmin() == (2009, 1)


def test_risk_is_the_chance_of_the_realised_default() -> None:
    """The sum over all courses agrees with the walk: realised defaults minus risk is pure noise."""
    outcomes = generator.simulate(Settings(scale=0.3), 5, ("potential_outcomes",))["potential_outcomes"]
    for suffix in ("", "_if_not_enrolled"):
        risk, default = outcomes[f"risk{suffix}"], outcomes[f"default{suffix}"].astype(float)
        z = (default - risk).sum() / np.sqrt((risk * (1 - risk)).sum())
        assert abs(z) < 3.5
        top = risk > risk.quantile(0.9)
        z = (default - risk)[top].sum() / np.sqrt((risk * (1 - risk))[top].sum())
        assert abs(z) < 3.5


@pytest.mark.long
def test_landing_zones(moderate: tuple[dict[str, pd.DataFrame], dict]) -> None:
    """Design document, What must come out; zones hold for means over three worlds of scale .3."""
    tables, truth = moderate
    zones = {"commercial_bank": (1.3, 2.1), "consumer_finance": (2.4, 3.9), "p2p": (8.8, 13.2)}
    for kind, (low, high) in zones.items():
        assert low < truth["default_percent"][kind] < high, kind
    assert -0.88 < truth["enrolment_on_treated"]["difference_points"] < -0.55
    assert 0.73 < truth["enrolment_on_treated"]["risk_ratio"] < 0.80
    assert -0.21 < truth["adoption_on_institution_quarters"]["log_risk_ratio"] < -0.15
    assert 0.94 < truth["satisfaction_one_point"]["odds_ratio"] < 0.97
    assert -0.23 < truth["satisfaction_one_point"]["difference_points"] < -0.14
    compliers = truth["enrolment_on_lottery_compliers"]["difference_points"]
    assert -1.05 < compliers < truth["enrolment_on_treated"]["difference_points"]

    outcomes = tables["potential_outcomes"]
    loans = outcomes[outcomes["granted"]]
    treated = loans["enrolled"].astype(bool)
    raw = 100 * (loans.loc[treated, "default"].mean() - loans.loc[~treated, "default"].mean())
    assert -3.4 < raw < -1.7
    grade = loans.groupby("credit_grade")["default"].mean()
    targets = {"A": 1.9, "B": 3.3, "C": 4.4, "D": 5.5, "E": 7.2}
    for letter, percent in targets.items():
        assert 100 * grade[letter] == pytest.approx(percent, rel=0.25), letter
    assert loans["credit_grade"].value_counts(normalize=True).between(0.18, 0.22).all()

    assert tables["applications"]["decision"].eq("granted").mean() == pytest.approx(0.645, abs=0.02)
    income = tables["applications"].query("decision == 'granted'")["annual_income"]
    assert income.isna().mean() == pytest.approx(0.12, abs=0.02)
    assert len(tables["surveys"]) / len(loans) == pytest.approx(0.56, abs=0.05)


@pytest.mark.long
def test_reviews_tell_satisfaction(moderate: tuple[dict[str, pd.DataFrame], dict]) -> None:
    tables, _ = moderate
    outcomes = tables["potential_outcomes"].merge(
        tables["applications"][["world", "application_id", "client_id"]], on=["world", "application_id"]
    )
    reviews = tables["reviews"].merge(outcomes[["world", "client_id", "satisfaction"]], on=["world", "client_id"])
    assert len(reviews) / outcomes["granted"].sum() == pytest.approx(0.20, abs=0.01)
    assert reviews["stars"].notna().mean() == pytest.approx(0.5, abs=0.03)
    assert reviews["stars"].corr(reviews["satisfaction"]) == pytest.approx(0.57, abs=0.06)
    assert set(reviews["language"]) == {"en", "zh"}
    chinese = reviews["text"].str.contains("[\u4e00-\u9fff]")
    assert (chinese == (reviews["language"] == "zh")).all()


@pytest.mark.long
def test_benign_scenario_hides_nothing() -> None:
    outcomes = generator.simulate(Settings(scenario="benign", scale=0.3), 3, ("potential_outcomes",))
    after = outcomes["potential_outcomes"].query("after_adoption and granted")
    within = after.groupby("credit_grade").apply(
        lambda part: part["hidden_creditworthiness"].corr(part["enrolled"].astype(float))
    )
    base = generator.simulate(Settings(scale=0.3), 3, ("potential_outcomes",))["potential_outcomes"]
    base = base.query("after_adoption and granted").groupby("credit_grade")
    hidden = base.apply(lambda part: part["hidden_creditworthiness"].corr(part["enrolled"].astype(float)))
    assert within.mean() < hidden.mean() / 2


def test_mistakes_are_named() -> None:
    with pytest.raises(StudyError, match="scenario"):
        Settings(scenario="rosy")  # type: ignore[arg-type]
    with pytest.raises(StudyError, match="scale"):
        Settings(scale=0)
    with pytest.raises(StudyError, match="no table"):
        generator.simulate(SMALL, SEED, ("clients",))
