"""Setting up a study of a reader's own file: what is written, what is said, and what is refused."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from pipeline.__main__ import parser
from pipeline.commands import init_study
from pipeline.core import params
from pipeline.runtime.errors import StudyError
from tests import own_loans
from tests.choices import copied

COLUMNS = ["id", "grade", "amount", "income", "treated", "contacts", "default"]
ENGLISH = {"default": "default", "treated": "treated", "amount": "amount", "communication_frequency": "contacts"}
CHINESE = {"id": "贷款编号", "grade": "信用等级", "amount": "贷款金额", "income": "月收入", "default": "是否违约"}


@pytest.fixture
def workplace(tmp_path, monkeypatch):
    copied(tmp_path, "sba")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def loans(number=120):
    return own_loans.loans(number, 1)[COLUMNS]


def set_up(made, *arguments, encoding="utf-8", name="mine"):
    made.to_csv("loans.csv", index=False, encoding=encoding)
    return init_study.run(parser().parse_args(["init-study", name, "--data", "loans.csv", *arguments]))


def state():
    """Everything in the folder but the reader's file."""
    return {path: path.is_file() and path.read_bytes() for path in Path().rglob("*") if path.name != "loans.csv"}


def test_english_columns_get_their_roles_and_the_reader_is_told(workplace):
    said = set_up(loans()).split("\n")
    assert said[0] == "loans.csv: text utf-8, 7 columns; looked at all 120 rows."
    assert said[1:4] == ["", "Outcome, column default:", "  0        repaid          104  no"]
    assert "  16 of 120 loans in default (13.3%); 0 left out." in said
    for role, column in ENGLISH.items():
        assert [line for line in said if line.startswith(f"  {role:<28} {column} ") and "its name; " in line]
    assert said[-3:] == [
        "Written: pipeline/studies/mine/params.yaml (fill in or correct the roles there), its line in params.yaml,",
        "         data/dictionaries/mine.csv (what each column holds; give it labels, pages use them).",
        "Next:    make reproduce STUDY=mine",
    ]
    study = params.load(Path("params.yaml")).studies["mine"]
    assert study.module == "own"
    assert "  owned: &owned\n    mine:\n      file: loans.csv\n" in Path("params.yaml").read_text(encoding="utf-8")
    described = pd.read_csv("data/dictionaries/mine.csv", dtype=str)
    assert described["column"].tolist() == COLUMNS


def test_chinese_columns_get_their_roles_whatever_their_encoding(workplace):
    made = loans()[list(CHINESE)].rename(columns=CHINESE)
    made["是否违约"] = np.where(made["是否违约"] == 1, "是", "否")
    said = set_up(made, encoding="gb18030").split("\n")
    assert said[0] == "loans.csv: text gb18030, 5 columns; looked at all 120 rows."
    assert f"  {'default':<28} 是否违约  its name; 否, 是" in said
    assert [line for line in said if line.startswith(f"  {'amount':<28} 贷款金额 ")]
    described = Path("data/dictionaries/mine.csv").read_bytes()
    # The mark by which spreadsheet programs know UTF-8.
    assert described.startswith(b"\xef\xbb\xbf")
    assert pd.read_csv("data/dictionaries/mine.csv", dtype=str)["column"].tolist() == list(CHINESE.values())


def test_levels_that_say_nothing_are_left_to_the_reader(workplace):
    made = loans().assign(state=lambda frame: np.where(frame["default"] == 1, "C7", "A1")).drop(columns="default")
    with pytest.raises(StudyError, match=r"A1 \(104 rows\) not known"):
        set_up(made, "--default", "state")
    set_up(made, "--default", "state", "--default-when", "C7", "--repaid-when", "A1")
    assert params.load(Path("params.yaml")).studies["mine"].own["default_when"] == ["C7"]


@pytest.mark.parametrize(
    ("change", "arguments", "name", "sentence"),
    [
        (lambda made: made, [], "Mine!", "'Mine!' cannot be a study's name"),
        (lambda made: made, [], "method", "reports/method holds other pages"),
        (lambda made: made, [], "sba", "there is a study 'sba' already"),
        (lambda made: made, ["--default", "bad"], "mine", "no column 'bad' (--default): it has id, grade"),
        (lambda made: made, ["--default", "id", "--treated", "id"], "mine", "both name 'id'"),
        (lambda made: made.assign(default=1), ["--default", "default"], "mine", "default: all cells are the same"),
        (lambda made: made, ["--default", "amount"], "mine", "different values: the outcome must say yes or no"),
        (lambda made: made[["id", "amount"]], [], "mine", "no column was recognised as the outcome"),
    ],
)
def test_what_cannot_be_set_up_is_one_sentence_and_writes_nothing(workplace, change, arguments, name, sentence):
    before = state()
    with pytest.raises(StudyError) as refused:
        set_up(change(loans()), *arguments, name=name)
    assert sentence in str(refused.value) and "\n" not in str(refused.value)
    assert state() == before


def test_a_section_that_is_no_choice_is_taken_back(workplace, monkeypatch):
    """Should what was written be refused when it is read again, everything is as it was."""
    before, load, calls = state(), params.load, []

    def refuse(path=Path("params.yaml")):
        calls.append(path)
        if len(calls) > 1:
            raise StudyError("refused.")
        return load(path)

    monkeypatch.setattr(init_study.params, "load", refuse)
    with pytest.raises(StudyError, match="refused"):
        set_up(loans())
    assert len(calls) == 2 and state() == before
