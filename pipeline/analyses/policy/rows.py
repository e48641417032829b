"""Value rules of whom to treat: as the data alone would, and by the true potential outcomes of a simulation.

Besides the recovery this is the one analysis that is given the truth, and only to judge: nothing that is fitted sees
it.
"""

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from pipeline.core import results
from pipeline.core.params import Params
from pipeline.core.protocol import Study
from pipeline.core.scope import FEWEST, Scope, column_in
from pipeline.runtime.errors import StudyError
from pipeline.stats import policy
from pipeline.stats.correlation import adjusted
from pipeline.stats.design import design_matrix
from pipeline.stats.early_warning import share
from pipeline.stats.inference import Effect, codes, effect

TIERS = ("low", "middle", "high")

OVERLAP = 0.05
"""Propensities nearer to nought or one than this, and the share of loans with such ones, that put a value in doubt."""

LITTLE = 0.1
"""Share of the default rate below which a difference in default counts as little."""

SHARES = tuple(round(0.1 * step, 1) for step in range(1, 11))
"""Shares of the clients treated at which the curves are drawn."""

Row = dict[str, Any]


class Clients(NamedTuple):
    """Loans to which the programme was open, each with what treating it gains: by the data alone, and in truth."""

    loans: pd.DataFrame
    cluster: np.ndarray
    part: np.ndarray
    learned: policy.Learned
    avoided: dict[str, np.ndarray]
    """Defaults avoided by treatment (loans,), ``estimated`` or ``in_truth``."""
    gain: dict[str, np.ndarray]
    """Loss avoided less cost of contact (loans,), in currency."""
    without: dict[str, np.ndarray]
    """Loss without treatment (loans,), in currency."""
    contact_alone: np.ndarray
    """Risk that the programme's contacts alone add in truth (loans,); only known of treated loans."""
    lot: policy.Lot | None
    """What the lottery of places moves, where places were drawn."""
    cost: float
    """Cost of the contacts with one client."""
    level: float

    def row(
        self, estimator: str, specification: str, estimand: str, stays: np.ndarray | None = None, **more: Any
    ) -> Row:
        """Return a row with the numbers of its loans."""
        taken = np.ones(len(self.loans), dtype=bool) if stays is None else stays
        return {
            "estimator": estimator,
            "specification": specification,
            "estimand": estimand,
            "n": int(taken.sum()),
            "n_treated": int(self.loans.loc[taken, "treated"].sum()),
            "n_clusters": len(np.unique(self.cluster[taken])),
        } | more

    def mean(self, values: np.ndarray, stays: np.ndarray | None = None) -> Effect:
        """Return the mean over loans with its clustered error."""
        taken = np.ones(len(values), dtype=bool) if stays is None else stays
        return share(values[taken].astype(float), np.ones(int(taken.sum())), self.cluster[taken], self.level)


def rows(cohort: pd.DataFrame, truth: pd.DataFrame, allowed: Scope, params: Params, seed: list[int]) -> list[Row]:
    """Return the rows on rules of treatment, or one that says why nothing can be learned.

    Parameters
    ----------
    cohort
        Prepared loans, in any order.
    truth
        Of every loan ``loan_id``, ``risk_if_not_enrolled``, ``risk_if_enrolled`` and ``risk_contact_only``.
    allowed
        What the cohort allows of the protocol.
    params
        The sections ``policy``, ``loss_share`` and ``inference`` are read.
    seed
        Of the draw that parts the loans into halves.

    """
    try:
        if not allowed.arms:
            raise StudyError("there are no two arms to compare.")
        cohort = cohort.sort_values("loan_id", ignore_index=True)
        clients = _clients(cohort, truth, allowed.protocol, params, seed)
        return [*_rules(clients, params), *_tiers(clients, params), *_curves(clients), *_assumptions(clients, params)]
    except StudyError as error:
        return [{"estimator": "not_estimated", "specification": "policy", "note": str(error)}]


def _clients(cohort: pd.DataFrame, truth: pd.DataFrame, protocol: Study, params: Params, seed: list[int]) -> Clients:
    """Learn from the loans to which the programme was open, and lay what each gains in truth beside it."""
    choice = params.policy
    loans = cohort[cohort["adopted"] == 1] if "adopted" in cohort else cohort
    loans = loans[loans["amount"].notna() & loans["treated"].notna()].reset_index(drop=True)
    treated, event = loans["treated"].to_numpy(dtype=int), loans["default"].to_numpy(dtype=int)
    for arm in (0, 1):
        if (number := int(event[treated == arm].sum())) < FEWEST:
            raise StudyError(f"only {number} defaults in one of the arms: no rule can be learned.")
    # Nothing that the programme itself may change: no factor, and time only through the market.
    controls = protocol.controls
    terms = [*controls.loan, *controls.borrower, *controls.market, *protocol.matching.score]
    terms = [term for term in dict.fromkeys(terms) if column_in(term) in loans and loans[column_in(term)].notna().all()]
    design = design_matrix(loans, terms).matrix.drop(columns="intercept").to_numpy()
    part = policy.halves(len(loans), seed)
    learned = policy.learn(design, treated, event, part)

    name = protocol.cluster
    clustered = name in loans and loans[name].notna().all() and loans[name].nunique() >= FEWEST
    known = truth[truth["loan_id"].notna() & truth["risk_if_enrolled"].notna()]
    known = known.assign(loan_id=known["loan_id"].astype("int64").astype(str)).set_index("loan_id")
    known = known.reindex(loans["loan_id"].astype(str))
    if known["risk_if_enrolled"].isna().any():
        raise StudyError("the truth does not know all loans to which the programme was open.")
    without = known["risk_if_not_enrolled"].to_numpy(dtype=float)
    avoided = {
        "estimated": policy.avoided(treated, event, learned),
        "in_truth": without - known["risk_if_enrolled"].to_numpy(dtype=float),
    }
    drawn = "programme_lot" in loans and loans["programme_lot"].notna().all()
    loss = params.loss_share * loans["amount"].to_numpy(dtype=float)
    if protocol.horizon_months is None:
        raise StudyError("contacts cost by the month, so the study needs horizon_months.")
    cost = choice.contact_cost * protocol.horizon_months
    return Clients(
        loans,
        codes(loans[name]) if clustered else np.arange(len(loans)),
        part,
        learned,
        avoided,
        {source: loss * one - cost for source, one in avoided.items()},
        {
            "estimated": loss * policy.untreated_scores(treated, event, learned),
            "in_truth": loss * without,
        },
        known["risk_contact_only"].to_numpy(dtype=float) - without,
        policy.by_lot(loans["programme_lot"].to_numpy(dtype=float), treated, event, learned) if drawn else None,
        cost,
        params.inference.level,
    )


def _rules_of(clients: Clients, params: Params) -> dict[str, np.ndarray]:
    """Return whom each rule treats; the last one knows the truth."""
    choice, learned = params.policy, clients.learned
    loans = clients.loans
    tier = policy.tiers(learned.untreated, choice.middle_tier, choice.high_tier)
    # What treating a loan would gain as far as the other half can tell.
    loss = params.loss_share * loans["amount"].to_numpy(dtype=float)
    expected = loss * learned.benefit - clients.cost
    return {
        "all": np.ones(len(loans), dtype=bool),
        "low_tier": tier == 0,
        "middle_tier": tier == 1,
        "high_tier": tier == 2,
        "middle_and_high_tiers": tier >= 1,
        "predicted_benefit": expected > 0,
        "predicted_benefit_budget": policy.top(expected, choice.budget, clients.part),
        "predicted_risk_budget": policy.top(learned.untreated, choice.budget, clients.part),
        "predicted_loss_budget": policy.top(loss * learned.untreated, choice.budget, clients.part),
        "true_benefit": clients.gain["in_truth"] > 0,
    }


def _rules(clients: Clients, params: Params) -> Iterator[Row]:
    """Yield the value of every rule against treating nobody and against treating everybody."""
    for source, loss in clients.without.items():
        found = clients.mean(loss)._asdict() | {"p_value": None}
        more = {"factor": source, "outcome": "loss", "unit": "currency", "note": "loss a loan when nobody is treated"}
        yield clients.row("rule", "nobody", "expected_loss", **found, **more)
    rules = _rules_of(clients, params)
    for name, taken in rules.items():
        at = _percent(clients.mean(taken)) | {"note": "of clients that the rule treats"}
        yield clients.row("rule", name, "share_treated", outcome="treated", **at)
        # What the truth chose can only be valued by the truth.
        sources = ("in_truth",) if name == "true_benefit" else ("estimated", "in_truth")
        for source in sources:
            gain, avoided = clients.gain[source], clients.avoided[source]
            common = {"factor": source}
            one = _points(clients.mean(taken * avoided))
            yield clients.row("rule", name, "defaults_avoided", outcome="default", **common, **one)
            money = common | {"outcome": "loss", "unit": "currency"}
            value = clients.mean(taken * gain)._asdict()
            yield clients.row("rule", name, "net_value", **money, **value, note="a client, against treating nobody")
            loss = clients.mean(clients.without[source] - taken * gain)._asdict() | {"p_value": None}
            yield clients.row("rule", name, "expected_loss", **money, **loss, note="a client, contacts included")
            if name != "all":
                value = clients.mean((taken - 1.0) * gain)._asdict()
                yield clients.row(
                    "rule", name, "net_value_less_all", **money, **value, note="against treating everybody"
                )
        if len(sources) > 1:
            money = {"factor": "estimated_less_true", "outcome": "loss", "unit": "currency"}
            value = clients.mean(taken * (clients.gain["estimated"] - clients.gain["in_truth"]))._asdict()
            yield clients.row("rule", name, "net_value", **money, **value)
            one = _points(clients.mean(taken * (clients.avoided["estimated"] - clients.avoided["in_truth"])))
            yield clients.row("rule", name, "defaults_avoided", factor=money["factor"], outcome="default", **one)
            if clients.lot is not None:
                yield from _by_lot(clients, name, taken, params)


def _by_lot(clients: Clients, name: str, taken: np.ndarray, params: Params) -> Iterator[Row]:
    """Yield a rule's value as the lottery of places tells it: of those whom winning moves, whatever is hidden."""
    loss = params.loss_share * clients.loans["amount"].to_numpy(dtype=float)
    share_taken = float(taken.mean())
    note = "of clients whom the lot moves; error given the share taken"
    for estimand, outcome, weight in (("defaults_avoided", "default", 100.0), ("net_value", "loss", loss)):
        unit = "currency" if outcome == "loss" else "percentage points"
        more = {"factor": "by_lot", "outcome": outcome, "unit": unit}
        try:
            found = share(
                taken * weight * clients.lot.event, taken * clients.lot.treated, clients.cluster, clients.level
            )
        except StudyError as error:
            yield clients.row("rule", name, estimand, **more, note=str(error))
            continue
        less = clients.cost if outcome == "loss" else 0.0
        one = effect(share_taken * (found.estimate - less), share_taken * found.std_error, clients.level)
        yield clients.row("rule", name, estimand, **more, **one._asdict(), note=note)


def _tiers(clients: Clients, params: Params) -> Iterator[Row]:
    """Yield what treatment gains inside each tier of predicted risk."""
    tier = policy.tiers(clients.learned.untreated, params.policy.middle_tier, params.policy.high_tier)
    default = clients.loans["default"].to_numpy(dtype=float)
    for number, name in enumerate(TIERS):
        inside = tier == number
        try:
            rate = _percent(clients.mean(default, inside))
            yield clients.row("tier", name, "default_rate", inside, outcome="default", **rate)
            for source, gain in clients.gain.items():
                one = _points(clients.mean(-clients.avoided[source], inside))
                row = {"factor": source, "outcome": "default", "note": "default with the programme less without"}
                yield clients.row("tier", name, "risk_difference", inside, **row, **one)
                one = clients.mean(gain, inside)._asdict() | {"factor": source, "outcome": "loss", "unit": "currency"}
                yield clients.row("tier", name, "net_value", inside, **one, note="a client of the tier, if treated")
            known = inside & ~np.isnan(clients.contact_alone)
            one = _points(clients.mean(clients.contact_alone, known))
            row = {"factor": "contacts_alone", "outcome": "default", "note": "in truth, of treated clients"}
            yield clients.row("tier", name, "risk_difference", known, **row, **one)
        except StudyError as error:
            yield clients.row("tier", name, "net_value", inside, note=str(error))


def _curves(clients: Clients) -> Iterator[Row]:
    """Yield what treating growing shares of the clients gains, by the order in which they are taken."""
    amount = clients.loans["amount"].to_numpy(dtype=float)
    orders = {
        "by_benefit": clients.learned.benefit * amount,
        "by_risk": clients.learned.untreated,
        "by_loss": clients.learned.untreated * amount,
        "by_true_benefit": clients.gain["in_truth"],
    }
    for order, score in orders.items():
        for part in SHARES:
            taken = policy.top(score, part, clients.part)
            for source in ("in_truth",) if order == "by_true_benefit" else ("estimated", "in_truth"):
                common = {"factor": f"{source}[{part:g}]"}
                value = clients.mean(taken * clients.gain[source])._asdict()
                yield clients.row("curve", order, "net_value", outcome="loss", unit="currency", **common, **value)
                one = _points(clients.mean(taken * clients.avoided[source]))
                yield clients.row("curve", order, "defaults_avoided", outcome="default", **common, **one)


def _assumptions(clients: Clients, params: Params) -> Iterator[Row]:
    """Yield whether all clients could have been in either arm, and whether what is measured decides who is."""
    common = {name: clients.row("", "", "")[name] for name in ("n", "n_treated", "n_clusters")}
    chance = clients.learned.propensity
    outside = float(((chance < OVERLAP) | (chance > 1 - OVERLAP)).mean())
    yield results.assumption("policy_overlap", outside, OVERLAP, passed=outside <= OVERLAP, **common)
    yield from _nothing_hidden(clients, params, common)


def _nothing_hidden(clients: Clients, params: Params, common: Row) -> Iterator[Row]:
    """Yield by how much data alone are off, of all clients and in each tier, and whether that is little everywhere.

    It passes where each whole interval lies within a tenth of the clients' default rate, the smallest difference in
    default that matters: that nothing is found to be hidden is no proof of it. As all have to pass, the level needs no
    correction for their number (Berger 1982); the tests of each tier against nought have Holm's.
    """
    off = clients.avoided["estimated"] - clients.avoided["in_truth"]
    tier = policy.tiers(clients.learned.untreated, params.policy.middle_tier, params.policy.high_tier)
    margin = LITTLE * float(clients.loans["default"].mean())
    whole, rows = clients.mean(off), []
    within = max(abs(whole.ci_low), abs(whole.ci_high)) <= margin
    for number, name in enumerate(TIERS):
        inside = tier == number
        row = {"factor": "estimated_less_true", "outcome": "default"}
        try:
            found = clients.mean(off, inside)
        except StudyError as error:
            rows.append(clients.row("tier", name, "defaults_avoided", inside, **row, note=str(error)))
            within = False
            continue
        within &= max(abs(found.ci_low), abs(found.ci_high)) <= margin
        row |= {"note": f"little: the whole interval within {100 * margin:.3g} either way"}
        rows.append(clients.row("tier", name, "defaults_avoided", inside, **row, **_points(found)))
    yield from adjusted(rows)
    more = {"estimand": "estimated_less_true", "outcome": "default", "unit": "percentage points"}
    more |= {name: 100 * getattr(whole, name) for name in ("std_error", "ci_low", "ci_high")}
    yield results.assumption(
        "policy_nothing_hidden",
        100 * whole.estimate,
        100 * margin,
        passed=within,
        p_value=whole.p_value,
        **more,
        **common,
    )


def _percent(found: Effect) -> Row:
    scaled = {name: value if name == "p_value" else 100 * value for name, value in found._asdict().items()}
    return scaled | {"unit": "percent", "p_value": None}


def _points(found: Effect) -> Row:
    scaled = {name: value if name == "p_value" else 100 * value for name, value in found._asdict().items()}
    return scaled | {"unit": "percentage points"}
