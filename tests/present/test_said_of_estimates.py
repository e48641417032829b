"""Sentences and titles name the estimate that they are about, and do not say more than its rows."""

import json
import re

import pandas as pd
import pytest

from pipeline.analyses.predict import card as model_card
from pipeline.analyses.robustness.page import gelbach
from pipeline.core import params
from pipeline.core.results import Results
from pipeline.pages import seen
from pipeline.pages.evidence import book
from pipeline.pages.evidence import claims as claims_page
from pipeline.pages.synthesis import SynthesisPage
from pipeline.present.page import strata_apart
from pipeline.present.words import LANGUAGES, Words
from pipeline.runtime import places
from pipeline.sources.claims import load_bearings, load_claims, load_limits
from tests.present.test_first_sentence import report, rows


def chapter(study, name, found=None):
    """One chapter of a study's report, as plain text."""
    blocks = list(report(study, found=found).chapters())
    heading = report(study).text(f"headings.{name}")
    return next(block for block in blocks if block.startswith(f"### {heading}"))


def changed(study, change, **which):
    frame = rows(study).frame.copy()
    mine = frame[list(which)].eq(list(which.values())).all(axis=1)
    assert mine.any()
    for column, value in change.items():
        frame.loc[mine, column] = value
    return Results(frame)


def test_parts_of_the_difference_add_up_where_penalised_likelihood_stands_in_elsewhere():
    factors = ["relationship_depth_cards", "relationship_depth_second_person"]
    assert rows("berka").where(stage="regress", estimator="firth", factor=factors)["estimate"].notna().any()
    lines = gelbach(rows("berka"), Words("en", "berka", "berka"), factors).splitlines()[2::2]
    for line in lines:
        raw, *parts, full, _ = (float(cell.strip().replace("−", "-")) for cell in line.strip("|").split("|")[1:])
        assert raw - sum(parts) == pytest.approx(full, abs=0.02)


@pytest.mark.parametrize("study", ["karlan_zinman", "bondora", "sba"])
def test_the_e_value_names_the_risk_ratio_that_it_explains_away(study):
    ratio = rows(study).one(stage="adjust", estimator="e_value", estimand="risk_ratio")
    value = rows(study).one(stage="adjust", estimator="e_value", estimand="interval").estimate
    text = chapter(study, "adjust")
    assert f"{ratio.estimate:.2f} (95% CI {ratio.ci_low:.2f} to {ratio.ci_high:.2f})" in text
    assert ("includes one, so no confounder" in text) == (value == 1.0)


def test_an_interval_within_what_matters_is_not_said_to_hold_effects_that_matter():
    page = report("bondora")
    first, advice = page.findings().splitlines()[0], " ".join(page.todo())
    other = rows("bondora").one(
        stage="adjust",
        estimator="doubly_robust",
        specification="controls",
        factor="treated",
        estimand="risk_difference_of_treated",
    )
    assert f"doubly robust difference with the same controls does not (95% CI {other.ci_low:.2f}" in first
    assert "includes effects that matter" not in advice and "methods of adjustment disagree" in advice
    for study in ("sba", "berka"):
        page = report(study)
        assert "doubly robust difference" not in page.findings().splitlines()[0]
        assert "includes effects that matter" in " ".join(page.todo())


@pytest.mark.parametrize("low", [-0.5, 0.5])
def test_the_title_on_two_arms_says_what_the_clustered_regression_says(low):
    of = {"stage": "regress", "estimator": "linear_probability", "specification": "M1", "factor": "treated"}
    page = report("sba", found=changed("sba", {"ci_low": low}, estimand="risk_difference", **of))
    side = seen.raw(page.results, page.words, page.scope, page.params)["side"]
    assert side == ("neither" if low < 0 else "higher")


def test_the_title_of_the_binned_means_counts_the_factors_that_are_drawn():
    for study in ("sba", "bondora", "lendingclub"):
        text = report(study).render()
        number = int(re.search(r"falls significantly along \d+ of the (\d+) factors drawn here", text)[1])
        drawing = report(study)._drawn["binned"]
        assert number == len(drawing[1])


def test_only_a_lottery_whose_strata_pairs_do_not_share_says_so():
    for study in ("karlan_zinman", "lendingclub"):
        apart = strata_apart(params.load().study(study))
        assert apart == (study == "karlan_zinman")
        assert apart == ("only within its strata" in chapter(study, "adjust"))
        assert apart == ("as does the doubly robust estimate with all controls" in chapter(study, "adjust"))
        assert apart == ("only specifications that hold them fixed" in chapter(study, "curve"))


@pytest.mark.parametrize("study", ["karlan_zinman", "berka", "reference"])
def test_the_page_says_how_the_specifications_were_tested_together(study):
    drawn = "assignment was re-randomised" in chapter(study, "curve")
    assert drawn == (params.load().study(study).design == "randomised")


@pytest.mark.parametrize("study", ["superlender", "sba"])
def test_captions_say_what_errors_allow_for(study):
    page = report(study).render()
    alone = params.load().study(study).cluster == "loan_id"
    robust, other = ("heteroskedasticity-robust", "cluster-robust")[:: 1 if alone else -1]
    for said in ("linear probability models, {} standard errors", "one unit more, with {} intervals"):
        assert said.format(robust) in page and said.format(other) not in page


def test_the_paper_counts_what_is_evidence_from_a_randomisation_within_strata():
    found = rows("karlan_zinman").where(stage="curve", estimator=["matching", "regression"])
    found = found[found["estimate"].notna()]
    within = (found["estimator"] == "regression") | found["specification"].str.contains("exact=strata")
    counts = rows("karlan_zinman").where(estimator="specification_count", specification="within_strata")
    of = dict(zip(counts["estimand"], counts["estimate"], strict=True))
    assert of["specifications"] == within.sum() < len(found)
    assert of["significant_lower"] == (found.loc[within, "ci_high"] < 0).sum()


def test_the_share_of_the_curve_in_which_the_headline_lies_is_the_parameter():
    central = params.load().specification_curve.typical
    found = rows("sba").one(stage="curve", estimator="assumption", specification="headline_typical")
    inside = "within" if found.note.startswith("passed") else "outside"
    assert f"the headline lies {inside} the middle {100 * central:.0f}% of them" in chapter("sba", "curve")


@pytest.mark.parametrize("study", ["sba", "reference"])
def test_loans_in_default_without_a_date_are_counted_where_curves_leave_them_out(study):
    cohort = rows(study).one(estimator="default_rate", factor="all", specification="before_00").n
    start = rows(study).where(stage="time", estimator="at_risk", estimand="month_000", factor="treated")
    left = int(cohort - start["estimate"].sum())
    assert (left > 0) == (study == "sba")
    assert (f"{left} loan in default without a date is not followed" in chapter(study, "time")) == (left == 1)


@pytest.mark.parametrize("study", ["berka", "lendingclub"])
def test_the_caption_names_the_panels_that_are_drawn(study):
    page = report(study)
    drawing, *inputs = page._drawn["predict"]
    titles = [axes.get_title(loc="left") for axes in drawing(page.results, page.words, *inputs).axes]
    drawn = page.words.text("predict.panels.importance") in titles
    assert drawn == (study != "berka")
    assert drawn == ("columns of a block are permuted" in chapter(study, "predict"))


def test_nobody_is_told_to_act_on_simulated_clients():
    (only,) = report("reference").todo()
    assert "simulated" in only


def test_a_bound_just_below_zero_is_not_printed_as_zero():
    gain = rows("karlan_zinman").where(stage="predict", estimator="logistic", estimand="auc_gain_clustered")
    assert (gain["ci_low"].between(-0.00005, 0) & (gain["ci_high"] > 0)).any()
    text = chapter("karlan_zinman", "predict")
    assert "(95% CI 0.0000 to" not in text and "95% CI −0.00005 to" in text
    assert "of the same branch" in text


@pytest.mark.parametrize(("language", "currency"), [("en", "rand"), ("zh", "兰特")])
def test_amounts_of_the_south_african_lender_are_in_its_currency(language, currency):
    columns = Words(language, "karlan_zinman", "karlan_zinman")
    assert all(currency in columns.label("columns", name) for name in ("amount", "last_amount", "income"))


@pytest.mark.parametrize("language", LANGUAGES)
def test_slopes_of_the_top_are_counted_on_neither_side_and_said(language):
    found, known = rows("synthesis"), params.load()
    of_study = {name: Words(language, name, known.study(name).module) for name in known.compared}
    page = SynthesisPage(found, known, Words(language, "synthesis", "synthesis"), of_study, "markdown")
    one = found.where(estimator="one_study", estimand="odds_ratio")
    real = one[one["estimate"].notna() & (one["note"] != "simulated")]
    top = found.where(estimator="without_top")
    apart = real[(real["ci_high"] < 1) | (real["ci_low"] > 1)].merge(top[["study", "factor"]], on=["study", "factor"])
    assert len(apart) == 2
    said = page.text("lead_counts")
    counts = page._context()
    assert counts["undecided"] == int(((real["ci_low"] <= 1) & (real["ci_high"] >= 1)).sum())
    assert counts["top"] in said and ("highest values" in said if language == "en" else "最高值" in said)
    assert counts["top"] in page.text("messages.forest")


@pytest.mark.parametrize(("language", "why"), [("en", "Not all have an odds ratio"), ("zh", "有些没有优势比")])
def test_factors_without_an_odds_ratio_are_counted_apart_from_those_with_one(language, why):
    found, known = rows("synthesis"), params.load()
    of_study = {name: Words(language, name, known.study(name).module) for name in known.compared}
    words = Words(language, "synthesis", "synthesis")
    one = found.where(estimator="one_study", estimand="odds_ratio")
    real = one[one["note"] != "simulated"]
    assert real["estimate"].isna().sum() > 0
    said = SynthesisPage(found, known, words, of_study, "markdown").text("lead_counts")
    assert why in said and str(len(real)) in said and str(real["estimate"].notna().sum()) in said
    every = Results(found.frame[found.frame["estimate"].notna() | (found.frame["estimator"] != "one_study")])
    assert why not in SynthesisPage(every, known, words, of_study, "markdown").text("lead_counts")


def test_the_card_promises_no_alerts_where_many_share_the_highest_score():
    model = json.loads((places.reports("berka") / "model.json").read_text(encoding="utf-8"))
    card = model_card.card(rows("berka"), model, Words("en", "berka", "berka"), 0.95, simulated=False)
    alerts = re.findall(r"^\| [^|]+ \| \d+ \| ([\d.]+)% \|", card, flags=re.M)
    assert alerts and set(alerts) == {"0.0"}
    assert "at most 10% of those that it learnt from, and fewer or none" in card


def test_the_card_shows_on_which_side_of_zero_a_gain_ends():
    model = json.loads((places.reports("karlan_zinman") / "model.json").read_text(encoding="utf-8"))
    words = Words("en", "karlan_zinman", "karlan_zinman")
    card = model_card.card(rows("karlan_zinman"), model, words, 0.95, simulated=False)
    assert "[0.0000, 0.0090]" not in card and "−0.00005" in card


def book_in(language):
    known, claims = params.load(), load_claims()
    bearings = load_bearings(claims, {"reference"})
    ledger = book.Ledger(claims, bearings, load_limits(claims, bearings))
    tables = book.Tables(*(pd.read_csv(places.results("evidence", name)) for name in book.Tables._fields))
    return book.Book(language, ledger, tables, {name: rows(name) for name in known.compared}, known)


@pytest.mark.parametrize(
    ("language", "said"), [("en", "in “rate of the contract (% a month)”"), ("zh", "单位同“合同利率（每月%）”")]
)
def test_a_number_in_the_unit_of_its_outcome_names_it(language, said):
    one = book_in(language)
    (row,) = one.parts("F02", "karlan_zinman")
    assert said in one.size(row) and said in one.margin(row)


def test_why_a_row_is_inconclusive_is_true_of_its_interval():
    one = book_in("en")
    words = {name: one.word("meanings", name) for name in ("open", "corrected", "adjustment")}
    asked = [row for name in ("E10", "E31", "S04") for study in one.real for row in one.parts(name, study)]
    seen = set()
    for row in (row for row in asked if row.verdict == "inconclusive" and row.unit == "percentage points"):
        apart, within = row.ci_low > 0 or row.ci_high < 0, -row.margin < row.ci_low and row.ci_high < row.margin
        name = "corrected" if apart else "adjustment" if within else "open"
        assert claims_page.because(one, row) == words[name], (row.claim, row.study, row.factor)
        seen.add(name)
    assert seen == set(words)
