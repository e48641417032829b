"""The source records: valid, complete, and the same as the manifest of the mirror."""

import csv
import datetime
import os
import re
from pathlib import Path

import pytest
from pydantic import ValidationError

from pipeline.runtime.errors import StudyError
from pipeline.sources import records
from pipeline.sources.r_files import read_rda
from pipeline.sources.readers import read_fred_csv, read_world_bank_csv
from pipeline.sources.records import Source, SourceFile, load_source, source_names

FILE = {
    "name": "loans.csv",
    "url": "https://example.org/loans.csv",
    "sha256": "0" * 64,
    "git_blob": None,
    "bytes": 10,
    "rows": None,
}


@pytest.fixture(scope="module")
def mirror() -> Path:
    """Return the folder of the public data, where this machine has one."""
    folder = os.environ.get("CRM_DATA_MIRROR")
    if not folder or not Path(folder, "MANIFEST.csv").is_file():
        pytest.skip("CRM_DATA_MIRROR names no folder with a MANIFEST.csv")
    return Path(folder)


def test_the_expected_sources_are_on_record():
    assert {
        "consumer_price_inflation",
        "federal_funds_rate",
        "lendingclub",
        "real_gdp",
        "state_unemployment",
    } <= set(source_names())
    assert source_names() == sorted(source_names())


@pytest.mark.parametrize("name", source_names())
def test_every_record_is_valid(name):
    source = load_source(name)
    assert source.name == name
    for file in source.files:
        assert file.checksum.value in (file.sha256, file.git_blob)
        # A branch can move under the reader's feet, a commit cannot.
        assert "/main/" not in file.url and "/master/" not in file.url


def test_lending_club_lists_every_year_and_its_rows():
    source = load_source("lendingclub")
    assert [file.name for file in source.files] == [f"LendingClubData_{y}.rda" for y in range(2007, 2019)]
    assert [file.rows for file in source.files] == [603, 2393, 5281, 12537, 21721, *[None] * 7]
    assert {file.checksum.algorithm for file in source.files[:5]} == {"sha256"}
    assert {file.checksum.algorithm for file in source.files[5:]} == {"git blob id"}
    assert source.redistribution == "unclear"


def test_dates_and_words_are_read_as_yaml_1_2():
    source = load_source("real_gdp")
    assert source.snapshot.date == datetime.date(2022, 7, 25)
    assert source.redistribution == "yes"  # YAML 1.1 would make it True


@pytest.mark.parametrize("name", source_names())
def test_records_equal_the_manifest(name, mirror):
    with (mirror / "MANIFEST.csv").open(newline="", encoding="utf-8") as handle:
        manifest = {(row["source"], row["file"]): row for row in csv.DictReader(handle)}
    source = load_source(name)
    for file in source.files:
        row = manifest[source.folder, file.name]
        assert file.url == row["url"]
        assert (file.sha256 or "") == row["sha256"]
        assert file.git_blob == row["git_blob"]
        assert str(file.bytes or "") == row["bytes"]


def test_recorded_rows_are_the_rows_of_the_files(mirror):
    def rows(name: str, file: int = 0) -> tuple[Path, int | None]:
        source = load_source(name)
        return mirror / source.folder / source.files[file].name, source.files[file].rows

    path, expected = rows("lendingclub")
    assert len(read_rda(path, ["id"])) == expected
    path, expected = rows("state_unemployment")
    unemployment = read_rda(path, ["state", "year", "month", "unem_rate"])
    assert len(unemployment) == expected == 51 * (12 * 43 + 3)
    for name in ("federal_funds_rate", "real_gdp"):
        path, expected = rows(name)
        assert len(read_fred_csv(path)) == expected
    path, _ = rows("consumer_price_inflation")
    inflation = read_world_bank_csv(path, "USA")
    assert inflation["year"].tolist() == list(range(1960, 2025))


def test_an_unknown_source_offers_the_nearest():
    with pytest.raises(StudyError, match="'lending_club': use one of lendingclub"):
        load_source("lending_club")
    with pytest.raises(StudyError, match="use one of"):
        load_source("../core/secret")


def test_a_file_is_found_by_name():
    source = load_source("lendingclub")
    assert source.file("LendingClubData_2009.rda").rows == 5281
    with pytest.raises(StudyError, match=r"'LendingClubData_2019\.rda': use one of .*LendingClubData_2018\.rda"):
        source.file("LendingClubData_2019.rda")


@pytest.mark.parametrize(
    "change",
    [
        {"sha256": "0" * 63},
        {"sha256": "G" * 64},
        {"sha256": None},
        {"sha256": None, "git_blob": "0" * 64},
        {"url": "http://example.org/loans.csv"},
        {"url": "https:///loans.csv"},
        {"url": "https://user@example.org/loans.csv"},
        {"name": "../loans.csv"},
        {"name": "a\\b"},
        {"name": ".."},
        {"name": ".hidden"},
        {"bytes": 0},
        {"bytes": "10"},
        {"rows": -1},
        {"colour": "red"},
    ],
)
def test_a_wrong_file_record_is_refused(change):
    assert SourceFile.model_validate(FILE)
    with pytest.raises(ValidationError):
        SourceFile.model_validate({**FILE, **change})


def test_a_missing_field_is_refused():
    for field in FILE:
        with pytest.raises(ValidationError):
            SourceFile.model_validate({key: value for key, value in FILE.items() if key != field})


@pytest.mark.parametrize(
    "change",
    [
        {"folder": "a/b"},
        {"folder": ".."},
        {"redistribution": True},
        {"redistribution": "perhaps"},
        {"licence_page": "see the web"},
        {"files": []},
        {"title": " "},
    ],
)
def test_a_wrong_source_record_is_refused(change):
    content = load_source("real_gdp").model_dump()
    assert Source.model_validate(content)
    with pytest.raises(ValidationError):
        Source.model_validate({**content, **change})


@pytest.mark.parametrize("name", source_names())
def test_a_source_is_named_in_the_language_of_the_page(name):
    source = load_source(name)
    english, chinese = source.named("en"), source.named("zh")
    assert (english.title, english.licence) == (source.title, source.licence)
    years = re.compile(r"(?<!\d)\d{4}(?!\d)")
    for of_one, of_other in ((english.title, chinese.title), (english.licence, chinese.licence)):
        assert re.search(r"[\u4e00-\u9fff]", of_other)
        assert years.findall(of_one) == years.findall(of_other)


def test_two_files_cannot_share_a_name():
    content = load_source("real_gdp").model_dump()
    with pytest.raises(ValidationError, match="same name"):
        Source.model_validate({**content, "files": [FILE, FILE]})


def test_records_cannot_be_changed():
    source = load_source("real_gdp")
    with pytest.raises(ValidationError):
        source.title = "another"
    with pytest.raises(ValidationError):
        source.files[0].sha256 = None


def test_a_broken_record_says_which_field(tmp_path, monkeypatch):
    good = Path(records.__file__).with_name("real_gdp.yaml").read_text(encoding="utf-8")
    monkeypatch.setattr(records, "_RECORDS", tmp_path)
    monkeypatch.setattr(records, "_STUDIES", tmp_path)
    (tmp_path / "gdp.yaml").write_text(good, encoding="utf-8")
    assert load_source("gdp").name == "gdp"
    for old, new, message in [
        ("redistribution: yes", "redistribution: maybe", "correct redistribution"),
        ("url: https", "url: ftp", r"correct files\.0\.url"),
        ("folder: macro", "folder: macro\nfolder: other", "line 12 is not valid YAML"),
        (good, "- just\n- a list\n", "must hold named sections"),
    ]:
        (tmp_path / "gdp.yaml").write_text(good.replace(old, new), encoding="utf-8")
        with pytest.raises(StudyError, match=message) as caught:
            load_source("gdp")
        assert "\n" not in str(caught.value)
