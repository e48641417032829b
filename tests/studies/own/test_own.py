"""From files that nobody described to cohorts, results and reports, as a reader goes."""

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from pipeline.__main__ import main
from pipeline.core import params, results
from pipeline.runtime import places, store
from pipeline.studies.own import roles
from pipeline.studies.own.choices import Own
from tests import choices, own_loans
from tests.choices import copied

ROOT = Path(__file__).parents[3]
ANALYSES = ("intake", "prepare", "match", "describe", "correlate", "regress", "missing")


@pytest.fixture
def workplace(tmp_path, monkeypatch):
    copied(tmp_path, "lendingclub")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def edit(name, **changes):
    """Change values among a study's choices by dotted path."""

    def change(section):
        for dotted, value in changes.items():
            *steps, last = dotted.split("__")
            part = section
            for step in steps:
                part = part[step]
            part[last] = value

    choices.edit(places.choices(name), change)


def run(*stages, study="mine"):
    for stage in stages:
        assert main([stage, "--study", study]) == 0, stage


def fails(capsys, *arguments):
    """Run what must fail; return its one sentence."""
    assert main(list(arguments)) == 1
    said = capsys.readouterr().err
    assert said.count("\n") == 1 and "Traceback" not in said
    return said


def left_out(study="mine"):
    rows = results.read(places.results(study, "describe")).where(estimator="left_out")
    return {(row.specification, row.factor) for row in rows.itertuples()}


def report(study="mine"):
    run("label", "report", study=study)
    return (places.reports(study) / "report.md").read_text(encoding="utf-8")


def test_english_text_goes_from_init_study_to_a_cohort(workplace, capsys):
    before = Path("params.yaml").read_text()
    own_loans.english_csv(workplace / "loans.csv", 3000)
    assert main(["init-study", "mine", "--data", "loans.csv"]) == 0
    said = capsys.readouterr().out
    assert [line for line in Path("params.yaml").read_text().splitlines() if line not in before.splitlines()] == [
        "  owned: &owned", "    mine:", "      file: loans.csv",
    ]  # fmt: skip
    section = params.load().study("mine").own
    assert section["columns"]["default"] == "Loan Status" and section["default_when"] == ["Charged Off"]
    assert section["left_out_when"] == ["Current"]
    assert "Recoveries" in said and "Recoveries" not in str(section)

    run("intake", "prepare")
    cohort = store.read_parquet(places.processed("mine") / "cohort.parquet")
    made = own_loans.loans(3000).assign(loan_id=lambda loans: "L-" + loans["id"].astype(str)).set_index("loan_id")
    made = made.loc[cohort["loan_id"]].reset_index()
    for name, source in {
        "interest_rate": "rate",
        "term_months": "term",
        "treated": "treated",
    }.items():
        np.testing.assert_allclose(cohort[name].astype(float), made[source])
    np.testing.assert_allclose(cohort["amount"], made["amount"], atol=0.005)
    gone = made["id"] % 97 == (100001 + 5) % 97
    assert (cohort["income_not_stated"] == gone).all()
    np.testing.assert_allclose(cohort["income_filled"], made["income"].mask(gone, cohort["income"].median()))
    assert (cohort["origination_date"].to_numpy() == made["date"].astype("datetime64[ms]").to_numpy()).all()
    assert (cohort["default"] == made["default"]).all()
    # Nothing else of the file is copied.
    assert "Client" not in str(store.read_parquet(places.interim("mine") / "loans.parquet").head().to_dict())


@pytest.mark.long
def test_english_text_goes_to_a_report(workplace):
    own_loans.english_csv(workplace / "loans.csv", 3000)
    assert main(["init-study", "mine", "--data", "loans.csv"]) == 0
    run(*ANALYSES)
    page = report()
    findings = (places.reports("mine") / "findings.txt").read_text()
    assert page.count("**") and findings.splitlines()[0] in page
    assert "supported here, as an association" in findings and "treated (yes, against no)" in findings
    assert "message" not in page
    assert "no series on the market environment" in page
    assert "Client 10" not in page


@pytest.mark.long
def test_the_programmes_effect_is_found_where_selection_hides_it(workplace):
    own_loans.english_csv(workplace / "loans.csv", 12000, seed=5)
    assert main(["init-study", "mine", "--data", "loans.csv"]) == 0
    run(*ANALYSES)
    rows = results.read(places.results("mine", "regress"))
    row = rows.one(estimator="logit", estimand="odds_ratio", factor="treated", specification="M5")
    raw = rows.one(estimator="logit", estimand="odds_ratio", factor="treated", specification="M1")
    assert row.ci_high < 1 and row.estimate < raw.estimate


@pytest.mark.long
def test_gbk_text_with_chinese_names(workplace):
    own_loans.chinese_csv(workplace / "loans.csv", 1500)
    assert main(["init-study", "mine", "--data", "loans.csv"]) == 0
    own = params.load().study("mine").own
    assert own["encoding"] == "gb18030"
    assert own["columns"]["default"] == "是否违约" and own["factors"]["satisfaction"] == "客户满意度"
    run(*ANALYSES)
    cohort = store.read_parquet(places.processed("mine") / "cohort.parquet")
    assert cohort["amount"].between(500, 1e6).all() and cohort["satisfaction"].between(1, 10).all()
    dictionary = Path("data/dictionaries/mine.csv")
    text = dictionary.read_text(encoding="utf-8-sig").replace("客户满意度,,", "客户满意度,满意度（十分制）,")
    # As a spreadsheet program on a Chinese system saves it.
    dictionary.write_bytes(text.encode("gbk"))
    assert "满意度（十分制）" in report()


@pytest.mark.long
def test_stata_without_treatment_dates_and_institutions(workplace):
    own_loans.stata_file(workplace / "loans.dta", 800)
    assert main(["init-study", "mine", "--data", "loans.dta"]) == 0
    run(*ANALYSES)
    gone = left_out()
    assert ("no_arms", "") in gone and ("absent", "origination_date") in gone and ("absent", "institution_id") in gone
    page = report()
    for sentence in ("nothing is matched", "no date of origination", "take loans as independent"):
        assert sentence in page
    assert "Are the two arms alike?" not in page and "one unit more of satisfaction" in page


@pytest.mark.long
def test_a_rule_makes_arms_where_no_column_does(workplace):
    own_loans.stata_file(workplace / "loans.dta", 800)
    assert main(["init-study", "mine", "--data", "loans.dta"]) == 0
    edit("mine", treatment={"factor": "satisfaction", "at_least": 7.0})
    run(*ANALYSES)
    assert ("no_arms", "") not in left_out()
    assert "satisfaction of at least seven" in report()


def frame(number=200, seed=1):
    made = own_loans.loans(number, seed)
    return made[["id", "grade", "amount", "income", "treated", "contacts", "default"]]


def set_up(made, *arguments):
    made.to_csv("loans.csv", index=False)
    return main(["init-study", "mine", "--data", "loans.csv", *arguments])


def test_an_empty_arm_and_few_defaults_are_said_and_no_error(workplace):
    made = frame().assign(treated=lambda loans: (loans["id"] % 100 == 1).astype(int))
    made["default"] = (np.arange(len(made)) < 5).astype(int)
    assert set_up(made) == 0
    run(*ANALYSES)
    assert {("few_defaults", ""), ("few_in_arm", "")} <= left_out()
    page = report()
    assert "too few of them defaulted" in page and "The regression ladder" not in page


def test_without_numbers_of_loans_the_order_of_the_file_plays_no_part(workplace):
    """Loans that have no number are known by their content; two with the same content are one as good as the other."""
    made = frame(400).drop(columns="id")
    made["amount"] = made["amount"].round(-3)
    made = pd.concat([made, made.head(3)], ignore_index=True)
    found = []
    for order in (np.arange(len(made)), np.random.default_rng(1).permutation(len(made))):
        made.iloc[order].to_csv("loans.csv", index=False)
        if not found:
            assert main(["init-study", "mine", "--data", "loans.csv"]) == 0
        run("intake", "prepare", "match", "regress")
        cohort = pd.read_parquet(places.processed("mine") / "cohort.parquet")
        weights = pd.read_parquet(places.matched("mine") / "weights.parquet")
        found.append((cohort, weights, places.results("mine", "regress").read_bytes()))
    (one, one_weight, rows), (other, other_weight, again) = found
    assert len(one) == len(made) and one["loan_id"].is_unique and len(one_weight)
    pd.testing.assert_frame_equal(one, other)
    pd.testing.assert_frame_equal(one_weight, other_weight)
    assert rows == again


def test_a_file_without_any_factor_is_described(workplace):
    assert set_up(frame(400).drop(columns=["treated", "contacts"])) == 0
    run(*ANALYSES)
    assert ("no_factors", "") in left_out()
    assert "say nothing on customer relationship management" in report()


@pytest.mark.long
def test_arms_that_nothing_makes_alike(workplace):
    made = frame(400).sort_values("amount")
    made["treated"] = (np.arange(400) < 200).astype(int)
    assert set_up(made) == 0
    run(*ANALYSES)
    assert ("no_design", "") in left_out()
    assert "Nothing is matched: " in report()


def test_markup_in_names_cells_and_labels_reaches_every_page_as_text(workplace):
    script, picture = "<script>alert(1)</script>", "<img src=x onerror=alert(2)>"
    made = frame(800)
    made["grade"] = made["grade"].map(lambda grade: f"{grade} {script}")
    # With a Chinese character a figure keeps its letters as text.
    made["purpose"] = np.where(made["id"] % 2 == 0, f"车 {script}", picture)
    assert set_up(made.rename(columns={"income": f"income {picture}", "contacts": f"contacts {script}"})) == 0
    labels = Path("data/dictionaries/mine.csv")
    table = pd.read_csv(labels, dtype=str, keep_default_na=False)
    table["label"] = table["label"].where(table["column"] != "amount", f"{picture}{{{{ 7 * 7 }}}}")
    table.to_csv(labels, index=False)
    edit("mine", own__borrower__income=f"income {picture}")
    run(*ANALYSES)
    report()
    pages = [path for path in places.reports("mine").rglob("*") if path.suffix in (".html", ".svg", ".md")]
    assert len(pages) > 10
    for path in pages:
        text = path.read_text(encoding="utf-8")
        assert "<script>alert" not in text and "<img src=x" not in text, path
    assert "alert(1)" in (places.reports("mine") / "report.html").read_text(encoding="utf-8")


def test_stray_cells_are_quarantined_and_many_of_them_stop_the_study(workplace, capsys):
    made = frame(400).astype({"amount": object})
    made.loc[7, "amount"] = "see file"
    made.loc[8, "amount"] = -5
    assert set_up(made) == 0
    run("intake", "prepare")
    quarantined = pd.read_csv(places.processed("mine") / "quarantine.csv")
    assert quarantined["row"].tolist() == [9, 10]
    assert "amount: 'see file' is no number" in quarantined["reason"][0]
    made.loc[20:30, "amount"] = "?!"
    made.to_csv("loans.csv", index=False)
    run("intake")
    said = fails(capsys, "prepare", "--study", "mine")
    assert "loans.csv" in said and "amount" in said and "?!" in said


def test_gaps_stay_whatever_their_share(workplace):
    made = frame(400).astype({"income": float, "contacts": float})
    made.loc[:9, "income"] = np.nan
    made.loc[:200, "contacts"] = np.nan
    made["age"] = np.where(np.arange(400) < 300, np.nan, 40 + np.arange(400) % 9)
    assert set_up(made) == 0
    run(*ANALYSES)
    cohort = store.read_parquet(places.processed("mine") / "cohort.parquet")
    assert len(cohort) == 400 and cohort["income_not_stated"].sum() == 10 and cohort["age_not_stated"].sum() == 300
    assert {("gaps", "income"), ("gaps", "age")} <= left_out()
    page = report()
    assert "No loan left because a number was not stated" in page
    rates = results.read(places.results("mine", "describe"))
    assert rates.one(estimator="default_rate", factor="income_not_stated[yes]").n == 10
    assert results.read(places.results("mine", "regress")).where(factor="contacts").empty
    rows = results.read(places.results("mine", "regress")).where(factor="communication_frequency")
    assert (rows["n"] == 199).all()


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda made: made.assign(default=np.where(made.index == 4, 2, made["default"])), "row 6: '2'"),
        (lambda made: made.assign(default=0), "no loan defaulted"),
        (lambda made: made.assign(id=np.where(made.index == 9, made["id"][3], made["id"])), "stands in rows 5 and 11"),
        (lambda made: made.rename(columns={"income": "earnings"}), "no column 'income'"),
        (lambda made: made.assign(treated=made["treated"].replace(1, 7)), "'7' is neither yes nor no"),
        (lambda made: made.assign(contacts="often enough"), "column contacts: 'often enough' and all other cells"),
        (lambda made: made.head(0), "no row"),
    ],
)
def test_what_is_wrong_with_a_file_is_one_sentence(workplace, capsys, change, sentence):
    assert set_up(frame()) == 0
    change(frame()).to_csv("loans.csv", index=False)
    capsys.readouterr()
    stage = "intake" if "stands" not in sentence else "prepare"
    if stage == "prepare":
        run("intake")
        capsys.readouterr()
    said = fails(capsys, stage, "--study", "mine")
    assert sentence in said and "loans.csv" in said


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["mine", "--data", "nowhere.csv"], "does not exist"),
        (["mine", "--data", "loans.csv", "--default", "bad"], "no column 'bad' (--default): it has id"),
        (["mine", "--data", "loans.csv", "--default", "amount"], "different values"),
        (["Mine!", "--data", "loans.csv"], "small letters"),
        (["lendingclub", "--data", "loans.csv"], "already"),
    ],
)
def test_init_study_says_what_is_wrong_and_writes_nothing(workplace, capsys, arguments, sentence):
    frame().to_csv("loans.csv", index=False)
    before = Path("params.yaml").read_bytes()
    assert sentence in fails(capsys, "init-study", *arguments)
    assert Path("params.yaml").read_bytes() == before
    assert not Path("data").exists() and not places.choices("mine").parent.exists()


def test_words_of_the_outcome_that_nobody_knows_are_left_to_the_reader(workplace, capsys):
    made = frame(300)
    made["default"] = np.where(made["default"] == 1, "C7", "A1")
    assert set_up(made, "--default", "default") == 1
    assert "Sort what is not known" in capsys.readouterr().err
    assert set_up(made, "--default", "default", "--default-when", "C7", "--repaid-when", "A1") == 0
    run("intake", "prepare")


def test_mistakes_in_the_section_are_named(workplace, capsys):
    assert set_up(frame()) == 0
    edit("mine", own__columns__credit_garde="grade")
    assert "'credit_garde' is no role" in fails(capsys, "intake", "--study", "mine")


def test_a_second_study_of_the_same_name_is_refused_and_two_may_share_the_module(workplace, capsys):
    assert set_up(frame()) == 0
    assert "already" in fails(capsys, "init-study", "mine", "--data", "loans.csv")
    assert main(["init-study", "other", "--data", "loans.csv"]) == 0
    assert {name for name, study in params.load().studies.items() if study.module == "own"} == {"mine", "other"}


def test_sections_are_block_style_with_lists_unindented_and_nulls_blank(workplace):
    assert set_up(frame()) == 0
    written = places.choices("mine").read_text()
    assert "null" not in written
    assert not re.search(r"^( *)(\w+):\n\1  - ", written, flags=re.M)
    # Every role stands there to be filled in.
    for role in roles.roles():
        assert re.search(rf"^ +{role}:", written, flags=re.M), role
    Own.model_validate(params.load().study("mine").own)


@pytest.mark.parametrize(
    ("name", "role"),
    [
        ("Loan_Amount ($)", "amount"),
        ("loan_amnt", "amount"),
        ("贷款金额（万元）", "amount"),
        ("违约", "default"),
        ("客户满意度评分", "satisfaction"),
        ("IssueDate", "origination_date"),
        ("int_rate", "interest_rate"),
        ("avg crm satisfaction score 2019", "satisfaction"),
    ],
)
def test_columns_are_known_by_their_names(name, role):
    assert roles.likeness(name, role) > 0


@pytest.mark.parametrize("name", ["total_pymnt_inv", "recoveries", "逾期天数", "Days Past Due", "已还金额"])
def test_what_is_filled_after_the_outcome_is_known_by_its_name(name):
    assert roles.after_outcome(name)


@pytest.mark.long
def test_chinese_letters_stay_letters_where_no_font_has_them(workplace, monkeypatch, capsys):
    from matplotlib import font_manager

    own_loans.chinese_csv(workplace / "loans.csv", 600)
    assert main(["init-study", "mine", "--data", "loans.csv"]) == 0
    run(*ANALYSES)
    monkeypatch.setattr(font_manager, "get_font_names", lambda: ["DejaVu Sans"])
    capsys.readouterr()
    report()
    assert "no font here has Chinese characters" in capsys.readouterr().out
    drawn = (places.reports("mine") / "figures" / "rates.svg").read_text(encoding="utf-8")
    assert "装修" in drawn and "<text" in drawn


def test_the_strata_of_a_readers_lottery_stand_in_every_regression(workplace, capsys):
    import statsmodels.formula.api as smf

    rng = np.random.default_rng(4)
    stratum = np.repeat(np.arange(40), 10)
    made = frame(400)
    chance = np.where(stratum % 2 == 0, 7, 3)
    made["treated"] = np.concatenate([rng.permutation(np.arange(10) < one) for one in chance[::10]]).astype(int)
    # Strata differ in their chances and in default; treatment does nothing.
    made["default"] = (rng.random(400) < np.where(chance == 7, 0.5, 0.2)).astype(int)
    set_up(made.assign(draw=stratum))
    edit("mine", design="randomised", own__borrower__lottery_stratum="draw", controls__strata=[])
    assert "controls.strata must list lottery_stratum" in fails(capsys, "intake", "--study", "mine")
    # Left blank, they follow from the role.
    edit("mine", controls__strata=None)
    run("intake", "prepare", "match", "regress", "adjust")
    cohort = pd.read_parquet(places.processed("mine") / "cohort.parquet")
    assert cohort["lottery_stratum"].nunique() == 40 and (cohort["lottery_unit"] == cohort["loan_id"]).all()
    rows = results.read(places.results("mine", "regress"), places.results("mine", "adjust"))
    ladder = params.load().study("mine").controls.ladder()
    terms = " + ".join(next(iter(ladder.values()))).replace("log(", "np.log(")
    fit = smf.ols(f"default ~ treated + {terms}", cohort.astype({"lottery_stratum": str})).fit()
    row = rows.one(estimator="linear_probability", specification="M2", factor="treated")
    assert row.estimate == pytest.approx(100 * fit.params["treated"], rel=1e-6)
    assert rows.one(estimator="assumption", specification="permuted_centre").note.startswith("passed")
    assert "strata of lots" in rows.one(estimator="permuted_treatment", estimand="rejection_rate").note


@pytest.mark.parametrize("value", ["1e300", "-1e300", "2e15"])
def test_a_number_that_no_loan_can_have_is_set_aside_with_its_row(workplace, value):
    made = frame().astype(object)
    made.loc[7, "amount"] = value
    set_up(made)
    run("intake", "prepare")
    quarantined = pd.read_csv(places.processed("mine") / "quarantine.csv")
    assert quarantined["row"].tolist() == [9]
    assert "amount must be at most 1e+15 in size" in quarantined["reason"][0]


def test_a_category_of_the_borrower_enters_the_score_by_its_levels(workplace):
    made = own_loans.loans(400, 5)[["id", "grade", "amount", "treated", "default"]]
    draw = np.random.default_rng(2)
    made["gender"], made["education"] = draw.choice(["Male", "Female"], 400), draw.choice(["A", "B", "C"], 400)
    made.loc[:20, "education"] = None
    assert set_up(made) == 0
    run("intake", "prepare", "match", "regress")
    columns = list(store.read_parquet(places.processed("mine") / "matched" / "covariates.parquet"))
    assert {"female[Male]", "education[B]", "education[not stated]"} <= set(columns)
