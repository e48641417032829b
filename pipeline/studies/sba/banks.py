"""From a lender's name as typed to the institution: a conservative crosswalk, and the table that shows it.

Names are cut at thirty characters, abbreviated in many ways, and borne by several banks at once. Spellings are
brought together only where a rule says that they mean the same words; nothing is matched by likeness.
"""

from __future__ import annotations

import re

import pandas as pd

WORDS = {
    "BK": "BANK", "BKS": "BANKS", "NATL": "NATIONAL", "NTL": "NATIONAL", "TR": "TRUST", "CO": "COMPANY",
    "SVGS": "SAVINGS", "SAV": "SAVINGS", "FED": "FEDERAL", "FINAN": "FINANCIAL", "DEVEL": "DEVELOPMENT",
    "CORP": "CORPORATION", "CERT": "CERTIFIED", "BUS": "BUSINESS", "COMMUN": "COMMUNITY", "COMM": "COMMUNITY",
    "CNTY": "COUNTY", "AMER": "AMERICAN", "CAP": "CAPITAL", "CENT": "CENTRAL", "INTERNATL": "INTERNATIONAL",
    "1ST": "FIRST", "ST": "STATE", "CIT": "CITIZENS", "FCU": "FEDERAL CREDIT UNION", "CU": "CREDIT UNION",
    "INST": "INSTITUTION", "&": "AND",
}  # fmt: skip
"""Abbreviations that mean one word in lenders' names."""

LEGAL_FORM = re.compile(
    r"(?: (?:NATIONAL ASSOCIATION|NATIONAL ASSOC|NATIONAL ASSO|NATIONAL ASSN|N A|NA|FSB|SSB|INC|INCORPORATED|LLC"
    r"|CORPORATION|COMPANY))+$"
)
"""What a name may end with that tells no bank from another."""

DIVISION = re.compile(r",? (?:A|AN) (?:DIVISION|BRANCH)(?: OF.*)?$| D/B/A .*$")
"""What stands behind the name of a division: the file gives no whole name there."""

GENERIC = frozenset(
    {
        "FIRST", "SECOND", "NATIONAL", "STATE", "AMERICAN", "BANK", "BANKS", "BANKERS", "TRUST", "SAVINGS",
        "LOAN", "AND", "OF", "THE", "COMMUNITY", "CITIZENS", "UNITED", "CITY", "COUNTY", "CENTRAL", "COMMERCE",
        "COMMERCIAL", "FARMERS", "MERCHANTS", "PEOPLES", "SECURITY", "UNION", "HERITAGE", "FINANCIAL",
        "FEDERAL", "CREDIT", "VALLEY", "HOME", "FIDELITY", "LIBERTY", "PREMIER", "PIONEER", "SUMMIT",
        "ALLIANCE", "INDEPENDENT", "ENTERPRISE", "COMPANY", "CORPORATION", "BUSINESS", "CAPITAL", "DEVELOPMENT",
        "CENTURY", "FRONTIER", "GUARANTY", "METROPOLITAN", "METRO", "EXCHANGE", "CENTENNIAL",
    }
)  # fmt: skip
"""Words that many banks share: a name of nothing else says which bank it is only together with a state."""

NO_LENDER = ("LOANS FROM OLD CLOSED LENDERS", "MISSINGMAINBANK", "MISSING MAINBANKID")
"""Entries that stand for several lenders or none."""


def clean(name: str) -> str:
    """Return a lender's name in capitals, with abbreviations written out and the legal form left out."""
    text = DIVISION.sub("", name.upper().strip())
    text = re.sub(r"[.']", "", text)
    text = re.sub(r"[^A-Z0-9&/]+", " ", text).strip()
    words = [WORDS.get(word, word) for word in text.split()]
    text = re.sub(r"^THE ", "", " ".join(words))
    return LEGAL_FORM.sub("", text) or text


def crosswalk(loans: pd.DataFrame) -> pd.DataFrame:
    """Return the institution of every spelling: ``bank, bank_state, institution_id, loans``, one row a pair.

    `loans` has ``bank`` and ``bank_state``, one row a loan. A name made of `GENERIC` words alone is one institution
    in each state; any other name is one institution wherever it stands. Rows without a name, or with one of
    `NO_LENDER`, have no institution.
    """
    pairs = (
        loans.assign(bank=loans["bank"].astype(object), bank_state=loans["bank_state"].astype(object))
        .groupby(["bank", "bank_state"], dropna=False, sort=True)
        .size()
        .rename("loans")
        .reset_index()
    )
    name = pairs["bank"].map(clean, na_action="ignore")
    generic = name.map(lambda text: set(text.split()) <= GENERIC, na_action="ignore").eq(True)
    state = pairs["bank_state"].fillna("state not stated")
    institution = name.where(~generic, name + " (" + state.astype(str) + ")")
    none = pairs["bank"].isna() | pairs["bank"].isin(NO_LENDER)
    return pairs.assign(institution_id=institution.where(~none, None))[
        ["bank", "bank_state", "institution_id", "loans"]
    ]
