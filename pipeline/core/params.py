"""The choices of params.yaml, typed and checked before any stage runs."""

from __future__ import annotations

import copy
import difflib
import functools
import re
import reprlib
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)

from pipeline.core.mapped import completed
from pipeline.runtime import places
from pipeline.runtime.errors import StudyError

MOST_VALUES = 100_000
"""Values of a YAML file with aliases written out: a hundred studies with long sections have fewer."""

CONSTRUCTS = (
    "satisfaction",
    "communication_frequency",
    "communication_effectiveness",
    "information_sharing",
    "risk_assessment",
    "early_warning",
    "relationship_length",
    "relationship_depth",
    "loyalty",
    "review_sentiment",
)
"""What the literature means by CRM. A study's factor is a construct's name, or begins with one."""

BLOCKS = ("loan", "borrower", "market", "time")
"""Blocks of controls in the order in which the regression ladder adds them."""


def construct(factor: str) -> str:
    """Return the construct that a factor measures: ``communication_frequency_days`` -> ``communication_frequency``."""
    for name in CONSTRUCTS:
        if factor == name or factor.startswith(f"{name}_"):
            return name
    raise ValueError(f"factor '{factor}' must be, or begin with, one of: {', '.join(CONSTRUCTS)}")


def _factor(name: str) -> str:
    construct(name)
    return name


def _term(text: str) -> str:
    if not re.fullmatch(r"[a-z][a-z0-9_]*|log\([a-z][a-z0-9_]*\)", text):
        raise ValueError(f"'{text}' must be the name of a column or log(column)")
    return text


def _month(text: str) -> str:
    if not re.fullmatch(r"\d{4}-(0[1-9]|1[0-2])", text):
        raise ValueError(f"'{text}' must be a month such as 2009-10")
    return text


def _once(names: list[str]) -> list[str]:
    if len(set(names)) < len(names):
        raise ValueError("each name may stand there once")
    return names


def _with_base(scenarios: list[str]) -> list[str]:
    if "base" not in scenarios:
        raise ValueError("base must be among them: there the methods are compared with an effect that is not zero")
    return scenarios


def _rising(edges: list[float]) -> list[float]:
    if edges != sorted(set(edges)):
        raise ValueError("the numbers must rise")
    return edges


def _level(text: str) -> str:
    return text if re.fullmatch(r"[a-z][a-z0-9_]*\[[^\[\]]+\]", text) else _term(text)


Factor = Annotated[str, AfterValidator(_factor)]
Term = Annotated[str, AfterValidator(_term)]
TermOrLevel = Annotated[str, AfterValidator(_level)]
"""A term, or one level of a category, such as ``loan_type[car]``."""
NAME, SIZE = r"^[a-z][a-z0-9_]*$", r"^[1-9][0-9]{0,5}(MB|GB|TB)$"
FORMS = {NAME: "must be small letters, digits and underscores", SIZE: "must be a size such as 500MB or 4GB"}
"""What is said of text that has not the form it should have."""

Name = Annotated[str, Field(pattern=NAME)]
Month = Annotated[str, AfterValidator(_month)]
Scenario = Literal["base", "benign", "null"]
# Numbers beyond these bounds are slips of the keyboard: a run of them would never end, or fill the memory first.
Parts = Annotated[int, Field(ge=2, le=100)]
PerTreated = Annotated[int, Field(ge=1, le=100)]
Rounds = Annotated[int, Field(ge=1, le=1_000)]
Months = Annotated[int, Field(ge=1, le=1_200)]
Loans = Annotated[int, Field(ge=1_000, le=1_000_000_000)]
Scale = Annotated[float, Field(gt=0, le=10_000)]
HOST = r"([A-Za-z0-9._-]+|\[[0-9A-Fa-f:]+\])"


def _cluster(address: str) -> str:
    if not re.fullmatch(rf"(tcp|tls)://{HOST}:\d{{1,5}}", address):
        raise ValueError("the address of a Dask scheduler looks like tcp://192.0.2.1:8786")
    return address


def _spark(address: str) -> str:
    if not re.fullmatch(rf"spark://{HOST}:\d{{1,5}}", address):
        raise ValueError("the address of a Spark cluster looks like spark://192.0.2.1:7077")
    return address


class Section(BaseModel):
    """A part of params.yaml: read-only, and unknown names are errors."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


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


Share = Annotated[float, Field(gt=0, lt=1)]


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

    cuts: Annotated[list[Share], Field(min_length=1), AfterValidator(_rising)]
    tiers: Annotated[list[Share], Field(min_length=2, max_length=2), AfterValidator(_rising)]
    stable: PositiveFloat


class Missing(Section):
    """How often, and how long, gaps are filled by chained equations."""

    imputations: Annotated[int, Field(ge=2, le=1_000)]
    iterations: Rounds


class Parallel(Section):
    """Where tasks that do not need each other are computed."""

    backend: Literal["loky", "dask"]
    address: Annotated[str, AfterValidator(_cluster)] | None
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


class Treatment(Section):
    """The rule that splits loans into two arms: a factor at or above a value."""

    factor: Factor
    at_least: float


class Matching(Section):
    """What pairs must share: exact keys, and the covariates of the propensity score.

    A study may add `calipers` on single covariates of the score (in their standard deviations) and, for coarsened
    exact matching, `cuts`: cut points, a number of bins, or automatic.
    """

    exact: list[str]
    score: list[Term] = Field(min_length=1)
    calipers: dict[Term, PositiveFloat] = {}
    cuts: dict[Term, Literal["automatic"] | Rounds | Annotated[list[float], AfterValidator(_rising)]] = {}


class Controls(Section):
    """Blocks of control variables, as columns or log(column).

    `strata` are the columns within which a lottery was drawn, for studies that have one: chances of treatment may
    differ between them, so every regression with controls has an effect for each, whatever block is its last.
    """

    strata: list[Term] = []
    loan: list[Term]
    borrower: list[Term]
    market: list[Term]
    time: list[Term]

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
    controls: list[Term]


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
    levels: Annotated[list[str], Field(min_length=1)] | None = None

    @model_validator(mode="after")
    def _limits_or_levels(self) -> Condition:
        if self.levels is not None and (self.at_least, self.above, self.at_most) != (None, None, None):
            raise ValueError("a condition gives limits or levels, not both")
        return self


class Outcome(Section):
    """Another definition of the outcome: a column as it stands (nought to one), or whether it meets a condition.

    `among` says which loans have this outcome at all.
    """

    column: Name
    when: Condition | None = None
    among: list[Condition] = []


class Sample(Section):
    """Another sample: the loans that meet all conditions.

    `wider` begins from the study's wider sample (more/robustness.parquet) in place of its cohort, `window` keeps months
    of origination, and `score_within` loans whose chance of treatment lies between this and one minus it.
    """

    wider: bool = False
    window: Window | None = None
    where: list[Condition] = []
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
    exact: dict[Choice, Annotated[list[str], AfterValidator(_once)]] = {}


class SpecificationCurve(Section):
    """Choices that are crossed in the specification curve; params.yaml says why each is defensible."""

    most_loans: Loans
    permutations: Annotated[int, Field(ge=19, le=100_000)]
    scores: Annotated[list[Literal["logistic", "boosting"]], Field(min_length=1), AfterValidator(_once)]
    folds: Parts
    distances: Annotated[
        list[Literal["logit", "probability", "mahalanobis"]], Field(min_length=1), AfterValidator(_once)
    ]
    calipers: Annotated[list[PositiveFloat], Field(min_length=1), AfterValidator(_rising)]
    ratios: Annotated[list[PerTreated], Field(min_length=1), AfterValidator(_rising)]
    orders: Annotated[
        list[Literal["closest", "largest", "smallest", "data"]], Field(min_length=1), AfterValidator(_once)
    ]
    after_matching: Annotated[list[Literal["none", "covariates", "all"]], Field(min_length=1), AfterValidator(_once)]
    models: Annotated[list[Literal["linear", "logit"]], Field(min_length=1), AfterValidator(_once)]
    alike: Annotated[float, Field(gt=0, le=1)]
    typical: Annotated[float, Field(gt=0, lt=1)]


class Expected(Section):
    """Counts that the sample flow must meet; None leaves one unchecked."""

    ended: int | None
    ended_defaults: int | None
    cohort: int | None


class Recovery(Section):
    """How often, and in which worlds, the methods are tried against the known truth."""

    replications: int = Field(ge=2, le=100_000)
    scale: Scale
    scenarios: Annotated[list[Scenario], AfterValidator(_once), AfterValidator(_with_base)]


Moderator = Literal["levels", "thirds"] | Annotated[list[float], Field(min_length=1), AfterValidator(_rising)] | Window
"""How loans are parted to ask whether an effect differs between the parts."""


class Landmark(Section):
    """Factors that are measured after origination, and the month that ends their window.

    Their analyses take the loans still open at the end of that month, and count defaults after it.
    """

    months: Months
    factors: list[Factor]


class Study(Section):
    """One study's protocol, written as a target trial: the whole of pipeline/studies/NAME/params.yaml.

    `module` names the study whose code this one runs; left out, it runs the code of its own folder.
    `eligibility`, `release_lag_months` and `own` are checked by that module, which knows their names. What a
    study does not have is left out: sources and vintages when it is simulated, scenario and scale when it is not, a
    treatment rule when treatment is recorded, a landmark when every factor is known at origination.

    `undated` are factors to which the records give no date, so that they may follow the loan. `placebo` are columns
    that treatment cannot have changed. `moderators` says by which columns (or windows of origination, which may have
    any name) the effect of treatment may differ, and `moderated` of which other columns the effect is asked by some of
    them. `alternatives` are choices that could as well have been made.
    """

    module: Name
    outcome: Literal["default", "arrears"] = "default"
    design: Literal["randomised", "quasi_experimental", "matched_observational", "simulated"]
    institution_type: Literal["commercial_bank", "consumer_finance", "p2p", "sme_lender", "several", "other"]
    # `dvc exp run -S ...scenario=null` writes YAML's null, which stands there for the name.
    scenario: Annotated[Scenario | None, BeforeValidator(lambda name: "null" if name is None else name)] = None
    scale: Scale | None = None
    recovery: Recovery | None = None
    sources: list[str]
    own: dict[str, Any] | None = None
    vintages: list[int] = []
    eligibility: dict[str, Any]
    horizon_months: Months | None
    landmark: Landmark | None
    release_lag_months: dict[str, NonNegativeInt]
    treatment: Treatment | None
    factors: Annotated[list[Factor], AfterValidator(_once)]
    undated: list[Factor] = []
    matching: Matching
    controls: Controls
    cluster: str
    placebo: Annotated[list[str], AfterValidator(_once)] = []
    moderators: dict[str, Moderator] = {}
    moderated: dict[str, Annotated[list[str], Field(min_length=1)]] = {}
    groups: list[str]
    doses: dict[Factor, Annotated[list[float], Field(min_length=1), AfterValidator(_rising)]]
    relations: list[Relation] = []
    incomplete: list[Term] = []
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
        _once([relation.name for relation in relations])
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


class Synthesis(Section):
    """Which studies are laid side by side, and which factors count what a relationship lacks."""

    studies: Annotated[list[str], Field(min_length=1), AfterValidator(_once)]
    reversed: list[Factor]


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
    capacities: Annotated[list[float], Field(min_length=1), AfterValidator(_rising)]
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


class Listed(Section):
    """What the list of studies says of one that it names: nothing."""


def _watched(file: str) -> str:
    if "${" in file:
        raise ValueError("'${' in a path stands for a parameter of DVC: rename the file or its folder")
    return file


class ListedFile(Section):
    """What it says of a study of a reader's own file: where that is, which DVC watches."""

    file: Annotated[str, Field(min_length=1), AfterValidator(_watched)]


class Studies(Section):
    """The list of studies at the end of params.yaml, by kind; stages of dvc.yaml run for the studies of a kind."""

    fetched: dict[Name, Listed]
    simulated: dict[Name, Listed]
    owned: dict[Name, ListedFile]
    every: dict[str, Any]
    designed: dict[Name, Listed]
    watched: dict[Name, Listed]

    @model_validator(mode="after")
    def _each_study_once(self) -> Studies:
        named = [*self.fetched, *self.simulated, *self.owned]
        if taken := [name for name in named if name in places.NO_STUDY]:
            raise ValueError(f"'{taken[0]}' cannot be a study's name: reports/{taken[0]} holds other pages")
        if twice := sorted({name for name in named if named.count(name) > 1}):
            raise ValueError(f"'{twice[0]}' stands under two kinds")
        if wrong := sorted(set(named) ^ set(self.every)):
            raise ValueError(f"every must name the studies of fetched, simulated and owned; look at '{wrong[0]}'")
        for kind in ("designed", "watched"):
            for name in getattr(self, kind):
                if name not in named:
                    raise ValueError(f"{kind} names '{name}', which is not among the studies{nearest(name, named)}")
        return self


class Params(Section):
    """The choices of params.yaml and, by study, those of each study's own file."""

    seed: int = Field(ge=0)
    parallel: Parallel
    engine: Literal["duckdb", "spark"]
    engine_address: Annotated[str, AfterValidator(_spark)] | None
    engine_memory: Annotated[str, Field(pattern=SIZE)]
    match: Match
    inference: Inference
    adjust: Adjust
    specification_curve: SpecificationCurve
    checks: Checks
    predict: Predict
    grade: Grade
    missing: Missing
    report: Report
    loss_share: float = Field(gt=0, le=1)
    warning: EarlyWarning
    policy: Policy
    synthesis: Synthesis
    evidence: Evidence
    studies: dict[str, Study]

    @model_validator(mode="after")
    def _synthesis_names_studies(self) -> Params:
        for name in self.synthesis.studies:
            if name not in self.studies:
                raise ValueError(f"synthesis.studies names '{name}', which is not among the studies")
        return self

    def study(self, name: str) -> Study:
        """Return one study's protocol; an unknown name is a StudyError that lists the nearest ones."""
        if name not in self.studies:
            raise StudyError(f"params.yaml lists no study '{name}'{nearest(name, self.studies)}")
        return self.studies[name]


def nearest(name: str, known: Any) -> str:
    """Return what to add to a sentence on an unknown name: the known one that is nearest, or all of them."""
    close = difflib.get_close_matches(name, list(known), n=1)
    return f": did you mean '{close[0]}'?" if close else f" (known: {', '.join(known)})"


def _sections(annotation: Any) -> Iterator[type[BaseModel]]:
    """Yield the sections that a type holds, inside lists, mappings and alternatives too."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for inner in get_args(annotation):
        yield from _sections(inner)


def _fields_at(path: tuple[Any, ...], model: type[BaseModel]) -> list[str]:
    """Names that are allowed in the section that `path` leads to."""
    for step in path:
        # Names of studies, places in a list and kinds of an alternative lead no further down.
        if field := model.model_fields.get(str(step)):
            model = next(_sections(field.annotation), model)
    return list(model.model_fields)


def sentence(error: Any, model: type[BaseModel], where: str = "") -> str:
    """Return what one of pydantic's errors says of a section that stands at the path `where` in its file."""
    steps = [str(step) for step in error["loc"] if step != "[key]"]
    path = ".".join(filter(None, (where, *steps))) or "the file"
    if error["type"] == "extra_forbidden":
        return f"{path} is not a parameter{nearest(steps[-1], _fields_at(error['loc'][:-1], model))}"
    if error["type"] == "missing":
        return f"{path} is missing"
    if error["type"] == "invalid_key":
        return f"{path}: a name must be text, such as '{steps[-1]}' in quotation marks"
    if error["type"] == "string_pattern_mismatch" and error["loc"][-1] == "[key]":
        path, *_ = path.rpartition(f".{steps[-1]}")
        return f"{path} holds the name {reprlib.repr(steps[-1])}, which {FORMS[NAME]}"
    message = FORMS.get(error.get("ctx", {}).get("pattern")) or error["msg"].removeprefix("Value error, ")
    found = "" if isinstance(error["input"], dict) else f" (found {reprlib.repr(error['input'])})"
    return f"{path}: {message[0].lower()}{message[1:]}{found}"


@functools.lru_cache(maxsize=64)
def _written_out(text: str) -> int:
    """Return how many values a YAML text has when every alias is written out (`MOST_VALUES` + 1 for too many).

    A few lines of aliases of aliases stand for billions of values. They are counted before anything is built of them.
    """
    from ruamel.yaml import YAML
    from ruamel.yaml.events import AliasEvent, CollectionEndEvent, CollectionStartEvent, NodeEvent

    too_many = MOST_VALUES + 1
    sizes: dict[str, int] = {}
    open_now: list[tuple[str | None, int]] = []
    total = 0
    for event in YAML(typ="safe", pure=True).parse(text):
        if isinstance(event, AliasEvent):
            # An alias inside what it names would never end; one that names nothing is the reader's to refuse.
            endless = any(anchor == event.anchor for anchor, _ in open_now)
            total += too_many if endless else sizes.get(event.anchor, 0)
        elif isinstance(event, CollectionEndEvent):
            anchor, before = open_now.pop()
            if anchor is not None:
                sizes[anchor] = total - before
        elif isinstance(event, NodeEvent):
            total += 1
            if isinstance(event, CollectionStartEvent):
                open_now.append((event.anchor, total - 1))
            elif event.anchor is not None:
                sizes[event.anchor] = 1
        if total > MOST_VALUES:
            return too_many
    return total


@functools.lru_cache(maxsize=64)
def _parsed(text: str) -> Any:
    """Parse YAML 1.2; a text that was parsed before, as the words of the pages are again and again, costs nothing."""
    from ruamel.yaml import YAML

    return YAML(typ="safe", pure=True).load(text)


def read(path: Path = Path("params.yaml")) -> dict[str, Any]:
    """Read a YAML 1.2 file (the version that DVC reads) into plain Python objects."""
    from ruamel.yaml.error import YAMLError

    try:
        text = path.read_text(encoding="utf-8-sig")
        if "*" in text and _written_out(text) > MOST_VALUES:
            raise StudyError(
                f"{path} repeats itself by aliases (*) to more than {MOST_VALUES:,} values: write them out."
            )
        content = copy.deepcopy(_parsed(text))
    except (FileNotFoundError, IsADirectoryError) as error:
        raise StudyError(f"{path} is missing: run from the folder that holds it.") from error
    except RecursionError as error:
        raise StudyError(f"{path} is not valid YAML here: sections stand in sections too many times.") from error
    except (YAMLError, ValueError) as error:  # a value such as 2009-13-45 is an error of its own
        where = getattr(error, "problem_mark", None)
        line = f", line {where.line + 1}" if where else ""
        raise StudyError(f"{path}{line} is not valid YAML: {getattr(error, 'problem', None) or error}.") from error
    if not isinstance(content, dict):
        raise StudyError(f"{path} must hold named sections, each a name with what belongs to it.")
    return content


def load(path: Path = Path("params.yaml")) -> Params:
    """Read and check params.yaml and the file of each study that it lists.

    Everything that is wrong is reported together, in one StudyError that names the file of each value.
    """
    content = read(path)
    if "studies" not in content:
        raise StudyError(f"{path}: studies is missing, the list of studies.")
    try:
        listed = Studies.model_validate(content["studies"])
    except ValidationError as error:
        said = [sentence(item, Studies, "studies") for item in error.errors()]
        raise StudyError(f"{path}: {'; '.join(said)}.") from error
    folder = path.parent / places.STUDIES
    named = [*listed.fetched, *listed.simulated, *listed.owned]
    there = {file.parent.name for file in folder.glob("*/params.yaml")}
    wrong = [
        *(f"'{name}', but {folder / name}/params.yaml is missing" for name in named if name not in there),
        *(f"no '{name}', but {folder / name}/params.yaml is there" for name in sorted(there - set(named))),
    ]
    if wrong:
        raise StudyError(f"{path} lists {'; '.join(wrong)}: a study is one folder and one line.")
    sections = {name: {"module": name} | completed(read(path.parent / places.choices(name))) for name in named}
    checked = validated(content | {"studies": sections}, path)
    for name, item in listed.owned.items():
        file = (checked.study(name).own or {}).get("file")
        if file is not None and file != item.file:
            raise StudyError(
                f"{path} names {item.file} as the file of '{name}' and {path.parent / places.choices(name)} {file} "
                "under own.file: write one path in both."
            )
    return checked


def validated(content: dict[str, Any], path: Path = Path("params.yaml")) -> Params:
    """Return the parameters that the content of params.yaml holds, each study's own under its name in ``studies``.

    What is wrong is reported as if it stood in the file `path` and in the studies' files beside it.
    """
    try:
        return Params.model_validate(content)
    except ValidationError as error:
        said: dict[Path, list[str]] = {}
        for item in error.errors():
            match item["loc"]:
                case ("studies", study, *inner):
                    file = path.parent / places.choices(str(study))
                    said.setdefault(file, []).append(sentence(item | {"loc": inner}, Study))
                case _:
                    said.setdefault(path, []).append(sentence(item, Params))
        raise StudyError("; ".join(f"{file}: {'; '.join(found)}" for file, found in said.items()) + ".") from error


def rungs_of(protocol: Study) -> dict[str, list[str]]:
    """Return the rungs on all loans, each with its blocks of controls."""
    present = [block for block in BLOCKS if block in protocol.controls.ladder()]
    numbered = {f"M{BLOCKS.index(block) + 2}": present[: place + 1] for place, block in enumerate(present)}
    return {"M1": [], **numbered}
