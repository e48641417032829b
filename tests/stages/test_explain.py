import re

import pytest

from pipeline.__main__ import main
from pipeline.core import results
from pipeline.runtime import places
from pipeline.sources.records import load_source


def test_a_verdict_leads_back_to_row_stage_parameters_and_files(capsys):
    assert main(["explain", "E09", "--study", "lendingclub"]) == 0
    said = capsys.readouterr().out
    assert said.startswith("E09, lendingclub: contradicted")
    assert "reports/lendingclub/results/regress.csv: regress / linear_probability" in said
    assert "dvc repro --single-item --force regress@lendingclub" in said
    # The vintages that the study reads, and no others.
    assert {*re.findall(r"LendingClubData_(\d+)", said)} == {"2007", "2008", "2009", "2010", "2011"}
    for name in ("real_gdp", "federal_funds_rate"):
        assert all(file.checksum.value in said for file in load_source(name).files)


def test_simulated_lenders_lead_back_to_the_seed(capsys):
    assert main(["explain", "E01", "--study", "reference"]) == 0
    assert "simulated from seed" in capsys.readouterr().out


def test_any_row_leads_back_as_well(capsys):
    assert main(["explain", "--study", "sba", "regress / linear_probability / M5 / treated"]) == 0
    said = capsys.readouterr().out
    row = results.read(places.results("sba", "regress")).one(
        estimator="linear_probability", specification="M5", factor="treated", estimand="risk_difference"
    )
    assert f"number      {row.estimate:g} [{row.ci_low:g}, {row.ci_high:g}] percentage points" in said
    assert f"n {row.n}, n_treated {row.n_treated}" in said
    assert "claims      E10 (supporting)" in said
    assert "pipeline/stages/regress.py" in said and load_source("sba_loans").files[0].checksum.value in said


def test_a_star_and_parts_left_out_name_several_rows(capsys):
    assert main(["explain", "--study", "karlan_zinman", "regress/*/M1/treated"]) == 0
    said = capsys.readouterr().out
    assert said.count("karlan_zinman: regress / ") > 1 and "/ M2 /" not in said
    assert main(["explain", "--study", "karlan_zinman", "describe"]) == 0
    assert "rows more" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["regress/logit"], "name it with --study"),
        (["--study", "sba", "regress/logit/M5/treatd"], "the most similar is: regress / logit / M5 / treated"),
        (["--study", "sba", "regres/logit"], "has no rows of stage regres; it has adjust, correlate"),
        (["X1"], "there is no claim X1"),
        (["E009"], "did you mean E09"),
        (["E09", "--study", "nope"], "no study 'nope'"),
    ],
)
def test_what_is_not_there_is_one_sentence(capsys, arguments, message):
    assert main(["explain", *arguments]) == 1
    assert message in capsys.readouterr().err
