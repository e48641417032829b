"""Inputs by the thousand, drawn by rule: each is either accepted, or refused in one sentence that names what to change.

`make test` draws some hundreds, `make test-long` ten thousand, always the same ones.
"""

import contextlib
import copy

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as draw

from pipeline import studies
from pipeline.__main__ import main
from pipeline.core import params
from pipeline.core.schema import check_cohort
from pipeline.runtime import places
from pipeline.runtime.errors import StudyError, one_line
from tests.choices import contents
from tests.hostile.place import STUDY, loans, picture, text, write
from tests.hostile.test_ledgers import SCHEMA, cohort


def numbers_of_inputs(few, many):
    """Run a test with a few inputs, and as a long test with many."""
    return pytest.mark.parametrize("inputs", [few, pytest.param(many, marks=pytest.mark.long)])


def tried(strategy, inputs, trial):
    """Run a trial on inputs drawn by a strategy: the same ones each time, and nothing kept."""

    @settings(
        max_examples=inputs,
        derandomize=True,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(strategy)
    def run(drawn):
        trial(drawn)

    run()


def in_one_line(said):
    assert "\n" not in said and "Traceback" not in said and said


# Cohorts.

VALUES = [
    "", "A", "=1+1", "<script>", None, True, -1, 0, 1, 2, 1.5, float("nan"), float("inf"), 1e308, 2**62,
    pd.NaT, pd.Timestamp("2011-01-01"), "2011-01-01", b"\xff", "\x00", "📈", "x" * 1000,
]  # fmt: skip
KINDS = ["float64", "int64", "str", "category", "datetime64[ms]", "bool", "Int64", "object"]


@draw.composite
def spoilt_cohorts(pick):
    frame = cohort()
    touched = []
    for _ in range(pick(draw.integers(1, 3))):
        column = pick(draw.sampled_from(list(frame) or ["amount"]))
        touched.append(column)
        way = pick(draw.sampled_from(["drop", "fill", "cell", "kind", "more", "rename"]))
        if way == "drop":
            frame = frame.drop(columns=column, errors="ignore")
        elif way == "fill":
            frame[column] = [pick(draw.sampled_from(VALUES))] * len(frame)
        elif way == "cell" and column in frame:
            cells = frame[column].astype(object)
            cells.iloc[pick(draw.integers(0, len(frame) - 1))] = pick(draw.sampled_from(VALUES))
            frame[column] = cells.infer_objects()
        elif way == "kind" and column in frame:
            with contextlib.suppress(TypeError, ValueError):
                frame[column] = frame[column].astype(pick(draw.sampled_from(KINDS)))
        elif way == "more":
            name = pick(draw.sampled_from(["zip_code", "", "age", "=amount", "interest_rate", "weight", "term_months"]))
            touched.append(name)
            frame[name] = pick(draw.sampled_from(VALUES))
        elif way == "rename":
            name = pick(draw.text(min_size=1, max_size=8))
            touched.append(name)
            frame = frame.rename(columns={column: name})
    return frame, touched


@numbers_of_inputs(40, 3000)
def test_a_cohort_meets_its_schema_or_is_refused_by_column(inputs):
    def trial(drawn):
        frame, touched = drawn
        try:
            assert check_cohort(frame, SCHEMA) is frame
        except StudyError as error:
            assert any(name in str(error) for name in touched), error

    tried(spoilt_cohorts(), inputs, trial)


# Parameters.

CHOICES = contents()
FREE = (
    "studies",
    "own",
    "eligibility",
    "release_lag_months",
    "doses",
    "moderators",
    "moderated",
    "calipers",
    "cuts",
    "alternatives",
    "relations",
    "samples",
    "outcomes",
    "treatments",
    "exact",
    "where",
    "among",
)
"""Sections whose names the file chooses itself, or are those of columns: these are checked when the cohort is read."""


def paths(part, before=()):
    """Yield the path of every name and every entry of a list."""
    inner = part.items() if isinstance(part, dict) else enumerate(part) if isinstance(part, list) else ()
    for name, value in inner:
        yield (*before, name)
        yield from paths(value, (*before, name))


PATHS = list(paths(CHOICES))
WORDS = draw.one_of(
    draw.none(), draw.booleans(), draw.integers(), draw.floats(), draw.text(max_size=12),
    draw.sampled_from(["default", "log(income)", "levels", "2011-13", "../x", "{{x}}", [], {}, [[]], {"a": {"b": 1}}]),
    draw.lists(draw.integers(-3, 3), max_size=3), draw.dictionaries(draw.text(max_size=4), draw.integers(), max_size=2),
)  # fmt: skip


@draw.composite
def spoilt_choices(pick):
    content = copy.deepcopy(CHOICES)
    path = pick(draw.sampled_from(PATHS))
    part = content
    for step in path[:-1]:
        part = part[step]
    name = path[-1]
    way = pick(draw.sampled_from(["replace", "remove", "misspell", "add"]))
    # What is added beside sections or studies has no place that the drawn path names.
    if (way == "misspell" and not isinstance(name, str)) or (way == "add" and path[:-1] in ((), ("studies",))):
        way = "replace"
    if way == "replace":
        part[name] = pick(WORDS)
    elif way == "remove":
        del part[name]
    elif way == "misspell":
        at = pick(draw.integers(0, len(name) - 1))
        wrong = pick(draw.sampled_from([name[:at] + name[at + 1 :], name[:at] + name[at] + name[at:]]))
        part[wrong] = part.pop(name)
        return content, path, wrong
    elif isinstance(part, dict):
        part[pick(draw.text(max_size=8))] = pick(WORDS)
    else:
        part.insert(0, pick(WORDS))
    return content, path, None


def checked(content):
    """Check parameters as the command line does before a stage of each study."""
    found = params.validated(content)
    for name, study in found.studies.items():
        studies.check(study, str(places.choices(name)))


@numbers_of_inputs(400, 5500)
def test_parameters_are_accepted_or_refused_by_path(inputs):
    def trial(drawn):
        content, path, wrong = drawn
        try:
            checked(content)
        except StudyError as error:
            said = one_line(str(error))
            assert said.isprintable()
            assert "params.yaml" in said
            assert str(path[0]) in said or (wrong is not None and wrong in said), said
            if len(path) > 1 and path[0] == "studies" and "synthesis" not in said:
                assert str(path[1]) in said, said
            if wrong and len(wrong) > 4 and wrong not in _names_around(content, path) and path[-2:-1] != ("studies",):
                free = any(step in FREE for step in path[-2:-1])
                assert free or path[-1] in said, said
        else:
            # Only where the file chooses its own names is a misspelt one accepted.
            assert wrong is None or path[-2] in FREE

    tried(spoilt_choices(), inputs, trial)


def _names_around(content, path):
    part = CHOICES
    for step in path[:-1]:
        part = part[step]
    return part


# Files of readers.

BYTES = draw.sampled_from(
    [
        b"\0",
        b"\xff\xfe",
        b'"',
        b"\r",
        b"\n",
        b",",
        b";",
        b"\t",
        b"\xef\xbb\xbf",
        b"=1+1",
        b"\xe4\xb8",
        b"<b>",
        b"\x1b[2J",
    ]
)
CELLS = draw.one_of(
    draw.text(max_size=8),
    draw.sampled_from(
        ["", "inf", "nan", "-1", "1e999", "=1+1", "<script>", "\u202eA", "A\u200b", "0", "1", "yes", "2019"]
    ),
    draw.floats(allow_nan=False).map(str),
    draw.integers().map(str),
)


@draw.composite
def spoilt_files(pick):
    frame = loans(40, seed=7)
    for _ in range(pick(draw.integers(0, 3))):
        if not len(frame.columns):
            break
        column = pick(draw.sampled_from(list(frame)))
        way = pick(draw.sampled_from(["cell", "fill", "drop", "rename", "again", "shuffle", "rows"]))
        if way == "cell":
            frame.iloc[pick(draw.integers(0, max(len(frame) - 1, 0))) : None, list(frame).index(column)] = pick(CELLS)
        elif way == "fill":
            frame[column] = pick(CELLS)
        elif way == "drop":
            frame = frame.drop(columns=column)
        elif way == "rename":
            new = pick(CELLS)
            frame.columns = [new if name == column else name for name in frame]
        elif way == "again":
            frame = pd.concat([frame, frame[[column]].iloc[:, :1]], axis=1)
        elif way == "shuffle":
            frame = frame.sample(frac=1, random_state=pick(draw.integers(0, 9)))
        else:
            frame = frame.head(pick(draw.integers(0, 5)))
        frame = frame.loc[:, ~frame.columns.duplicated()] if way != "again" else frame
        if way == "again":
            break
    content = text(frame).encode("utf-8", "surrogatepass")
    for _ in range(pick(draw.sampled_from([0, 0, 1, 2]))):
        at = pick(draw.integers(0, max(len(content) - 1, 0)))
        way = pick(draw.sampled_from(["insert", "cut", "remove", "swap"]))
        if way == "insert":
            content = content[:at] + pick(BYTES) + content[at:]
        elif way == "cut":
            content = content[:at]
        elif way == "remove":
            content = content[:at] + content[at + pick(draw.integers(1, 30)) :]
        else:
            content = content.replace(b",", pick(draw.sampled_from([b";", b"\t", b"|", b" "])))
    return content


@pytest.mark.parametrize(
    ("file", "arguments"),
    [
        ("bad.csv", ["init-study", "theirs", "--data", "bad.csv", "--default", "default"]),
        ("loans.csv", ["intake", "--study", STUDY]),
        ("new.csv", ["score", "--study", STUDY, "--data", "new.csv", "--model", "logistic"]),
    ],
    ids=["init-study", "intake", "score"],
)
@numbers_of_inputs(16, 500)
def test_a_file_is_taken_or_refused_by_name(place, capsys, file, arguments, inputs):
    good = picture(place)

    def trial(content):
        write(place / file, content)
        before = picture(place)
        code = main(arguments)
        said = capsys.readouterr().err.rstrip("\n")
        if code == 0:
            params.load()
            # What lies in a folder goes before the folder.
            for name in sorted(picture(place).keys() - good.keys(), reverse=True):
                (place / name).rmdir() if (place / name).is_dir() else (place / name).unlink()
            for name, held in good.items():
                if held is not None and (place / name).read_bytes() != held:
                    (place / name).write_bytes(held)
            return
        assert code == 1, said
        in_one_line(said)
        assert said.isprintable() and (file in said or str(places.choices(STUDY)) in said), said
        assert picture(place) == before

    tried(spoilt_files(), inputs, trial)


def test_the_same_inputs_are_drawn_each_time():
    drawn = [[], []]
    for found in drawn:
        tried(draw.integers(), 20, found.append)
    assert drawn[0] == drawn[1] and len(np.unique(drawn[0])) > 5
