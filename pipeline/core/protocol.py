"""One study's protocol: the sections of its own file of choices."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    NonNegativeInt,
    PositiveFloat,
    ValidationInfo,
    field_validator,
    model_validator,
)

from pipeline.core.fields import (
    BLOCKS,
    Factor,
    Month,
    Months,
    Name,
    Names,
    Numbers,
    Rounds,
    Scale,
    Scenario,
    Section,
    Term,
    TermOrLevel,
    named_by,
    once,
    rising,
    with_base,
)


class Treatment(Section):
    """The rule that splits loans into two arms: a factor at or above a value."""

    factor: Factor
    at_least: float


class Matching(Section):
    """What pairs must share: exact keys, and the covariates of the propensity score.

    A study may add `calipers` on single covariates of the score (in their standard deviations) and, for coarsened
    exact matching, `cuts`: cut points, a number of bins, or automatic.
    """

    exact: Names[str]
    score: Names[Term] = Field(min_length=1)
    calipers: dict[Term, PositiveFloat] = {}
    cuts: dict[Term, Literal["automatic"] | Rounds | Annotated[list[float], AfterValidator(rising)]] = {}


class Controls(Section):
    """Blocks of control variables, as columns or log(column).

    `strata` are the columns within which a lottery was drawn, for studies that have one: chances of treatment may
    differ between them, so every regression with controls has an effect for each, whatever block is its last.
    """

    strata: Names[Term] = []
    loan: Names[Term]
    borrower: Names[Term]
    market: Names[Term]
    time: Names[Term]

    def ladder(self) -> dict[str, list[str]]:
        """Return the terms of each rung by its last block: one rung for every block that the study has."""
        rungs: dict[str, list[str]] = {}
        terms: list[str] = []
        for block in BLOCKS:
            if added := getattr(self, block):
                # Strata behind the first block: what of it they determine keeps its own columns.
                terms = [*terms, *added] if terms else [*added, *self.strata]
                rungs[block] = terms
        return rungs


class Relation(Section):
    """One plain relation to estimate by least squares: an outcome on a factor, given controls.

    A category with an order counts as the number of its level, from nought.
    """

    name: Name
    outcome: Name
    factor: TermOrLevel
    controls: Names[Term]


class Window(Section):
    """Months of origination, the first and the last among them, that stand apart from all others."""

    first_month: Month | None = None
    last_month: Month | None = None

    @model_validator(mode="after")
    def _has_an_end(self) -> Window:
        if self.first_month is None and self.last_month is None:
            raise ValueError("a window names first_month, last_month or both")
        return self


class Condition(Section):
    """What a column must be for a loan to count: within limits, one of some levels, or (none of these) known.

    A missing value meets no condition. Limits are for numbers, levels for categories.
    """

    column: Name
    at_least: float | None = None
    above: float | None = None
    at_most: float | None = None
    levels: Annotated[Names[str], Field(min_length=1)] | None = None

    @model_validator(mode="after")
    def _limits_or_levels(self) -> Condition:
        if self.levels is not None and (self.at_least, self.above, self.at_most) != (None, None, None):
            raise ValueError("a condition gives limits or levels, not both")
        return self


Conditions = Annotated[list[Condition], named_by("column")]


class Outcome(Section):
    """Another definition of the outcome: a column as it stands (nought to one), or whether it meets a condition.

    `among` says which loans have this outcome at all.
    """

    column: Name
    when: Condition | None = None
    among: Conditions = []


class Sample(Section):
    """Another sample: the loans that meet all conditions.

    `wider` begins from the study's wider sample (more/robustness.parquet) in place of its cohort, `window` keeps months
    of origination, and `score_within` loans whose chance of treatment lies between this and one minus it.
    """

    wider: bool = False
    window: Window | None = None
    where: Conditions = []
    score_within: Annotated[float, Field(gt=0, lt=0.5)] | None = None

    @model_validator(mode="after")
    def _says_something(self) -> Sample:
        if not self.wider and not self.where and self.window is None and self.score_within is None:
            raise ValueError("a sample names wider, window, where or score_within")
        return self


def _not_the_protocol(name: str) -> str:
    if name == "protocol":
        raise ValueError("protocol is the name of the study's own choice: call the alternative something else")
    return name


Choice = Annotated[Name, AfterValidator(_not_the_protocol)]
"""The name of an alternative; protocol is the study's own choice."""


class Alternatives(Section):
    """What a study could as well have chosen: the study's part of the specification curve.

    The protocol's own treatment, outcome, sample and exact keys are always among the choices, under the name protocol.
    """

    treatments: dict[Choice, Condition] = {}
    outcomes: dict[Choice, Outcome] = {}
    samples: dict[Choice, Sample] = {}
    exact: dict[Choice, Annotated[Names[str], AfterValidator(once)]] = {}


class Expected(Section):
    """Counts that the sample flow must meet; None leaves one unchecked."""

    ended: int | None
    ended_defaults: int | None
    cohort: int | None


class Recovery(Section):
    """How often, and in which worlds, the methods are tried against the known truth."""

    replications: int = Field(ge=2, le=100_000)
    scale: Scale
    scenarios: Annotated[Names[Scenario], AfterValidator(once), AfterValidator(with_base)]


Moderator = (
    Literal["levels", "thirds"] | Annotated[Numbers[float], Field(min_length=1), AfterValidator(rising)] | Window
)
"""How loans are parted to ask whether an effect differs between the parts."""


class Landmark(Section):
    """Factors that are measured after origination, and the month that ends their window.

    Their analyses take the loans still open at the end of that month, and count defaults after it.
    """

    months: Months
    factors: Names[Factor]


class Study(Section):
    """One study's protocol, written as a target trial: the whole of pipeline/studies/NAME/params.yaml.

    `module` names the study whose code this one runs; left out, it runs the code of its own folder.
    `eligibility`, `release_lag_months` and `own` are checked by that module, which knows their names. What a
    study does not have is left out: sources and vintages when it is simulated, scenario and scale when it is not, a
    treatment rule when treatment is recorded, a landmark when every factor is known at origination.

    `rate_months` are the months for which an interest rate is the price: 12 where it is a year's. `undated` are factors
    to which the records give no date, so that they may follow the loan. `placebo` are columns that treatment cannot
    have changed. `moderators` says by which columns (or windows of origination, which may have any name) the effect of
    treatment may differ, and `moderated` of which other columns the effect is asked by some of them. `alternatives`
    are choices that could as well have been made.
    """

    module: Name
    outcome: Literal["default", "arrears"] = "default"
    design: Literal["randomised", "quasi_experimental", "matched_observational", "simulated"]
    institution_type: Literal["commercial_bank", "consumer_finance", "p2p", "sme_lender", "several", "other"]
    rate_months: Months = 12
    # `dvc exp run -S ...scenario=null` writes YAML's null, which stands there for the name.
    scenario: Annotated[Scenario | None, BeforeValidator(lambda name: "null" if name is None else name)] = None
    scale: Scale | None = None
    recovery: Recovery | None = None
    sources: Names[str]
    own: dict[str, Any] | None = None
    vintages: Numbers[int] = []
    eligibility: dict[str, Any]
    horizon_months: Months | None
    landmark: Landmark | None
    release_lag_months: dict[str, NonNegativeInt]
    treatment: Treatment | None
    factors: Annotated[Names[Factor], AfterValidator(once)]
    undated: Names[Factor] = []
    matching: Matching
    controls: Controls
    cluster: str
    placebo: Annotated[Names[str], AfterValidator(once)] = []
    moderators: dict[str, Moderator] = {}
    moderated: dict[str, Annotated[Names[str], Field(min_length=1)]] = {}
    groups: Names[str]
    doses: dict[Factor, Annotated[Numbers[float], Field(min_length=1), AfterValidator(rising)]]
    relations: Annotated[list[Relation], named_by("name")] = []
    incomplete: Names[Term] = []
    alternatives: Alternatives = Alternatives()
    expected: Expected

    def after_origination(self) -> list[str]:
        """Return the factors that are measured between origination and the landmark."""
        return self.landmark.factors if self.landmark else []

    @property
    def simulated(self) -> bool:
        """Whether lenders' raw tables are simulated, not fetched."""
        return self.scenario is not None

    @model_validator(mode="after")
    def _scenario_and_scale_go_together(self) -> Study:
        if (self.scenario is None) != (self.scale is None):
            raise ValueError("a simulated study names both scenario and scale")
        return self

    @field_validator("factors")
    @classmethod
    def _asks_something(cls, factors: list[str], info: ValidationInfo) -> list[str]:
        # A reader's file may measure no factor; its report says so.
        if not factors and info.data.get("own") is None:
            raise ValueError("name at least one factor")
        return factors

    @field_validator("relations")
    @classmethod
    def _each_relation_once(cls, relations: list[Relation]) -> list[Relation]:
        once([relation.name for relation in relations])
        return relations

    @model_validator(mode="after")
    def _treatment_is_a_factor(self) -> Study:
        named = [("doses", name) for name in self.doses]
        if self.treatment:
            named.append(("treatment.factor", self.treatment.factor))
        if self.landmark:
            named += [("landmark.factors", name) for name in self.landmark.factors]
        named += [("undated", name) for name in self.undated]
        for where, name in named:
            if name not in self.factors:
                raise ValueError(f"{where} is '{name}', which is not among the study's factors")
        return self

    @model_validator(mode="after")
    def _moderators_are_declared(self) -> Study:
        for name in (name for names in self.moderated.values() for name in names):
            if name not in self.moderators:
                raise ValueError(f"moderated names '{name}', which is not among the study's moderators")
        return self


def rungs_of(protocol: Study) -> dict[str, list[str]]:
    """Return the rungs on all loans, each with its blocks of controls."""
    present = [block for block in BLOCKS if block in protocol.controls.ladder()]
    numbered = {f"M{BLOCKS.index(block) + 2}": present[: place + 1] for place, block in enumerate(present)}
    return {"M1": [], **numbered}
