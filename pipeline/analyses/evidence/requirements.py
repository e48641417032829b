"""Requirements on the method (claims M01 to M19): met, partly or not done, each by a check that could fail.

What software cannot do is not done: interviews have a guide and a coding frame, and nobody was asked.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Literal, NamedTuple

from pipeline.core.protocol import Study
from pipeline.core.results import Results

Status = Literal["met", "partly", "not_done"]

BALANCED = 0.1
"""Standardised difference below which a covariate counts as balanced (Austin 2009)."""

SIZE = 10_000
"""Loans: "tens of thousands"."""

VARIED = 0.5
"""Coefficient of variation from which amounts, terms or rates differ widely."""


class Checked(NamedTuple):
    """A study's answer to a requirement: its status, how much of it is there, and out of what."""

    status: Status
    value: float
    of: float
    """How much would make it met; what `value` counts depends on the requirement."""


def _share(there: Iterable[bool]) -> Checked:
    """Met if all parts are there, partly if some are."""
    parts = list(there)
    count = sum(parts)
    return Checked("met" if count == len(parts) else "partly" if count else "not_done", count, len(parts))


def _told(has: Results, **columns: str) -> bool:
    """Say whether a row with a number stands there."""
    return bool(has.where(**columns)["estimate"].notna().any())


def levels(has: Results, group: str) -> int:
    """Return over how many levels of a group the description has default rates."""
    rows = has.where(stage="describe", estimator="default_rate")
    return int(rows.loc[rows["factor"].str.startswith(f"{group}["), "factor"].nunique())


def _balance(has: Results, name: str, specification: str, estimand: str) -> list[float]:
    """Return a statistic of the balance table for a column, or for each of its levels."""
    rows = has.where(stage="describe", estimator="balance", specification=specification, estimand=estimand)
    mine = (rows["factor"] == name) | rows["factor"].str.startswith(f"{name}[")
    return rows.loc[mine, "estimate"].dropna().tolist()


def _count(has: Results, what: str) -> float:
    return float(has.one(stage="describe", estimator="count", factor=what).estimate)


def both_methods(has: Results, protocol: Study) -> Checked:
    """M01: numbers, and interviews, of which none was held."""
    return _share([_told(has, stage="regress"), False])


def cases(has: Results, protocol: Study) -> Checked:
    """M02: cases chosen by rule, and depth interviews, of which none was held."""
    return _share([_told(has, stage="cases", estimator="selection"), False])


def interviews(has: Results, protocol: Study) -> Checked:
    """M19: experts interviewed: none, in any study; a guide and a coding frame are no interview."""
    return Checked("not_done", 0, 1)


def kind_of_lender(has: Results, protocol: Study) -> Checked:
    """M03: one of the kinds of lender that the claim names, or several at once; those to small firms are banks."""
    named = ("commercial_bank", "sme_lender", "consumer_finance", "p2p", "several")
    return _share([protocol.institution_type in named])


def lenders_contrasted(has: Results, protocol: Study) -> Checked:
    """M04: default by size and by business of lender."""
    return _share([levels(has, name) > 1 for name in ("institution_size", "institution_type")])


def own_records(has: Results, protocol: Study) -> Checked:
    """M05: credit, repayment and CRM from the lender's own records."""
    return _share(
        [_told(has, stage="correlate", estimator="point_biserial", factor=name) for name in protocol.factors[:1]]
    )


def market(has: Results, protocol: Study) -> Checked:
    """M06: growth, inflation and interest rates."""
    return _share(
        bool(_balance(has, name, "before", "mean_control")) for name in ("gdp_growth", "inflation", "policy_rate")
    )


def texts(has: Results, protocol: Study) -> Checked:
    """M07: clients' texts, by length and by what they say."""
    names = ("information_sharing_words", "review_sentiment")
    return _share(_told(has, stage="correlate", estimator="point_biserial", factor=name) for name in names)


def losses_counted(has: Results, protocol: Study) -> Checked:
    """M08: at every step of the sample flow, the loans before are those left out and those that remain."""
    rows = has.where(stage="describe", estimator="sample_flow", outcome="all")
    by = rows.pivot(index="specification", columns="estimand", values="estimate").sort_index()
    sums = by["remaining"].shift().iloc[1:] == (by["left"] + by["remaining"]).iloc[1:]
    return _share(sums)


def coverage(has: Results, protocol: Study) -> Checked:
    """M09: lines of business (or kinds of loan), regions, and grades, each with several levels."""
    lines = max(levels(has, "industry"), levels(has, "loan_type"))
    return _share([lines > 1, levels(has, "region") > 1, levels(has, "credit_grade") > 1])


def both_kinds(has: Results, protocol: Study) -> Checked:
    """M10: good and failed loans, and weights that take them back to the population."""
    failed, loans = _count(has, "defaults"), _count(has, "loans")
    return _share([0 < failed < loans, _told(has, stage="effects", estimator="prevalence")])


def missing(has: Results, protocol: Study) -> Checked:
    """M11: nothing is missing, or it is imputed and shown beside complete cases and weights."""
    gap = has.where(stage="missing", estimator="share_missing", specification="any")
    if len(gap) and gap["estimate"].iloc[0] == 0:
        return _share([True])
    return _share(
        _told(has, stage="missing", estimator=name)
        for name in ("multiple_imputation", "complete_cases", "response_weighted")
    )


def balance(has: Results, protocol: Study) -> Checked:
    """M12: treated loans and controls alike in every measure of initial credit status and in type of loan."""
    names = ("credit_grade", "credit_score", "credit_record", "loan_type")
    found = {name: _balance(has, name, "after", "standardised_mean_difference") for name in names}
    status = [max(map(abs, values)) < BALANCED for name, values in found.items() if values and name != "loan_type"]
    kinds = found["loan_type"]
    return _share([bool(status) and all(status), bool(kinds) and max(map(abs, kinds)) < BALANCED])


def size(has: Results, protocol: Study) -> Checked:
    """M13: tens of thousands of loans."""
    loans = _count(has, "loans")
    return Checked("met" if loans >= SIZE else "not_done", loans, SIZE)


def varied(has: Results, protocol: Study) -> Checked:
    """M14: amounts, terms and rates, each with a coefficient of variation of its own."""

    def wide(*names: str) -> bool:
        for name in names:
            mean, sd = _balance(has, name, "before", "mean_control"), _balance(has, name, "before", "sd_control")
            if mean and sd:
                return sd[0] / abs(mean[0]) >= VARIED
        return False

    return _share([wide("amount", "last_amount"), wide("term_months"), wide("interest_rate", "offer_rate")])


def three_steps(has: Results, protocol: Study) -> Checked:
    """M15: description, correlation and regression."""
    found = (("describe", "default_rate"), ("correlate", "point_biserial"), ("regress", "linear_probability"))
    return _share(_told(has, stage=stage, estimator=name) for stage, name in found)


def two_regressions(has: Results, protocol: Study) -> Checked:
    """M16: linear and logistic regression with controls."""
    return _share(
        _told(has, stage="regress", estimator=name, specification="M3") for name in ("linear_probability", "logit")
    )


def learners(has: Results, protocol: Study) -> Checked:
    """M17: machine learning for prediction, and for the effect."""
    return _share(
        [
            _told(has, stage="predict", estimator="boosting"),
            _told(has, stage="adjust", estimator="double_machine_learning"),
        ]
    )


def several_lenders(has: Results, protocol: Study) -> Checked:
    """M18: more than one lender."""
    return _share(
        [_told(has, stage="effects", estimator="spread_of_lenders") or protocol.institution_type == "several"]
    )


CHECKS: dict[str, Callable[[Results, Study], Checked]] = {
    "M01": both_methods,
    "M02": cases,
    "M03": kind_of_lender,
    "M04": lenders_contrasted,
    "M05": own_records,
    "M06": market,
    "M07": texts,
    "M08": losses_counted,
    "M09": coverage,
    "M10": both_kinds,
    "M11": missing,
    "M12": balance,
    "M13": size,
    "M14": varied,
    "M15": three_steps,
    "M16": two_regressions,
    "M17": learners,
    "M18": several_lenders,
    "M19": interviews,
}
"""The check of each requirement; a claim of that class without one stops the build."""


def over_all(statuses: Iterable[Status]) -> Status:
    """Return what holds over all studies: met if some study meets it, partly if some meets a part."""
    found = set(statuses)
    return next(status for status in ("met", "partly", "not_done") if status in found)  # type: ignore[return-value]
