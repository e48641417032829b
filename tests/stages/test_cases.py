import re

import numpy as np
import pandas as pd
import pytest

from pipeline.analyses.cases import rows as cases
from pipeline.core import params, results
from pipeline.pages import cases as shown
from pipeline.pages.evidence.book import words_of
from pipeline.runtime import places
from pipeline.stages import cases as stage


def word_in(language):
    def word(*path):
        found = words_of(language)
        for step in path:
            found = found[step]
        return found

    return word


def made_up(lenders=6, each=40, seed=3):
    chance = np.random.default_rng(seed)
    n = lenders * each
    cohort = pd.DataFrame({"loan_id": [f"{i:04d}" for i in range(n)]})
    cohort["institution_id"] = np.repeat([f"L{i}" for i in range(lenders)], each)
    cohort["institution_type"] = np.where(np.arange(n) < n // 2, "commercial_bank", "p2p")
    cohort["origination_quarter"] = chance.choice(["2003Q1", "2003Q2"], n)
    cohort["origination_month"] = cohort["origination_quarter"].map({"2003Q1": "2003-02", "2003Q2": "2003-05"})
    cohort["adoption_month"] = pd.Series(np.where(np.arange(n) < n // 2, "2003-04", None), dtype="object")
    cohort["credit_grade"], cohort["loan_type"] = "A", "car"
    for name in cases.MEASURED:
        cohort[name] = chance.uniform(1, 2, n)
    cohort["satisfaction"] = np.nan
    cohort["treated"] = np.arange(n) % 2
    cohort["default"] = (chance.uniform(size=n) < 0.3).astype(int)
    scores = pd.DataFrame({"loan_id": cohort["loan_id"], "logit": chance.normal(size=n)})
    pairs = pd.DataFrame({"treated": cohort["loan_id"][1::2].to_numpy(), "control": cohort["loan_id"][::2].to_numpy()})
    months = cohort.loc[cohort.index.repeat(6), ["loan_id", "default"]].reset_index(drop=True)
    months["month_number"] = months.groupby("loan_id").cumcount() + 1
    months["default"] = ((months["month_number"] == 3) & (months["default"] == 1)).astype(int)
    over = months.groupby("loan_id")["default"].cumsum() - months["default"]
    months = months[over == 0].reset_index(drop=True)
    months["delinquent"] = (months["month_number"] == 2).astype(int)
    months["alert"] = 0
    months["proactive_contacts"], months["reactive_contacts"] = 1.0, 0.0
    return cohort, months, pairs, scores


def rows_of(folder, cohort, months, pairs, scores):
    rows = [*cases.of_pairs(cohort, months, pairs, scores), *cases.of_lenders(cohort)]
    results.write(folder / "cases.csv", results.table("made_up", "cases", rows))
    return results.read(folder / "cases.csv")


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    return rows_of(tmp_path_factory.mktemp("cases"), *made_up())


def test_the_same_cases_whatever_the_order_of_the_rows(found, tmp_path):
    cohort, months, pairs, scores = (frame.sample(frac=1, random_state=5) for frame in made_up())
    other = rows_of(tmp_path, cohort, months, pairs.reset_index(drop=True), scores)
    pd.testing.assert_frame_equal(found.frame, other.frame)


@pytest.mark.parametrize("language", ["en", "zh"])
def test_what_is_shown_is_what_happened(found, language):
    told = list(shown.pairs(found, word_in(language)))
    assert [item["case"] for item in told] == ["with_claim", "against_claim", "both_repaid", "both_defaulted"]
    first = told[0]
    enrolled, other = zip(*(run["loans"] for run in first["months"]), strict=True)
    assert [month["state"] for month in enrolled] == ["on_time", "arrears", "on_time", "on_time"]
    assert [month["state"] for month in other] == ["on_time", "arrears", "default", "ended"]
    assert [(run["first"], run["last"]) for run in first["months"]] == [(1, 1), (2, 2), (3, 3), (4, 6)]
    # Contacts of a stretch are added up; a loan that is over has none.
    assert enrolled[-1]["contacts"] == 3 and other[-1]["contacts"] is None
    lenders = list(shown.lenders(found, word_in(language)))
    assert [item["case"] for item in lenders] == ["on_line", "above_line", "below_line"]
    for item in lenders:
        assert sum(quarter["starts"] for quarter in item["quarters"]) == (item["started"] != "")
        assert sum(int(quarter["loans"]) for quarter in item["quarters"]) == 40


def test_the_line_is_drawn_through_its_lenders_and_the_cases_are_marked(found):
    panels = shown.scatter(found, word_in("en"))
    assert [panel["kind"] for panel in panels] == ["Commercial bank", "Peer-to-peer platform"]
    points = [point for panel in panels for point in panel["points"]]
    assert len(points) == 6 and sorted(filter(None, (point["case"] for point in points))) == sorted(shown.LENDERS)
    for panel in panels:
        rows = found.where(estimator="lender", factor="default")
        mine = rows[rows["specification"].isin([point["lender"] for point in panel["points"]])]
        # Lower default stands lower in the picture, where the vertical runs downward.
        heights = {point["lender"]: -float(point["y"]) for point in panel["points"]}
        order = mine.sort_values("estimate")["specification"].map(heights)
        assert order.is_monotonic_increasing
        assert all(0 <= float(end["y"]) <= panel["height"] for end in panel["line"])


def test_real_clients_are_not_laid_open(tmp_path, monkeypatch):
    monkeypatch.setattr(places, "results", lambda study, stage: tmp_path / f"{study}.csv")
    stage.run("berka", params.load())
    rows = results.read(tmp_path / "berka.csv").frame
    assert set(rows["estimator"]) == {"protocol", "selection"}
    assert (rows.loc[rows["estimator"] == "protocol", "estimate"] >= 10).all()


def test_guide_and_frame_say_the_same_in_both_languages():
    for file, _, begins in cases.PROTOCOLS.values():
        english, chinese = file.read_text(encoding="utf-8").split("\n# ")
        count = len(re.findall(begins, english, flags=re.M))
        assert count == len(re.findall(begins, chinese, flags=re.M)) >= 10
        assert re.search(r"[\u4e00-\u9fff]", chinese)
        # Neither pretends that someone was asked.
        assert re.search(r"\bno(ne| interview)\s+was\s+held", english, flags=re.I) and "没有进行" in chinese
