import re

import pytest

from pipeline.core import params, yaml
from pipeline.runtime.errors import StudyError
from pipeline.sources import claims as ledger

CLAIMS = ledger.load_claims()
PARAMS = params.load()
SIMULATED = [name for name in PARAMS.compared if PARAMS.study(name).simulated]
BEARINGS = ledger.load_bearings(CLAIMS, SIMULATED)
LIMITS = ledger.load_limits(CLAIMS, BEARINGS)


def test_the_ledger_holds_every_claim_once():
    assert len(CLAIMS) == len({claim.id for claim in CLAIMS}) == 109
    numbers = {letter: [int(claim.id[1:]) for claim in CLAIMS if claim.id[0] == letter] for letter in "EMBSKF"}
    assert {letter: len(found) for letter, found in numbers.items()} == dict(E=46, M=19, B=13, S=17, K=8, F=6)
    assert all(found == list(range(1, len(found) + 1)) for found in numbers.values())


def test_claims_are_told_in_both_languages():
    for claim in CLAIMS:
        assert re.search(r"[\u4e00-\u9fff]", claim.claim_zh) and not re.search(r"[\u4e00-\u9fff]", claim.claim_en)
        assert claim.claim_en.endswith((".", "?")) and claim.claim_zh.endswith(("。", "？"))


def test_a_claim_without_rows_of_real_lenders_says_what_would_decide_it():
    decided = {one.claim for one in BEARINGS if one.study not in SIMULATED}
    asks = [claim for claim in CLAIMS if claim.kind not in ("requirement", "none")]
    assert [claim.id for claim in asks if claim.id not in decided and not claim.needs_en] == []


def test_classes_are_those_of_the_protocol():
    classes = {}
    for claim in CLAIMS:
        classes.setdefault(claim.kind, []).append(claim.id)
    assert {name: len(found) for name, found in classes.items()} == {
        "effect": 18,
        "association": 8,
        "other_outcome": 16,
        "moderation": 15,
        "prediction": 16,
        "credit": 16,
        "requirement": 19,
        "none": 1,
    }
    assert classes["none"] == ["K08"]


def test_every_line_names_a_study_and_a_stage_that_exist():
    stages = yaml.stages(ledger.CLAIMS.parents[1])
    for one in BEARINGS:
        assert one.study in PARAMS.compared
        assert not one.stage or one.stage in stages


def test_an_exception_at_a_real_lender_is_argued_in_both_languages():
    for one in BEARINGS:
        if one.named and one.study not in SIMULATED:
            assert re.search(r"[\u4e00-\u9fff]", one.argument_zh) and one.argument_en.endswith(".")


def changed(tmp_path, source, old, new):
    text = source.read_text(encoding="utf-8")
    assert old in text
    file = tmp_path / source.name
    file.write_text(text.replace(old, new, 1), encoding="utf-8")
    return file


def test_a_wrong_class_is_named_with_its_line(tmp_path):
    file = changed(tmp_path, ledger.CLAIMS, "6.1,effect", "6.1,affect")
    with pytest.raises(StudyError, match=r"claims.csv, line 2: correct class"):
        ledger.load_claims(file)


def test_a_claim_may_stand_there_once(tmp_path):
    file = changed(tmp_path, ledger.CLAIMS, "\nE02,", "\nE01,")
    with pytest.raises(StudyError, match="claim E01 2 times"):
        ledger.load_claims(file)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("\nE02,", "\nX99,", "claim X99, which is not in"),
        ("\nE02,sba,", "\nE03,sba,", "does not ask this study"),
        (",effects,waiting,controls,", ",effects,waiting,,", "needs its stage, estimator, specification and estimand"),
        ("sba,treated,,ceiling_raised", "sba,treated,,", "name the moderator"),
        (",correlate,relation,downturn,default,change_per_unit,", ",,,,,,", "no rule finds rows of the class 'credit'"),
        ("\nE02,sba,treated,,", "\nE02,sba,treated,maybe,", "correct reverse"),
        # A spread between lenders cannot be less than none, so no data could contradict a claim on it.
        (",downturn,default,change_per_unit,", ",downturn,default,standard_deviation,", "decides nothing"),
    ],
)
def test_a_wrong_line_is_one_sentence(tmp_path, old, new, message):
    with pytest.raises(StudyError, match=message):
        ledger.load_bearings(CLAIMS, SIMULATED, changed(tmp_path, ledger.ROWS, old, new))


def test_an_exception_without_an_argument_is_refused(tmp_path):
    one = next(one for one in BEARINGS if one.named and one.study not in SIMULATED and "," not in one.argument_en)
    bare = changed(tmp_path, ledger.ROWS, f"{one.argument_en},{one.argument_zh}", ",")
    with pytest.raises(StudyError, match=f"claim {one.claim} of study {one.study} names its row itself: say why"):
        ledger.load_bearings(CLAIMS, SIMULATED, bare)


def test_each_study_that_a_claim_is_asked_of_decides_it_or_says_why_not():
    asked = {(claim.id, study) for claim in CLAIMS for study in claim.studies}
    decided = {(one.claim, one.study) for one in BEARINGS}
    silent = {(limit.claim, limit.study) for limit in LIMITS if limit.answer == "none"}
    assert len(asked) > 100 and asked == decided | silent and not decided & silent
    assert {study for _, study in asked} == set(PARAMS.compared)
    # Requirements are met by all studies together.
    assert not [claim.id for claim in CLAIMS if claim.kind == "requirement" and claim.studies]


def test_every_practice_of_crm_at_a_real_lender_says_what_stands_for_it():
    """Nothing in public files is a programme, a satisfied client or a contact itself."""
    classes = {claim.id: claim.kind for claim in CLAIMS}
    told = {(limit.claim, limit.study) for limit in LIMITS if limit.answer == "proxy"}
    for one in BEARINGS:
        if classes[one.claim] in ("effect", "association") and one.study not in SIMULATED:
            assert (one.claim, one.study) in told, (one.claim, one.study)


def test_reasons_are_told_in_both_languages():
    for limit in LIMITS:
        assert re.search(r"[\u4e00-\u9fff]", limit.reason_zh) and not re.search(r"[\u4e00-\u9fff]", limit.reason_en)
        assert limit.reason_en.endswith(".") and limit.reason_zh.endswith("。")
        # A reason follows "because", what stands for something is a sentence of its own.
        assert limit.reason_en[0].islower() == (limit.answer == "none")


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("\nE28,berka,none,", "\nE28,berka,proxy,", "no line of .* measures it"),
        ("\nE28,berka,none,", "\nE28,reference,none,", "has a reason why no row decides it, and a row"),
        ("\nE28,berka,none,", "\nE28,sba,none,", "needs no reason"),
        ("\nE28,berka,none,", "\nE43,sba,none,", "2 times: one reason is enough"),
        ("\nE28,berka,none,", "\nE28,berka,some,", "correct answer"),
        ("\n*,sba,selected,", "\n*,sba,none,", "a star stands for a whole file that is selected"),
    ],
)
def test_a_wrong_reason_is_one_sentence(tmp_path, old, new, message):
    with pytest.raises(StudyError, match=message):
        ledger.load_limits(CLAIMS, BEARINGS, changed(tmp_path, ledger.LIMITS, old, new))


def test_a_study_that_is_asked_and_says_nothing_is_named(tmp_path):
    line = next(line for line in ledger.LIMITS.read_text(encoding="utf-8").splitlines() if line.startswith("E28,berka"))
    with pytest.raises(StudyError, match="claim E28 is asked of study berka, and nothing decides it"):
        ledger.load_limits(CLAIMS, BEARINGS, changed(tmp_path, ledger.LIMITS, f"{line}\n", ""))
