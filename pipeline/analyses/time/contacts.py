"""Contacts before, with and after arrears, and what the lender's own contacts do to arrears."""

from collections.abc import Iterator

import numpy as np
import pandas as pd

from pipeline.analyses.time.months import LOG_ODDS, PROACTIVE, REACTIVE, WINDOW, Months, Row
from pipeline.core import results
from pipeline.stats.histories import shifted
from pipeline.stats.marginal_structural import dispersion, stabilised_weights, truncated
from pipeline.stats.month_regression import separate_slopes

TRUNCATED = 0.01
"""Share of months at either end whose weights are moved to the quantile there (Cole & Hernan 2008)."""

WEIGHTS_NEAR_ONE = 0.05
"""Distance of the stabilised weights' mean from one beyond which a model of contacts is doubtful."""

LARGEST_WEIGHT = 20.0
"""A weight from which single loan-months decide much: some contacts hardly ever occur in their history."""

DISPERSION = 1.25
"""Variance of contacts over their mean from which, or below whose reciprocal, they are not Poisson's."""


def contacts(months: Months) -> Iterator[Row]:
    """Yield contacts of the months before, the same and the next, by who began them, as they go with arrears."""
    logged = months.logged
    ways = {"before_3": 3, "before_2": 2, "before_1": 1, "same_month": 0, "after_1": -1}
    columns = {
        f"{kind}_{when}": months.lagged(kind, back) for kind in (PROACTIVE, REACTIVE) for when, back in ways.items()
    }
    frame = pd.DataFrame(columns, copy=False)
    controls = months.controls.assign(treated=months.treated)
    # A loan that ends has no next month: only contacts after it are asked of the others alone.
    after = [name for name in columns if name.endswith("_after_1")]
    parts = {False: frame.drop(columns=after), True: frame[after]}
    for specification, of in (("all_months", logged), ("clean_history", logged & months.clean)):
        for ahead, part in parts.items():
            stays = of & part.notna().all(axis=1).to_numpy()
            slopes = separate_slopes(
                months.arrears, part, controls, months.lender_year, months.cluster, months.level, stays
            )
            note = "of one unit of ln(1 + contacts), each month and kind in a regression of its own"
            note += "; of loans that are there a month later" if ahead else ""
            for name in part:
                if name not in slopes:
                    none = "none of these contacts among months with a clean history"
                    yield months.row("contacts", specification, name, "arrears", "risk_difference", note=none)
                    continue
                yield months.row(
                    "contacts",
                    specification,
                    name,
                    "arrears",
                    "risk_difference",
                    **results.in_points(slopes[name]),
                    note=note,
                    stays=stays,
                )
    # Arrears of a month and the contacts of the next: the other direction.
    for kind in (PROACTIVE, REACTIVE):
        after = shifted(months.panel[kind].to_numpy(), months.loan, months.month, -1)
        stays = logged & ~np.isnan(after)
        fit = months.fit(after, {"arrears": months.arrears, "treated": months.treated}, stays, "linear")
        slopes = fit.effects(months.cluster, months.level)
        for name in ("arrears", "treated"):
            yield months.row(
                "contacts_after_arrears",
                "controls",
                name,
                f"{kind}_after_1",
                "mean_difference",
                **slopes[name]._asdict(),
                unit="contacts a month",
                stays=stays,
            )


def lags(months: Months) -> Iterator[Row]:
    """Yield the hazard of arrears on the lender's own contacts of each month before, among clean histories."""
    stays = months.logged & months.clean & (months.month > WINDOW)
    columns = {f"{PROACTIVE}_before_{back}": months.lagged(PROACTIVE, back) for back in range(1, WINDOW + 1)}
    fit = months.fit(months.arrears, columns | {"treated": months.treated}, stays)
    together = f"{PROACTIVE}_before"
    slopes = fit.effects(months.cluster, months.level, **{together: [*columns]})
    for name in (*columns, together, "treated"):
        yield months.row(
            "lagged_hazard",
            "clean_history",
            name,
            "arrears",
            "log_odds_ratio",
            **slopes[name]._asdict(),
            unit=LOG_ODDS,
            stays=stays,
        )


def structural(months: Months) -> Iterator[Row]:
    """Yield the marginal structural model of the lender's own contacts, beside the same without weights.

    What drives contacts month by month: arrears when the month begins, an alert of this month or the last, contacts of
    both kinds just before. What is fixed at the start stays in both models of contacts, and in that of arrears.
    """
    logged, panel = months.logged, months.panel
    alert = panel["alert"].to_numpy(dtype=float)
    # In a loan's first month nothing has happened yet.
    history = {
        "late": 1.0 - panel["current_at_start"].to_numpy(dtype=float),
        "alert": alert,
        "alert_before": np.nan_to_num(shifted(alert, months.loan, months.month, 1)),
        "proactive_before": np.nan_to_num(months.lagged(PROACTIVE, 1)),
        "reactive_before": np.nan_to_num(months.lagged(REACTIVE, 1)),
    }
    count = panel[PROACTIVE].to_numpy(dtype=float)
    expected = {}
    for name, columns in (("start", {}), ("history", history)):
        fit = months.fit(count, {"treated": months.treated} | columns, logged, "poisson", months.lender)
        mean = np.full(len(panel), np.nan)
        # A lender without any contact is expected to have none.
        mean[logged] = 0.0
        mean[fit.rows] = fit.fitted
        expected[name] = mean
    weights = stabilised_weights(count, expected["start"], expected["history"], months.loan, months.month, WINDOW)
    at_risk = logged & ~np.isnan(weights) & ~np.isnan(months.recent)
    cut = np.full(len(panel), np.nan)
    cut[at_risk] = truncated(weights[at_risk], TRUNCATED)
    risk_sets = {
        "arrears": (months.arrears, at_risk & (panel["current_at_start"] == 1).to_numpy()),
        "default": (panel["default"].to_numpy(dtype=float), at_risk),
    }
    for outcome, (event, stays) in risk_sets.items():
        columns = {PROACTIVE: months.recent, "treated": months.treated}
        for specification, own in (("unweighted", None), ("weighted", cut)):
            found = months.fit(event, columns, stays, weights=own).effects(months.cluster, months.level)[PROACTIVE]
            yield months.row(
                "marginal_structural",
                specification,
                PROACTIVE,
                outcome,
                "log_odds_ratio",
                **found._asdict(),
                unit=LOG_ODDS,
                note=f"of one unit of ln(1 + mean contacts of {WINDOW} months before)",
                stays=stays,
            )

    def checked(name: str, value: float, threshold: float, passed: bool) -> Row:
        return results.assumption(
            name,
            value,
            threshold,
            passed=passed,
            factor=PROACTIVE,
            outcome="arrears",
            n=int(at_risk.sum()),
            n_clusters=int((np.bincount(months.cluster[at_risk]) > 0).sum()),
        )

    mean, largest = float(weights[at_risk].mean()), float(weights[at_risk].max())
    yield checked("contact_weights_mean", mean, WEIGHTS_NEAR_ONE, abs(mean - 1) <= WEIGHTS_NEAR_ONE)
    yield checked("contact_weights_largest", largest, LARGEST_WEIGHT, largest <= LARGEST_WEIGHT)
    spread = dispersion(count[logged], expected["history"][logged])
    yield checked("contacts_poisson", spread, DISPERSION, 1 / DISPERSION <= spread <= DISPERSION)
