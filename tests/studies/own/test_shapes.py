"""Odd shapes of a lender's file, each from the file to both pages and the PDF."""

import numpy as np
import pytest

from tests import own_loans
from tests.studies.own.test_own import ANALYSES, edit, left_out, places, report, run, set_up
from tests.studies.own.test_own import workplace as workplace


def loans(number=160):
    made = own_loans.loans(number, 3)[["id", "date", "branch", "grade", "amount", "treated", "contacts", "default"]]
    return made.assign(date=made["date"].dt.strftime("%Y-%m-%d"))


SHAPES = {
    "the_outcome_alone": ["id", "default"],
    "a_treatment_alone": ["id", "treated", "default"],
    "a_treatment_and_an_amount": ["id", "amount", "treated", "default"],
    "a_category_alone": ["id", "grade", "default"],
    "a_factor_alone": ["contacts", "default"],
    "a_date_alone": ["id", "date", "default"],
    "one_lender": ["id", "branch", "amount", "contacts", "treated", "default"],
    "one_month": ["id", "date", "amount", "treated", "contacts", "default"],
}
CONSTANT = {"one_lender": {"branch": 1}, "one_month": {"date": "2018-03-05"}}


OFTEN = ("a_treatment_alone", "a_factor_alone", "the_outcome_alone")
"""Shapes that every change must pass; the others are for the night."""


@pytest.mark.parametrize(
    "shape", [name if name in OFTEN else pytest.param(name, marks=pytest.mark.long) for name in SHAPES]
)
def test_a_shape_reaches_its_pages(workplace, shape):
    made = loans().assign(**CONSTANT.get(shape, {}))[SHAPES[shape]]
    assert set_up(made) == 0
    run(*ANALYSES)
    page = report()
    folder = places.reports("mine")
    assert (folder / "report.pdf").read_bytes().startswith(b"%PDF")
    assert "文件的160行中" in (folder / "report.zh.html").read_text(encoding="utf-8")
    for text in (page, (folder / "report.html").read_text(encoding="utf-8")):
        assert "fetched from their producers" not in text and "results are in this repository" not in text
    assert "Whose data:" in page and "Check first:" in page
    rates = {name: rows["default"].mean() for name, rows in made.groupby(made.get("treated", made["default"]))}
    assert f"{100 * made['default'].mean():.1f}%" in page
    if "treated" in made:
        assert all(f"{100 * rate:.1f}%" in page for rate in rates.values())
    assert ("no_arms", "") in left_out() or "treated" in made


def test_a_randomised_design_has_the_words_of_one(workplace):
    made = loans(600).drop(columns=["branch", "contacts"])
    draw = np.random.default_rng(1)
    made["treated"] = draw.permutation(np.arange(600) % 2)
    made["default"] = (draw.random(600) < np.where(made["treated"] == 1, 0.1, 0.3)).astype(int)
    assert set_up(made) == 0
    edit("mine", design="randomised")
    run(*ANALYSES)
    page = report()
    assert "supported here:" in page and "Chance decided who was reached" in page
    assert "as an association" not in page and "may tell whom the lender reaches" not in page


def test_units_currencies_and_losses_stand_on_the_first_page(workplace):
    made = loans().drop(columns=["branch", "grade", "contacts"]).rename(columns={"amount": "Amount ('000)"})
    made = made.assign(**{"MonthlyRate": 1.5 + made["id"] % 10 / 10, "currency": ["KES", "KES", "USD", "KES"] * 40})
    made["no_of_instalments"], made["repayment_frequency"] = [26, 52] * 80, "Weekly"
    made["write_off_amount"] = made.pop("default") * 100
    made["status"] = "closed"
    assert set_up(made, "--default", "status", "--lost", "write_off_amount", "--currency", "KES") == 0
    run(*ANALYSES)
    page = report()
    assert "Amount ('000) is multiplied by 1,000, for its unit; MonthlyRate is multiplied by 12, for its unit;" in page
    assert 'loans of which "write_off_amount" is above nought are in default' in page
    assert "loans whose currency is not KES" in page and '"repayment_frequency" gives the unit of each term;' in page
    chinese = (places.reports("mine") / "report.zh.html").read_text(encoding="utf-8")
    assert "乘以1,000" in chinese and "大于零的贷款算作违约" in chinese and "不是KES的贷款" in chinese
    assert "期限的单位见“repayment_frequency”列" in chinese


def test_no_client_is_named_and_nothing_is_said_of_what_the_file_lacks(workplace):
    made = loans(400).drop(columns=["branch", "treated"])
    made["client_id"] = [f"KH{number // 2:05d}" for number in range(400)]
    made["satisfaction"] = [1 + number % 5 if number % 4 else None for number in range(400)]
    assert set_up(made) == 0
    run(*ANALYSES, "robustness")
    page = report()
    chinese = (places.reports("mine") / "report.zh.html").read_text(encoding="utf-8")
    written = [file.read_text(encoding="utf-8") for file in places.reports("mine").rglob("*.csv")]
    assert not any("KH0" in text for text in [page, chinese, *written])
    assert "Leaving out one client at a time" in page and "It moves most" not in page
    assert "clustered by client" in page and "take loans as independent of each other; they are" not in page
    assert "standard errors do not allow for loans of one institution to resemble each other" in page
    assert "matched pairs" not in page.split("## The full record")[0] and "方块为配对样本" not in chinese
    # Each factor is known of other loans.
    assert "| Loans | 300–400 |" in page


def test_months_of_loans_are_not_called_rows(workplace):
    one = loans(120)[["id", "amount", "contacts", "default"]]
    rows = one.loc[one.index.repeat(8)].reset_index(drop=True)
    number = rows.index % 8
    rows["month"] = [f"2019-{1 + place:02d}" for place in number]
    rows["status"] = [("Charged-off" if bad else "Paid-off") if place == 7 else "Current"
                      for bad, place in zip(rows.pop("default"), number, strict=True)]  # fmt: skip
    assert set_up(rows) == 0
    run(*ANALYSES)
    page = report()
    assert "**Read:** 120 loans." in page and "Of 120 loans in the file" in page
    assert "does default fall with contacts?" in page and "of 1 factors" not in page and "Of the one factor," in page
    chinese = (places.reports("mine") / "report.zh.html").read_text(encoding="utf-8")
    assert "文件的120笔贷款中" in chinese and "1个因素中" not in chinese
