import re
from math import inf, nan

import pytest
from pydantic import TypeAdapter, ValidationError
from ruamel.yaml import YAML

from pipeline.core.fields import CONSTRUCTS, Month, construct
from pipeline.core.params import load
from pipeline.core.shared import Match
from pipeline.core.yaml import read
from pipeline.runtime import places
from pipeline.runtime.errors import StudyError
from tests.choices import copied
from tests.sample import PARAMS

GONE = object()


def changed(tmp_path, changes):
    """Copy params.yaml and the studies' files with other values at some paths; studies.NAME is a study's file."""
    copied(tmp_path)
    files = {}
    for path, value in changes.items():
        *sections, name = path.split(".")
        file = tmp_path / "params.yaml"
        if sections[:1] == ["studies"]:
            file, sections = tmp_path / places.choices(sections[1]), sections[2:]
        section = files.setdefault(file, read(file))
        for step in sections:
            section = section[step]
        if value is GONE:
            del section[name]
        else:
            section[name] = value
    for file, content in files.items():
        YAML(typ="safe", pure=True).dump(content, file)
    return tmp_path / "params.yaml"


def within(name):
    """How a message names a value: by its file, then its place there."""
    study, _, place = name.removeprefix("studies.").partition(".")
    return f"{places.choices(study)}: {place}" if name.startswith("studies.") else f"params.yaml: {name}"


def error(tmp_path, changes) -> str:
    with pytest.raises(StudyError) as caught:
        load(changed(tmp_path, changes))
    message = str(caught.value)
    assert "\n" not in message
    assert "params.yaml" in message
    return message


def test_the_repositorys_params_load():
    params = load(PARAMS)
    assert "lendingclub" in params.studies
    assert params.match.order == "closest"
    assert params.study("lendingclub").treatment.factor == "communication_frequency"


def test_params_are_read_only():
    with pytest.raises(ValueError, match="frozen"):
        load(PARAMS).match.ratio = 2


LENDING = "studies.lendingclub"


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        ("match.ratio", "raito"),
        ("match", "matches"),
        (f"{LENDING}.cluster", "clusters"),
        (f"{LENDING}.matching.score", "scores"),
        (f"{LENDING}.expected.ended", "endet"),
        ("specification_curve.calipers", "caliper"),
    ],
)
def test_an_unknown_name_offers_the_nearest_and_the_right_one_is_missing(tmp_path, right, wrong):
    section, _, name = right.rpartition(".")
    path = f"{section}.{wrong}".removeprefix(".")
    message = error(tmp_path, {right: GONE, path: 1})
    file, _, place = within(path).partition(": ")
    assert file in message and f"{place} is not a parameter (did you mean '{name}'?)" in message
    assert f"{within(right)} is missing" in message


def test_an_unknown_name_like_no_other_lists_the_known_ones(tmp_path):
    message = error(tmp_path, {"match.zzz": 1})
    assert f"match.zzz is not a parameter (known: {', '.join(Match.model_fields)})" in message


@pytest.mark.parametrize("name", ["match.ratio", "inference.level", f"{LENDING}.cluster", "studies", "report"])
def test_a_missing_parameter_is_named(tmp_path, name):
    assert f"{within(name)} is missing" in error(tmp_path, {name: GONE})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("match.ratio", "one"),
        ("match.ratio", 1.5),
        ("match.ratio", "1"),
        ("match.ratio", 0),
        ("match.ratio", None),
        ("match.caliper", "wide"),
        ("match.caliper", True),
        ("match.caliper", 0),
        ("match.caliper", -0.1),
        ("match.caliper", inf),
        ("match.order", "random"),
        ("match", None),
        ("inference.level", 95),
        ("inference.level", 1),
        ("inference.level", nan),
        ("checks.quarantine_share", "1%"),
        ("checks.balance", -1),
        ("report.language", "fr"),
        ("parallel.backend", "threads"),
        ("parallel.address", "__import__('os').getcwd()"),
        ("parallel.address", "tcp://host"),
        ("parallel.address", "http://host:8786"),
        ("parallel.workers", 0),
        ("engine", "sqlite"),
        ("engine_address", "local[2]"),
        ("engine_address", "spark://host"),
        ("engine_address", "sc://host:15002"),
        ("engine_memory", "8"),
        ("engine_memory", "lots"),
        ("engine_memory", 8),
        (f"{LENDING}.institution_type", "bank"),
        (f"{LENDING}.treatment.at_least", "many"),
        (f"{LENDING}.treatment.at_least", nan),
        (f"{LENDING}.factors", []),
        (f"{LENDING}.expected.cohort", 3.5),
        (f"{LENDING}.release_lag_months.unemployment", "two"),
        (f"{LENDING}.release_lag_months.unemployment", -1),
        (f"{LENDING}.vintages", "soon"),
        ("specification_curve.permutations", 5),
        ("specification_curve.calipers", [0.2, 0.1]),
        ("specification_curve.alike", 1.5),
        (f"{LENDING}.alternatives.samples.common_support.score_within", 0.7),
        ("parallel.workers", 100_000_000),
        ("match.ratio", 10**23),
        ("match.folds", 10**9),
        ("match.subclasses", 10**9),
        ("adjust.permutations", 10**9),
        ("adjust.repetitions", 10**9),
        ("adjust.most_loans", 10**12),
        ("specification_curve.permutations", 10**9),
        ("specification_curve.folds", 10**9),
        ("predict.spans", 10**9),
        ("missing.imputations", 10**9),
        ("missing.iterations", 10**9),
        ("warning.horizon_months", 10**9),
        ("studies.reference.recovery.replications", 10**9),
        ("studies.reference.scale", 1e9),
    ],
)
def test_a_wrong_value_is_named_once_with_what_was_found(tmp_path, name, value):
    message = error(tmp_path, {name: value})
    assert re.search(rf"{re.escape(within(name))}: .*\(found .*\)\.$", message)
    assert message.count(within(name)) == 1


@pytest.mark.parametrize("term", ["log(x+1)", "exp(income)", "log(log(income))", "income ", "Income", "log()"])
def test_a_term_is_a_column_or_its_logarithm(tmp_path, term):
    message = error(tmp_path, {f"{LENDING}.matching.score": [term]})
    assert f"matching.score.0: '{term}' must be the name of a column or log(column)" in message


def test_a_factor_measures_a_construct(tmp_path):
    message = error(tmp_path, {f"{LENDING}.treatment.factor": "messages"})
    assert f"{within(f'{LENDING}.treatment.factor')}: factor 'messages' must be, or begin with, one of" in message
    assert all(name in message for name in CONSTRUCTS)


def test_the_treatment_is_one_of_the_factors(tmp_path):
    message = error(tmp_path, {f"{LENDING}.treatment.factor": "loyalty"})
    assert str(places.choices("lendingclub")) in message and "loyalty" in message


@pytest.mark.parametrize("edges", [[], [0, 2, 1], [0, 1, 1]])
def test_doses_rise(tmp_path, edges):
    message = error(tmp_path, {f"{LENDING}.doses.communication_frequency": edges})
    assert within(f"{LENDING}.doses") in message


def test_a_factor_is_named_once(tmp_path):
    message = error(tmp_path, {f"{LENDING}.factors": ["communication_frequency"] * 2})
    assert within(f"{LENDING}.factors") in message


def test_doses_are_of_factors(tmp_path):
    message = error(tmp_path, {f"{LENDING}.doses": {"messages": [0, 1]}})
    assert within(f"{LENDING}.doses.messages") in message


@pytest.mark.parametrize("text", ["2009-13", "2009-00", "2009", "10-2009", "2009-1", "2009-10-01"])
def test_a_month_is_a_month(text):
    assert TypeAdapter(Month).validate_python("2009-10") == "2009-10"
    with pytest.raises(ValidationError, match="must be a month such as 2009-10"):
        TypeAdapter(Month).validate_python(text)


def test_a_window_of_default_is_of_a_study(tmp_path):
    windows = read(PARAMS)["predict"]["windows"]
    with pytest.raises(StudyError, match=r"predict\.windows names 'sbaa', which is not among the studies \(did you"):
        load(changed(tmp_path, {"predict.windows": {"sbaa": windows["sba"]}}))


def test_a_study_without_a_folder_and_a_folder_without_a_line_are_said(tmp_path):
    copied(tmp_path, "sba")
    (tmp_path / places.choices("sba")).parent.rename((tmp_path / places.choices("other")).parent)
    copied(tmp_path, "berka")
    with pytest.raises(
        StudyError, match=r"lists no 'other', but \S*/other/params.yaml is there: a study is one folder"
    ):
        load(tmp_path / "params.yaml")
    (tmp_path / places.choices("other")).unlink()
    assert list(load(tmp_path / "params.yaml").studies) == ["berka"]
    (tmp_path / places.choices("berka")).unlink()
    with pytest.raises(StudyError, match=r"lists 'berka', but \S*/berka/params.yaml is missing: a study is one folder"):
        load(tmp_path / "params.yaml")


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        (
            "    reference: {}\n  # ... or read",
            "    reference: {}\n    sba: {}\n  # ... or read",
            "'sba' stands under two",
        ),
        ("    - *simulated\n", "", "every must name the studies of fetched, simulated and owned; look at 'reference'"),
        ("  watched:\n", "  watched:\n    brka: {}\n", "watched names 'brka', which is not among the studies (did you"),
        (
            "    lendingclub: {}\n",
            "    lendingclub: {scale: 1}\n",
            "studies.fetched.lendingclub.scale is not a parameter",
        ),
        ("&owned {}", "&owned\n    mine: {}", "studies.owned.mine.file is missing"),
        (
            "&owned {}",
            "&owned\n    mine: {file: 'a/${x}.csv'}",
            "studies.owned.mine.file: '${' in a path stands for a parameter",
        ),
        ("&owned {}", "&owned\n    mine: {file: ''}", "studies.owned.mine.file: "),
        (
            "    lendingclub: {}\n",
            "    lendingclub: {}\n    ../../esc: {}\n",
            "studies.fetched holds the name '../../esc', which must be small letters, digits and underscores.",
        ),
        (
            "    lendingclub: {}\n",
            "    lendingclub: {}\n    evidence: {}\n",
            "studies: 'evidence' cannot be a study's name: reports/evidence holds other pages",
        ),
        ("  fetched: &", "  fetchd: &", "studies.fetchd is not a parameter (did you mean 'fetched'?)"),
    ],
)
def test_a_list_of_studies_that_cannot_be_meant(tmp_path, old, new, sentence):
    copied(tmp_path)
    path = tmp_path / "params.yaml"
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new, 1), encoding="utf-8")
    with pytest.raises(StudyError, match=re.escape(sentence)) as caught:
        load(path)
    assert str(caught.value).startswith(f"{path}: studies")


def test_several_mistakes_are_reported_together(tmp_path):
    message = error(tmp_path, {"match.ratio": 0, "inference.levl": 0.9, f"{LENDING}.cluster": GONE})
    for wrong in ("match.ratio: ", "inference.levl is not", f"{within(f'{LENDING}.cluster')} is missing"):
        assert wrong in message


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("match:\n  ratio: 1\n bad: 2\n", 3),
        ("match: [1, 2\n", 2),
        ("match: 1\nmatch: 2\n", 2),
        ("match:\n\tratio: 1\n", 2),
        ("match: a: b\n", 1),
    ],
)
def test_what_is_no_yaml_is_named_with_its_line(tmp_path, text, line):
    path = tmp_path / "params.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(StudyError, match=rf"^{re.escape(str(path))}, line {line} is not valid YAML: [^\n]+$"):
        load(path)


def test_text_that_is_not_utf_8(tmp_path):
    path = tmp_path / "params.yaml"
    path.write_bytes(b"match: \xff\n")
    with pytest.raises(StudyError, match="is not valid YAML"):
        load(path)


@pytest.mark.parametrize("text", ["", "- match\n", "match\n", "# nothing\n"])
def test_a_file_without_sections(tmp_path, text):
    path = tmp_path / "params.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(StudyError, match="must hold named sections"):
        load(path)


def test_an_absent_file(tmp_path):
    with pytest.raises(StudyError, match=r"params\.yaml is missing: run from the folder that holds it"):
        load(tmp_path / "params.yaml")


def test_yaml_is_read_as_dvc_reads_it(tmp_path):
    # YAML 1.1 would read false, a number of base 60 and a date.
    path = tmp_path / "params.yaml"
    path.write_text("a: NO\nb: 1:30\nc: 2009-10\n", encoding="utf-8")
    assert read(path) == {"a": "NO", "b": "1:30", "c": "2009-10"}


def test_a_whole_number_is_a_number(tmp_path):
    assert load(changed(tmp_path, {"match.caliper": 1})).match.caliper == 1
    assert load(changed(tmp_path, {"match.caliper": None})).match.caliper is None


def test_an_unknown_study_offers_the_nearest():
    with pytest.raises(StudyError, match=r"lists no study 'lendinclub' \(did you mean 'lendingclub'\?\)"):
        load(PARAMS).study("lendinclub")
    with pytest.raises(StudyError, match=r"no study 'zzz' \(known: .*lendingclub"):
        load(PARAMS).study("zzz")


@pytest.mark.parametrize(
    ("factor", "measures"),
    [
        ("satisfaction", "satisfaction"),
        ("communication_frequency_days", "communication_frequency"),
        ("communication_effectiveness", "communication_effectiveness"),
    ],
)
def test_the_construct_of_a_factor(factor, measures):
    assert construct(factor) == measures


@pytest.mark.parametrize("factor", ["messages", "loyaltyx", "my_satisfaction", "", "communication"])
def test_a_factor_of_no_construct(factor):
    with pytest.raises(ValueError, match="must be, or begin with"):
        construct(factor)


def test_each_rung_of_the_ladder_adds_a_block():
    controls = load(PARAMS).study("lendingclub").controls
    rungs = controls.ladder()
    assert list(rungs) == ["loan", "borrower", "market", "time"]
    assert rungs["loan"] == controls.loan
    assert rungs["time"] == [*controls.loan, *controls.borrower, *controls.market, *controls.time]


def test_an_empty_block_is_no_rung():
    controls = load(PARAMS).study("lendingclub").controls.model_copy(update={"borrower": []})
    rungs = controls.ladder()
    assert list(rungs) == ["loan", "market", "time"]
    assert rungs["market"] == [*controls.loan, *controls.market]


def test_the_scenario_without_effect_may_be_written_as_yaml_writes_nothing(tmp_path):
    # What `dvc exp run -S 'pipeline/studies/reference/params.yaml:scenario=null'` leaves there.
    assert load(changed(tmp_path, {"studies.reference.scenario": None})).study("reference").scenario == "null"
    assert load(changed(tmp_path, {"studies.reference.scenario": "null"})).study("reference").simulated
    assert not load(PARAMS).study("lendingclub").simulated


def test_a_simulated_study_needs_scenario_and_scale(tmp_path):
    assert "names both scenario and scale" in error(tmp_path, {"studies.reference.scale": GONE})


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"match.score": "boosting"}, "score boosting needs folds of 2 or more"),
        ({"match.method": "optimal", "match.replacement": True}, "replacement goes with method nearest"),
        ({"match.subclasses": 1}, "match.subclasses"),
        ({"match.trim": 1.5}, "match.trim"),
        ({f"{LENDING}.matching.cuts": {"credit_score": [2, 1]}}, "the numbers must rise"),
        ({f"{LENDING}.matching.calipers": {"credit_score": -1}}, "calipers"),
    ],
)
def test_matching_choices_that_do_not_fit_are_said(tmp_path, changes, sentence):
    assert sentence in error(tmp_path, changes)


def test_moderators_are_levels_thirds_cut_points_or_windows(tmp_path):
    path = f"{LENDING}.moderators"
    right = {"credit_grade": "levels", "unemployment": "thirds", "amount": [1, 2], "law": {"first_month": "2010-01"}}
    found = load(changed(tmp_path, {path: right})).study("lendingclub").moderators
    assert found["law"].first_month == "2010-01" and found["amount"] == [1, 2]
    for wrong in ({"amount": "fourths"}, {"amount": [2, 1]}, {"law": {}}, {"law": {"first_month": "2010"}}):
        assert within(path) in error(tmp_path, {path: wrong})


def test_what_is_asked_by_groups_names_a_moderator(tmp_path):
    message = error(tmp_path, {f"{LENDING}.moderated": {"information_sharing": ["weather"]}})
    assert "moderated names 'weather', which is not among the study's moderators" in message


@pytest.mark.parametrize(
    ("name", "value"),
    [("most_loans", 999), ("folds", 1), ("repetitions", 0), ("highest_score", 0.4), ("permutations", 5)],
)
def test_choices_of_adjustment_have_their_limits(tmp_path, name, value):
    assert f"adjust.{name}" in error(tmp_path, {f"adjust.{name}": value})


@pytest.mark.parametrize("address", ["tcp://127.0.0.1:8786", "tls://dask.example.org:8786", "tcp://[::1]:8786"])
def test_a_dask_cluster_has_an_address(tmp_path, address):
    assert (
        load(changed(tmp_path, {"parallel.backend": "dask", "parallel.address": address})).parallel.address == address
    )
    message = error(tmp_path, {"parallel.backend": "dask", "parallel.address": None})
    assert "parallel: backend dask needs the address of its scheduler" in message


@pytest.mark.parametrize("address", [None, "spark://192.0.2.1:7077", "spark://spark.example.org:7077"])
def test_spark_has_an_address_or_runs_here(tmp_path, address):
    assert load(changed(tmp_path, {"engine": "spark", "engine_address": address})).engine_address == address


@pytest.mark.parametrize(
    ("alternatives", "message"),
    [
        ({"samples": {"one": {"were": []}}}, "alternatives.samples.one.were is not a parameter"),
        ({"samples": {"one": {}}}, "a sample names wider, window, where or score_within"),
        ({"treatments": {"one": {"column": "income", "levels": ["A"], "at_least": 1.0}}}, "limits or levels, not both"),
        ({"outcomes": {"protocol": {"column": "default"}}}, "protocol is the name of the study's own choice"),
        ({"exact": {"one": ["credit_grade", "credit_grade"]}}, "each name may stand there once"),
    ],
)
def test_alternatives_of_the_curve_are_checked(tmp_path, alternatives, message):
    assert message in error(tmp_path, {f"{LENDING}.alternatives": alternatives})
