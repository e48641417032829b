import re

import pytest

from pipeline.core import params
from pipeline.runtime.errors import StudyError
from pipeline.sources import claims as ledger

CLAIMS = ledger.load_claims()
SELECTORS = ledger.load_selectors(CLAIMS)
LIMITS = ledger.load_limits(CLAIMS, SELECTORS)
PARAMS = params.load()


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
    decided = {item.claim for item in SELECTORS if item.design != "simulated"}
    silent = [claim.id for claim in CLAIMS if claim.id not in decided and not claim.needs_en]
    assert silent == []


def test_a_claim_that_no_data_decide_has_no_rows_and_others_of_one_row_have_no_further_parts():
    rules = {claim.id: claim.rule for claim in CLAIMS}
    assert not [item for item in SELECTORS if rules[item.claim] == "none"]
    for item in SELECTORS:
        if item.role == "also":
            assert rules[item.claim] in ("all_of", "ratio", "value", "present"), str(item)
        if rules[item.claim] == "either_way" and item.role == "primary":
            assert item.expected == "either"
        if rules[item.claim] in ("value", "ratio") and item.role == "primary":
            assert item.threshold is not None
        if rules[item.claim] in ("interval", "all_of", "trend"):
            assert item.expected


def test_every_selector_names_a_study_and_a_stage_that_exist():
    stages = params.read(ledger.CLAIMS.parents[1] / "dvc.yaml")["stages"]
    for item in SELECTORS:
        assert item.study in PARAMS.synthesis.studies
        assert item.stage in stages


def test_lots_are_claimed_only_for_what_was_drawn():
    for item in SELECTORS:
        if item.design == "randomised":
            assert PARAMS.study(item.study).design == "randomised"
            # What the lottery drew, not the client's own history.
            assert item.factor in ("treated", "relationship_length_promised")


def changed(tmp_path, source, old, new):
    text = source.read_text(encoding="utf-8")
    assert old in text
    file = tmp_path / source.name
    file.write_text(text.replace(old, new, 1), encoding="utf-8")
    return file


def test_a_wrong_rule_is_named_with_its_line(tmp_path):
    file = changed(tmp_path, ledger.CLAIMS, "causal,all_of", "causal,some_of")
    with pytest.raises(StudyError, match=r"claims.csv, line 2: correct rule"):
        ledger.load_claims(file)


def test_a_claim_may_stand_there_once(tmp_path):
    file = changed(tmp_path, ledger.CLAIMS, "\nE02,", "\nE01,")
    with pytest.raises(StudyError, match="claim E01 2 times"):
        ledger.load_claims(file)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("\nE02,", "\nX99,", "claim X99, which is not in"),
        (",primary,", ",supporting,", "0 primary rows, not one"),
        (",also,", ",primary,", "2 primary rows, not one"),
        ("all_loans,treated", "all_*,treated", "no star may stand there"),
        (",simulated\n", ",guessed\n", "correct design"),
    ],
)
def test_a_wrong_row_is_one_sentence(tmp_path, old, new, message):
    with pytest.raises(StudyError, match=message):
        ledger.load_selectors(CLAIMS, changed(tmp_path, ledger.ROWS, old, new))


def test_each_study_that_a_claim_is_asked_of_decides_it_or_says_why_not():
    asked = {(claim.id, study) for claim in CLAIMS for study in claim.studies}
    decided = {(item.claim, item.study) for item in SELECTORS if item.role == "primary"}
    silent = {(limit.claim, limit.study) for limit in LIMITS if limit.answer == "none"}
    assert len(asked) > 100 and asked <= decided | silent and not decided & silent and silent <= asked
    assert {study for _, study in asked} == set(PARAMS.synthesis.studies)
    # What is asked of the method is met by all studies together.
    assert not [claim.id for claim in CLAIMS if claim.kind == "method" and claim.studies]


def test_reasons_are_told_in_both_languages():
    for limit in LIMITS:
        assert re.search(r"[\u4e00-\u9fff]", limit.reason_zh) and not re.search(r"[\u4e00-\u9fff]", limit.reason_en)
        assert limit.reason_en.endswith(".") and limit.reason_zh.endswith("。")
        # A reason follows "because", what is measured roughly stands alone.
        assert limit.reason_en[0].islower() == (limit.answer == "none")


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("\nE28,berka,none,", "\nE28,berka,rough,", "no row of .* measures it"),
        ("\nE28,berka,none,", "\nE28,reference,none,", "has a reason why no row decides it, and rows"),
        ("\nE28,berka,none,", "\nE28,sba,none,", "needs no reason"),
        ("\nE28,berka,none,", "\nE43,sba,none,", "2 times: one reason is enough"),
        ("\nE28,berka,none,", "\nE28,berka,some,", "correct answer"),
    ],
)
def test_a_wrong_reason_is_one_sentence(tmp_path, old, new, message):
    with pytest.raises(StudyError, match=message):
        ledger.load_limits(CLAIMS, SELECTORS, changed(tmp_path, ledger.LIMITS, old, new))


def test_a_study_that_is_asked_and_says_nothing_is_named(tmp_path):
    line = next(line for line in ledger.LIMITS.read_text(encoding="utf-8").splitlines() if line.startswith("E28,berka"))
    with pytest.raises(StudyError, match="claim E28 is asked of study berka, and nothing decides it"):
        ledger.load_limits(CLAIMS, SELECTORS, changed(tmp_path, ledger.LIMITS, f"{line}\n", ""))
