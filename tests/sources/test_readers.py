"""The readers, on files that the tests write themselves."""

import datetime
import gc
import gzip
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import rdata
from hypothesis import given, settings
from hypothesis import strategies as st
from rdata.conversion.to_r import build_r_object
from rdata.missing import R_FLOAT_NA
from rdata.parser import RObjectType

from pipeline.runtime.errors import StudyError
from pipeline.sources.r_files import read_rda, read_rds
from pipeline.sources.readers import read_delimited, read_dta, read_fred_csv, read_world_bank_csv

EPOCH = datetime.date(1970, 1, 1)


@dataclass
class Frame:
    """An R data frame: columns by name."""

    columns: dict


@dataclass
class Classed:
    """An R vector of numbers with a class, and perhaps levels."""

    numbers: np.ndarray
    name: str = "Date"
    levels: np.ndarray | None = None
    zone: str | None = None


def _frame(data, converter):
    first = next(iter(data.columns.values()))
    rows = np.arange(len(first.numbers if isinstance(first, Classed) else first))
    attributes = converter.convert_to_r_attributes
    values = [converter.convert_to_r_object(value) for value in data.columns.values()]
    about = {"names": np.array(list(data.columns)), "class": "data.frame", "row.names": rows}
    return build_r_object(RObjectType.VEC, value=values, is_object=True, attributes=attributes(about))


def _classed(data, converter):
    about = {"class": data.name} if data.levels is None else {"levels": data.levels, "class": data.name}
    if data.zone is not None:
        about["tzone"] = data.zone
    kind = converter.convert_to_r_object(data.numbers).info.type
    attributes = converter.convert_to_r_attributes(about)
    return build_r_object(kind, value=data.numbers, is_object=True, attributes=attributes)


CONSTRUCTORS = {**rdata.conversion.to_r.DEFAULT_CLASS_MAP, Frame: _frame, Classed: _classed}


def write(path: Path, objects: dict, **options) -> Path:
    """Write R objects by name; frames may be pandas' or `Frame`."""
    rdata.write_rda(path, objects, constructor_dict=CONSTRUCTORS, **options)
    return path


def text(*values):
    return np.array(values, dtype=object)


def masked(values, missing, dtype):
    return np.ma.array(np.array(values, dtype=dtype), mask=missing)


@pytest.fixture
def loans() -> Frame:
    return Frame(
        {
            "grade": text("A", None, "B"),
            "desc": text("贷款用于装修", "", "façade"),
            "amount": np.array([1000, 2000, 3000], dtype=np.int32),
            "delinquencies": masked([0, 7, 2], [False, True, False], np.int32),
            "rate": np.array([0.1, R_FLOAT_NA, np.nan]),
            "verified": masked([True, False, True], [False, False, True], bool),
            "issued": Classed(np.array([14944.0, R_FLOAT_NA, -1.0])),
            "first_credit": Classed(np.array([0.0, 1.0, np.inf])),
            "purpose": Classed(masked([1, 0, 2], [False, True, False], np.int32), "factor", text("car", "房屋")),
        }
    )


def test_every_kind_of_column_keeps_its_meaning(tmp_path, loans):
    path = write(tmp_path / "loans.rda", {"loans": loans})
    expected = pd.DataFrame(
        {
            "grade": pd.array(["A", None, "B"], dtype="string"),
            "desc": pd.array(["贷款用于装修", "", "façade"], dtype="string"),
            "amount": np.array([1000, 2000, 3000], dtype="int64"),
            "delinquencies": pd.array([0, None, 2], dtype="Int64"),
            "rate": [0.1, np.nan, np.nan],
            "verified": pd.array([True, False, None], dtype="boolean"),
            "issued": pd.Series(["2010-12-01", None, "1969-12-31"], dtype="datetime64[ns]"),
            "first_credit": pd.Series(["1970-01-01", "1970-01-02", None], dtype="datetime64[ns]"),
            "purpose": pd.array(["car", None, "房屋"], dtype="string"),
        }
    )
    pd.testing.assert_frame_equal(read_rda(path, list(loans.columns)), expected)
    pd.testing.assert_frame_equal(read_rda(path, None), expected)


def test_only_the_columns_asked_for_in_their_order(tmp_path, loans):
    loans.columns["unreadable"] = np.array([1j, 2j, 3j])
    path = write(tmp_path / "loans.rda", {"loans": loans})
    assert list(read_rda(path, ["rate", "grade"]).columns) == ["rate", "grade"]
    with pytest.raises(StudyError, match=r"column unreadable cannot be read \(R type CPLX\)"):
        read_rda(path, ["grade", "unreadable"])


@pytest.mark.parametrize("compression", ["gzip", "bzip2", "xz", None])
@pytest.mark.parametrize("file_format", ["xdr", "ascii"])
def test_however_r_saved_it(tmp_path, compression, file_format):
    frame = Frame({"word": text("贷款", None)})
    path = write(tmp_path / "a.rda", {"x": frame}, compression=compression, file_format=file_format)
    assert read_rda(path, ["word"])["word"].tolist() == ["贷款", pd.NA]


def test_latin1_text(tmp_path):
    path = write(tmp_path / "a.rda", {"x": Frame({"word": text("façade")})}, encoding="cp1252")
    assert read_rda(path, ["word"])["word"].tolist() == ["façade"]


def test_missing_columns_are_listed_with_the_nearest(tmp_path, loans):
    path = write(tmp_path / "loans.rda", {"loans": loans})
    with pytest.raises(StudyError) as caught:
        read_rda(path, ["ammount", "grade", "zzz"])
    message = str(caught.value)
    assert "'ammount' (nearest: amount)" in message
    assert "'zzz'" in message
    assert "'grade'" not in message


@pytest.mark.parametrize("name", ["POSIXct", "difftime", "integer64"])
def test_a_class_that_changes_the_numbers_is_refused(tmp_path, name):
    path = write(tmp_path / "a.rda", {"x": Frame({"when": Classed(np.array([1.0]), name)})})
    with pytest.raises(StudyError, match=f"column when cannot be read .R class {name}"):
        read_rda(path, ["when"])


def test_times_are_those_of_their_zone_and_without_one_refused(tmp_path):
    def times(zone):
        # Midnight in Shanghai on the second of January 2020.
        when = Classed(np.array([1577894400.0, R_FLOAT_NA]), "POSIXct", zone=zone)
        path = write(tmp_path / "a.rda", {"x": Frame({"when": when})})
        return read_rda(path, None)["when"]

    assert times("Asia/Shanghai").tolist() == [pd.Timestamp("2020-01-02"), pd.NaT]
    assert times("UTC").tolist() == [pd.Timestamp("2020-01-01 16:00"), pd.NaT]
    with pytest.raises(StudyError, match="without a time zone, which may change the day"):
        times("")


def test_a_date_too_far_away_is_refused(tmp_path):
    path = write(tmp_path / "a.rda", {"x": Frame({"when": Classed(np.array([1e6]))})})
    with pytest.raises(StudyError, match="column when cannot be read"):
        read_rda(path, ["when"])


def test_columns_of_different_length_are_refused(tmp_path):
    path = write(tmp_path / "a.rda", {"x": Frame({"a": np.arange(2), "b": np.arange(4)})})
    assert len(read_rda(path, ["b"])) == 4
    with pytest.raises(StudyError, match="longer"):
        read_rda(path, ["a", "b"])


def test_not_one_data_frame(tmp_path):
    frame = pd.DataFrame({"a": [1]}, index=pd.RangeIndex(1, 2))
    two = write(tmp_path / "two.rda", {"loans": frame, "people": frame})
    with pytest.raises(StudyError, match=r"two\.rda must hold one object and holds loans, people"):
        read_rda(two, ["a"])
    for name, value in {"vector": np.arange(3), "list": {"a": np.arange(3)}}.items():
        other = write(tmp_path / f"{name}.rda", {"thing": value})
        with pytest.raises(StudyError, match="holds thing, which is not a data frame"):
            read_rda(other, ["a"])


def test_a_single_object_file_is_no_rda(tmp_path):
    rdata.write_rds(tmp_path / "loans.rds", pd.DataFrame({"a": [1]}, index=pd.RangeIndex(1, 2)))
    with pytest.raises(StudyError, match="must hold one object"):
        read_rda(tmp_path / "loans.rds", ["a"])
    (tmp_path / "loans.rds").rename(tmp_path / "loans.rda")
    with pytest.raises(StudyError, match="not a complete R data file"):
        read_rda(tmp_path / "loans.rda", ["a"])


@pytest.mark.parametrize(
    "content", [b"", b"loan,amount\n1,2\n", b"\x1f\x8b", gzip.compress(b"RDX2\nX\n", mtime=0), b"RDX9\n"]
)
def test_what_is_no_r_file(tmp_path, content):
    path = tmp_path / "a.rda"
    path.write_bytes(content)
    with pytest.raises(StudyError, match=r"a\.rda is not a complete R data file"):
        read_rda(path, ["a"])


def test_an_absent_file(tmp_path):
    with pytest.raises(StudyError, match="does not exist: fetch it first"):
        read_rda(tmp_path / "a.rda", ["a"])


@pytest.mark.parametrize("compression", ["gzip", "bzip2", "xz"])
def test_a_truncated_compressed_file(tmp_path, loans, compression):
    path = write(tmp_path / "a.rda", {"loans": loans}, compression=compression)
    content = path.read_bytes()
    for length in (len(content) // 2, len(content) - 1):
        path.write_bytes(content[:length])
        with pytest.raises(StudyError, match="not a complete R data file"):
            read_rda(path, ["grade"])


def test_a_file_cut_anywhere_is_refused(tmp_path, loans):
    path = write(tmp_path / "a.rda", {"loans": loans}, compression=None)
    content = path.read_bytes()
    for length in range(len(content)):
        path.write_bytes(content[:length])
        with pytest.raises(StudyError):
            read_rda(path, ["grade"])


def test_garbage_collection_is_as_before(tmp_path, loans):
    path = write(tmp_path / "a.rda", {"loans": loans})
    assert gc.isenabled()
    read_rda(path, ["grade"])
    assert gc.isenabled()
    with pytest.raises(StudyError):
        read_rda(tmp_path / "absent.rda", ["grade"])
    assert gc.isenabled()
    gc.disable()
    try:
        read_rda(path, ["grade"])
        assert not gc.isenabled()
    finally:
        gc.enable()


ROWS = st.lists(
    st.tuples(
        st.none() | st.text(),
        st.none() | st.integers(-(2**31) + 1, 2**31 - 1),
        st.none() | st.floats(allow_nan=False),
        st.none() | st.booleans(),
        st.none() | st.dates(datetime.date(1678, 1, 1), datetime.date(2262, 1, 1)),
        st.none() | st.sampled_from(["甲", "B", "c d"]),
    ),
    min_size=1,
    max_size=8,
)


@settings(max_examples=60, deadline=None)
@given(ROWS)
def test_what_is_written_is_read_back(rows):
    words, whole, real, logical, dates, levels = zip(*rows, strict=True)

    def mask(values):
        return [value is None for value in values]

    days = [R_FLOAT_NA if date is None else float((date - EPOCH).days) for date in dates]
    frame = Frame(
        {
            "words": text(*words),
            "whole": masked([value or 0 for value in whole], mask(whole), np.int32),
            "real": np.array([R_FLOAT_NA if value is None else value for value in real]),
            "logical": masked([bool(value) for value in logical], mask(logical), bool),
            "dates": Classed(np.array(days)),
            "levels": pd.Categorical(levels, categories=["甲", "B", "c d"]),
        }
    )
    with tempfile.TemporaryDirectory() as folder:
        read = read_rda(write(Path(folder, "a.rda"), {"x": frame}, compression=None), list(frame.columns))
    for column, written in zip(read, (words, whole, real, logical, dates, levels), strict=True):
        found = [None if pd.isna(value) else value for value in read[column]]
        if column == "dates":
            found = [None if value is None else value.date() for value in found]
        assert found == list(written)


FRED = """% Federal funds rate
% retrieved from FRED
%DATE,FEDFUNDS
1954,08,01,1.22
1954,07,01,0.80
1954,09,01,.

"""


def fred(tmp_path, content) -> Path:
    path = tmp_path / "RATE.csv"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


@pytest.mark.parametrize("line_end", ["\n", "\r\n"])
def test_a_fred_series(tmp_path, line_end):
    expected = pd.DataFrame(
        {
            "date": pd.Series(["1954-07-01", "1954-08-01", "1954-09-01"], dtype="datetime64[ns]"),
            "value": [0.80, 1.22, np.nan],
        }
    )
    path = fred(tmp_path, FRED.replace("\n", line_end))
    pd.testing.assert_frame_equal(read_fred_csv(path), expected)


@pytest.mark.parametrize(
    ("line", "number"),
    [
        ("1954,13,01,1", 8),
        ("1954,10,1", 8),
        ("1954,10,01,1,2", 8),
        ("1954,10,01,", 8),
        ("1954,10,01,inf", 8),
        ("1954,10,01,nan", 8),
        ("1954,07,01,3", 8),
        ("DATE,VALUE", 8),
    ],
)
def test_a_fred_line_that_does_not_fit_is_named(tmp_path, line, number):
    with pytest.raises(StudyError, match=rf"RATE\.csv, line {number}: '{line}'") as caught:
        read_fred_csv(fred(tmp_path, FRED + line + "\n"))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("content", ["", "% only\n", "\n\n"])
def test_a_fred_file_without_values(tmp_path, content):
    with pytest.raises(StudyError, match="holds no line"):
        read_fred_csv(fred(tmp_path, content))


def test_text_files_that_cannot_be_read(tmp_path):
    with pytest.raises(StudyError, match="is not UTF-8 text"):
        read_fred_csv(fred(tmp_path, b"1954,07,01,\xff\n"))
    with pytest.raises(StudyError, match="cannot be read"):
        read_fred_csv(tmp_path / "absent.csv")
    with pytest.raises(StudyError, match="cannot be read"):
        read_world_bank_csv(tmp_path / "absent.csv", "USA")


BANK = (
    "Country Name,Country Code,Indicator Name,Indicator Code,1961,1960,1962{end}\r\n"
    'Aruba,ABW,"Inflation, annual %",FP.CPI.TOTL.ZG,,,,\r\n'
    '"Korea, Rep.",KOR,"Inflation, annual %",FP.CPI.TOTL.ZG,8.2,-1.5,,\r\n'
)


def bank(tmp_path, content) -> Path:
    path = tmp_path / "CPI.csv"
    path.write_text(content, encoding="utf-8", newline="")
    return path


@pytest.mark.parametrize("end", ["", ","])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_a_world_bank_country(tmp_path, end, mark):
    path = bank(tmp_path, mark + BANK.format(end=end))
    expected = pd.DataFrame({"year": [1960, 1961], "value": [-1.5, 8.2]})
    pd.testing.assert_frame_equal(read_world_bank_csv(path, "KOR"), expected)
    empty = read_world_bank_csv(path, "ABW")
    assert len(empty) == 0
    assert empty.dtypes.to_dict() == expected.dtypes.to_dict()


def test_a_country_that_is_not_there(tmp_path):
    with pytest.raises(StudyError, match=r"CPI\.csv has no country 'KR' \(nearest: KOR\)"):
        read_world_bank_csv(bank(tmp_path, BANK.format(end="")), "KR")


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("8.2", "many", r"CPI\.csv, line 3, column 1961: 'many'"),
        ("8.2", "inf", r"line 3, column 1961"),
        ("8.2,-1.5,,", "8.2", r"line 3: 5 cells under 7 headings"),
        ("8.2,-1.5,,", "8.2,-1.5,,,9", r"line 3: 9 cells under 7 headings"),
        ("Country Code", "Code", r"line 1: no 'Country Code'"),
        ("1961,1960,1962", "a,b,c", r"line 1: no 'Country Code'"),
        ('"Korea, Rep."', '"Korea, Rep.', r"line \d: "),
    ],
)
def test_a_world_bank_file_that_does_not_fit(tmp_path, old, new, message):
    content = BANK.format(end="")
    assert old in content
    with pytest.raises(StudyError, match=message) as caught:
        read_world_bank_csv(bank(tmp_path, content.replace(old, new)), "KOR")
    assert "\n" not in str(caught.value)


def test_an_empty_world_bank_file(tmp_path):
    with pytest.raises(StudyError, match="line 1"):
        read_world_bank_csv(bank(tmp_path, ""), "KOR")


def stata(tmp_path) -> tuple[Path, pd.DataFrame]:
    frame = pd.DataFrame(
        {
            "risk": ["HIGH", "", "LOW"],
            "wave": np.array([1, 2, 3], dtype="int8"),
            "rate": np.array([7.5, np.nan, 0.1], dtype="float32"),
            "day": pd.to_datetime(["2003-07-01", "2003-09-01", "2003-10-01"]),
            "arm": pd.Categorical(["no", "yes", "no"]),
        }
    )
    path = tmp_path / "offers.dta"
    frame.to_stata(path, write_index=False)
    return path, frame


def test_a_stata_file(tmp_path):
    path, written = stata(tmp_path)
    read = read_dta(path, ["rate", "wave", "risk", "day", "arm"])
    assert list(read) == ["rate", "wave", "risk", "day", "arm"]
    assert read["risk"].tolist() == ["HIGH", pd.NA, "LOW"]
    assert read["wave"].dtype == "int64" and read["wave"].tolist() == [1, 2, 3]
    # Numbers of single precision keep their value, not the decimals that were typed.
    assert read["rate"].dtype == "float64" and read["rate"].tolist()[::2] == [7.5, float(np.float32(0.1))]
    assert read["rate"].isna().tolist() == [False, True, False]
    assert read["day"].tolist() == written["day"].tolist()
    assert read["arm"].tolist() == [0, 1, 0]  # codes, not labels


def test_a_stata_file_that_cannot_be_read(tmp_path):
    path, _ = stata(tmp_path)
    with pytest.raises(StudyError, match=r"has no column 'rates' \(nearest: rate\)"):
        read_dta(path, ["rates"])
    for content in (b"", path.read_bytes()[:600], b"not Stata at all" * 50):
        broken = tmp_path / "broken.dta"
        broken.write_bytes(content)
        with pytest.raises(StudyError, match="not a complete Stata file"):
            read_dta(broken, ["rate"])
    with pytest.raises(StudyError, match="fetch it first"):
        read_dta(tmp_path / "absent.dta", ["rate"])


@pytest.mark.parametrize("compression", ["gzip", "xz", None])
def test_a_file_of_one_object_reads_as_the_same_frame(tmp_path, loans, compression):
    path = tmp_path / "loans.rds"
    rdata.write_rds(path, loans, constructor_dict=CONSTRUCTORS, compression=compression)
    same = write(tmp_path / "loans.rda", {"loans": loans})
    pd.testing.assert_frame_equal(read_rds(path, list(loans.columns)), read_rda(same, list(loans.columns)))


def test_a_file_of_one_object_that_cannot_be_read(tmp_path, loans):
    path = tmp_path / "loans.rds"
    rdata.write_rds(path, loans, constructor_dict=CONSTRUCTORS)
    with pytest.raises(StudyError, match=r"no column 'ammount' \(nearest: amount\)"):
        read_rds(path, ["ammount"])
    rdata.write_rds(tmp_path / "numbers.rds", np.array([1.0, 2.0]))
    with pytest.raises(StudyError, match=r"not a data frame: save one data frame with R's saveRDS\(\)"):
        read_rds(tmp_path / "numbers.rds", ["grade"])
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(StudyError, match=r"not a complete R data file \(.rds\)"):
        read_rds(path, ["grade"])
    with pytest.raises(StudyError, match="fetch it first"):
        read_rds(tmp_path / "absent.rds", ["grade"])


def test_a_delimited_table_is_read_as_text(tmp_path):
    path = tmp_path / "loan.asc"
    path.write_text('"loan_id";"date";"status"\n0007;930705;"B;C"\n8;"";A\n', encoding="utf-8")
    read = read_delimited(path, ["status", "loan_id", "date"], ";")
    assert read["loan_id"].tolist() == ["0007", "8"]
    assert read["status"].tolist() == ["B;C", "A"]
    assert read["date"].tolist() == ["930705", pd.NA]
    with pytest.raises(StudyError, match=r"no column 'loanid' \(nearest: loan_id\)"):
        read_delimited(path, ["loanid"], ";")
    path.write_text("a;b\n1;2;3\n", encoding="utf-8")
    with pytest.raises(StudyError, match="line 2: 3 cells under 2 headings"):
        read_delimited(path, ["a"], ";")
