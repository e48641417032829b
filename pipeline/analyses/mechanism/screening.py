"""Screening or behaviour: who is granted after a programme starts, and how the granted behave."""

from collections.abc import Callable, Iterator
from functools import partial

import numpy as np
import pandas as pd

from pipeline.analyses.mechanism.programme import Programme, Row
from pipeline.core import results
from pipeline.core.scope import FEWEST
from pipeline.runtime.errors import StudyError
from pipeline.stats import composition
from pipeline.stats.design import design_matrix
from pipeline.stats.inference import codes
from pipeline.stats.month_regression import month_regression

EFFECTIVE = 0.5
"""Share of loans that weights must leave for two pools to be called alike."""

SCREENED, LOG_RATE = "risk_assessment", "log rate ratio"


def screening(programme: Programme) -> Iterator[Row]:
    """Yield adoption's effect on default split into who is granted and how the granted behave."""
    loans = programme.cohort
    arguments = loans["default"].to_numpy(dtype=float), loans["adopted"].to_numpy()
    keys = loans["institution_id"].to_numpy(), loans["origination_quarter"].astype(str).to_numpy(), programme.level
    matching = programme.protocol.matching
    terms = [*matching.exact, *matching.score]
    covariates = design_matrix(loans, terms).matrix.drop(columns="intercept")
    designs = {"composition": covariates}
    notes = {"composition": f"who was granted after adoption weighted to who was before, in {', '.join(terms)}"}
    index = loans.get("assessment_score")
    if index is not None and index.notna().all():
        # A sharper assessment spreads clients further apart, which the square takes up.
        own = {"assessment_score": index, "assessment_score squared": (index - index.mean()) ** 2}
        designs["composition_and_assessment"] = covariates.assign(**own)
        notes["composition_and_assessment"] = f"{notes['composition']} and the lender's own assessment"
    ways: dict[str, Callable[[], composition.Split]] = {
        name: partial(composition.by_composition, *arguments, design, *keys) for name, design in designs.items()
    }
    if "programme_lot" in loans:
        lot, enrolled = loans["programme_lot"].to_numpy(), loans["treated"].to_numpy()
        ways["lot"] = partial(composition.by_lot, *arguments, lot, enrolled, *keys)
        notes["lot"] = "losers of the lot, followed to where nobody is enrolled"
    for name, find in ways.items():
        try:
            found = find()
        except StudyError as error:
            yield programme.row("screening", name, SCREENED, "default", "share_of_screening", note=str(error))
            continue
        for part in ("total", "screening", "behaviour"):
            effect = getattr(found, part)._asdict()
            yield programme.row(
                "screening", name, SCREENED, "default", part, **effect, unit=LOG_RATE, note=notes[name], loans=loans
            )
        yield programme.row(
            "screening",
            name,
            SCREENED,
            "default",
            "share_of_screening",
            **found.share._asdict(),
            unit="share",
            note=notes[name],
            loans=loans,
        )
        if name == list(designs)[-1]:
            passed = found.effective >= EFFECTIVE
            row = programme.row("", "", SCREENED, "default", "effective_share", loans=loans)
            counts = {key: row[key] for key in ("factor", "outcome", "estimand", "n", "n_treated", "n_clusters")}
            yield results.assumption("like_composition", found.effective, EFFECTIVE, passed=passed, **counts)
            yield from _drift(programme, designs[name])


def _drift(programme: Programme, covariates: pd.DataFrame) -> Iterator[Row]:
    """Yield whether clients changed with the calendar at lenders that never start the programme."""
    adopts = programme.cohort.groupby("institution_id", observed=True)["adopted"].transform("max") == 1
    quarter = codes(programme.cohort["origination_quarter"])
    middle = np.median(quarter[(programme.cohort["adopted"] == 1).to_numpy()])
    never = (~adopts).to_numpy()
    if programme.cohort.loc[never, "institution_id"].nunique() < FEWEST:
        return
    try:
        found = composition.drift(
            programme.cohort["default"].to_numpy(dtype=float)[never],
            (quarter >= middle)[never].astype(float),
            covariates[never],
            programme.cohort["institution_id"].to_numpy()[never],
            programme.level,
        )
    except StudyError:
        # Too few loans there to see any drift by.
        return
    yield programme.row(
        "screening",
        "lenders_that_never_adopt",
        SCREENED,
        "default",
        "drift",
        **found._asdict(),
        unit=LOG_RATE,
        note="of the composition of the granted, second half of adoption's time against the first",
        loans=programme.cohort[never],
    )
    significance = 1 - programme.level
    row = programme.row("", "", SCREENED, "default", "p_value", loans=programme.cohort[never])
    yield results.assumption(
        "clients_without_drift",
        found.p_value,
        significance,
        passed=found.p_value >= significance,
        p_value=found.p_value,
        **{name: row[name] for name in ("factor", "outcome", "estimand", "n", "n_treated", "n_clusters")},
    )


def assessment(programme: Programme) -> Iterator[Row]:
    """Yield how much more, after adoption, default goes with the lender's own assessment of the client."""
    name = "assessment_score"
    if name not in programme.cohort or programme.cohort[name].isna().any():
        return
    loans = programme.cohort
    own = loans.groupby(["institution_id", "adopted"], observed=True)[name]
    # Within each lender before and after: a sharper assessment also spreads clients further apart.
    spread = own.transform("std")
    score = ((loans[name] - own.transform("mean")) / spread).where(spread > 0, 0.0)
    after = loans["adopted"].astype(float)
    quarters = design_matrix(loans, ["origination_quarter"]).matrix.drop(columns="intercept")
    design = pd.concat([pd.DataFrame({"score": score, "adopted": after, "both": score * after}), quarters], axis=1)
    fit = month_regression(loans["default"].to_numpy(dtype=float), design, codes(loans["institution_id"]))
    slopes = fit.effects(codes(loans[programme.protocol.cluster]), programme.level)
    more = {"unit": "log odds ratio", "loans": loans}
    for estimand, slope in (("slope_before", "score"), ("change_after_adoption", "both")):
        yield programme.row(
            "assessment",
            "standard_deviation",
            SCREENED,
            "default",
            estimand,
            **slopes[slope]._asdict(),
            note="of one standard deviation of the lender's index, within lenders before and after adoption",
            **more,
        )
