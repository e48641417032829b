"""Files that come with the repository or that the program wrote, once somebody's editor has been at them."""

import csv
import io
import json
import re

import pandas as pd
import pandera.pandas as pa
import pytest

from pipeline.core.schema import check_cohort, cohort_schema
from pipeline.runtime.errors import StudyError
from pipeline.sources import claims, dictionary, records
from tests.hostile.place import ROOT, STUDY, picture, refused, text, write

MODEL = f"reports/{STUDY}/model.json"
SCORE = ("score", "--study", STUDY, "--data", "new.csv", "--model", "logistic")


def within(path, value):
    """Return a change of a saved score: the value at a dotted path replaced; ``...`` takes it out."""
    *steps, last = [int(step) if step.isdecimal() else step for step in path.split(".")]

    def change(model):
        part = model
        for step in steps:
            part = part[step]
        if value is ...:
            del part[last]
        else:
            part[last] = value(part[last]) if callable(value) else value
        return json.dumps(model)

    return change


MODELS = {
    "nothing": (lambda model: "", "is not valid JSON"),
    "cut_in_the_middle": (lambda model: json.dumps(model)[:400], "is not valid JSON"),
    "a_pickle": (lambda model: b"\x80\x04\x95\x10\x00\x00\x00", "is not valid JSON"),
    "a_comma_at_the_end": (lambda model: json.dumps(model)[:-1] + ",}", "is not valid JSON"),
    "single_marks": (lambda model: str(model), "is not valid JSON"),
    "utf_16": (lambda model: json.dumps(model).encode("utf-16"), "is not valid JSON"),
    "a_hundred_thousand_brackets": (lambda model: "[" * 100_000, "is not valid JSON"),
    "a_list": (lambda model: json.dumps([model]), "is of another version"),
    "a_number": (lambda model: "7", "is of another version"),
    "no_version": (within("version", ...), "is of another version"),
    "a_version_to_come": (within("version", 99), "is of another version"),
    "a_version_in_words": (within("version", "1"), "is of another version"),
    "true_for_a_version": (within("version", True), "is of another version"),
    "a_score_that_was_never_fitted": (within("nothing", "too few defaults."), "holds no score: too few defaults."),
    "no_scorecard": (within("scorecard", ...), "scorecard"),
    "no_regression": (within("logistic", ...), "logistic"),
    "no_cuts": (within("cuts", ...), "cuts"),
    "no_cuts_of_one_model": (within("cuts.logistic", ...), "cuts.logistic"),
    "no_alert": (within("cuts.logistic.alert", ...), "cuts.logistic.alert"),
    "an_endless_alert": (within("cuts.logistic.alert", float("inf")), "cuts.logistic.alert"),
    "an_alert_in_words": (within("cuts.logistic.alert", "high"), "cuts.logistic.alert"),
    "grades_that_fall": (within("cuts.logistic.grades", [0.5, 0.1]), "cuts.logistic.grades: the numbers must rise"),
    "grades_of_no_number": (within("cuts.logistic.grades", [0.1, float("nan")]), "cuts.logistic.grades"),
    "three_cuts_for_tiers": (within("cuts.logistic.tiers", [0.1, 0.2, 0.3]), "cuts.logistic.tiers"),
    "no_cut_for_tiers": (within("cuts.logistic.tiers", []), "cuts.logistic.tiers"),
    "no_intercept": (within("logistic.intercept", ...), "logistic.intercept"),
    "an_intercept_of_no_number": (within("logistic.intercept", float("nan")), "logistic.intercept"),
    "an_intercept_in_words": (within("logistic.intercept", "-2"), "logistic.intercept"),
    "a_coefficient_missing": (within("logistic.coefficients", lambda old: old[1:]), ("coefficients must have",)),
    "a_coefficient_too_many": (within("logistic.coefficients", lambda old: [*old, 1.0]), "coefficients must have"),
    "an_average_missing": (within("logistic.averages", lambda old: old[1:]), "averages must have"),
    "a_coefficient_in_words": (within("logistic.coefficients.0", "none"), "logistic.coefficients.0"),
    "a_feature_of_no_kind": (within("logistic.features.0.kind", "picture"), "logistic.features.0.kind"),
    "a_feature_without_a_column": (within("logistic.features.0.column", ...), "logistic.features.0.column"),
    "a_column_without_a_name": (within("logistic.features.0.column", ""), "logistic.features.0.column"),
    "a_term_of_another_column": (within("logistic.features.0.term", "log(other)"), "logistic.features.0"),
    "a_category_without_levels": (within("logistic.features.0.levels", ...), "logistic.features.0"),
    "a_category_of_no_levels": (within("logistic.features.0.levels", []), "logistic.features.0.levels"),
    "levels_that_are_numbers": (within("logistic.features.0.levels", [1, 2]), "logistic.features.0.levels.0"),
    "a_number_without_a_mean": (within("logistic.features.-1.mean", ...), "mean is missing"),
    "a_scale_of_nothing": (within("logistic.features.-1.scale", 0.0), "scale"),
    "a_logarithm_that_is_none": (within("logistic.features.-1.logarithm", lambda old: not old), "logarithm"),
    "a_bin_without_points": (within("scorecard.characteristics.0.points", lambda old: old[1:]), "points must have"),
    "half_a_point": (within("scorecard.characteristics.0.points.0", 1.5), "points.0"),
    "a_share_above_one": (within("scorecard.characteristics.0.shares.0", 1.5), "shares.0"),
    "edges_that_fall": (within("scorecard.characteristics.0", lambda old: old | {"kind": "number", "edges": [2, 1],
                                                                              "low": 0, "high": 3}), "must rise"),
    "a_bin_more_than_weights": (within("scorecard.characteristics.0.weights_of_evidence", lambda old: [*old, 0.0]),
                                "weights_of_evidence must have"),
    "levels_that_are_not_known": (within("scorecard.characteristics.0", lambda old: old | {
        "kind": "category", "levels": ["A"], "known": ["B"]}), "known must name every level"),
    "no_characteristics": (within("scorecard.characteristics", ...), "scorecard.characteristics"),
    "nothing_of_the_training": (within("trained", ...), "trained"),
    "loans_in_words": (within("trained.loans", "many"), "trained.loans"),
}  # fmt: skip


@pytest.mark.parametrize("name", MODELS)
def test_a_saved_score_that_was_tampered_with(place, capsys, name):
    change, needles = MODELS[name]
    write(place / "new.csv", text())
    model = json.loads((place / MODEL).read_text(encoding="utf-8"))
    # A negative place in a list is written as the last one.
    if "-1" in name or name in ("a_number_without_a_mean", "a_scale_of_nothing", "a_logarithm_that_is_none"):
        model["logistic"]["features"] = {**dict(enumerate(model["logistic"]["features"]))}
        number = max(place for place, one in model["logistic"]["features"].items() if one["kind"] == "number")
        model["logistic"]["features"]["-1"] = model["logistic"]["features"][number]
        changed = json.loads(change(model))
        features = list(changed["logistic"]["features"].values())
        features[number] = features.pop()
        changed["logistic"]["features"] = features
        content = json.dumps(changed)
    else:
        content = change(model)
    write(place / MODEL, content)
    refused(capsys, place, SCORE, [MODEL, *([needles] if isinstance(needles, str) else needles)])


def test_a_saved_score_larger_than_any(place, capsys):
    write(place / "new.csv", text())
    write(place / MODEL, " " * (33 << 20))
    refused(capsys, place, SCORE, (MODEL, "as no saved score has"))


CLAIMS = (ROOT / claims.CLAIMS).read_text(encoding="utf-8")
BEARINGS = (ROOT / claims.ROWS).read_text(encoding="utf-8")


def ledger(content, columns, value, line=2):
    """Return a ledger in which one cell, or some of a line, hold something else; the names are line 1."""
    rows = list(csv.DictReader(io.StringIO(content)))
    rows[line - 2] |= dict.fromkeys([columns] if isinstance(columns, str) else columns, value)
    return as_csv(rows)


def as_csv(rows):
    out = io.StringIO()
    writer = csv.DictWriter(out, list(rows[0]))
    writer.writeheader()
    writer.writerows(rows)
    return out.getvalue()


def without(content, column):
    rows = list(csv.DictReader(io.StringIO(content)))
    return as_csv([{name: cell for name, cell in row.items() if name != column} for row in rows])


NO_CLAIMS = {
    "latin_letters": (CLAIMS.encode("utf-8").replace(b"\n", b"\xe9\n", 1), "not a CSV table in UTF-8"),
    "utf_16": (CLAIMS.encode("utf-16"), "not a CSV table in UTF-8"),
    "an_open_mark": (CLAIMS + '"x', "not a CSV table in UTF-8"),
    "semicolons": (CLAIMS.replace(",", ";"), "line 2"),
    "no_names": (CLAIMS.split("\n", 1)[1], "line 2"),
    "a_short_line": (CLAIMS + "E99,E\n", "not as many cells"),
    "a_long_line": (CLAIMS.rstrip("\n") + ",,,,\n", "not as many cells"),
    "a_column_missing": (without(CLAIMS, "priority"), ("line 2", "priority")),
    "a_column_twice": ("id," + CLAIMS.replace("\n", "\nX,"), "several columns 'id'"),
    "a_column_more": (CLAIMS.replace("priority", "priority,remark", 1), "not as many cells"),
    "a_column_renamed": (CLAIMS.replace("expected_sign", "sign", 1), ("line 2", "expected_sign")),
    "a_claim_twice": (CLAIMS + CLAIMS.split("\n", 1)[1], "2 times"),
    "no_number": (ledger(CLAIMS, "id", ""), ("line 2", "id")),
    "an_unknown_document": (ledger(CLAIMS, "document", "Z", 3), ("line 3", "document")),
    "an_unknown_sign": (ledger(CLAIMS, "expected_sign", "sideways"), ("line 2", "expected_sign")),
    "an_unknown_class": (ledger(CLAIMS, "class", "magical"), ("line 2", "class")),
    "a_priority_of_nine": (ledger(CLAIMS, "priority", "9"), ("line 2", "priority")),
    "no_words": (ledger(CLAIMS, "claim_zh", "  "), ("line 2", "claim_zh")),
    "a_need_in_one_language": (ledger(ledger(CLAIMS, "needs_en", "x"), "needs_zh", ""), ("line 2", "stand together")),
}  # fmt: skip


@pytest.mark.parametrize("name", NO_CLAIMS)
def test_a_ledger_of_claims_that_cannot_be_read(tmp_path, name):
    content, needles = NO_CLAIMS[name]
    write(tmp_path / "claims.csv", content)
    said(tmp_path, lambda: claims.load_claims(tmp_path / "claims.csv"), "claims.csv", needles)


NO_ROWS = {
    "an_unknown_claim": (ledger(BEARINGS, "claim", "Z99"), "Z99"),
    "a_study_that_is_not_asked": (ledger(BEARINGS, "study", "sba"), "does not ask this study"),
    "an_unknown_turn": (ledger(BEARINGS, "reverse", "perhaps"), ("line 2", "reverse")),
    "a_row_half_named": (ledger(BEARINGS, "estimand", ""), ("line 2", "needs its stage")),
    "an_argument_in_one_language": (ledger(BEARINGS, "argument_en", "x"), ("line 2", "stand together")),
    "an_exception_without_an_argument": (
        ledger(BEARINGS, ("stage", "estimator", "specification", "estimand"), "x", 3), "say why the rule"),
    "no_column": (ledger(BEARINGS, "column", ""), ("line 2", "column")),
    "no_study": (ledger(BEARINGS, "study", ""), ("line 2", "study")),
    "a_zero_byte": (BEARINGS.replace("reference", "refer\0ence", 1), "claim_rows.csv"),
    "a_cell_as_long_as_a_book": (ledger(BEARINGS, "column", "x" * 2_000_000), "not a CSV table"),
}  # fmt: skip


@pytest.mark.parametrize("name", NO_ROWS)
def test_a_ledger_of_rows_that_cannot_be_read(tmp_path, name):
    content, needles = NO_ROWS[name]
    write(tmp_path / "claim_rows.csv", content)
    known = claims.load_claims(ROOT / claims.CLAIMS)
    said(
        tmp_path,
        lambda: claims.load_bearings(known, {"reference"}, tmp_path / "claim_rows.csv"),
        "claim_rows.csv",
        needles,
    )


def said(folder, read, file, needles):
    """Run a reader that must refuse, and look at its one sentence."""
    before = picture(folder)
    with pytest.raises(StudyError) as caught:
        read()
    sentence = str(caught.value)
    assert "\n" not in sentence and len(sentence) < 2_500
    for needle in [file, *([needles] if isinstance(needles, str) else needles)]:
        assert needle in sentence, sentence
    assert picture(folder) == before


NAMED = {"columns": {"amount": "amount"}}
NO_DICTIONARY = {
    "nothing": ("", "must have the columns column and label"),
    "no_labels": ("column,role\namount,amount\n", "must have the columns column and label"),
    "names_in_capitals": ("Column,Label\namount,Sum\n", "must have the columns column and label"),
    "no_encoding": (b"column,label\namount,\x81\xff\xff\n", "neither UTF-8 nor GB 18030"),
    "utf_16": ("column,label\namount,Sum\n".encode("utf-16"), "neither UTF-8 nor GB 18030|must have the columns"),
    "an_open_mark": ('column,label\namount,"Sum\n', "line"),
    "a_label_as_long_as_a_book": (f"column,label\namount,{'x' * 2_000_000}\n", "field larger"),
    "two_labels_of_one_column": ("column,label\namount,Sum\namount,Total\n", ("line 3", "'amount' stands there twice")),
}


@pytest.mark.parametrize("name", NO_DICTIONARY)
def test_a_dictionary_that_cannot_be_read(tmp_path, name):
    content, needles = NO_DICTIONARY[name]
    write(tmp_path / "mine.csv", content)
    with pytest.raises(StudyError) as caught:
        dictionary.labels(NAMED, tmp_path / "mine.csv")
    for needle in [needles] if isinstance(needles, str) else needles:
        assert re.search(needle, str(caught.value)), caught.value
    assert "mine.csv" in str(caught.value)


RECORD = (ROOT / "pipeline/sources/real_gdp.yaml").read_text(encoding="utf-8")


def changed(old, new):
    assert re.search(old, RECORD, flags=re.MULTILINE), old
    return re.sub(old, lambda _: new, RECORD, count=1, flags=re.MULTILINE)


NO_RECORD = {
    "nothing": ("", "must hold named sections"),
    "a_list": ("- title\n", "must hold named sections"),
    "a_tab": (changed("^title:", "\ttitle:"), "is not valid YAML"),
    "no_title": (changed("^title:.*\n", ""), "title"),
    "a_blank_title": (changed("^title:.*", "title: '  '"), "title"),
    "a_number_for_a_title": (changed("^title:.*", "title: 5"), "title"),
    "a_name_misspelt": (changed("^title:", "titel:"), "tit"),
    "no_licence": (changed("^licence:.*\n", ""), "licence"),
    "perhaps_redistributed": (changed("^redistribution:.*", "redistribution: perhaps"), "redistribution"),
    "an_address_without_encryption": (changed("url: https:", "url: http:"), "files.0.url"),
    "an_address_on_this_machine": (changed("url: https://.*", "url: file:///etc/passwd"), "files.0.url"),
    "an_address_with_a_password": (changed("url: https://", "url: https://user:secret@"), "files.0.url"),
    "an_address_with_a_fragment": (changed("(?<=url: )(https://.*)", "https://example.org/a#b"), "files.0.url"),
    "no_address": (changed("url: https://.*", "url: ''"), "files.0.url"),
    "a_file_above_its_folder": (changed("- name: .*", "- name: ../../evil.csv"), "files.0.name"),
    "a_file_at_the_root": (changed("- name: .*", "- name: /etc/passwd"), "files.0.name"),
    "a_hidden_file": (changed("- name: .*", "- name: .bashrc"), "files.0.name"),
    "a_file_in_a_folder": (changed("- name: .*", "- name: a/b.csv"), "files.0.name"),
    "a_file_with_a_zero_byte": (changed("- name: .*", '- name: "a\\0.csv"'), "files.0.name"),
    "a_folder_above": (changed("^folder:.*", "folder: ../macro"), "folder"),
    "a_folder_at_the_root": (changed("^folder:.*", "folder: /tmp"), "folder"),
    "no_checksum": (changed("sha256: .*", "sha256: null").replace("git_blob: ", "git_blob: null #"), "files.0"),
    "a_short_checksum": (changed("sha256: .*", "sha256: abc123"), "files.0.sha256"),
    "a_checksum_in_capitals": (changed("sha256: .*", f"sha256: {'A' * 64}"), "files.0.sha256"),
    "a_size_of_nothing": (changed("bytes: .*", "bytes: 0"), "files.0.bytes"),
    "a_size_below_nothing": (changed("bytes: .*", "bytes: -5"), "files.0.bytes"),
    "a_size_in_words": (changed("bytes: .*", "bytes: small"), "files.0.bytes"),
    "a_day_that_does_not_exist": (changed("^  date: .*", "  date: 2020-02-31"), "is not valid YAML"),
    "an_object_of_python": (changed("^title:.*", "title: !!python/object:os.system [ls]"), "is not valid YAML"),
}  # fmt: skip


@pytest.mark.parametrize("name", NO_RECORD)
def test_a_record_of_a_source_that_cannot_be_trusted(tmp_path, monkeypatch, name):
    monkeypatch.setattr(records, "_RECORDS", tmp_path)
    monkeypatch.setattr(records, "_STUDIES", tmp_path)
    content, needles = NO_RECORD[name]
    write(tmp_path / "gdp.yaml", content)
    said(tmp_path, lambda: records.load_source("gdp"), "gdp.yaml", needles)


@pytest.mark.parametrize("name", ["../gdp", "/etc/passwd", "gdp.yaml", "", "gpd"])
def test_a_record_that_is_not_there(tmp_path, monkeypatch, name):
    monkeypatch.setattr(records, "_RECORDS", tmp_path)
    monkeypatch.setattr(records, "_STUDIES", tmp_path)
    write(tmp_path / "gdp.yaml", RECORD)
    said(tmp_path, lambda: records.load_source(name), f"'{name}'", "gdp")


def cohort(number=6):
    """Return a small cohort that meets its schema."""
    return pd.DataFrame(
        {
            "loan_id": [f"L{place}" for place in range(number)],
            "institution_type": pd.Categorical(["p2p"] * number),
            "origination_date": pd.Series(pd.Timestamp("2011-01-01"), range(number)).astype("datetime64[ms]"),
            "origination_month": pd.Categorical(["2011-01"] * number),
            "origination_quarter": pd.Categorical(["2011Q1"] * number),
            "credit_grade": pd.Categorical(list("ABABAB")[:number]),
            "loan_type": pd.Categorical(["car"] * number),
            "amount": [100.0] * number,
            "satisfaction": [3.0] * number,
            "unemployment": [5.0] * number,
            "treated": [0, 1] * (number // 2),
            "default": [0, 0, 1] * (number // 3),
        }
    )


SCHEMA = cohort_schema({"age": pa.Column(float, pa.Check.gt(0), required=False)}, ["satisfaction"], ["unemployment"])


def put(column, value):
    return lambda frame: frame.assign(**{column: value})


def put_in(column, value, row=2):
    def change(frame):
        frame = frame.copy()
        frame[column] = frame[column].astype(object)
        frame.loc[row, column] = value
        return frame.assign(**{column: frame[column].infer_objects()})

    return change


NO_COHORT = {
    "no_number": (lambda frame: frame.drop(columns="loan_id"), "column loan_id is missing"),
    "no_default": (lambda frame: frame.drop(columns="default"), "column default is missing"),
    "no_factor": (lambda frame: frame.drop(columns="satisfaction"), "column satisfaction is missing"),
    "no_series": (lambda frame: frame.drop(columns="unemployment"), "column unemployment is missing"),
    "no_columns": (lambda frame: frame[[]], "column amount is missing"),
    "a_column_more": (put("zip_code", "60601"), "column zip_code is not declared"),
    "a_column_named_like_a_package": (put("dask", 1), "column dask is not declared"),
    "a_number_twice": (put_in("loan_id", "L0"), "loan_id"),
    "a_number_missing": (put_in("loan_id", None), "loan_id"),
    "numbers_as_numbers": (put("loan_id", range(6)), "loan_id"),
    "amounts_in_words": (put("amount", "much"), "column amount"),
    "whole_amounts": (put("amount", 100), "column amount should be float64"),
    "an_amount_of_nothing": (lambda frame: frame.assign(amount=[0.0, *[1.0] * 5]), "amount"),
    "an_amount_below_zero": (lambda frame: frame.assign(amount=[-5.0, *[1.0] * 5]), "amount"),
    "an_amount_missing": (lambda frame: frame.assign(amount=[float("nan"), *[1.0] * 5]), "amount"),
    "a_rate_of_a_thousand": (put("interest_rate", 1000.0), "interest_rate"),
    "a_rate_below_zero": (put("interest_rate", -1.0), "interest_rate"),
    "a_term_of_nothing": (put("term_months", 0), "term_months"),
    "half_a_month": (put("term_months", 1.5), "column term_months should be int64"),
    "a_default_of_two": (put("default", 2), "default"),
    "a_default_in_words": (put("default", "yes"), "default"),
    "a_default_as_truth": (put("default", True), "column default should be int64"),
    "an_arm_of_three": (put("treated", 3), "treated"),
    "dates_in_words": (put("origination_date", "2011-01-01"), "column origination_date should be"),
    "no_dates": (put("origination_date", pd.Series(pd.NaT, range(6)).astype("datetime64[ms]")), "origination_date"),
    "grades_as_text": (put("credit_grade", "A"), "credit_grade"),
    "a_grade_missing": (put("credit_grade", pd.Categorical([None, *"ABABA"])), "credit_grade"),
    "a_factor_missing": (put("satisfaction", [float("nan")] * 6), "satisfaction"),
    "a_weight_of_nothing": (put("weight", 0.0), "weight"),
    "an_age_below_zero": (put("age", -1.0), "age"),
}  # fmt: skip


def test_the_cohort_that_is_spoilt_below_is_good():
    assert len(check_cohort(cohort(), SCHEMA)) == 6


@pytest.mark.parametrize("name", NO_COHORT)
def test_a_cohort_that_breaks_its_schema(name):
    change, needle = NO_COHORT[name]
    with pytest.raises(StudyError) as caught:
        check_cohort(change(cohort()), SCHEMA)
    assert needle in str(caught.value) and "\n" not in str(caught.value), caught.value
