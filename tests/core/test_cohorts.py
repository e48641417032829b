import importlib
import re

import pandas as pd
import pytest

from pipeline.core import cohorts, params, scope, yaml
from pipeline.core.schema import cohort_schema
from pipeline.runtime.errors import StudyError
from tests.sample import PARAMS

STUDIES = params.load(PARAMS).studies


def made(protocol, *also):
    """Return two loans with every column that is asked for."""
    at_landmark = cohorts.AT_LANDMARK if protocol.landmark else ()
    names = [*cohorts.ALWAYS, *at_landmark, *also, *(name for _, name in cohorts.named(protocol))]
    return pd.DataFrame({name: [0.0, 1.0] for name in dict.fromkeys(names)})


@pytest.fixture
def write(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def written(study, frame):
        cohorts.path_of(study).parent.mkdir(parents=True, exist_ok=True)
        frame.to_parquet(cohorts.path_of(study))

    return written


def test_what_is_always_there_is_what_the_schema_demands():
    columns = cohort_schema({}, (), ()).columns
    assert [name for name, column in columns.items() if column.required] == list(cohorts.ALWAYS)


@pytest.mark.parametrize("study", STUDIES)
def test_each_column_that_is_asked_for_is_missed(study, write):
    protocol = STUDIES[study]
    cohort = made(protocol, "wanted")
    write(study, cohort)
    assert list(cohorts.read(study, protocol, ["wanted"])) == list(cohort)
    for name in cohort:
        write(study, cohort.drop(columns=name))
        with pytest.raises(StudyError, match=rf"^data/processed/{study}/cohort.parquet has no column '{name}', which "):
            cohorts.read(study, protocol, ["wanted"])


def test_a_mistyped_covariate_is_told_from_one_without_values(write):
    protocol = STUDIES["lendingclub"]
    mistyped = protocol.model_copy(
        update={"matching": protocol.matching.model_copy(update={"score": ["log(amonut)", "income"]})}
    )
    cohort = made(protocol).assign(income=float("nan"))
    write("lendingclub", cohort)
    with pytest.raises(StudyError, match=r"matching.score in \S+/lendingclub/params.yaml .*did you mean 'amount'\?"):
        cohorts.read("lendingclub", mistyped)
    found = scope.scope(protocol, cohorts.read("lendingclub", protocol))
    assert ("absent", "income") in [(item.reason, item.name) for item in found.left_out]


@pytest.mark.parametrize(
    ("column", "values", "sentence"),
    [
        (
            "default",
            [float("nan"), 1.0],
            "column default: 1 of 2 loans have neither 0 nor 1 (the first: loan 0.0, nan)",
        ),
        ("default", [float("nan")] * 2, "column default: 2 of 2 loans have neither 0 nor 1"),
        ("default", [0.5, 2.0], "column default: 2 of 2 loans have neither 0 nor 1"),
        (
            "treated",
            [0.0, float("nan")],
            "column treated: 1 of 2 loans have neither 0 nor 1 (the first: loan 1.0, nan)",
        ),
        ("loan_id", ["A", "A"], "column loan_id: 1 of 2 loans have none, or one that another has"),
        ("loan_id", [None, "A"], "column loan_id: 1 of 2 loans have none"),
        ("amount", ["1", "2"], "column amount should hold numbers and is "),
        ("communication_frequency", ["1", "2"], "column communication_frequency should hold numbers and is "),
    ],
)
def test_a_cohort_that_prepare_cannot_have_written(write, column, values, sentence):
    protocol = STUDIES["lendingclub"]
    write("lendingclub", made(protocol).assign(**{column: values}))
    with pytest.raises(StudyError, match=rf"cohort.parquet, {re.escape(sentence)}.* run make reproduce STUDY=lending"):
        cohorts.read("lendingclub", protocol)


def test_treatment_may_be_what_the_data_lack(write):
    write("lendingclub", made(STUDIES["lendingclub"]).assign(treated=float("nan")))
    assert cohorts.read("lendingclub", STUDIES["lendingclub"])["treated"].isna().all()


@pytest.mark.parametrize("study", sorted(yaml.read(PARAMS)["studies"]["designed"]))
def test_what_a_design_needs_is_named(study):
    module = importlib.import_module(f"pipeline.studies.{study}.effects")
    assert len(set(module.COLUMNS)) == len(module.COLUMNS) > 0
    assert not set(module.COLUMNS) & {*cohorts.ALWAYS, *(name for _, name in cohorts.named(STUDIES[study]))}
