"""Satisfaction between the programme and default, and what adoption does to it."""

from collections.abc import Iterator

import pandas as pd

from pipeline.analyses.mechanism.programme import POINTS, Programme, Row
from pipeline.stats import mediation
from pipeline.stats.absorbed import absorbed_linear
from pipeline.stats.design import design_matrix
from pipeline.stats.instruments import Instrumented, two_sample, two_stage
from pipeline.stats.response import response
from pipeline.stats.samples import candidates, sample_for

CORRELATIONS = tuple(round(0.05 * step, 2) for step in range(-8, 9))
"""Correlations of hidden causes of satisfaction and default for which the indirect effect is written."""

BETWEEN = ("communication_frequency", "communication_frequency_client", "information_sharing", "early_warning")
"""What the programme moves between its start and the survey, and what may move answer and default alike."""

TOLERATED = 0.2
"""Correlation of hidden causes, either way, under which an indirect effect should keep its sign to be believed."""


def satisfaction(programme: Programme) -> Iterator[Row]:
    """Yield the effect through satisfaction: with covariates, its sensitivity, and by two instruments."""
    if "satisfaction" not in programme.afterwards:
        return
    loans = sample_for(programme.cohort, "satisfaction", programme.afterwards)
    between = [name for name in BETWEEN if name in loans]
    loans = loans[loans[between].notna().all(axis=1)]
    found = mediation.interventional(
        100 * loans["default"].to_numpy(dtype=float),
        loans["treated"].to_numpy(),
        loans["satisfaction"].to_numpy(),
        programme.controls(loans),
        loans[between],
        loans["institution_id"].to_numpy(),
        programme.level,
        CORRELATIONS,
    )
    note = f"held equal: {', '.join(between)}"
    parts = {
        "total": (found.total, POINTS, ""),
        "on_satisfaction": (found.on_mediator, "points of satisfaction", ""),
        "of_satisfaction": (found.of_mediator, POINTS, note),
        "indirect": (found.indirect, POINTS, note),
        "indirect_nothing_between": (
            found.plain_indirect,
            POINTS,
            "nothing between programme and answer held equal",
        ),
    }
    named = {"factor": "treated", "outcome": "default_after_landmark", "loans": loans}
    for estimand, (one, unit, said) in parts.items():
        yield programme.row(
            "mediation", "covariates", estimand=estimand, **one._asdict(), unit=unit, note=said, **named
        )
    for rho, one in found.curve.items():
        yield programme.row(
            "mediation",
            f"correlation_{rho:+.2f}",
            estimand="indirect",
            **one._asdict(),
            unit=POINTS,
            note="if hidden causes of answer and default had this correlation",
            **named,
        )
    within = [one for rho, one in found.curve.items() if abs(rho) <= TOLERATED]
    yield programme.row(
        "mediation",
        "sensitivity_interval",
        estimand="indirect",
        estimate=found.indirect.estimate,
        ci_low=min(one.ci_low for one in within),
        ci_high=max(one.ci_high for one in within),
        unit=POINTS,
        note=f"intervals for all correlations of hidden causes up to {TOLERATED:g} either way, taken together",
        **named,
    )
    yield programme.row(
        "mediation",
        "explained_away",
        estimand="correlation",
        estimate=found.explained_away,
        unit="correlation",
        **named,
    )
    if {"programme_lot", "service_audit_score", "branch_id"} <= set(loans):
        yield from _by_instruments(programme, loans)


def _by_instruments(programme: Programme, answered: pd.DataFrame) -> Iterator[Row]:
    """Yield the product of two effects that hidden causes do not bend: the lot's and that of branches' service."""
    offered = answered[answered["programme_lot"].notna()]
    first = programme.lottery(offered, "satisfaction").effect
    opened = programme.cohort[programme.cohort["open_at_landmark"] == 1]

    def by_branch(loans: pd.DataFrame) -> Instrumented:
        controls = programme.controls(loans)
        return two_stage(
            100 * loans["default_after_landmark"].to_numpy(dtype=float),
            loans["satisfaction"].fillna(0).to_numpy(),
            loans["service_audit_score"].to_numpy(),
            groups=loans["institution_id"],
            controls=controls.loc[:, [name for name in controls if not name.startswith("institution_type")]],
            clusters=loans["branch_id"],
            level=programme.level,
        )

    second = two_sample(by_branch(opened).reduced_form, by_branch(answered).first_stage, programme.level)
    yield programme.row(
        "mediation",
        "instruments",
        "treated",
        "default_after_landmark",
        "indirect",
        **mediation.product(first, second, programme.level)._asdict(),
        unit=POINTS,
        note="the lot's effect on answers about satisfaction times that of a point of answers by branches' service",
        loans=opened,
        clusters="branch_id",
    )


def go_live(programme: Programme) -> Iterator[Row]:
    """Yield what adoption does to satisfaction at the lender, by answers alone and weighted to who could answer."""
    name = "satisfaction"
    if name not in programme.cohort:
        return
    asked = candidates(programme.cohort, name, programme.afterwards)
    answered = asked[name].notna()
    matching = programme.protocol.matching
    terms = ["adopted", "default", *matching.exact, *matching.score, "origination_quarter"]
    design = design_matrix(asked, list(dict.fromkeys(terms))).matrix
    weights = response(answered.to_numpy(), design, asked[programme.protocol.cluster], programme.level).weights
    loans = asked[answered]
    quarters = design_matrix(loans, ["origination_quarter"]).matrix.drop(columns="intercept")
    columns = pd.concat([loans[["adopted"]].astype(float), quarters], axis=1)
    for specification, of in {"answers": None, "weighted": pd.Series(weights, loans.index)}.items():
        found = absorbed_linear(
            loans[name].astype(float),
            columns,
            ["adopted"],
            loans["institution_id"],
            loans[programme.protocol.cluster],
            programme.level,
            of,
        )
        yield programme.row(
            "satisfaction_after_adoption",
            specification,
            "adopted",
            name,
            "mean_difference",
            **found.effects["adopted"]._asdict(),
            unit="units of satisfaction",
            note="all clients of a lender, enrolled or not; effects of lenders and quarters",
            loans=loans,
        )
