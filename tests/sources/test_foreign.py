"""Files of SPSS, SAS and R, and JSON; a writer of SAS transport files, byte by byte, stands below."""

import datetime
import json
import math
import struct

import pandas as pd
import pyreadstat
import pytest
import rdata

from pipeline.runtime.errors import StudyError
from pipeline.sources import tabular


def real(value):
    """Return a number as IBM's mainframes wrote it."""
    if value == 0:
        return bytes(8)
    power = math.ceil(math.log(abs(value), 16))
    part = abs(value) / 16.0**power
    if part >= 1:
        power, part = power + 1, part / 16
    return bytes([(0x80 if value < 0 else 0) | (power + 64)]) + int(part * 2**56).to_bytes(7, "big")


def transport(rows, columns):
    """Return a transport file of numbers; `columns` are (name, label, format)."""

    def header(name, numbers="0" * 30):
        return f"HEADER RECORD*******{name:8}HEADER RECORD!!!!!!!{numbers}  ".encode()

    day = b"01JAN20:00:00:00"
    whole = header("LIBRARY") + b"SAS     SAS     SASLIB  9.4     LINUX".ljust(64) + day + day.ljust(80)
    whole += header("MEMBER", "000000000000000001600000000140")
    whole += header("DSCRPTR") + b"SAS     LOANS   SASDATA 9.4     LINUX".ljust(64) + day + day.ljust(80)
    whole += header("NAMESTR", f"000000{len(columns):04d}" + "0" * 20)
    names = b"".join(
        struct.pack(">hhhh8s40s8shhh2s8shhl52s", 1, 0, 8, place, name.encode().ljust(8), label.encode().ljust(40),
                    form.encode().ljust(8), 0, 0, 0, bytes(2), b" " * 8, 0, 0, 8 * (place - 1), bytes(52))
        for place, (name, label, form) in enumerate(columns, start=1)
    )  # fmt: skip
    data = b"".join(real(value) for row in rows for value in row)
    parts = (names, header("OBS"), data)
    return whole + b"".join(part + b" " * (-len(part) % 80) for part in parts)


def read(path, content):
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    form = tabular.form_of(path)
    return tabular.read_table(path, form).frame, tabular.labels_of(path, form)


def test_a_transport_file_of_sas_has_its_noughts_dates_and_labels(tmp_path):
    rows = [[1, 0, 21915, 12.5], [2, 1, 22000, -3]]
    columns = [("LOANID", "Loan", ""), ("BAD", "", ""), ("DT", "Granted on", "DATE"), ("RATE", "", "")]
    frame, labels = read(tmp_path / "loans.xpt", transport(rows, columns))
    assert frame["BAD"].tolist() == [0, 1] and frame["RATE"].tolist() == [12.5, -3]
    assert frame["DT"].tolist() == [pd.Timestamp("2020-01-01"), pd.Timestamp("2020-03-26")]
    assert labels == {"LOANID": "Loan", "DT": "Granted on"}


LOANS = [{"id": 1, "status": "paid", "client": {"age": 30}}, {"id": 2, "status": "late", "tags": ["a"]}]


@pytest.mark.parametrize(
    "content",
    [
        json.dumps(LOANS),
        "\n".join(map(json.dumps, LOANS)) + "\n",
        json.dumps({"page": 1, "loans": LOANS}),
        "\ufeff" + json.dumps(LOANS),
    ],
)
def test_json_is_read_whole_line_by_line_and_under_a_name(tmp_path, content):
    frame, _ = read(tmp_path / "loans.json", content)
    assert frame["id"].tolist() == [1, 2] and frame["status"].tolist() == ["paid", "late"]
    assert frame["client.age"].fillna(0).tolist() == [30, 0] and frame["tags"].tolist()[1] == '["a"]'


def test_json_that_pandas_wrote_by_columns_is_read(tmp_path):
    made = pd.DataFrame({"id": [7, 8], "status": ["paid", "late"]}, index=[5, 3])
    assert read(tmp_path / "loans.json", made.to_json())[0].to_dict("list") == made.to_dict("list")


@pytest.mark.parametrize("content", ["[1, 2]", "{", '{"id": 1} {"id"'])
def test_json_that_holds_no_loans_is_refused(tmp_path, content):
    with pytest.raises(StudyError, match="cannot be read as json"):
        read(tmp_path / "loans.json", content)


@pytest.mark.parametrize("end", [".sav", ".zsav", ".por"])
def test_a_file_of_spss_has_its_labels_dates_and_long_names(tmp_path, end):
    made = pd.DataFrame(
        {
            "LOAN_NO": [1.0, 2.0, 3.0],
            "BAD": [0.0, 1.0, 0.0],
            "INCOME": [1000.0, -9.0, 2500.5],
            "GRANTED": [datetime.date(2020, 1, 1), None, datetime.date(2020, 3, 26)],
            "TOWN": ["Köln", "", "北京"],
        }
    )
    path = tmp_path / f"loans{end}"
    labels = {"BAD": {0: "repaid", 1: "defaulted"}, "INCOME": {-9: "refused"}}
    about = {"column_labels": {"BAD": "Default within a year"}, "variable_value_labels": labels}
    about["variable_format"] = {"GRANTED": "DATE11"}
    if end == ".por":
        # Of the old form, whose writer takes labels of columns and formats alone.
        pyreadstat.write_por(
            made.assign(TOWN="a"), str(path), **{name: about[name] for name in ("column_labels", "variable_format")}
        )
    else:
        pyreadstat.write_sav(made, str(path), compress=end == ".zsav", **about)
    form = tabular.form_of(path)
    frame = tabular.read_table(path, form).frame
    assert tabular.labels_of(path, form) == {"BAD": "Default within a year"}
    assert frame["LOAN_NO"].tolist() == [1, 2, 3]
    assert frame["GRANTED"].tolist() == [pd.Timestamp("2020-01-01"), pd.NaT, pd.Timestamp("2020-03-26")]
    assert tabular.header_of(path, form) == list(made.columns)
    if end != ".por":
        assert frame["BAD"].tolist() == ["repaid", "defaulted", "repaid"] and frame["TOWN"].tolist()[::2] == [
            "Köln",
            "北京",
        ]
        # As SPSS shows them: an income that was refused is no number.
        assert frame["INCOME"].tolist() == ["1000", "refused", "2500.5"]


@pytest.mark.parametrize("end", [".rds", ".rda", ".RData"])
def test_a_data_frame_of_r_is_read(tmp_path, end):
    towns = pd.Categorical(["a", "b", "a"])
    made = pd.DataFrame({"id": [1, 2, 3], "bad": [0.0, 1.0, None], "town": towns}, index=pd.RangeIndex(1, 4))
    path = tmp_path / f"loans{end}"
    if end == ".rds":
        rdata.write_rds(path, made)
    else:
        rdata.write_rda(path, {"loans": made})
    frame = tabular.read_table(path, tabular.form_of(path), ["town", "bad", "id"]).frame
    assert frame["town"].tolist() == ["a", "b", "a"]
    assert frame["id"].tolist() == [1, 2, 3] and frame["bad"].tolist()[:2] == [0, 1]
    assert tabular.header_of(path, tabular.form_of(path)) == ["id", "bad", "town"]
