from pathlib import Path
from types import SimpleNamespace

import pytest

from pipeline.core import params
from pipeline.runtime.errors import StudyError
from pipeline.sources.fetch import DELAYS
from pipeline.stages import collect

ROOT = Path(__file__).parents[2]


class File(str):
    """A file that is nothing but its name."""

    name = property(str)


SOURCE = SimpleNamespace(folder="bank")


@pytest.fixture
def fetched(monkeypatch):
    """Replace the fetching of files: those whose name holds 'lost' cannot be had."""
    seen = []

    def fetch(source, file, folder, mirror, *, delays):
        seen.append((file, delays))
        if "lost" in file:
            raise StudyError(f"{file} could not be fetched.")
        return Path(file)

    monkeypatch.setattr(collect, "fetch", fetch)
    return seen


def test_what_is_lost_is_named_and_the_rest_is_fetched(fetched):
    paths, missing = collect.fetch_all(SOURCE, map(File, ["a", "lost b", "c", "lost d"]), None)
    assert paths == [Path("a"), Path("c")]
    assert missing == {f"bank/lost {name}": f"lost {name} could not be fetched." for name in "bd"}
    assert [delays for _, delays in fetched] == [DELAYS, DELAYS, (), ()], "waits between tries once, not for each file"


def test_one_message_names_the_missing_files_of_all_sources(fetched, monkeypatch):
    module = SimpleNamespace(files=lambda source, vintages: [File(f"lost {source.folder}"), File(source.folder)])
    monkeypatch.setattr(collect.studies, "module", lambda name: module)
    monkeypatch.setattr(collect, "load_source", lambda name: SimpleNamespace(folder=name))
    choices = params.load(ROOT / "params.yaml")
    with pytest.raises(StudyError) as error:
        collect.run("berka", choices)
    first, second, third = choices.study("berka").sources
    assert str(error.value).splitlines() == [
        f"lost {first} could not be fetched.",
        f"lost {second} could not be fetched.",
        f"Nor could {third}/lost {third}: the source records have their addresses and checksums.",
    ]
    assert list(collect.told({"a": "No network.", "b": "No network."})) == ["No network."]
    waited = [delays for file, delays in fetched if "lost" in file]
    assert waited == [DELAYS, (), ()]
