"""Institutions, their applicants, underwriting and enrolment (sections Institution to Enrolment)."""

from __future__ import annotations

from dataclasses import dataclass, fields
from functools import cache
from statistics import NormalDist

import numpy as np

from pipeline.runtime.errors import StudyError
from pipeline.studies.reference.settings import Settings
from pipeline.studies.reference.world import World, log_odds, logistic, stream

NEVER = 10_000  # month of adoption of an institution that never adopts
MOST_CLIENTS = 100_000  # identifiers leave room for this many applicants of an institution


@dataclass(frozen=True)
class Institution:
    """One lender; the quality Q and branch quality V are hidden, the rest is in its records."""

    kind: int
    number: int
    quality: float
    adoption_month: int
    has_contact_log: bool
    founded: int
    branch_quality: np.ndarray
    branch_region: np.ndarray
    branch_audit: np.ndarray
    branch_staff: np.ndarray

    @property
    def name(self) -> str:
        """Identifier such as CB007."""
        return f"{('CB', 'CF', 'PP')[self.kind]}{self.number + 1:03d}"

    @property
    def key(self) -> int:
        """First digits of every identifier that the institution gives out."""
        return ((self.kind + 1) * 10_000 + self.number) * MOST_CLIENTS


def draw_institution(settings: Settings, seed: int, kind: int, number: int) -> Institution:
    """Draw one institution of type index `kind`. Adoption follows Q, except in the benign scenario."""
    draws = stream(seed, kind, number, "institution")
    quality = draws.normal()
    seen = 0.0 if settings.benign else quality
    adopts = draws.random() < logistic(log_odds(settings.adoption_share[kind]) + settings.adoption_quality * seen)
    month = settings.adoption_month_mean + settings.adoption_month_quality * seen
    month = round(month + draws.normal(0, settings.adoption_month_sd))
    month = min(max(month, settings.adoption_month_first), settings.adoption_month_last)
    log = draws.random() >= settings.no_contact_log
    founded = int(draws.integers(1925, 1996)) if kind < 2 else 2001
    branch_quality = draws.normal(size=settings.branches)
    region = draws.integers(0, settings.regions, settings.branches)
    audit = np.round(75 + 8 * branch_quality + 3 * draws.normal(size=settings.branches), 1)
    staff = draws.integers(4, 31, settings.branches)
    return Institution(
        kind,
        number,
        float(quality),
        month if adopts else NEVER,
        bool(log),
        founded,
        branch_quality,
        region,
        audit,
        staff,
    )


@dataclass(frozen=True)
class Clients:
    """Applicants of one institution, arrays of equal length ordered by month and branch.

    `month` is the origination month (0 = first of the calendar), `hidden` K, `score` G, `recorded` G with the
    error of the record, `debt` and `tenure` in standard units, `index` the underwriting index that the lender
    computed. `enrolled_if_lost/drawn` are the two answers to the lottery Z; `enrolled` (D) is the one that
    happened. `*_noise` are the e of sharing, satisfaction and loyalty.
    """

    branch: np.ndarray
    month: np.ndarray
    hidden: np.ndarray
    score: np.ndarray
    recorded: np.ndarray
    debt: np.ndarray
    tenure: np.ndarray
    business: np.ndarray
    industry: np.ndarray
    index: np.ndarray
    granted: np.ndarray
    granted_without: np.ndarray
    after_adoption: np.ndarray
    drawn: np.ndarray
    enrolled_if_lost: np.ndarray
    enrolled_if_drawn: np.ndarray
    sharing_noise: np.ndarray
    satisfaction_noise: np.ndarray
    loyalty_noise: np.ndarray

    @property
    def enrolled(self) -> np.ndarray:
        """D: the answer to the lottery that was drawn."""
        return np.where(self.drawn, self.enrolled_if_drawn, self.enrolled_if_lost)

    def __len__(self) -> int:
        """Return the number of applicants."""
        return len(self.month)

    def take(self, rows: np.ndarray) -> Clients:
        """Return the applicants at `rows`."""
        return Clients(**{field.name: getattr(self, field.name)[rows] for field in fields(self)})


def index_deviation(settings: Settings) -> float:
    """Return the standard deviation of the underwriting index before adoption (section Underwriting)."""
    weight = 1 / (1 + settings.soft_noise_before**2)
    hidden = settings.index_score * settings.score_hidden + weight
    noise = (settings.index_score * settings.score_noise, weight * settings.soft_noise_before)
    return (hidden**2 + noise[0] ** 2 + noise[1] ** 2) ** 0.5


def underwriting_cut(settings: Settings) -> float:
    """Return the cut of the index: its `refused_share` quantile before adoption, from the normal law."""
    return NormalDist().inv_cdf(settings.refused_share) * index_deviation(settings)


@cache
def grade_cuts(settings: Settings) -> np.ndarray:
    """Return the four cuts of the recorded score that part the loans granted before adoption in fifths.

    Index and recorded score are jointly normal, so the law of the recorded score among loans is its normal
    density times the chance of being granted, added up on a grid.
    """
    error = 0.0 if settings.benign else settings.grade_error
    score_variance = settings.score_hidden**2 + settings.score_noise**2
    recorded_deviation = (score_variance + error**2) ** 0.5
    covariance = settings.index_score * score_variance
    covariance += settings.score_hidden / (1 + settings.soft_noise_before**2)
    r = covariance / recorded_deviation / index_deviation(settings)
    normal = NormalDist()
    cut = normal.inv_cdf(settings.refused_share)
    grid = np.linspace(-6, 6, 12_001)
    mass = np.array([normal.pdf(x) * normal.cdf((r * x - cut) / (1 - r**2) ** 0.5) for x in grid])
    share = np.cumsum(mass) / mass.sum()
    return np.round(recorded_deviation * np.interp([0.2, 0.4, 0.6, 0.8], share, grid), 6)


def draw_clients(settings: Settings, seed: int, lender: Institution) -> Clients:
    """Draw the applicants of one institution, the lender's decision and the enrolment."""
    draws = stream(seed, lender.kind, lender.number, "clients")
    s = settings
    counts = draws.poisson(s.branch_volume[lender.kind], (s.origination_months, s.branches))
    n = int(counts.sum())
    if n >= MOST_CLIENTS:
        raise StudyError("applications_per_branch is too large for the identifiers: raise `scale` instead.")
    month, branch = np.divmod(np.repeat(np.arange(counts.size), counts.ravel()), s.branches)

    def e() -> np.ndarray:
        return draws.normal(size=n)

    hidden = e()
    score = s.score_hidden * hidden + s.score_noise * e()
    recorded = score + (0.0 if s.benign else s.grade_error) * e()
    debt = e() + s.debt_hidden * hidden
    tenure = e() + s.tenure_hidden * hidden + (s.tenure_bank if lender.kind == 0 else 0.0)
    business = draws.random(n) < s.business_share[lender.kind]
    industry = draws.integers(0, s.industries, n)

    soft_noise = e()
    after_adoption = month >= lender.adoption_month

    def index(noise_size: float) -> np.ndarray:
        return s.index_score * score + (hidden + noise_size * soft_noise) / (1 + noise_size**2)

    without = index(s.soft_noise_before)
    chosen = np.where(after_adoption & s.works, index(s.soft_noise_after), without)
    cut = underwriting_cut(s)

    drawn = draws.random(n) < s.lottery_share
    u = draws.random(n)
    wish = s.enrol_intercept + s.enrol_score * score + (0.0 if s.benign else s.enrol_hidden) * hidden
    wish += s.enrol_tenure * tenure + s.enrol_business * business
    return Clients(
        branch=branch,
        month=month,
        hidden=hidden,
        score=score,
        recorded=recorded,
        debt=debt,
        tenure=tenure,
        business=business,
        industry=industry,
        index=chosen,
        granted=chosen > cut,
        granted_without=without > cut,
        after_adoption=after_adoption,
        drawn=drawn,
        enrolled_if_lost=after_adoption & (u < logistic(wish - s.enrol_lottery / 2)),
        enrolled_if_drawn=after_adoption & (u < logistic(wish + s.enrol_lottery / 2)),
        sharing_noise=e(),
        satisfaction_noise=e(),
        loyalty_noise=e(),
    )


def regional_effects(world: World, lender: Institution, clients: Clients) -> np.ndarray:
    """Return the region and industry terms of the log odds of delinquency, one per client."""
    return world.region_effect[lender.branch_region[clients.branch]] + world.industry_effect[clients.industry]
