"""From a cohort to a saved score, its card, its grades, and the scores of a file of loans."""

import gzip
import json
import shutil
import subprocess
import zipfile
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from pipeline.__main__ import main
from pipeline.analyses.predict import moments as predict_moments
from pipeline.analyses.predict import rows as predicting
from pipeline.commands import score
from pipeline.core import params, results, yaml
from pipeline.core.protocol import Landmark
from pipeline.present.words import Words
from pipeline.runtime import places, store
from pipeline.runtime.errors import StudyError
from pipeline.stages import grade, predict, report
from pipeline.stats import classifiers, prediction, saved_score
from pipeline.studies.own.choices import Own
from tests.choices import copied, edit
from tests.sample import completed

ROOT = Path(__file__).parents[2]
STUDY = "berka"


def cohort(loans=900, seed=3):
    """Loans as the study's cohort has them; default follows from score, amount and how long the client is known."""
    rng = np.random.default_rng(seed)
    score, length, amount = rng.normal(50, 10, loans), rng.exponential(1, loans), np.exp(rng.normal(11, 0.6, loans))
    odds = -1.8 - (score - 50) / 12 + 1.5 * (np.log(amount) - 11) - 1.2 * (length - 1)
    date = pd.Timestamp("1994-01-01") + pd.to_timedelta(rng.integers(0, 1_500, loans), unit="D")
    yes = {name: rng.integers(0, 2, loans).astype(float) for name in ("female", "relationship_depth_cards")}
    frame = pd.DataFrame(
        {
            "loan_id": [f"{place:05d}" for place in range(loans)],
            "institution_type": pd.Categorical(["commercial_bank"] * loans),
            "region": pd.Categorical(rng.choice([f"district {place:02d}" for place in range(25)], loans)),
            "origination_date": pd.Series(date).astype("datetime64[ms]"),
            "credit_grade": pd.Categorical(
                np.array(list("DCBA"))[np.digitize(score, [42, 50, 58])], list("ABCD"), ordered=True
            ),
            "credit_score": score,
            "amount": amount,
            "term_months": rng.choice([12, 24, 36], loans),
            "age": rng.uniform(20, 70, loans),
            "district_salary": rng.normal(9_000, 900, loans),
            "district_unemployment": rng.uniform(0, 8, loans),
            "communication_frequency": rng.choice([0.0, 1.0, 2.0], loans),
            "communication_frequency_statements": rng.poisson(3, loans).astype(float),
            "relationship_length": length,
            "relationship_depth_second_person": np.where(rng.random(loans) < 0.2, np.nan, rng.integers(0, 2, loans)),
            **yes,
            "default": (rng.random(loans) < 1 / (1 + np.exp(-odds))).astype(int),
        }
    )
    frame["recoveries"] = np.where(frame["default"] == 1, 100.0, 0.0)
    return frame.assign(treated=(frame["communication_frequency"] >= 1).astype(int))


@pytest.fixture(autouse=True)
def small_forests(monkeypatch):
    monkeypatch.setattr(classifiers, "FOREST_TREES", 5)
    monkeypatch.setattr(classifiers, "BOOSTED_TREES", 20)


def predicted(frame, choices=None):
    """Run the stage on a cohort in the folder that is at work, write the card; return the rows and the saved score."""
    store.write_parquet(places.processed(STUDY) / "cohort.parquet", completed(frame, STUDY))
    choices = choices or params.load()
    predict.run(STUDY, choices)
    words = Words(choices.report.language, STUDY, choices.study(STUDY).module)
    store.write_text(places.reports(STUDY) / "model_card.md", report.model_card(STUDY, choices, words))
    return results.read(places.results(STUDY, "predict")), json.loads(Path(f"reports/{STUDY}/model.json").read_text())


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    folder = tmp_path_factory.mktemp("work")
    # Here every factor has its date; the study's own choices say which have none.
    copied(folder, STUDY, "sba")
    edit(folder / places.choices(STUDY), lambda study: study.update(undated=[]))
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setattr(classifiers, "FOREST_TREES", 5)
        patch.setattr(classifiers, "BOOSTED_TREES", 20)
        predicted(cohort())
        grade.run(STUDY, params.load())
    return folder


@pytest.fixture
def work(place, monkeypatch):
    monkeypatch.chdir(place)
    return place


def rows(stage, **columns):
    return results.read(places.results(STUDY, stage)).where(**columns)


def test_a_relationship_that_matters_raises_the_area(work):
    found = rows(
        "predict", estimator="logistic", factor="with_crm", estimand="auc_gain_clustered", specification="same_period"
    )
    assert found["ci_low"].item() > 0
    # The step is the relationship's, which comes second; contacts come after it.
    steps = rows("predict", estimator="logistic", estimand="auc_step", specification="same_period")
    assert set(steps["factor"]) == {"relationship", "with_crm"}
    assert steps.loc[steps["factor"] == "relationship", "ci_low"].item() > 0
    assert (rows("predict", estimator="logistic")["n_clusters"].dropna() > 0).all()


def test_the_best_trees_go_by_what_matters(work):
    found = rows("predict", estimator="partial_dependence", factor="amount")
    found = found.assign(value=found["outcome"].astype(float)).sort_values("value")
    assert found["estimate"].iloc[-1] > found["estimate"].iloc[0] + 5
    lost = rows("predict", estimator="term_importance").set_index("factor")["estimate"]
    assert set(lost.nlargest(2).index) == {"amount", "relationship_length"}
    assert set(found["note"]) <= set(predicting.TREES)


def test_the_narrower_hard_information_is_the_less_it_tells(work, monkeypatch):
    monkeypatch.setattr(predicting, "HARD_INFORMATION", {"narrow": ("credit_grade",), "elsewhere": ("no_column",)})
    choices = params.load()
    frame = cohort().sort_values(["origination_date", "loan_id"], ignore_index=True)
    moment = next(predict_moments.moments(frame, choices.study(STUDY), None, choices, 1))
    found = {
        ("logistic", rung): prediction.predict(moment.sample, moment.split, moment.rungs[rung], "logistic").share
        for rung in predicting.EXPECTED
    }
    area = {(row["factor"], row["estimand"]): row["estimate"] for row in predicting._definitions(moment, found)}
    assert {name for name, _ in area} == {"design", "narrow", "everything"}
    assert area["design", "auc_hard"] == predicting.EXPECTED["hard"]
    assert area["narrow", "auc_hard"] < area["everything", "auc_hard"] < area["everything", "auc_with_crm"]
    gains = {name: area[name, "auc_with_crm"] - area[name, "auc_hard"] for name in ("narrow", "everything")}
    assert all(gain > 0 for gain in gains.values())


def test_a_factor_without_a_date_never_enters(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    copied(tmp_path, STUDY)
    choices = params.load()
    undated = choices.study(STUDY).undated
    assert set(undated) < set(choices.study(STUDY).factors)
    found, model = predicted(cohort(), choices)
    assert "relationship_length" in json.dumps(model)
    assert not any(name in json.dumps(model) for name in undated)
    assert not set(undated) & set(found.frame["factor"])


def test_a_column_without_a_role_never_enters(work):
    text = Path(f"reports/{STUDY}/model.json").read_text() + places.results(STUDY, "predict").read_text()
    assert "recoveries" not in text
    assert (
        rows("predict", estimator="assumption", specification="no_column_tells_all")["note"]
        .str.startswith("passed")
        .all()
    )


def test_a_planted_leak_is_refused(tmp_path, monkeypatch):
    copied(tmp_path, STUDY)
    monkeypatch.chdir(tmp_path)
    choices = params.load()
    study = choices.study(STUDY)
    controls = study.controls.model_copy(update={"borrower": [*study.controls.borrower, "recoveries"]})
    leaking = choices.model_copy(update={"studies": {STUDY: study.model_copy(update={"controls": controls})}})
    found, model = predicted(cohort(), leaking)
    assert "'recoveries' is known only when the loan has ended" in found.frame["note"].item()
    assert set(model) == {"nothing", "study", "version"}
    # Under an innocent name it is told by what it does.
    innocent = study.controls.model_copy(update={"borrower": [*study.controls.borrower, "calls"]})
    hidden = choices.model_copy(update={"studies": {STUDY: study.model_copy(update={"controls": innocent})}})
    found, _ = predicted(cohort().rename(columns={"recoveries": "calls"}), hidden)
    told = found.one(estimator="assumption", specification="no_column_tells_all")
    assert told.note.startswith("failed") and told.factor == "calls"


def test_rows_do_not_depend_on_the_order_of_loans(work, tmp_path, monkeypatch):
    before = places.results(STUDY, "predict").read_bytes()
    copied(tmp_path, root=work)
    monkeypatch.chdir(tmp_path)
    predicted(cohort().sample(frac=1, random_state=1))
    assert places.results(STUDY, "predict").read_bytes() == before


@pytest.mark.parametrize(
    "change",
    [
        lambda frame: frame.head(40),
        lambda frame: frame.assign(default=0),
        lambda frame: frame.assign(origination_date=pd.NaT),
        pytest.param(lambda frame: frame.assign(origination_date=pd.Timestamp("2001-01-01")), marks=pytest.mark.long),
        lambda frame: frame.assign(credit_grade=pd.Categorical([None] * len(frame)), female=np.nan),
        pytest.param(lambda frame: frame.assign(region=frame["loan_id"].astype("category")), marks=pytest.mark.long),
        lambda frame: frame.assign(**{name: np.nan for name in frame if name.startswith(("relation", "communi"))}),
    ],
)
def test_data_that_cannot_support_it_give_a_note_and_no_error(tmp_path, monkeypatch, change):
    copied(tmp_path, STUDY)
    monkeypatch.chdir(tmp_path)
    found, model = predicted(change(cohort(400)))
    grade.run(STUDY, params.load())
    assert len(rows("grade"))
    told = Path(f"reports/{STUDY}/model_card.md").read_text()
    assert ("nothing" in model) == ("No score was fitted" in told) == ("not_predicted" in set(found.frame["estimator"]))


def test_the_card_says_what_a_user_must_know(work):
    card = Path(f"reports/{STUDY}/model_card.md").read_text()
    for part in ("What it learnt from", "Calibration slope", "Points", "Groups of clients", "Limits", "raise an alert"):
        assert part in card
    assert "| Woman: no |" in card and "1994" in card


def test_grades_are_those_of_the_saved_score_and_their_rates_those_of_the_loans(work):
    model = json.loads(Path(f"reports/{STUDY}/model.json").read_text())
    frame = cohort().sort_values(["origination_date", "loan_id"])
    later = frame[frame["origination_date"] >= model["trained"]["cut"]]
    share = saved_score.probability(model, "scorecard", later)
    number = saved_score.judged(share, model["cuts"]["scorecard"])["grade"].to_numpy()
    rates = 100 * later["default"].groupby(number).mean()
    found = rows("grade", estimator="graded", estimand="default_rate")
    found = found[found["specification"].str.startswith("test") & found["factor"].str.startswith("score_grade")]
    assert found["estimate"].to_numpy() == pytest.approx(rates.to_numpy(), rel=1e-6)
    assert found["n"].sum() == len(later)
    assert rows("grade", estimator="trend", specification="test", factor="score_tier")["estimate"].max() > 3


def test_clients_known_longer_default_less_than_their_grade_says(work):
    found = rows("grade", estimator="leniency", specification="given_grade", factor="relationship_length")
    assert found["ci_high"].item() < 0


def test_the_grade_on_record_is_judged(work):
    found = rows("grade", estimator="recorded", estimand="auc").iloc[0]
    assert found["ci_low"] > 0.55 and found["n"] == 900
    assert rows("grade", estimator="terms_by_grade", factor="amount")["n"].item() == 900


def test_factors_of_the_landmark_wait_for_it(tmp_path, monkeypatch):
    copied(tmp_path, STUDY)
    monkeypatch.chdir(tmp_path)
    choices = params.load()
    later = Landmark(months=6, factors=["relationship_length"])
    study = choices.study(STUDY).model_copy(update={"landmark": later})
    choices = choices.model_copy(update={"studies": {STUDY: study}})
    frame = cohort(1_200)
    # Defaults of the first months are over at the landmark.
    early = np.random.default_rng(0).random(len(frame)) < 0.3
    frame = frame.assign(
        open_at_landmark=(~(early & (frame["default"] == 1))).astype(int),
        default_after_landmark=np.where(early, 0, frame["default"]),
    )
    found, model = predicted(frame, choices)
    grade.run(STUDY, choices)
    scored = found.where(estimator="logistic", factor="with_crm", estimand="auc")
    number = dict(zip(scored["outcome"], scored["n"], strict=True))
    assert number["default"] > number["default_after_landmark"] > 200
    # What is saved for new loans knows nothing that comes later; the renewed score does.
    columns = {kind: [one["column"] for one in model[kind]["features"]] for kind in ("logistic", "renewed")}
    assert "relationship_length" not in columns["logistic"] and "relationship_length" in columns["renewed"]
    assert found.one(estimator="logistic", factor="with_crm", estimand="auc_gain_on_static").ci_low > 0
    moves = rows("grade", estimator="migration")
    shares = moves[moves["estimand"] == "share"].groupby("specification")["estimate"].sum()
    assert shares.to_numpy() == pytest.approx(100)
    rates = moves[moves["estimand"] == "default_rate"].set_index("factor")["estimate"]
    assert rates["moved[riskier]"] > rates["moved[safer]"]


def loans_file(path, **changes):
    frame = cohort(200, seed=9).assign(**changes)
    frame.to_csv(path, index=False) if path.suffix == ".csv" else frame.to_parquet(path)
    return path


@pytest.mark.parametrize("kind", saved_score.KINDS)
@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_a_file_is_scored_as_the_model_says(work, tmp_path, kind, suffix):
    file = loans_file(tmp_path / f"new{suffix}")
    out = tmp_path / "scored.csv"
    arguments = ["score", "--study", STUDY, "--data", str(file), "--out", str(out), "--model", kind]
    assert main(arguments) == 0
    found = pd.read_csv(out, dtype={"loan_id": str})
    model = json.loads(Path(f"reports/{STUDY}/model.json").read_text())
    frame = cohort(200, seed=9)
    share = saved_score.probability(model, kind, frame)
    assert found["probability"].to_numpy() == pytest.approx(share, abs=1e-8)
    assert found["loan_id"].tolist() == frame["loan_id"].tolist() and found["row"].iloc[0] == 2
    judged = saved_score.judged(share, model["cuts"][kind])
    assert found[["grade", "tier", "alert"]].equals(judged)
    # The riskiest loan has reasons, and they raise its risk.
    terms, adds = saved_score.contributions(model, kind, frame)
    worst = int(share.argmax())
    assert found["reason_1"][worst] in terms[int(adds[worst].argmax())]


@pytest.mark.parametrize("ending", [".csv.gz", ".zip"])
def test_a_packed_file_is_scored_as_what_it_holds(work, tmp_path, capsys, ending):
    plain, packed = loans_file(tmp_path / "new.csv"), tmp_path / f"new{ending}"

    def pack(*files):
        if ending == ".zip":
            with zipfile.ZipFile(packed, "w") as archive:
                for file in files:
                    archive.write(file, file.name)
        else:
            packed.write_bytes(gzip.compress(files[0].read_bytes()))

    pack(plain)
    before = {path.name for path in tmp_path.iterdir()}
    assert main(["score", "--study", STUDY, "--data", str(packed)]) == 0
    scored = tmp_path / "new_scored.csv"
    assert {path.name for path in tmp_path.iterdir()} - before == {scored.name}
    of_packed = scored.read_bytes()
    assert main(["score", "--study", STUDY, "--data", str(plain), "--force"]) == 0
    assert scored.read_bytes() == of_packed
    # What is wrong is told of the file that the reader knows.
    pack(loans_file(plain, **with_cell("amount", "much")))
    assert f"{packed}, column amount, row " in fails(capsys, "--data", packed, "--force")
    if ending == ".zip":
        pack(plain, loans_file(tmp_path / "more.csv"))
        assert "holds several tables: unpack it" in fails(capsys, "--data", packed, "--force")


def test_alerts_follow_a_threshold_where_there_is_one(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    copied(tmp_path, STUDY)
    choices = params.load()
    choices = choices.model_copy(update={"predict": choices.predict.model_copy(update={"threshold": 0.3})})
    predicted(cohort(), choices)
    assert main(["score", "--study", STUDY, "--data", str(loans_file(tmp_path / "new.csv"))]) == 0
    found = pd.read_csv(tmp_path / "new_scored.csv")
    assert (found["alert"] == (found["probability"] > 0.3)).all() and 0 < found["alert"].mean() < 1
    card = Path(f"reports/{STUDY}/model_card.md").read_text()
    assert "threshold that the parameters name" in card and "30" in card


def test_what_lies_outside_training_is_said(work, tmp_path, capsys):
    amount = cohort(200, seed=9)["amount"].where(pd.Series(range(200)) != 5, 9e9)
    file = loans_file(tmp_path / "new.csv", amount=amount)
    assert main(["score", "--study", STUDY, "--data", str(file)]) == 0
    said = capsys.readouterr().out
    assert "  amount: " in said and "first in row 7" in said
    assert pd.read_csv(tmp_path / "new_scored.csv")["outside_training"][5].startswith("amount")


def fails(capsys, *arguments):
    assert main(["score", "--study", STUDY, *map(str, arguments)]) == 1
    said = capsys.readouterr().err
    assert said.count("\n") == 1 and "Traceback" not in said
    return said


def with_cell(column, value, row=3):
    cells = cohort(200, seed=9)[column].astype(object)
    cells[row] = value
    return {column: cells}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (with_cell("amount", "many"), "column amount, row 5: 'many' is no number"),
        (with_cell("amount", ""), "column amount, row 5 is empty"),
        (with_cell("amount", -4), "column amount, row 5: -4 must be above zero"),
        (with_cell("credit_score", np.nan), "column credit_score, row 5 is empty"),
    ],
)
def test_a_cell_that_cannot_be_scored_is_one_sentence(work, tmp_path, capsys, changes, message):
    file = loans_file(tmp_path / "new.csv", **changes)
    said = fails(capsys, "--data", file, "--model", "logistic")
    assert message in said and str(file) in said
    assert not (tmp_path / "new_scored.csv").exists()


def test_an_unknown_level_is_named_with_what_is_known(work, tmp_path, capsys):
    file = loans_file(tmp_path / "new.csv", **with_cell("credit_grade", "Z"))
    said = fails(capsys, "--data", file, "--model", "logistic")
    assert "column credit_grade, row 5: 'Z' is unknown" in said and "A, B, C, D" in said


def test_a_gap_that_training_knew_is_scored(work, tmp_path):
    file = loans_file(tmp_path / "new.csv", **with_cell("relationship_depth_second_person", ""))
    assert main(["score", "--study", STUDY, "--data", str(file), "--model", "logistic"]) == 0


def test_a_missing_column_or_file_is_one_sentence(work, tmp_path, capsys):
    file = tmp_path / "new.csv"
    cohort(50).drop(columns=["amount", "relationship_length"]).to_csv(file, index=False)
    assert "no column 'amount', 'relationship_length'" in fails(capsys, "--data", file)
    assert "does not exist" in fails(capsys, "--data", tmp_path / "nothing.csv")
    file.write_text("")
    assert "is empty" in fails(capsys, "--data", file)
    short = tmp_path / "short.csv"
    lines = loans_file(tmp_path / "long.csv").read_text().splitlines()
    short.write_text("\n".join([*lines[:3], lines[3].rsplit(",", 2)[0], *lines[4:]]) + "\n")
    assert "row 4" in fails(capsys, "--data", short)


def test_no_file_is_replaced_unless_asked(work, tmp_path, capsys):
    file, out = loans_file(tmp_path / "new.csv"), tmp_path / "out.csv"
    out.write_text("mine")
    assert "is there already" in fails(capsys, "--data", file, "--out", out)
    assert out.read_text() == "mine"
    assert "is the file of the loans itself" in fails(capsys, "--data", file, "--out", file, "--force")
    assert "no kind of file" in fails(capsys, "--data", file, "--out", tmp_path / "out.xlsx")
    assert main(["score", "--study", STUDY, "--data", str(file), "--out", str(out), "--force"]) == 0
    assert out.read_text() != "mine"


def test_no_file_of_the_project_is_replaced(work, tmp_path, capsys):
    file = loans_file(tmp_path / "new.csv")
    for out in (places.results(STUDY, "predict"), places.processed(STUDY) / "new.parquet", Path("reports/new.csv")):
        before = out.read_bytes() if out.exists() else None
        assert "is in a folder of the stages" in fails(capsys, "--data", file, "--out", out, "--force")
        assert (out.read_bytes() if out.exists() else None) == before
    out = work / "mine_scored.csv"
    out.write_text("mine")
    assert "may be the project's" in fails(capsys, "--data", file, "--out", out, "--force")
    try:
        for command in (["init", "--quiet"], ["add", "mine_scored.csv"]):
            subprocess.run(["git", *command], check=True)
        assert "which git keeps" in fails(capsys, "--data", file, "--out", out, "--force")
        assert out.read_text() == "mine"
        subprocess.run(["git", "rm", "--quiet", "--cached", "mine_scored.csv"], check=True)
        assert main(["score", "--study", STUDY, "--data", str(file), "--out", str(out), "--force"]) == 0
        assert out.read_text() != "mine"
    finally:
        shutil.rmtree(".git", ignore_errors=True)
        out.unlink()


def test_a_study_without_a_score_says_so(work, tmp_path, capsys):
    assert main(["score", "--study", "sba", "--data", str(loans_file(tmp_path / "new.csv"))]) == 1
    assert "fit the score first" in capsys.readouterr().err
    assert main(["score", "--study", "nobody", "--data", "new.csv"]) == 1
    assert "no study 'nobody'" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["predict", "grade"])
def test_both_languages_have_the_same_words(name):
    def keys(part, path=""):
        for key, value in part.items():
            yield from keys(value, f"{path}{key}.") if isinstance(value, dict) else [path + key]

    english, chinese = (
        yaml.read(ROOT / f"pipeline/analyses/{name}/words.{language}.yaml") for language in ("en", "zh")
    )
    assert {*keys(english)} == {*keys(chinese)}


def test_nines_that_were_gaps_to_the_study_are_gaps_to_its_score():
    own = SimpleNamespace(mapped=dict, factors=[])
    known = {"column": "credit_score", "low": 480.0, "high": 720.0, "missing": True, "logarithm": False}
    read = score._number(pd.Series(["480", "", "9999", "999"]), known, "a.csv, column score", own)
    assert read.isna().tolist() == [False, True, True, False]
    with pytest.raises(StudyError, match="row 2: 9999 stands for no number beside 720"):
        score._number(pd.Series(["9999"]), known | {"missing": False}, "a.csv, column score", own)


def test_a_point_beside_a_study_of_decimal_commas_is_no_number():
    own = Own(file="x.csv", columns={"default": "Status", "interest_rate": "Zins"}, decimal={"Zins": ","})
    one = {"column": "interest_rate", "missing": False, "logarithm": False, "low": 1, "high": 30}
    read = score._number(pd.Series(["13,2", "1.234"], dtype="string"), one | {"high": 2000}, "x, column Zins", own)
    assert read.tolist() == [13.2, 1234]
    with pytest.raises(StudyError, match=r"row 3: '0\.132' is no number where decimals have commas, as in the file"):
        score._number(pd.Series(["13,2", "0.132"], dtype="string"), one, "x, column Zins", own)
