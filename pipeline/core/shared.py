"""Choices that studies share: the sections of params.yaml."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import (
    AfterValidator,
    Field,
    PositiveFloat,
    PositiveInt,
    model_validator,
)

from pipeline.core.fields import (
    Factor,
    Loans,
    Months,
    Name,
    Names,
    Numbers,
    Parts,
    PerTreated,
    Rounds,
    Section,
    Share,
    cluster_address,
    once,
    rising,
)


class Match(Section):
    """How treated loans and controls are made comparable; params.yaml says what each choice does."""

    method: Literal[
        "nearest",
        "optimal",
        "exact",
        "coarsened_exact",
        "subclassification",
        "inverse_probability",
        "overlap",
        "entropy_balancing",
    ]
    score: Literal["logistic", "boosting"]
    folds: Annotated[int, Field(ge=1, le=100)]
    distance: Literal["logit", "probability", "mahalanobis"]
    ratio: PerTreated
    replacement: bool
    caliper: PositiveFloat | None
    order: Literal["closest", "largest", "smallest", "data"]
    discard: Literal["none", "treated", "controls", "both"]
    subclasses: Annotated[int, Field(ge=2, le=1_000)]
    estimand: Literal["ATT", "ATE"]
    stabilised: bool
    trim: Annotated[float, Field(gt=0.5, lt=1)] | None

    @model_validator(mode="after")
    def _choices_that_fit_together(self) -> Match:
        if self.score == "boosting" and self.folds < 2:
            raise ValueError("score boosting needs folds of 2 or more: trees know the loans they were fitted on")
        if self.method == "optimal" and self.replacement:
            raise ValueError("replacement goes with method nearest, not with optimal")
        return self


class Inference(Section):
    """How uncertainty is expressed."""

    level: float = Field(ge=0.5, lt=1)


class Adjust(Section):
    """Adjustment by models of treatment and of default at once; params.yaml says what each choice does."""

    most_loans: Loans
    folds: Parts
    repetitions: Rounds
    highest_score: Annotated[float, Field(gt=0.5, le=1)]
    permutations: Annotated[int, Field(ge=20, le=100_000)]


class Checks(Section):
    """Thresholds of the study's own checks."""

    quarantine_share: float = Field(ge=0, le=1)
    balance: PositiveFloat


class Costs(Section):
    """What follow-up costs, of 100 lent, and prevents."""

    contact: PositiveFloat
    prevented: float = Field(gt=0, le=1)


class Points(Section):
    """How a scorecard's log odds become points."""

    base: PositiveFloat
    odds: PositiveFloat
    double: PositiveFloat


class OutcomeWindow(Section):
    """Months of origination within which default counts for a study's scores, and the columns that date defaults."""

    months: Months
    column: str
    after: str | None


class Predict(Section):
    """How scores of default are learnt and judged; params.yaml says what each choice does."""

    train_share: Share
    windows: dict[Name, OutcomeWindow]
    most_loans: Loans
    fewest_defaults: PositiveInt
    spans: Annotated[int, Field(ge=3, le=100)]
    capacity: Share
    threshold: Share | None
    costs: Costs
    points: Points


class Grade(Section):
    """How a score becomes grades and tiers: shares of training loans at which it is cut."""

    cuts: Annotated[Numbers[Share], Field(min_length=1), AfterValidator(rising)]
    tiers: Annotated[Numbers[Share], Field(min_length=2, max_length=2), AfterValidator(rising)]
    stable: PositiveFloat


class Missing(Section):
    """How often, and how long, gaps are filled by chained equations."""

    imputations: Annotated[int, Field(ge=2, le=1_000)]
    iterations: Rounds


class Parallel(Section):
    """Where tasks that do not need each other are computed."""

    backend: Literal["loky", "dask"]
    address: Annotated[str, AfterValidator(cluster_address)] | None
    workers: Annotated[int, Field(ge=1, le=1_024)]

    @model_validator(mode="after")
    def _dask_has_an_address(self) -> Parallel:
        if self.backend == "dask" and self.address is None:
            raise ValueError("backend dask needs the address of its scheduler, such as tcp://192.0.2.1:8786")
        return self


class Report(Section):
    """How the pages are written."""

    language: Literal["en", "zh"]
    twin: Literal["en", "zh"]

    @model_validator(mode="after")
    def _two_languages(self) -> Report:
        if self.language == self.twin:
            raise ValueError(
                f"language and twin are both '{self.language}': the twin is the page in the other language"
            )
        return self


class SpecificationCurve(Section):
    """Choices that are crossed in the specification curve; params.yaml says why each is defensible."""

    most_loans: Loans
    permutations: Annotated[int, Field(ge=19, le=100_000)]
    scores: Annotated[Names[Literal["logistic", "boosting"]], Field(min_length=1), AfterValidator(once)]
    folds: Parts
    distances: Annotated[
        Names[Literal["logit", "probability", "mahalanobis"]], Field(min_length=1), AfterValidator(once)
    ]
    calipers: Annotated[Numbers[PositiveFloat], Field(min_length=1), AfterValidator(rising)]
    ratios: Annotated[Numbers[PerTreated], Field(min_length=1), AfterValidator(rising)]
    orders: Annotated[
        Names[Literal["closest", "largest", "smallest", "data"]], Field(min_length=1), AfterValidator(once)
    ]
    after_matching: Annotated[Names[Literal["none", "covariates", "all"]], Field(min_length=1), AfterValidator(once)]
    models: Annotated[Names[Literal["linear", "logit"]], Field(min_length=1), AfterValidator(once)]
    alike: Annotated[float, Field(gt=0, le=1)]
    typical: Annotated[float, Field(gt=0, lt=1)]


class Synthesis(Section):
    """Which factors count what a relationship lacks."""

    reversed: Names[Factor]


class Procedure(Section):
    """On how much made-up evidence the way to the verdicts is tried."""

    sets: int = Field(ge=2, le=10_000)


class Margins(Section):
    """Smallest differences that matter, by what is measured."""

    default: float = Field(gt=0, lt=1)
    area: PositiveFloat
    correlation: PositiveFloat
    squared_error: PositiveFloat
    interest_rate: PositiveFloat
    received: PositiveFloat
    saved: PositiveFloat
    months: PositiveFloat
    days: PositiveFloat
    others: PositiveFloat


class Evidence(Section):
    """How evidence becomes a verdict (docs/protocol.md)."""

    margins: Margins


class EarlyWarning(Section):
    """Early warning: what is predicted, whom there is time to contact, and what that costs."""

    horizon_months: Months
    training_share: float = Field(gt=0, lt=1)
    capacity: float = Field(gt=0, lt=1)
    capacities: Annotated[Numbers[float], Field(min_length=1), AfterValidator(rising)]
    threshold: Share | None
    contact_cost: PositiveFloat
    prevented_share: float = Field(gt=0, le=1)


class Policy(Section):
    """Whom a programme of contacts should take, and what it costs."""

    contact_cost: PositiveFloat
    middle_tier: float = Field(gt=0, lt=1)
    high_tier: float = Field(gt=0, lt=1)
    budget: float = Field(gt=0, lt=1)

    @model_validator(mode="after")
    def _tiers_rise(self) -> Policy:
        if self.middle_tier >= self.high_tier:
            raise ValueError("the middle tier begins below the high one")
        return self
