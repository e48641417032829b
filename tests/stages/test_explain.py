import re

import pytest

from pipeline.__main__ import main
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


@pytest.mark.parametrize(
    ("arguments", "message"),
    [(["X1"], "there is no claim X1"), (["E009"], "did you mean E09"), (["E09", "--study", "nope"], "no study 'nope'")],
)
def test_what_is_not_there_is_one_sentence(capsys, arguments, message):
    assert main(["explain", *arguments]) == 1
    assert message in capsys.readouterr().err
