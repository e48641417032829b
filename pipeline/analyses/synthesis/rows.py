"""Lay the CRM factors' effects of all studies side by side, and pool those that are alike."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal

import numpy as np
import pandas as pd

from pipeline.analyses.evidence.checks import lives_on_the_top
from pipeline.core.fields import SUBJECTS, construct
from pipeline.core.protocol import Study, rungs_of
from pipeline.core.results import Results
from pipeline.stats.certainty import Graded, grade, start_of
from pipeline.stats.synthesis import random_effects
from pipeline.stats.verdicts import FEWEST

FOLDER = "synthesis"
"""Folder under reports, and the study's name in rows that belong to no single one."""

TERMS = ("amount", "interest_rate")
"""What a lender sets, beside the grade."""

SCATTER = 0.5
"""Share of the variation between lenders beyond which it is a reason for doubt, as in the protocol."""

Finding = Literal["less", "more", "unclear"]

Rows = list[dict[str, Any]]


def rows(
    found: Mapping[str, Results],
    cohorts: Mapping[str, pd.DataFrame],
    protocols: Mapping[str, Study],
    level: float,
    turned: Sequence[str],
) -> Rows:
    """Return each study's effects, and those that are alike pooled.

    Parameters
    ----------
    found : mapping
        Each study's rows of the stages describe, regress and robustness.
    cohorts : mapping
        The loans (loans x columns) of each real lender.
    protocols : mapping
        Each study's section of the choices.
    level, turned
        See `pooled`.
    """
    effects = [row for study, has in found.items() for row in effects_of(study, protocols[study], has)]
    does = [row for study, loans in cohorts.items() for row in practices(study, protocols[study], loans)]
    return [*effects, *pooled(effects, level, turned), *does]


def effects_of(study: str, protocol: Study, found: Results) -> Rows:
    """Return each factor's effect with all controls: an odds ratio, points of default, and what they are made of."""
    rung = list(rungs_of(protocol))[-1]
    effects: Rows = []
    for factor in protocol.factors:
        summary = found.where(stage="describe", estimator="summary", factor=factor).set_index("estimand")["estimate"]
        binary = summary["binary"] == 1
        # Lots are drawn over the treatment; a client's other features are as they were.
        drawn = protocol.treatment is not None and factor == protocol.treatment.factor
        design = "observational" if protocol.design == "randomised" and not drawn else protocol.design
        common = {
            "study": study,
            "factor": factor,
            "outcome": protocol.outcome,
            "specification": construct(factor),
            "note": design,
        }
        for top in lives_on_the_top(found, factor):
            # Such a slope stays in the mean, and no lender is said to have less or more default by it.
            effects.append(common | {"estimator": "without_top", "estimand": "slope", "estimate": top.value})
        regressed = found.where(stage="regress", factor=factor, specification=rung)
        if "firth" in set(regressed["estimator"]):
            # Where an arm has no default, penalised likelihood speaks in place of the linear regression.
            regressed = regressed[regressed["estimator"] != "linear_probability"]
        for row in regressed.itertuples():
            numbers = {name: getattr(row, name) for name in ("estimate", "std_error", "ci_low", "ci_high", "p_value")}
            counts = {name: getattr(row, name) for name in ("n", "n_treated", "n_clusters")}
            if row.estimand not in ("risk_difference", "odds_ratio"):
                continue
            own = {"estimator": "one_study", "estimand": row.estimand, "unit": row.unit}
            effects.append(common | own | numbers | counts)
            if row.estimand == "odds_ratio":
                # Unlike units become alike in standard deviations; a yes-or-no factor is its own unit.
                unit = 1.0 if binary else float(summary["standard_deviation"])
                like = {
                    "estimator": "like_units",
                    "estimand": "log_odds_ratio_of_one" if binary else "log_odds_ratio_of_a_standard_deviation",
                    "estimate": unit * np.log(row.estimate),
                    "std_error": unit * row.std_error,
                    "ci_low": unit * np.log(row.ci_low),
                    "ci_high": unit * np.log(row.ci_high),
                    "p_value": row.p_value,
                    "unit": "log odds ratio",
                }
                effects.append(common | like | counts)
    return effects


def pooled(effects: Rows, level: float, turned: Sequence[str] = ()) -> Iterator[dict[str, Any]]:
    """Pool the real lenders' effects of a subject: those in like units, drawn lots apart. Simulated ones never enter.

    Where a lender measures a subject in several ways, the way that its protocol names first speaks for it: the ways
    share their loans and would count them twice. Factors in `turned` count what a relationship lacks: their sign turns.
    Each lender's part is there from two lenders on. A mean, with the weights, needs `FEWEST`, as verdicts do; what is
    left when one is left out needs one more.
    """
    frame = pd.DataFrame(effects)
    lacks = frame["factor"].isin(turned)
    frame.loc[lacks, ["estimate", "ci_low", "ci_high"]] = -frame.loc[
        lacks, ["estimate", "ci_high", "ci_low"]
    ].to_numpy()
    kept = ~frame["note"].isin(("simulated", "randomised")) & frame["std_error"].gt(0)
    frame["subject"] = frame["specification"].map({name: key for key, names in SUBJECTS.items() for name in names})
    like = frame[(frame["estimator"] == "like_units") & kept]
    for (subject, estimand), group in like.groupby(["subject", "estimand"], sort=True):
        group = group.drop_duplicates("study")
        if len(group) < 2:
            continue
        common = {
            "specification": subject,
            "outcome": "_or_".join(dict.fromkeys(sorted(group["outcome"], reverse=True))),
            "unit": "log odds ratio",
        }
        yield from _parts(group, common | {"estimand": estimand})
        if len(group) >= FEWEST:
            yield from _together(group, common | {"estimand": estimand}, level)
        if len(group) > FEWEST:
            for row in group.itertuples():
                rest = group[group["study"] != row.study]
                found = random_effects(rest["estimate"].to_numpy(), rest["std_error"].to_numpy(), level)
                left = {
                    "study": row.study,
                    "estimator": "leave_one_out",
                    "estimand": estimand,
                    "n": int(rest["n"].sum()),
                }
                yield common | left | found.effect._asdict()


def _parts(group: pd.DataFrame, common: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Give the effect that speaks for each lender."""
    for row in group.itertuples():
        own = {"study": row.study, "estimator": "part", "factor": row.factor, "outcome": row.outcome}
        numbers = {name: getattr(row, name) for name in ("estimate", "std_error", "ci_low", "ci_high", "p_value", "n")}
        yield common | own | numbers


def _together(group: pd.DataFrame, common: dict[str, Any], level: float) -> Iterator[dict[str, Any]]:
    """Give the mean of a group of lenders, how far they differ, where one more is expected, and who weighs how much."""
    found = random_effects(group["estimate"].to_numpy(), group["std_error"].to_numpy(), level)
    estimand = common["estimand"]
    own = common | {
        "estimator": "random_effects",
        "n": int(group["n"].sum()),
        "note": ", ".join(f"{row.study}: {row.factor}" for row in group.itertuples()),
    }
    low, high = found.prediction
    yield own | found.effect._asdict()
    yield own | {"estimand": f"{estimand}, studies", "estimate": found.studies, "unit": "studies"}
    yield own | {"estimand": f"{estimand}, between", "estimate": found.between}
    yield own | {
        "estimand": f"{estimand}, heterogeneity",
        "estimate": found.heterogeneity,
        "p_value": found.p_heterogeneity,
        "unit": "share",
    }
    yield own | {
        "estimand": f"{estimand}, prediction",
        "estimate": found.effect.estimate,
        "ci_low": low,
        "ci_high": high,
    }
    for row, weight in zip(group.itertuples(), found.weights, strict=True):
        of_lender = {"study": row.study, "estimator": "part", "factor": row.factor, "outcome": row.outcome, "n": row.n}
        yield common | of_lender | {"estimand": f"{estimand}, weight", "estimate": weight, "unit": "share"}


def judged(low: float, high: float, scatter: float, *, disagree: bool) -> tuple[Finding, Graded]:
    """Say what a mean over lenders shows, and how sure it is (docs/protocol.md, sections 4 and 5).

    Parameters
    ----------
    low, high : float
        Ends of the mean's confidence interval, on the logarithm of the odds.
    scatter : float
        Share of the variation between lenders that is not chance.
    disagree : bool
        Whether the intervals of some lenders lie below no effect and those of others above it.

    Returns
    -------
    tuple
        ``less``, ``more`` or ``unclear``; and the certainty. It starts low, as the practices were observed, and each
        measure is a substitute for the practice of the documents.
    """
    clear = high < 0 or low > 0
    reasons = ["indirectness"]
    if disagree or scatter > SCATTER:
        reasons.append("inconsistency")
    if not clear:
        reasons.append("imprecision")
    finding: Finding = "unclear" if not clear else "less" if high < 0 else "more"
    return finding, grade(start_of("matched_observational", effect=True), reasons)


def practices(study: str, protocol: Study, cohort: pd.DataFrame) -> Iterator[dict[str, Any]]:
    """Return how a lender's terms go with each factor of a subject: rank correlations over its loans.

    Amounts that grow with a relationship are limits that follow it, interest rates that fall are prices that do, and
    grades that fall (towards the worst) say whom the lender lets back.
    """
    grade = cohort["credit_grade"].cat.codes.astype(float)
    terms = {name: cohort[name] for name in TERMS if name in cohort} | {"credit_grade": grade.where(grade >= 0)}
    subjects = {name for names in SUBJECTS.values() for name in names}
    for factor in (name for name in protocol.factors if construct(name) in subjects):
        for name, term in terms.items():
            there = cohort[factor].notna() & term.notna()
            found = cohort.loc[there, factor].corr(term[there], method="spearman")
            if not np.isnan(found):
                yield {
                    "study": study,
                    "estimator": "practice",
                    "specification": construct(factor),
                    "factor": factor,
                    "outcome": name,
                    "estimand": "rank_correlation",
                    "estimate": found,
                    "n": int(there.sum()),
                    "unit": "correlation",
                }
