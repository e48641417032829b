import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from pipeline.core.params import load
from pipeline.core.shared import Checks
from pipeline.runtime.errors import StudyError
from pipeline.sources.records import load_source
from pipeline.stats.design import column_of
from pipeline.studies.berka import study
from pipeline.studies.berka.tables import FREQUENCIES, TABLES, UNDATED, joined
from tests.studies.berka.sample import PARAMS, protocol, raw_tables

CHECKS = Checks(quarantine_share=0.01, balance=0.1)


def prepare(tables, **changes):
    return study.prepare(tables, protocol(**changes), CHECKS)


@pytest.fixture(scope="module")
def tables():
    return raw_tables(200, 1)


@pytest.fixture(scope="module")
def cohort(tables):
    return prepare(tables).cohort.set_index("loan_id")


def loans(tables):
    """The loans with their keys as the cohort has them."""
    frame = tables["loan"].astype(str)
    return frame.assign(loan_id="0" + frame["loan_id"]).set_index("loan_id")


def changed(tables, name, row, **values):
    table = tables[name].copy()
    for column, value in values.items():
        table.loc[row, column] = value
    return {**tables, name: table}


def test_every_loan_of_the_bank_is_in_the_cohort(tables, cohort):
    assert sorted(cohort.index) == sorted(loans(tables).index)
    status = loans(tables)["status"].loc[cohort.index]
    assert (cohort["default"] == status.isin(["B", "D"])).all()
    assert (cohort["ended"] == status.isin(["A", "B"])).all()
    assert (cohort["amount"] == loans(tables)["amount"].loc[cohort.index].astype(float)).all()


def test_statements_are_steps_and_statements_a_month(tables, cohort):
    frequency = tables["account"].astype(str).set_index("account_id")["frequency"]
    of_loan = frequency.loc[loans(tables)["account_id"].loc[cohort.index]].to_numpy()
    assert (cohort["treated"] == (of_loan != "POPLATEK MESICNE")).all()
    assert (cohort["communication_frequency"] == [FREQUENCIES[name] for name in of_loan]).all()
    monthly, weekly, each = (cohort.loc[cohort["communication_frequency"] == step] for step in (0, 1, 2))
    assert (monthly["communication_frequency_statements"] == 1).all()
    np.testing.assert_allclose(weekly["communication_frequency_statements"], 52.18 / 12, rtol=1e-3)
    assert (each["communication_frequency_statements"] == each["transactions_per_month"]).all()


def test_a_birth_number_tells_sex_and_age(tables):
    clients = [("706213", 1.0, "1970-12-13"), ("700213", 0.0, "1970-02-13"), ("405101", 1.0, "1940-01-01")]
    born_then = changed(tables, "client", [0, 1, 2], birth_number=[number for number, _, _ in clients])
    cohort = prepare(born_then).cohort.set_index("loan_id")
    for place, (_, female, born) in enumerate(clients, start=1):
        row = cohort.loc[f"0500{place}"]
        assert row["female"] == female
        assert row["age"] == pytest.approx((row["origination_date"] - pd.Timestamp(born)).days / 365.25)


def test_a_card_counts_only_if_it_was_issued_before_the_loan(tables, cohort):
    card = tables["card"].astype(str)
    issued = pd.to_datetime("19" + card["issued"].str[:6], format="%Y%m%d")
    # In the sample a card's number is its account's number less one hundred.
    granted = cohort["origination_date"].loc["0" + (5000 + card["disp_id"].astype(int)).astype(str)].to_numpy()
    early = set("0" + (5000 + card.loc[issued.to_numpy() < granted, "disp_id"].astype(int)).astype(str))
    assert (issued.to_numpy() == granted).any() and (issued.to_numpy() > granted).any()
    assert set(cohort.index[cohort["relationship_depth_cards"] == 1]) == early


def test_a_second_person_is_no_owner(tables, cohort):
    disp = tables["disp"].astype(str)
    second = disp.loc[disp["type"] == "DISPONENT", "account_id"]
    account = loans(tables)["account_id"].loc[cohort.index]
    assert (cohort["relationship_depth_second_person"] == account.isin(second)).all()
    assert len(cohort) == 200


def test_undated_tables_are_never_read():
    source = load_source("berka")
    read = {file.name for file in study.files(source, [])}
    assert {f"{name}.asc" for name in UNDATED} == {file.name for file in source.files} - read
    assert not UNDATED & set(TABLES)
    terms = load(PARAMS).study("berka")
    used = [*terms.matching.exact, *terms.matching.score, *terms.factors]
    used += [term for block in terms.controls.ladder().values() for term in block]
    assert not [term for term in used if "order" in column_of(term)]


def test_the_grade_knows_balances_and_income_before_the_loan_and_nothing_else(tables, cohort):
    others = tables["loan"].copy()
    others["status"] = others["status"].map({"A": "B", "B": "A", "C": "D", "D": "C"})
    others["amount"] = (others["amount"].astype(float) * 2).astype("string")
    again = prepare({**tables, "loan": others}).cohort.set_index("loan_id")
    assert (again["credit_grade"] == cohort["credit_grade"]).all()
    assert (again["credit_score"] == cohort["credit_score"]).all()
    best, worst = (cohort[cohort["credit_grade"] == grade]["credit_score"] for grade in ("A", "D"))
    assert best.min() > worst.max()
    sizes = cohort["credit_grade"].value_counts()
    assert sizes.max() - sizes.min() <= 1


def test_the_order_of_rows_plays_no_part(tables, cohort):
    shuffled = {name: table.sample(frac=1, random_state=7).reset_index(drop=True) for name, table in tables.items()}
    pd.testing.assert_frame_equal(prepare(shuffled).cohort.set_index("loan_id"), cohort)


def test_aggregates_that_disagree_with_the_transactions_stop_the_study(tables):
    wrong = tables
    for row, (column, value) in enumerate((("balance_mean", "1.0"), ("operation_count", "999"), ("amount_max", "1e5"))):
        wrong = changed(wrong, "berka_before_loan", row, **{column: value})
    # Each of the three is seen by itself: they stand at three loans.
    with pytest.raises(StudyError, match="3 loans disagree"):
        prepare(wrong)


def test_a_transaction_as_late_as_the_loan_stops_the_study(tables):
    account, day = loans(tables)[["account_id", "date"]].iloc[0]
    row = tables["berka_transactions"].index[tables["berka_transactions"]["account_id"] == account][-1]
    with pytest.raises(StudyError, match="disagree"):
        prepare(changed(tables, "berka_transactions", row, date=day))


def test_loans_whose_activity_is_not_before_them_leave(tables):
    late = changed(tables, "berka_before_loan", 5, date_max=str(tables["berka_before_loan"]["loan_date"][5]))
    # Without transactions at hand only the aggregates' own dates can tell.
    prepared = prepare({**late, "berka_transactions": tables["berka_transactions"].iloc[:0]})
    assert prepared.flow.set_index("reason").loc["late_activity", "loans"] == 1
    assert "05006" not in set(prepared.cohort["loan_id"])


def test_what_breaks_a_rule_is_quarantined(tables):
    prepared = prepare(changed(tables, "account", 7, frequency="POPLATEK DENNE"))
    assert prepared.flow.set_index("reason").loc["data_rule", "loans"] == 1
    assert "frequency" in prepared.quarantined["reason"].item()
    # A question mark is a figure that is not known: all loans of the district break the rule.
    with pytest.raises(StudyError, match="district_unemployment"):
        prepare(changed(tables, "district", 0, A13="?"))


@pytest.mark.parametrize(
    ("changes", "message"),
    [({"factors": ["loyalty"]}, "cannot be measured here"), ({"treatment": None}, "from which frequency")],
)
def test_a_wrong_protocol_gets_a_sentence(tables, changes, message):
    with pytest.raises(StudyError, match=message):
        prepare(tables, **changes)


def test_missing_tables_are_named():
    with pytest.raises(StudyError, match="needs the raw tables loan"):
        joined({})


def test_the_files_are_read_as_the_preparation_wants_them(tmp_path, tables, cohort):
    paths = {}
    for name, table in tables.items():
        separator = "," if name == "berka_before_loan" else ";"
        paths[name] = tmp_path / f"{name}.asc"
        table.assign(unread="x").to_csv(paths[name], sep=separator, index=False)
    read = dict(study.read("berka", [paths[name] for name in TABLES]))
    assert list(read) == list(TABLES)
    for name in ("berka_before_loan", "berka_transactions"):
        read[name] = study.read(name, [paths[name]])
    pd.testing.assert_frame_equal(prepare(read).cohort.set_index("loan_id"), cohort)


def test_the_published_counts_come_out():
    """Against the challenge's tables: 76 of 682 loans in default, and the rates by frequency of the statement."""
    folder = os.environ.get("CRM_DATA_MIRROR")
    if not folder:
        pytest.skip("CRM_DATA_MIRROR names no folder with the challenge's tables")
    tables = {}
    for name in load(PARAMS).study("berka").sources:
        source = load_source(name)
        read = study.read(name, [Path(folder, source.folder, file.name) for file in study.files(source, [])])
        tables |= read if isinstance(read, dict) else {name: read}
    assert {name: len(tables[name]) for name in TABLES} == {
        file.name.split(".")[0]: file.rows for file in study.files(load_source("berka"), [])
    }
    cohort = study.prepare(tables, load(PARAMS).study("berka"), CHECKS).cohort
    assert (len(cohort), cohort["default"].sum()) == (682, 76)
    rates = cohort.groupby("communication_frequency")["default"].agg(["size", "mean"])
    assert rates["size"].tolist() == [559, 91, 32]
    np.testing.assert_allclose(rates["mean"], [0.106, 0.121, 0.188], atol=6e-4)
    assert cohort["relationship_depth_cards"].sum() == 36
    assert cohort.groupby("credit_grade", observed=True)["default"].mean().is_monotonic_increasing


def test_accounts_are_followed_in_whole_months_before_the_loan_and_no_further():
    loans = pd.DataFrame({"loan_id": ["7"], "account_id": ["1"], "loan_date": [pd.Timestamp("1995-05-01")]})
    moves = pd.DataFrame(
        {
            "account_id": "1",
            # Months before the loan: 4 (in which the account came into use), 3, 3, 1, and the day of the loan itself.
            "date": ["950103", "950201", "950210", "950420", "950501"],
            "type": ["credit", "credit", "withdrawal", "credit", "credit"],
            "amount": ["500.0", "100.0", "40.0", "10.0", "999.0"],
            "balance": ["500.0", "600.0", "560.0", "570.0", "1569.0"],
        }
    )
    found = study.account_months(loans, moves)
    assert found.to_dict("list") == {
        "loan_id": ["00007"] * 3,
        "months_before": [1, 2, 3],
        # Nothing moved in month 2: the balance of month 3 stands.
        "balance": [570.0, 580.0, 580.0],
        "credits": [10.0, 0.0, 100.0],
        "transactions": [1, 0, 2],
    }
