import re
from pathlib import Path
from typing import get_args

import pytest

from pipeline.__main__ import main
from pipeline.commands import explain_shown
from pipeline.core import params, results
from pipeline.pages.written import contents
from pipeline.present.words import Words
from pipeline.runtime import places
from pipeline.sources.records import load_source
from pipeline.stats.verdicts import Verdict


def test_a_verdict_leads_back_to_row_stage_parameters_and_files(capsys):
    assert main(["explain", "E09", "--study", "lendingclub"]) == 0
    said = capsys.readouterr().out
    verdict = re.match(r"E09, lendingclub: (\w+) \(", said)[1]
    assert verdict in get_args(Verdict) and "  certainty   " in said and "margin " in said
    assert "reports/lendingclub/results/regress.csv: regress / linear_probability" in said
    assert "dvc repro --single-item --force analyses/dvc.yaml:regress@lendingclub" in said
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
    assert re.search(r"claims      .*E10", said)
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


def made_by(said):
    """Name and file of the functions that a report's figure or table comes from, where the line holds such a one."""
    found = re.findall(r"^  (?:made by|laid out by|drawn by) +(\w+), (pipeline/[\w/]+\.py):(\d+)$", said, flags=re.M)
    for name, file, line in found:
        assert f"def {name}(" in Path(file).read_text().splitlines()[int(line) - 1]
    return [(name, file) for name, file, _ in found]


def number(kind, **named):
    """The number of the first figure or table of the Lending Club report with a stage or a file."""
    shown = [item for item in contents("lendingclub") if item["kind"] == kind]
    return next(item["number"] for item in shown if all(item[name] == value for name, value in named.items()))


@pytest.mark.parametrize("text", ["Table {}", "表 {}", "表{}"])
def test_a_table_leads_back_to_the_functions_that_make_and_lay_it_out(capsys, text):
    place = number("table", stage="describe")
    assert main(["explain", "--study", "lendingclub", text.format(place)]) == 0
    said = capsys.readouterr().out
    assert said.startswith(f"lendingclub, Table {place}: Borrowers and loans by group")
    assert "reports/lendingclub/results/describe.csv" in said and f"report.html#table-{place}" in said
    assert "pipeline/stages/describe.py, pipeline/analyses/describe" in said
    assert "data/processed/lendingclub/cohort.parquet, " in said and "data/code/" not in said
    rows, layout = made_by(said)
    assert rows[1] == "pipeline/analyses/describe/rows.py" and layout == ("balance", "pipeline/present/tables.py")


@pytest.mark.parametrize("text", ["Figure {}", "图 {}"])
def test_a_figure_leads_back_to_the_function_that_draws_it(capsys, text):
    place = number("figure", file="figures/overlap.svg")
    assert main(["explain", "--study", "lendingclub", text.format(place)]) == 0
    said = capsys.readouterr().out
    assert "reports/lendingclub/figures/overlap.svg" in said
    assert made_by(said)[-1] == ("overlap", "pipeline/present/sample_figures.py")


@pytest.mark.parametrize("study", ["lendingclub", "karlan_zinman", "sba", "berka", "reference"])
def test_every_figure_and_table_has_its_functions(study):
    checked = params.load()
    words = Words(checked.report.language, study)
    figures, tables = (explain_shown.named_makers(kind) for kind in ("figure", "table"))
    for item in contents(study):
        by = explain_shown.makers(item["stage"], study)
        assert by and all(maker.name in Path(maker.file).read_text() for maker in by)
        if item["kind"] == "figure":
            name = Path(item["file"]).stem
            # Only a study's own design computes the names of its figures.
            assert name in figures or item["stage"] == "effects"
        else:
            maker = explain_shown.table_maker(item["caption"], words)
            assert (maker == tables[""]) == (item["stage"] == "effects"), item["caption"]


def test_every_stage_that_is_shown_by_an_analysis_is_laid_out_in_it():
    words = Words("en", "reference")
    for item in contents("reference"):
        if item["stage"] in ("missing", "robustness", "mechanism", "predict", "policy") and item["kind"] == "table":
            file = f"pipeline/analyses/{item['stage']}/page.py"
            assert explain_shown.table_maker(item["caption"], words).file == file


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--study", "lendingclub", "Table 99"], "has no Table 99: it has Table 1 to "),
        (["--study", "lendingclub", "图 0"], "has no Figure 0: it has Figure 1 to "),
        (["Figure 4"], "Figure 4 is part of a study's report: name it with --study."),
        (["--study", "nope", "Figure 4"], "no study 'nope'"),
    ],
)
def test_an_unknown_figure_or_table_is_one_sentence(capsys, arguments, message):
    assert main(["explain", *arguments]) == 1
    said = capsys.readouterr().err
    assert message in said and said.count("\n") == 1
