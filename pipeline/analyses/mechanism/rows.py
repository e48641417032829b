"""Ask by which way the programme works: screening or behaviour, satisfaction, loyalty, contacts and quick answers.

Its dozens of regressions with lenders' effects and instruments are fitted by our engines: with linearmodels the stage
takes 93 processor seconds instead of 13, and every written digit is the same.
"""

from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import Any

import numpy as np
import pandas as pd

from pipeline.core import cohorts, results
from pipeline.core.params import Params, Study
from pipeline.core.scope import FEWEST, scope
from pipeline.runtime import places, store
from pipeline.runtime.errors import StudyError
from pipeline.stats import composition, feedback, mediation
from pipeline.stats.absorbed import absorbed_linear
from pipeline.stats.design import design_matrix, term_values
from pipeline.stats.inference import codes, scaled
from pipeline.stats.instruments import Instrumented, two_sample, two_stage
from pipeline.stats.month_regression import month_regression
from pipeline.stats.regression import Effect
from pipeline.stats.response import response
from pipeline.stats.samples import candidates, number_treated, sample_for

CORRELATIONS = tuple(round(0.05 * step, 2) for step in range(-8, 9))
"""Correlations of hidden causes of satisfaction and default for which the indirect effect is written."""

BETWEEN = ("communication_frequency", "communication_frequency_client", "information_sharing", "early_warning")
"""What the programme moves between its start and the survey, and what may move answer and default alike."""

PRIME = 2
"""How many of the best grades are prime clients'."""

TOLERATED = 0.2
"""Correlation of hidden causes, either way, under which an indirect effect should keep its sign to be believed."""

QUICK = 7
"""Days within which an answer to a warning is quick."""

LONGEST = 30
"""Days at which the wait for an answer is cut off, so that those who never got one count as well."""

EFFECTIVE = 0.5
"""Share of loans that weights must leave for two pools to be called alike."""

SCREENED, POINTS, LOG_RATE = "risk_assessment", "percentage points", "log rate ratio"

Row = dict[str, Any]


def run(study: str, params: Params) -> str:
    """Write the rows on mechanisms of the results table; none where no programme starts at some lenders."""
    protocol = params.study(study)
    folder = places.processed(study)
    cohort = cohorts.read(study, protocol)
    allowed = scope(protocol, cohort)
    needed = {"adopted", "institution_id", "origination_quarter"}
    if not needed <= set(cohort) or not allowed.arms or not 0 < cohort["adopted"].mean() < 1:
        results.write(places.results(study, "mechanism"), results.table(study, "mechanism", []))
        return "no lender starts a programme here"
    more = {
        path.stem: store.read_parquet(path)
        for path in sorted((folder / "more").glob("*.parquet"))
        if path.stem in WANTED
    }
    part = Mechanisms(cohort, more, allowed.protocol, params.inference.level, params.checks.balance)
    rows: list[Row] = []
    for make in (
        part.screening,
        part.assessment,
        part.first_stages,
        part.lot,
        part.loyalty,
        part.feedback,
        part.satisfaction,
        part.go_live,
        part.reached,
        part.answers,
    ):
        rows += _tried(make)
    results.write(places.results(study, "mechanism"), results.table(study, "mechanism", rows))
    return f"{len(rows):,} rows"


WANTED = ("loan_ends", "alert_answers")
"""Further tables that the stage reads, where the study has them."""


def _tried(make: Callable[[], Iterable[Row]]) -> list[Row]:
    """Return a part's rows, or one that says why there are none."""
    try:
        return [*make()]
    except StudyError as error:
        return [{"estimator": make.__name__, "specification": "not_estimated", "note": str(error)}]


class Mechanisms:
    """The ways from a programme to default, each a set of rows."""

    def __init__(
        self, cohort: pd.DataFrame, more: dict[str, pd.DataFrame], protocol: Study, level: float, balance: float
    ) -> None:
        """Take the cohort and the tables beside it; standardised differences below `balance` count as none."""
        self.balance = balance
        self.level, self.protocol, self.more = level, protocol, more
        self.rule, self.afterwards = protocol.treatment, protocol.after_origination()
        self.cohort = cohort
        if "loan_ends" in more:
            ends = more["loan_ends"].set_index("loan_id").loc[cohort["loan_id"]].reset_index(drop=True)
            self.cohort = cohort.reset_index(drop=True).join(ends)

    def row(self, estimator: str, specification: str, factor: str, outcome: str, estimand: str, **more: Any) -> Row:
        """Return a row; `loans` are those on which it rests, `clusters` what their errors are clustered by."""
        loans, clusters = more.pop("loans", None), more.pop("clusters", self.protocol.cluster)
        counts = {}
        if loans is not None:
            counts = {
                "n": len(loans),
                "n_treated": number_treated(loans),
                "n_clusters": int(loans[clusters].nunique()),
            }
        named = {
            "estimator": estimator,
            "specification": specification,
            "factor": factor,
            "outcome": outcome,
            "estimand": estimand,
        }
        return named | counts | more

    def controls(self, loans: pd.DataFrame) -> pd.DataFrame:
        """Return what matching holds alike, as columns without an intercept, and the quarter of origination."""
        matching = self.protocol.matching
        terms = [name for name in dict.fromkeys([*matching.exact, *matching.score, "origination_quarter"])]
        return design_matrix(loans, terms).matrix.drop(columns="intercept")

    def linear(self, loans: pd.DataFrame, outcome: str, factors: list[str]) -> dict[str, Effect]:
        """Return slopes of factors in a linear regression with controls and an effect of each lender."""
        design = pd.concat([loans[factors].astype(float), self.controls(loans)], axis=1)
        found = absorbed_linear(
            loans[outcome].astype(float),
            design,
            factors,
            loans["institution_id"],
            loans[self.protocol.cluster],
            self.level,
        )
        return {name: one for name, one in found.effects.items() if isinstance(one, Effect)}

    def lottery(self, loans: pd.DataFrame, outcome: str) -> Instrumented:
        """Return the effect of the programme on those whom a place won by lot enrols. Lots are drawn loan by loan."""
        quarters = design_matrix(loans, ["origination_quarter"]).matrix.drop(columns="intercept")
        return two_stage(
            loans[outcome].to_numpy(dtype=float),
            loans["treated"].to_numpy(),
            loans["programme_lot"].to_numpy(),
            groups=loans["institution_id"],
            controls=quarters,
            clusters=None,
            level=self.level,
        )

    @property
    def offered(self) -> pd.DataFrame:
        """Loans for which a lot was drawn."""
        if "programme_lot" not in self.cohort or self.cohort["programme_lot"].isna().all():
            raise StudyError("no lots were drawn for places in the programme.")
        return self.cohort[self.cohort["programme_lot"].notna()]

    def screening(self) -> Iterator[Row]:
        """Yield adoption's effect on default split into who is granted and how the granted behave."""
        loans = self.cohort
        arguments = loans["default"].to_numpy(dtype=float), loans["adopted"].to_numpy()
        keys = loans["institution_id"].to_numpy(), loans["origination_quarter"].astype(str).to_numpy(), self.level
        matching = self.protocol.matching
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
                yield self.row("screening", name, SCREENED, "default", "share_of_screening", note=str(error))
                continue
            for part in ("total", "screening", "behaviour"):
                effect = getattr(found, part)._asdict()
                yield self.row(
                    "screening", name, SCREENED, "default", part, **effect, unit=LOG_RATE, note=notes[name], loans=loans
                )
            yield self.row(
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
                row = self.row("", "", SCREENED, "default", "effective_share", loans=loans)
                counts = {key: row[key] for key in ("factor", "outcome", "estimand", "n", "n_treated", "n_clusters")}
                yield results.assumption("like_composition", found.effective, EFFECTIVE, passed=passed, **counts)
                yield from self._drift(designs[name])

    def _drift(self, covariates: pd.DataFrame) -> Iterator[Row]:
        """Yield whether clients changed with the calendar at lenders that never start the programme."""
        adopts = self.cohort.groupby("institution_id", observed=True)["adopted"].transform("max") == 1
        quarter = codes(self.cohort["origination_quarter"])
        middle = np.median(quarter[(self.cohort["adopted"] == 1).to_numpy()])
        never = (~adopts).to_numpy()
        if self.cohort.loc[never, "institution_id"].nunique() < FEWEST:
            return
        try:
            found = composition.drift(
                self.cohort["default"].to_numpy(dtype=float)[never],
                (quarter >= middle)[never].astype(float),
                covariates[never],
                self.cohort["institution_id"].to_numpy()[never],
                self.level,
            )
        except StudyError:
            # Too few loans there to see any drift by.
            return
        yield self.row(
            "screening",
            "lenders_that_never_adopt",
            SCREENED,
            "default",
            "drift",
            **found._asdict(),
            unit=LOG_RATE,
            note="of the composition of the granted, second half of adoption's time against the first",
            loans=self.cohort[never],
        )
        significance = 1 - self.level
        row = self.row("", "", SCREENED, "default", "p_value", loans=self.cohort[never])
        yield results.assumption(
            "clients_without_drift",
            found.p_value,
            significance,
            passed=found.p_value >= significance,
            p_value=found.p_value,
            **{name: row[name] for name in ("factor", "outcome", "estimand", "n", "n_treated", "n_clusters")},
        )

    def assessment(self) -> Iterator[Row]:
        """Yield how much more, after adoption, default goes with the lender's own assessment of the client."""
        name = "assessment_score"
        if name not in self.cohort or self.cohort[name].isna().any():
            return
        loans = self.cohort
        own = loans.groupby(["institution_id", "adopted"], observed=True)[name]
        # Within each lender before and after: a sharper assessment also spreads clients further apart.
        spread = own.transform("std")
        score = ((loans[name] - own.transform("mean")) / spread).where(spread > 0, 0.0)
        after = loans["adopted"].astype(float)
        quarters = design_matrix(loans, ["origination_quarter"]).matrix.drop(columns="intercept")
        design = pd.concat([pd.DataFrame({"score": score, "adopted": after, "both": score * after}), quarters], axis=1)
        fit = month_regression(loans["default"].to_numpy(dtype=float), design, codes(loans["institution_id"]))
        slopes = fit.effects(codes(loans[self.protocol.cluster]), self.level)
        more = {"unit": "log odds ratio", "loans": loans}
        for estimand, slope in (("slope_before", "score"), ("change_after_adoption", "both")):
            yield self.row(
                "assessment",
                "standard_deviation",
                SCREENED,
                "default",
                estimand,
                **slopes[slope]._asdict(),
                note="of one standard deviation of the lender's index, within lenders before and after adoption",
                **more,
            )

    def first_stages(self) -> Iterator[Row]:
        """Yield what the programme does to each factor: with controls, and by the lot."""
        rule = self.rule
        names = [name for name in self.protocol.factors if rule is None or name != rule.factor]
        for name in names:
            loans = self.cohort[self.cohort[name].notna()]
            if name in self.afterwards:
                loans = sample_for(self.cohort, name, self.afterwards)
            unit = f"units of {name}"
            controls = self.controls(loans)
            if name not in controls:
                found = self.linear(loans, name, ["treated"])["treated"]
                yield self.row(
                    "first_stage",
                    "controls",
                    "treated",
                    name,
                    "mean_difference",
                    **found._asdict(),
                    unit=unit,
                    loans=loans,
                )
            if "programme_lot" not in loans:
                continue
            offered = loans[loans["programme_lot"].notna()]
            found = self.lottery(offered, name).effect
            note = "fixed before the lot was drawn: it cannot be moved" if name in controls else ""
            yield self.row(
                "first_stage",
                "lottery",
                "treated",
                name,
                "effect_on_compliers",
                **found._asdict(),
                unit=unit,
                note=note,
                loans=offered,
                clusters="loan_id",
            )

    def lot(self) -> Iterator[Row]:
        """Yield whether winners and losers of the lot were alike before it was drawn."""
        offered = self.offered
        values = term_values(offered, self.protocol.matching.score)
        lender, won = codes(offered["institution_id"]), offered["programme_lot"].to_numpy() == 1
        gaps = {}
        for name in values:
            value = values[name].to_numpy(dtype=float)
            value = value - (np.bincount(lender, value) / np.bincount(lender))[lender]
            if value.std() > 0:
                gaps[name] = float((value[won].mean() - value[~won].mean()) / value.std())
        if gaps:
            name = max(gaps, key=lambda one: abs(gaps[one]))
            row = self.row("", "", name, "", "standardised_mean_difference", loans=offered)
            yield results.assumption(
                "lot_balance",
                gaps[name],
                self.balance,
                passed=abs(gaps[name]) < self.balance,
                **{key: row[key] for key in ("factor", "estimand", "n", "n_treated", "n_clusters")},
            )

    def loyalty(self) -> Iterator[Row]:
        """Yield what the programme does to next loans and to leaving, and whom the lenders record these of."""
        if "months_to_next_loan" not in self.cohort:
            return
        loans = self.cohort.assign(
            next_loan=self.cohort["months_to_next_loan"].notna().astype(float),
            left_lender=self.cohort["months_to_leaving"].notna().astype(float),
        )
        recorded = np.maximum(loans["next_loan"], loans["left_lender"])
        for specification, of in (("default", loans["end"] == "default"), ("no_default", loans["end"] != "default")):
            yield self.row(
                "loyalty_records",
                specification,
                "loyalty",
                "recorded",
                "share",
                estimate=100 * float(recorded[of].mean()),
                unit="percent",
                note="next loan or leaving on record, by how the loan ended",
                loans=loans[of],
            )
        clients = loans["borrower_id"].value_counts() if "borrower_id" in loans else pd.Series(dtype=int)
        if len(clients):
            yield self.row(
                "loyalty_records",
                "clients_with_several_loans",
                "loyalty",
                "recorded",
                "count",
                estimate=int((clients > 1).sum()),
                unit="clients",
                note="the default of a later loan could be asked of these",
                loans=loans,
            )
        prime = loans["credit_grade"].cat.codes < PRIME if loans["credit_grade"].cat.ordered else None
        for outcome in ("next_loan", "left_lender"):
            found = self.linear(loans, outcome, ["treated"])["treated"]
            yield self.row(
                "loyalty",
                "controls",
                "treated",
                outcome,
                "risk_difference",
                **scaled(found, 100)._asdict(),
                unit=POINTS,
                loans=loans,
            )
            if "programme_lot" not in loans:
                continue
            groups = {"lottery": loans["programme_lot"].notna()}
            if prime is not None:
                groups |= {"lottery_prime": groups["lottery"] & prime, "lottery_others": groups["lottery"] & ~prime}
            for specification, of in groups.items():
                found = self.lottery(loans[of], outcome).effect
                yield self.row(
                    "loyalty",
                    specification,
                    "treated",
                    outcome,
                    "effect_on_compliers",
                    **scaled(found, 100)._asdict(),
                    unit=POINTS,
                    note="of all loans, in default or not: a client in default has not come back",
                    loans=loans[of],
                    clusters="loan_id",
                )

    def feedback(self) -> Iterator[Row]:
        """Yield, by lender and quarter, how loyalty, default and lending go with each other a quarter earlier."""
        needed = {"months_to_next_loan", "end", "months"}
        if not needed <= set(self.cohort):
            return
        loans = self.cohort
        panel = feedback.panel(
            loans["institution_id"],
            loans["origination_date"],
            loans["months"],
            {"default": loans["months"].where(loans["end"] == "default"), "loyalty": loans["months_to_next_loan"]},
        )
        found = feedback.cross_lags(panel, self.level)
        units = {"default": "percent", "loyalty": "percent", "lending": "log points"}
        for (cause, outcome), one in found.items():
            yield {
                "estimator": "feedback",
                "specification": "a_quarter_later",
                "factor": cause,
                "outcome": outcome,
                "estimand": "change_per_unit",
                **one._asdict(),
                "n": len(panel),
                "n_clusters": panel["lender"].nunique(),
                "unit": f"{units[outcome]} for one {units[cause].removesuffix('s')}",
                "note": "given all three a quarter earlier; effects of lenders and quarters; n counts both together",
            }

    def go_live(self) -> Iterator[Row]:
        """Yield what adoption does to satisfaction at the lender, by answers alone and weighted to who could answer."""
        name = "satisfaction"
        if name not in self.cohort:
            return
        asked = candidates(self.cohort, name, self.afterwards)
        answered = asked[name].notna()
        matching = self.protocol.matching
        terms = ["adopted", "default", *matching.exact, *matching.score, "origination_quarter"]
        design = design_matrix(asked, list(dict.fromkeys(terms))).matrix
        weights = response(answered.to_numpy(), design, asked[self.protocol.cluster], self.level).weights
        loans = asked[answered]
        quarters = design_matrix(loans, ["origination_quarter"]).matrix.drop(columns="intercept")
        columns = pd.concat([loans[["adopted"]].astype(float), quarters], axis=1)
        for specification, of in {"answers": None, "weighted": pd.Series(weights, loans.index)}.items():
            found = absorbed_linear(
                loans[name].astype(float),
                columns,
                ["adopted"],
                loans["institution_id"],
                loans[self.protocol.cluster],
                self.level,
                of,
            )
            yield self.row(
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

    def satisfaction(self) -> Iterator[Row]:
        """Yield the effect through satisfaction: with covariates, its sensitivity, and by two instruments."""
        if "satisfaction" not in self.afterwards:
            return
        loans = sample_for(self.cohort, "satisfaction", self.afterwards)
        between = [name for name in BETWEEN if name in loans]
        loans = loans[loans[between].notna().all(axis=1)]
        found = mediation.interventional(
            100 * loans["default"].to_numpy(dtype=float),
            loans["treated"].to_numpy(),
            loans["satisfaction"].to_numpy(),
            self.controls(loans),
            loans[between],
            loans["institution_id"].to_numpy(),
            self.level,
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
            yield self.row("mediation", "covariates", estimand=estimand, **one._asdict(), unit=unit, note=said, **named)
        for rho, one in found.curve.items():
            yield self.row(
                "mediation",
                f"correlation_{rho:+.2f}",
                estimand="indirect",
                **one._asdict(),
                unit=POINTS,
                note="if hidden causes of answer and default had this correlation",
                **named,
            )
        within = [one for rho, one in found.curve.items() if abs(rho) <= TOLERATED]
        yield self.row(
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
        yield self.row(
            "mediation",
            "explained_away",
            estimand="correlation",
            estimate=found.explained_away,
            unit="correlation",
            **named,
        )
        if {"programme_lot", "service_audit_score", "branch_id"} <= set(loans):
            yield from self._by_instruments(loans)

    def _by_instruments(self, answered: pd.DataFrame) -> Iterator[Row]:
        """Yield the product of two effects that hidden causes do not bend: the lot's and that of branches' service."""
        offered = answered[answered["programme_lot"].notna()]
        first = self.lottery(offered, "satisfaction").effect
        opened = self.cohort[self.cohort["open_at_landmark"] == 1]

        def by_branch(loans: pd.DataFrame) -> Instrumented:
            controls = self.controls(loans)
            return two_stage(
                100 * loans["default_after_landmark"].to_numpy(dtype=float),
                loans["satisfaction"].fillna(0).to_numpy(),
                loans["service_audit_score"].to_numpy(),
                groups=loans["institution_id"],
                controls=controls.loc[:, [name for name in controls if not name.startswith("institution_type")]],
                clusters=loans["branch_id"],
                level=self.level,
            )

        second = two_sample(by_branch(opened).reduced_form, by_branch(answered).first_stage, self.level)
        yield self.row(
            "mediation",
            "instruments",
            "treated",
            "default_after_landmark",
            "indirect",
            **mediation.product(first, second, self.level)._asdict(),
            unit=POINTS,
            note="the lot's effect on answers about satisfaction times that of a point of answers by branches' service",
            loans=opened,
            clusters="branch_id",
        )

    def reached(self) -> Iterator[Row]:
        """Yield whether contacts that reach the client do more than as many that do not."""
        names = ["reached_share", "communication_frequency", "treated"]
        if not set(names) <= set(self.cohort) or "communication_frequency" not in self.afterwards:
            return
        loans = sample_for(self.cohort, "communication_frequency", self.afterwards)
        loans = loans[loans["reached_share"].notna()]
        found = self.linear(loans, "default", names)
        for name in names[:2]:
            yield self.row(
                "reached",
                "given_frequency",
                name,
                "default_after_landmark",
                "risk_difference",
                **scaled(found[name], 100)._asdict(),
                unit=POINTS,
                note="both together; the share of contacts up to the landmark that reached the client",
                loans=loans,
            )

    def answers(self) -> Iterator[Row]:
        """Yield how quickly warnings are answered, by arm, and arrears after quick answers."""
        if "alert_answers" not in self.more:
            return
        alerts = self.more["alert_answers"]
        alerts = alerts[alerts["current_at_start"] == 1]
        loans = self.cohort.set_index("loan_id").loc[alerts["loan_id"]].reset_index()
        for name in ("arrears_after", "default_after"):
            loans[name] = alerts[name].to_numpy()
        loans["alert_month"] = alerts["month_number"].to_numpy(dtype=float)
        days = alerts["answer_days"].to_numpy()
        loans["days"] = np.minimum(np.nan_to_num(days, nan=LONGEST), LONGEST)
        loans["quick"] = (loans["days"] <= QUICK).astype(float)
        found = self.linear(loans, "days", ["treated", "alert_month"])["treated"]
        yield self.row(
            "answers",
            "controls",
            "treated",
            "days_to_answer",
            "mean_difference",
            **found._asdict(),
            unit="days",
            note=f"to the lender's own next contact after a warning, {LONGEST} days where longer or never",
            loans=loans,
        )
        for outcome in ("arrears_after", "default_after"):
            found = self.linear(loans, outcome, ["quick", "treated", "alert_month"])["quick"]
            yield self.row(
                "answers",
                "controls",
                "quick_answer",
                outcome,
                "risk_difference",
                **scaled(found, 100)._asdict(),
                unit=POINTS,
                note=f"answered within {QUICK} days against later or never, in months that follow the warning's",
                loans=loans,
            )
