"""What the first screen says: each CRM practice at each lender with its effect on default, and what would settle it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import pandas as pd

from pipeline.analyses.evidence.margins import default_rate
from pipeline.analyses.evidence.rows import NUMBERS
from pipeline.core.params import Params
from pipeline.core.results import Results, cleared
from pipeline.sources.claims import ADDRESS, Claim
from pipeline.stats.certainty import LEVELS
from pipeline.stats.power import design_effect, loans_for_equivalence, loans_needed
from pipeline.stats.verdicts import POWER

DESIGNS = ("randomised", "quasi_experimental", "matched_observational", "descriptive")
"""Designs from the strongest down."""

PRACTICES = (
    "programme",
    "satisfaction",
    "communication_frequency",
    "communication_effectiveness",
    "information_sharing",
    "early_warning",
    "relationship_length",
    "relationship_depth",
)
"""Practices of CRM that the literature claims to lower default."""

GROUP, CORRELATION = 100, 0.04
"""Loans of a branch, and the correlation of default within it, where lots are drawn over branches. The correlation is
that of the South African lender's branches, the one file here with branches: .039 by analysis of variance, rounded.
Regions are less alike (Lending Club .002, the Czech bank .009), banks more (SBA .105)."""

FOUND = (
    "study",
    "factor",
    "claims",
    "verdict",
    "certainty",
    "why",
    "design",
    *NUMBERS,
    "unit",
    "per",
    "n",
    *ADDRESS,
)


def findings(parts: pd.DataFrame) -> pd.DataFrame:
    """Return the effects of CRM on default at real lenders, one row a number, the strongest design first.

    `parts` holds the deciding rows. Claims that one number decides share a row: it is one piece of evidence. The claim
    that expects the practice to help speaks for the row.
    """
    rows = parts[
        (parts["class"] == "effect")
        & (parts["design"] != "simulated")
        & (parts["outcome"] == "default")
        & (parts["verdict"] != "not_testable")
    ].copy()
    key = ["study", "estimate", "ci_low", "ci_high", "n"]
    rows["claims"] = rows.groupby(key)["claim"].transform(lambda ids: " ".join(dict.fromkeys(ids)))
    rows = rows.drop_duplicates(key)
    rows["strength"] = [DESIGNS.index(design) for design in rows["design"]]
    rows["doubt"] = [-LEVELS.index(level) for level in rows["certainty"]]
    rows = rows.sort_values(["strength", "doubt", "study", "factor"], kind="stable", ignore_index=True)
    return rows[list(FOUND)]


def needed(claims: Sequence[Claim], found: Mapping[str, Results], params: Params) -> pd.DataFrame:
    """Return, for each practice and base rate, the loans that would detect its effect on default, or show none.

    The columns: ``practice``; ``study`` whose default rate is taken; ``rate`` (per cent) and ``margin`` (points), the
    smallest difference that matters; ``loans`` with which an effect of that size is significant, ``loans_equivalent``
    with which the interval lies within it if there is no effect, and ``_by_branch`` where not clients but branches are
    drawn: both arms together, for `POWER` at the level of params.yaml;
    ``claims`` that this would test.
    """
    level, share = params.inference.level, params.evidence.margins.default
    grown = design_effect(GROUP, CORRELATION)
    lines = []
    for practice in PRACTICES:
        ids = " ".join(claim.id for claim in claims if claim.factor == practice and claim.kind == "effect")
        for study, has in found.items():
            rate = default_rate(has)
            loans = 2 * math.ceil(loans_needed(rate, rate * (1 - share), level, POWER))
            equivalent = 2 * math.ceil(loans_for_equivalence(rate, rate * share, level, POWER))
            lines.append(
                {
                    "practice": practice,
                    "study": study,
                    "rate": cleared(100 * rate),
                    "margin": cleared(100 * rate * share),
                    "loans": loans,
                    "loans_by_branch": math.ceil(loans * grown),
                    "loans_equivalent": equivalent,
                    "loans_equivalent_by_branch": math.ceil(equivalent * grown),
                    "claims": ids,
                }
            )
    return pd.DataFrame(lines)
