import pandas as pd
import pytest

from pipeline.studies.sba.banks import clean, crosswalk


@pytest.mark.parametrize(
    ("name", "same"),
    [
        ("U.S. BANK NATIONAL ASSOCIATION", "US BANK NATL ASSOC"),
        ("TD BANK, NATIONAL ASSOCIATION", "TD Bank, N.A."),
        ("THE HUNTINGTON NATIONAL BANK", "HUNTINGTON NATL BK"),
        ("MANUFACTURERS & TRADERS TR CO", "MANUFACTURERS AND TRADERS TRUST COMPANY"),
        ("BEAL BANK, S.S.B.", "BEAL BANK SSB"),
        ("OCEAN BANK, A DIVISION OF", "OCEAN BANK"),
        ("MOUNTAIN AMERICA FCU", "MOUNTAIN AMERICA FED CREDIT UNION"),
        ("1ST STATE BK", "FIRST ST. BANK"),
    ],
)
def test_spellings_of_one_name(name, same):
    assert clean(name) == clean(same)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("BANK OF AMERICA NATL ASSOC", "BANK OF AMERICA CALIFORNIA N.A"),
        ("COMMERCE BANK", "COMMERCIAL BANK"),
        ("CITY NATIONAL BANK", "CITY BANK"),
        ("FDIC/NATIONAL BANK", "NATIONAL BANK"),
        # Nothing is matched by likeness.
        ("UMPQUA BANK", "UMPQA BANK"),
    ],
)
def test_names_that_stay_apart(one, other):
    assert clean(one) != clean(other)


def test_a_name_of_nothing_but_a_legal_form_stays():
    assert clean("N.A.") != ""


def institutions(*pairs):
    table = crosswalk(pd.DataFrame(pairs, columns=["bank", "bank_state"]))
    return table.set_index(["bank", "bank_state"])["institution_id"].to_dict()


def test_a_generic_name_is_another_bank_in_every_state():
    found = institutions(("FIRST NATL BK", "TX"), ("THE FIRST NATIONAL BANK", "TX"), ("FIRST NATL BK", "OH"))
    assert found["FIRST NATL BK", "TX"] == found["THE FIRST NATIONAL BANK", "TX"]
    assert found["FIRST NATL BK", "TX"] != found["FIRST NATL BK", "OH"]


def test_a_distinct_name_is_one_bank_everywhere():
    found = institutions(("WELLS FARGO BANK NATL ASSOC", "SD"), ("WELLS FARGO BANK NATL ASSOC", "CA"))
    assert len(set(found.values())) == 1


def test_what_stands_for_no_lender_has_no_institution():
    table = crosswalk(
        pd.DataFrame({"bank": ["LOANS FROM OLD CLOSED LENDERS", None, "ALPHA BK"], "bank_state": ["DC", None, None]})
    )
    assert table["institution_id"].notna().tolist() == [True, False, False]
    assert table["loans"].sum() == 3
