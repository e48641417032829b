"""Grade loans by the saved score, judge these grades and those on record, and look at what goes with a tier."""

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from pipeline.analyses.predict.moments import split_loans
from pipeline.core import results
from pipeline.core.params import Params
from pipeline.core.protocol import Study
from pipeline.core.scope import FEWEST, Scope
from pipeline.core.shared import OutcomeWindow
from pipeline.runtime.errors import StudyError
from pipeline.stats import accuracy, discrimination, grading, saved_score
from pipeline.stats.design import design_matrix
from pipeline.stats.features import BLOCK_OF_CONSTRUCT
from pipeline.stats.inference import Effect
from pipeline.stats.regression import linear_probability
from pipeline.stats.samples import number_treated

KIND = saved_score.KINDS[0]
"""The saved model that grades: the points scorecard."""

TERMS = {
    "interest_rate": ("percentage points", 1.0),
    "amount": ("units of currency", 1.0),
    "term_months": ("months", 1.0),
    "collateral": ("percentage points", 100.0),
    "guaranteed_share": ("percentage points", 100.0),
}
"""Terms of a loan that a lender may set by risk, with unit and multiple."""

FEWEST_LENDERS = 20
"""Lenders below which nothing is said of their differences."""

Row = dict[str, Any]


class Loans(NamedTuple):
    """Loans with what the analyses of grades need of them."""

    frame: pd.DataFrame
    protocol: Study
    level: float
    outcome: str = "default"

    def row(self, estimator: str, specification: str, factor: str, estimand: str, **more: Any) -> Row:
        """Return a row with the numbers of these loans."""
        counts = {
            "n": len(self.frame),
            "n_treated": number_treated(self.frame),
            "n_clusters": self.frame[self.protocol.cluster].nunique(),
        }
        named = {"specification": specification, "factor": factor, "outcome": self.outcome, "estimand": estimand}
        return {"estimator": estimator} | named | counts | more

    def part(self, rows: np.ndarray) -> "Loans":
        """Return the loans of a mask."""
        return self._replace(frame=self.frame[rows])

    @property
    def default(self) -> np.ndarray:
        """0/1 (loans,)."""
        return self.frame["default"].to_numpy(dtype=float)

    @property
    def clusters(self) -> np.ndarray:
        """Cluster (loans,) of each loan, by which the protocol clusters."""
        return self.frame[self.protocol.cluster].to_numpy()

    @property
    def weights(self) -> np.ndarray | None:
        """How many loans of the population each stands for, where they were sampled by outcome."""
        return self.frame["weight"].to_numpy(dtype=float) if "weight" in self.frame else None


def rows(
    cohort: pd.DataFrame, model: dict[str, Any], allowed: Scope, window: OutcomeWindow | None, params: Params
) -> list[Row]:
    """Return the rows on grades and tiers.

    Parameters
    ----------
    cohort
        Prepared loans, in any order.
    model
        The score as the stage predict saves it, or ``nothing`` with the reason why there is none.
    allowed
        What the cohort allows of the protocol.
    window
        The study's own, within which default counts for scores.
    params
        The sections ``predict``, ``grade`` and ``inference`` are read.

    """
    cohort = cohort.sort_values(["origination_date", "loan_id"], kind="stable", ignore_index=True)
    every = Loans(cohort, allowed.protocol, params.inference.level)
    found: list[Row] = []
    if allowed.lacks("few_defaults") or "nothing" in model:
        note = model.get("nothing", "too few loans defaulted, or too few did not.")
        found.append(every.row("not_graded", "", "score_grade", "", note=note))
    else:
        parts = _parts(every, window, params, model)
        found += _graded(parts, model, params)
        found += _terms(parts["test"], model)
        if "renewed" in model:
            found += _migration(parts["test"], model)
    if not allowed.lacks("few_defaults"):
        found += _recorded(every)
        found += _leniency(every)
        found += _assessment(every)
    return found


def _parts(every: Loans, window: OutcomeWindow | None, params: Params, model: dict[str, Any]) -> dict[str, Loans]:
    """Return the loans that the score has learnt from and later ones, split as the stage predict splits them."""
    found = split_loans(every.frame, "default", every.protocol, window, params, model["trained"]["seed"])
    loans = every._replace(frame=every.frame.assign(default=found.default), outcome=found.outcome)
    fold = found.saved.folds[0]
    return {"train": loans.part(fold.train), "test": loans.part(fold.test)}


def _rate(loans: Loans, inside: np.ndarray) -> Row:
    within = None if loans.weights is None else loans.weights[inside]
    rate, low, high = accuracy.share_interval(loans.default[inside], within, loans.level, loans.clusters[inside])
    return {"estimate": 100 * rate, "ci_low": 100 * low, "ci_high": 100 * high, "unit": "percent"}


def _graded(parts: dict[str, Loans], model: dict[str, Any], params: Params) -> Iterator[Row]:
    """Yield default by grade and tier of the score, their trends, and how steady the grades are."""
    at = model["cuts"][KIND]
    counts, down = {}, 0
    for name, loans in parts.items():
        share = saved_score.probability(model, KIND, loans.frame)
        numbers = {
            "score_grade": grading.group_of(share, at["grades"]),
            "score_tier": grading.group_of(share, at["tiers"]),
        }
        for factor, number in numbers.items():
            known = np.unique(number)
            rates = []
            for place in known:
                inside = number == place
                here = loans.part(inside)
                rate = _rate(loans, inside)
                rates.append(rate["estimate"])
                named = {"specification": f"{name}_{place + 1:02d}", "factor": f"{factor}[{place + 1}]"}
                yield here.row("graded", estimand="default_rate", **named, **rate)
                within = None if loans.weights is None else loans.weights[inside]
                predicted = 100 * float(np.average(share[inside], weights=within))
                yield here.row("graded", estimand="predicted_rate", **named, estimate=predicted, unit="percent")
            yield from _trend(loans, name, factor, number, rates)
            if factor == "score_grade":
                weights = loans.weights
                counts[name] = np.bincount(number, weights, len(at["grades"]) + 1)
                down = grading.steps_down(rates)
    test = parts["test"]
    moved = accuracy.stability(counts["train"], counts["test"])
    yield test.row("stability", "train_to_test", "score_grade", "stability_index", estimate=moved, unit="index")
    common = {
        key: value
        for key, value in test.row("", "", "score_grade", "").items()
        if key not in ("estimator", "specification")
    }
    most = params.grade.stable
    yield results.assumption("grades_stable", moved, most, passed=moved <= most, **common)
    yield results.assumption("grades_rise", down, 0, passed=down == 0, **common)


def _trend(loans: Loans, name: str, factor: str, number: np.ndarray, rates: list[float]) -> Iterator[Row]:
    try:
        found = grading.trend(loans.default, number, loans.level, loans.clusters, loans.weights)
    except StudyError as error:
        yield loans.row("trend", name, factor, "jonckheere_terpstra", note=str(error))
        return
    more = {"estimate": found.estimate, "p_value": found.p_value, "unit": "standard errors", "note": "by cluster"}
    yield loans.row("trend", name, factor, "jonckheere_terpstra", **more)
    area = grading.order(loans.default, number, loans.level, loans.clusters, loans.weights)
    yield loans.row("trend", name, factor, "auc", **area._asdict(), unit="area")
    yield loans.row("trend", name, factor, "steps_down", estimate=grading.steps_down(rates), unit="steps")


def _terms(test: Loans, model: dict[str, Any]) -> Iterator[Row]:
    """Yield what loans of each tier cost and carry, among the loans after the cut."""
    share = saved_score.probability(model, KIND, test.frame)
    number = grading.group_of(share, model["cuts"][KIND]["tiers"])
    for name, (unit, multiple) in TERMS.items():
        if name not in test.frame or test.frame[name].isna().any() or test.frame[name].nunique() < 2:
            continue
        values = multiple * test.frame[name].to_numpy(dtype=float)
        for place in np.unique(number):
            inside = number == place
            within = None if test.weights is None else test.weights[inside]
            one = accuracy.mean_effect(values[inside], within, test.level, test.clusters[inside])._replace(
                p_value=np.nan
            )
            yield test.part(inside).row(
                "terms", f"tier_{place + 1:02d}", name, "mean", **one._asdict(), unit=unit.removesuffix(" points")
            )


def _migration(test: Loans, model: dict[str, Any]) -> Iterator[Row]:
    """Yield which grade loans move to when the score is renewed at the landmark, and their default after it.

    Both scores are logistic regressions, cut at the same probabilities.
    """
    opened = test.part((test.frame["open_at_landmark"] == 1).to_numpy())
    later = opened._replace(frame=opened.frame.assign(default=opened.frame["default_after_landmark"]))
    cuts = model["cuts"]["logistic"]["grades"]
    first, second = (
        grading.group_of(saved_score.probability(model, kind, later.frame), cuts) for kind in ("logistic", "renewed")
    )
    for start, shares in enumerate(grading.migration(first, second, len(cuts) + 1)):
        here = later.part(first == start)
        for end, share in enumerate(shares):
            if len(here.frame):
                named = {"specification": f"from_{start + 1:02d}", "factor": f"score_grade[{end + 1}]"}
                yield here.row("migration", estimand="share", **named, estimate=100 * share, unit="percent")
    ways = {"safer": second < first, "same": second == first, "riskier": second > first}
    for name, rows in ways.items():
        if not rows.any():
            continue
        share = 100 * float(rows.mean())
        yield later.row("migration", "all", f"moved[{name}]", "share", estimate=share, unit="percent")
        rate = _rate(later, rows) | {"outcome": "default_after_landmark"}
        yield later.part(rows).row("migration", "all", f"moved[{name}]", "default_rate") | rate


def _levels(loans: Loans) -> pd.Series | None:
    """Return the number of each loan's recorded grade, from 0 (safest), where there are at least two."""
    grade = loans.frame["credit_grade"]
    if grade.isna().any() or grade.nunique() < 2:
        return None
    if grade.dtype != "category":
        return pd.Series(pd.factorize(grade, sort=True)[0], grade.index)
    return grade.cat.remove_unused_categories().cat.codes.astype(int)


def _recorded(loans: Loans) -> Iterator[Row]:
    """Yield whether the grade on record orders loans by default, and what a loan's terms do from grade to grade."""
    codes = _levels(loans)
    if codes is None:
        yield loans.row("recorded", "all", "credit_grade", "auc", note="no loan has a recorded grade, or all the same.")
        return
    number = codes.to_numpy()
    rates = []
    for place in range(number.max() + 1):
        inside = number == place
        rate = _rate(loans, inside)
        rates.append(rate["estimate"])
        label = loans.frame["credit_grade"][inside].astype(str).iloc[0]
        here = loans.part(inside)
        yield here.row("recorded", f"all_{place + 1:02d}", f"credit_grade[{label}]", "default_rate", **rate)
    area = accuracy.area(loans.default, number.astype(float), loans.level, loans.clusters)
    yield loans.row("recorded", "all", "credit_grade", "auc", **area._asdict(), unit="area")
    yield from _trend(loans, "all", "credit_grade", number, rates)
    design = pd.DataFrame({"intercept": 1.0, "grade": number.astype(float)}, loans.frame.index)
    for name, (unit, multiple) in TERMS.items():
        column = loans.frame.get(name)
        if column is None or column.isna().any() or column.nunique() < 2:
            continue
        try:
            slope = _regress(loans, multiple * column.astype(float), design, "grade")
        except StudyError as error:
            yield loans.row("terms_by_grade", "all", name, "slope", note=str(error))
            continue
        yield loans.row(
            "terms_by_grade", "all", name, "slope", **slope._asdict(), unit=unit, note="for one grade worse"
        )


def _regress(loans: Loans, outcome: pd.Series, design: pd.DataFrame, factor: str) -> Effect:
    weights = None if loans.weights is None else pd.Series(loans.weights, loans.frame.index)
    return linear_probability(outcome, design, factor, loans.frame[loans.protocol.cluster], loans.level, weights)


def _leniency(loans: Loans) -> Iterator[Row]:
    """Yield default and price given the grade, and the grade given default, by how well the lender knows the client.

    Clients of a long relationship who default more than others of the same grade have been graded too kindly.
    """
    if _levels(loans) is None:
        return
    protocol = loans.protocol
    of_relationship = [
        factor
        for factor in protocol.factors
        if any(factor.startswith(name) for name, block in BLOCK_OF_CONSTRUCT.items() if block == "relationship")
        and factor not in protocol.after_origination()
    ]
    for factor in (*of_relationship, "treated"):
        measured = loans.part(loans.frame[factor].notna().to_numpy())
        if measured.frame[factor].nunique() < 2 or measured.default.sum() < FEWEST:
            continue
        ways = {"given_grade": ("default", "credit_grade"), "given_default": ("grade", "default")}
        if "interest_rate" in measured.frame and measured.frame["interest_rate"].notna().all():
            ways["price_given_grade"] = ("interest_rate", "credit_grade")
        for specification, (outcome, given) in ways.items():
            codes = _levels(measured)
            if codes is None:
                continue
            values = codes.astype(float) if outcome == "grade" else measured.frame[outcome].astype(float)
            values = 100 * values if outcome == "default" else values
            try:
                found = _regress(measured, values, design_matrix(measured.frame, [factor, given]).matrix, factor)
            except StudyError as error:
                yield measured.row("leniency", specification, factor, "difference", note=str(error))
                continue
            unit = "grades" if outcome == "grade" else "percentage points"
            note = {
                "default": "above nought: graded too kindly",
                "grade": "grades count from the safest",
                "interest_rate": "below nought: cheaper loans at the same grade",
            }[outcome]
            yield measured.row("leniency", specification, factor, "difference", **found._asdict(), unit=unit, note=note)


def _assessment(loans: Loans) -> Iterator[Row]:
    """Yield whether lenders whose score told risks apart had fewer defaults afterwards.

    The area under the ROC curve of each lender's own score (or grade) among its earlier loans, and the default rate of
    its later ones, lenders of one type compared with each other.
    """
    frame = loans.frame
    lender = frame.get("institution_id")
    codes = _levels(loans)
    score = frame.get("credit_score")
    if lender is None or lender.isna().any() or lender.nunique() < FEWEST_LENDERS or (codes is None and score is None):
        return
    # Only the order within a lender counts; a score may rise or fall with risk.
    value = codes if score is None or score.isna().any() else score
    risk = value.to_numpy(dtype=float)
    if discrimination.area(loans.default, risk) < 0.5:
        risk = -risk
    dates = (
        frame["origination_date"].rank(method="first", pct=True) if frame["origination_date"].notna().all() else None
    )
    rows = []
    for name, places_of in frame.groupby(lender, observed=True).indices.items():
        own = frame.iloc[places_of]
        half = (own["origination_date"].rank(method="first", pct=True) <= 0.5).to_numpy() if dates is not None else None
        if half is None or half.all():
            continue
        early, late = places_of[half], places_of[~half]
        bad = loans.default[early].sum()
        if min(bad, len(early) - bad) < FEWEST:
            continue
        area = discrimination.area(loans.default[early], risk[early])
        kind = str(own["institution_type"].iloc[0])
        rows.append((str(name), area, 100 * loans.default[late].mean(), kind))
    named = ("assessment", "between_lenders", "risk_assessment", "slope")
    if len(rows) < FEWEST_LENDERS or loans.weights is not None:
        note = f"{len(rows)} lenders have defaults enough to say how well they told risks apart."
        yield loans.row(*named, note=note)
        return
    table = pd.DataFrame(rows, columns=["lender", "quality", "rate", "type"])
    table["type"] = table["type"].astype("category")
    table["quality"] = 10 * table["quality"]
    found = linear_probability(
        table["rate"], design_matrix(table, ["quality", "type"]).matrix, "quality", table["lender"], loans.level
    )
    note = f"{len(table)} lenders; for a tenth more area under the ROC curve"
    yield loans.row(*named, **found._asdict(), unit="percentage points", note=note)
