"""Every number of the simulated lenders, each beside what it is (design document `reference-study.md`).

Values given as a tuple of three follow the order of `INSTITUTION_TYPES`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from pipeline.runtime.errors import StudyError

INSTITUTION_TYPES = ("commercial_bank", "consumer_finance", "p2p")

Triple = tuple[float, float, float]


@dataclass(frozen=True)
class Settings:
    """One simulated world; the defaults are the equations of the document.

    `scale` multiplies applications and loans. From 1 on it multiplies the number of institutions, so that
    memory per institution stays the same; below 1 it thins the applications of each branch instead, so that
    institutions, adoption dates and clusters stay those of the full study.
    """

    scenario: Literal["base", "benign", "null"] = "base"
    scale: float = 1.0

    # Size and time
    institutions: tuple[int, int, int] = (26, 16, 22)  # institutions of each type at scale 1
    branches: int = 12  # branches of each institution
    applications_per_branch: Triple = (3.6, 2.9, 2.3)  # mean applications of a branch in a month
    origination_months: int = 60  # months in which loans are granted
    follow_up_months: int = 24  # months after origination that are recorded
    horizon_months: int = 12  # default within this many months is the outcome
    first_month: str = "2002-10"  # calendar month 0
    regions: int = 8
    industries: int = 10
    market_weights: Triple = (-2.0, 1.0, 1.0)  # stress index M: growth, unemployment, real Treasury bill rate

    # Institution: quality Q ~ N(0,1), adoption of the programme
    adoption_share: Triple = (0.75, 0.65, 0.45)  # a: probability of ever adopting at Q = 0
    adoption_quality: float = 0.9  # Q -> log odds of adopting
    adoption_month_mean: float = 30.0  # mean month of adoption
    adoption_month_quality: float = -6.0  # Q -> month of adoption: good lenders adopt early
    adoption_month_sd: float = 8.0
    adoption_month_first: int = 9  # earliest and latest month of adoption
    adoption_month_last: int = 52
    no_contact_log: float = 0.08  # share of institutions whose contact log is lost

    # Client: hidden creditworthiness K ~ N(0,1)
    score_hidden: float = 0.6  # K -> score G
    score_noise: float = 0.8  # e -> score G
    grade_error: float = 0.35  # error of the recorded score, whose quintile is the grade
    debt_hidden: float = -0.3  # K -> debt-to-income
    tenure_hidden: float = 0.3  # K -> length of the relationship R
    tenure_bank: float = 0.4  # R is longer at banks
    business_share: Triple = (0.45, 0.05, 0.20)  # share of small and medium-sized firms
    lottery_share: float = 0.5  # Z: places of the programme are drawn by lot

    # Underwriting: granted if index = .8 G + (K + s e) / (1 + s^2) is above a cut
    index_score: float = 0.8  # G -> index
    soft_noise_before: float = 1.5  # s before adoption
    soft_noise_after: float = 1.0  # s after adoption: risk is assessed better
    refused_share: float = 0.35  # the cut is this quantile of the index before adoption

    # Enrolment after adoption (log odds)
    enrol_intercept: float = -0.2
    enrol_score: float = 0.4  # G
    enrol_hidden: float = 0.30  # K: the confounder that no table shows
    enrol_tenure: float = 0.25  # R
    enrol_business: float = 0.25
    enrol_lottery: float = 2.5  # Z - 1/2

    # What enrolment D changes
    contact_rate: float = 0.60  # lender-initiated contacts a month
    contact_enrolled: float = 0.75  # D -> log rate
    reactive_rate: float = 3.0  # contacts a month while delinquent
    sharing_intercept: float = -0.4  # sharing index I (logistic)
    sharing_enrolled: float = 0.9
    sharing_hidden: float = 0.35
    sharing_tenure: float = 0.2
    sharing_noise: float = 0.8
    satisfaction_level: Triple = (7.7, 7.2, 6.6)  # s0
    satisfaction_enrolled: float = 0.40
    satisfaction_contact: float = 0.25  # per doubling-sized rise (rate - .6) / .6 of the contact rate
    satisfaction_hidden: float = 0.25
    satisfaction_branch: float = 0.60  # branch quality V ~ N(0,1)
    satisfaction_noise: float = 1.3
    loyalty_satisfaction: float = 0.5  # loyalty L = .5 (S - 7) + .8 e
    loyalty_centre: float = 7.0
    loyalty_noise: float = 0.8

    # Survey of month 6
    survey_month: int = 6
    survey_delinquent: float = -1.2  # answer of a delinquent client
    survey_noise: float = 0.6
    response_intercept: float = 0.3  # response (log odds)
    response_satisfaction: float = 0.25  # per point above 7
    response_delinquent: float = -1.0

    # Stress spells and alerts
    stress_rate: float = 0.018  # arrival a month
    stress_market: float = 0.5  # M -> log rate of arrival
    stress_months: int = 6  # length of a spell
    alert_stressed: tuple[float, float] = (0.10, 0.60)  # chance of an alert: not enrolled, enrolled
    alert_false: tuple[float, float] = (0.01, 0.03)  # same without stress

    # Months: current -> delinquent (log odds)
    delinquency: Triple = (0.0062, 0.0100, 0.0290)  # p0
    risk_hidden: float = -0.45
    risk_score: float = -0.40
    risk_debt: float = 0.25
    risk_business: float = 0.15
    risk_tenure: float = -0.10
    risk_quality: float = -0.20  # Q of the institution
    risk_market: float = 0.35  # M
    risk_sharing: float = -0.40  # I - 1/2
    risk_loyalty: float = -0.08
    risk_contact: float = -0.18  # ln(1 + contacts) - ln 1.6, mean of the last three months
    risk_contact_market: float = 0.30  # the same works more in bad times: (1 + .30 max(M, 0))
    risk_stress: float = 1.6
    risk_alert: float = -0.60  # alert in a stressed month
    risk_age: float = -0.02  # per month since origination
    region_sd: float = 0.15
    industry_sd: float = 0.20

    # Months: delinquent -> default, delinquent -> current, current -> prepaid
    default_step: Triple = (0.16, 0.18, 0.24)
    default_linear: float = 0.3  # share of the linear terms above
    default_market: float = 0.15
    forbearance: float = 0.7  # factor on the default step inside the window
    forbearance_window: tuple[int, int] = (69, 75)  # calendar months [from, to): 2008-07 to 2008-12
    cure_step: Triple = (0.55, 0.50, 0.42)
    cure_linear: float = -0.3
    cure_reactive: float = 0.25  # ln(1 + reactive contacts)
    cure_intercept: float = -0.28
    prepayment: float = 0.008  # a month, while current

    # After the loan (log odds): the document says only that both follow L
    repeat_intercept: float = -0.9
    repeat_loyalty: float = 0.6
    attrition_intercept: float = -1.3
    attrition_loyalty: float = -0.6

    # Missing and texts
    income_missing: float = -1.84  # log odds at K = 0: 12% of loans
    income_missing_hidden: float = -0.5  # K: missing not at random
    review_share: float = 0.20  # clients who write a review
    review_correlation: float = 0.6  # sentiment with S
    review_rated: float = 0.5  # reviews that carry stars
    review_chinese: float = 0.4

    # Dirt: share of rows
    duplicate_share: float = 0.004
    impossible_date_share: float = 0.002
    text_number_share: float = 0.003
    unknown_code_share: float = 0.003

    def __post_init__(self) -> None:
        """Refuse values that no world has."""
        if self.scenario not in ("base", "benign", "null"):
            raise StudyError(f"The scenario {self.scenario!r} is unknown: choose base, benign or null.")
        if not 0 < self.scale <= 100:
            raise StudyError(f"The scale is {self.scale}: choose a number above 0 and at most 100.")
        if self.follow_up_months < self.horizon_months:
            raise StudyError("follow_up_months is shorter than horizon_months: make it at least as long.")

    @property
    def works(self) -> bool:
        """Whether the programme does anything: false in the null scenario."""
        return self.scenario != "null"

    @property
    def benign(self) -> bool:
        """Whether everything that drives enrolment and adoption can be seen."""
        return self.scenario == "benign"

    @property
    def institution_counts(self) -> tuple[int, ...]:
        """Institutions of each type at this scale."""
        return tuple(round(count * max(self.scale, 1.0)) for count in self.institutions)

    @property
    def branch_volume(self) -> tuple[float, ...]:
        """Mean applications of a branch in a month, by type, at this scale."""
        return tuple(rate * min(self.scale, 1.0) for rate in self.applications_per_branch)

    @property
    def calendar_months(self) -> int:
        """Months of the whole calendar, origination and follow-up."""
        return self.origination_months + self.follow_up_months
