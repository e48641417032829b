"""Pages say of a method what it assumes and for whom it holds, and of a number which factor and unit it is of."""

import pytest

from pipeline.present.words import FOLDER, LANGUAGES
from tests.present.test_first_sentence import report

WORDS = [*FOLDER.rglob("*.yaml"), *FOLDER.parents[1].rglob("words.*.yaml")]


@pytest.mark.parametrize(
    ("language", "whom", "assumed"),
    [("en", "would borrow with and without it", "randomised within strata"), ("zh", "有无承诺都会借款", "随机分配")],
)
def test_lee_bounds_are_said_to_assume_what_they_assume_and_for_whom_they_hold(language, whom, assumed):
    lead = report("karlan_zinman", language).text("lead")
    assert whom in lead and assumed in lead
    for path in WORDS:
        text = " ".join(path.read_text(encoding="utf-8").split())
        assert not [said for said in ("assume nothing", "assuming nothing", "不作任何假定") if said in text], path
