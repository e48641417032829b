"""What happens to a loan month by month (sections Contacts, Stress spells, Months).

Everything except the loan's own state is drawn beforehand and kept, so that the same loan can be followed
under another regime with the very same draws.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from math import exp, factorial

import numpy as np

from pipeline.studies.reference.clients import Clients, Institution, regional_effects
from pipeline.studies.reference.settings import Settings
from pipeline.studies.reference.world import World, log_odds, logistic, stream

CURRENT, DELINQUENT, DEFAULT, PREPAID = range(4)
CHANNELS = ("contact", "sharing", "satisfaction", "alert")  # the ways in which enrolment acts


@dataclass(frozen=True)
class Draws:
    """Uniforms of one institution's clients, one row per client and one column per month.

    `stress` has the months of one spell before origination in front: a spell may be under way already.
    """

    contacts: np.ndarray
    reactive: np.ndarray
    stress: np.ndarray
    alerts: np.ndarray
    delinquency: np.ndarray
    cure: np.ndarray
    prepayment: np.ndarray

    def take(self, rows: np.ndarray) -> Draws:
        """Return the draws of the clients at `rows`."""
        return Draws(**{field.name: getattr(self, field.name)[rows] for field in fields(self)})


def draw_months(settings: Settings, seed: int, lender: Institution, clients: int) -> Draws:
    """Draw the months of `clients` applicants, granted or not, so that refusals do not shift anything."""

    def uniforms(purpose: str) -> np.ndarray:
        months = settings.follow_up_months + (settings.stress_months - 1 if purpose == "stress" else 0)
        return stream(seed, lender.kind, lender.number, purpose).random((clients, months))

    return Draws(**{field.name: uniforms(field.name) for field in fields(Draws)})


def poisson(u: np.ndarray, rate: float) -> np.ndarray:
    """Return the Poisson quantile of the uniforms `u`: more is drawn wherever the rate is higher."""
    terms = [exp(-rate) * rate**k / factorial(k) for k in range(40)]
    return np.searchsorted(np.cumsum(terms), u).astype(np.int8)


@dataclass(frozen=True)
class Course:
    """The course of n loans over T months under one regime.

    Per loan (n,): `sharing` I, `satisfaction` S, `loyalty` L. Per loan and month (n, T): `contacts` that the
    lender begins, `reactive` ones (that a delinquent client has), `arrivals` of stress, `stressed`, `alerts`,
    and `state` at the month's end. `risk` (n,) is the probability of default within the horizon given
    everything but the steps between states; the realised `default` averages to it, with far more noise.
    """

    sharing: np.ndarray
    satisfaction: np.ndarray
    loyalty: np.ndarray
    contacts: np.ndarray
    reactive: np.ndarray
    arrivals: np.ndarray
    stressed: np.ndarray
    alerts: np.ndarray
    state: np.ndarray
    risk: np.ndarray
    default: np.ndarray


def recent_contacts(settings: Settings, contacts: np.ndarray) -> np.ndarray:
    """Return the mean of the last three months' contacts (n, T); before the loan the ordinary rate counts."""
    padded = np.concatenate([np.full((len(contacts), 3), settings.contact_rate), contacts[:, :-1]], axis=1)
    return (padded[:, :-2] + padded[:, 1:-1] + padded[:, 2:]) / 3


def relationship(
    s: Settings, lender: Institution, clients: Clients, d_sharing: np.ndarray, d_satisfaction: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return sharing I and satisfaction S (n,), given the programme's reach (section Contacts)."""
    sharing = logistic(
        s.sharing_intercept
        + s.sharing_enrolled * d_sharing
        + s.sharing_hidden * clients.hidden
        + s.sharing_tenure * clients.tenure
        + s.sharing_noise * clients.sharing_noise
    )
    rate = s.contact_rate * np.exp(s.contact_enrolled * d_satisfaction)
    satisfaction = (
        s.satisfaction_level[lender.kind]
        + s.satisfaction_enrolled * d_satisfaction
        + s.satisfaction_contact * (rate - s.contact_rate) / s.contact_rate
        + s.satisfaction_hidden * clients.hidden
        + s.satisfaction_branch * lender.branch_quality[clients.branch]
        + s.satisfaction_noise * clients.satisfaction_noise
    )
    return sharing, satisfaction


def spells(s: Settings, u: np.ndarray, market: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return arrivals of stress and whether a month is stressed, both (n, T) (section Stress spells).

    `u` and `market` begin `stress_months` - 1 months before month 1.
    """
    arrivals = u < s.stress_rate * np.exp(s.stress_market * market)
    recent = np.cumsum(arrivals, axis=1)
    recent[:, s.stress_months :] -= recent[:, : -s.stress_months].copy()
    before = s.stress_months - 1
    return arrivals[:, before:], recent[:, before:] > 0


def follow(
    settings: Settings,
    world: World,
    lender: Institution,
    clients: Clients,
    draws: Draws,
    enrolled: np.ndarray,
    channels: tuple[str, ...] = CHANNELS,
    more_satisfaction: float = 0.0,
) -> Course:
    """Follow the clients' loans with D = `enrolled` (n,) acting through `channels` (section Months).

    Month 1 is the month after origination. The linear terms that the later steps share are all terms of the
    first step but its level, M and age. A client is contacted at the ordinary rate before the loan.
    """
    s, kind = settings, lender.kind
    works = np.asarray(enrolled, dtype=float) * s.works
    d = {channel: works if channel in channels else np.zeros_like(works) for channel in CHANNELS}

    contacts = poisson(draws.contacts, s.contact_rate)
    more = d["contact"] > 0
    contacts[more] = poisson(draws.contacts[more], s.contact_rate * exp(s.contact_enrolled))
    reactive = poisson(draws.reactive, s.reactive_rate)
    sharing, satisfaction = relationship(s, lender, clients, d["sharing"], d["satisfaction"])
    satisfaction = satisfaction + more_satisfaction
    loyalty = s.loyalty_satisfaction * (satisfaction - s.loyalty_centre) + s.loyalty_noise * clients.loyalty_noise

    before = s.stress_months - 1
    calendar = clients.month[:, None] + 1 + np.arange(-before, s.follow_up_months)
    market = world.market[np.maximum(calendar, 0)]
    arrivals, stressed = spells(s, draws.stress, market)
    market, calendar = market[:, before:], calendar[:, before:]
    watched = (d["alert"] > 0).astype(int)[:, None]
    alerts = draws.alerts < np.where(stressed, np.array(s.alert_stressed)[watched], np.array(s.alert_false)[watched])

    person = (
        s.risk_hidden * clients.hidden
        + s.risk_score * clients.score
        + s.risk_debt * clients.debt
        + s.risk_business * clients.business
        + s.risk_tenure * clients.tenure
        + s.risk_quality * lender.quality
        + s.risk_sharing * (sharing - 0.5)
        + s.risk_loyalty * loyalty
        + regional_effects(world, lender, clients)
    )
    attention = s.risk_contact * (np.log1p(recent_contacts(s, contacts)) - np.log1p(s.contact_rate))
    attention *= 1 + s.risk_contact_market * np.maximum(market, 0)
    linear = person[:, None] + attention + s.risk_stress * stressed + s.risk_alert * (stressed & alerts)

    age = np.arange(s.follow_up_months)
    to_delinquent = logistic(log_odds(s.delinquency[kind]) + linear + s.risk_market * market + s.risk_age * age)
    to_default = logistic(log_odds(s.default_step[kind]) + s.default_linear * linear + s.default_market * market)
    first, last = s.forbearance_window
    to_default *= np.where((calendar >= first) & (calendar < last), s.forbearance, 1.0)
    to_current = logistic(
        log_odds(s.cure_step[kind]) + s.cure_linear * linear + s.cure_reactive * np.log1p(reactive) + s.cure_intercept
    )
    state = walk(s, draws, to_delinquent, to_default, to_current)
    return Course(
        sharing=sharing,
        satisfaction=satisfaction,
        loyalty=loyalty,
        contacts=contacts,
        reactive=reactive,
        arrivals=arrivals,
        stressed=stressed,
        alerts=alerts,
        state=state,
        risk=default_risk(s, to_delinquent, to_default, to_current),
        default=state[:, s.horizon_months - 1] == DEFAULT,
    )


def walk(s: Settings, draws: Draws, to_delinquent: np.ndarray, to_default: np.ndarray, to_current: np.ndarray):
    """Return the state at the end of each month (n, T). Default and prepayment are absorbing."""
    state = np.empty(to_default.shape, dtype=np.int8)
    now = np.full(len(state), CURRENT, dtype=np.int8)
    leaves = draws.prepayment < s.prepayment
    falls = draws.delinquency < to_delinquent
    defaults = draws.delinquency < to_default  # the same uniform: a loan takes only one of the two steps
    cures = draws.cure < to_current
    for month in range(state.shape[1]):
        current, delinquent = now == CURRENT, now == DELINQUENT
        now[current & falls[:, month]] = DELINQUENT
        now[current & leaves[:, month]] = PREPAID
        now[delinquent & cures[:, month]] = CURRENT
        now[delinquent & defaults[:, month]] = DEFAULT
        state[:, month] = now
    return state


def default_risk(s: Settings, to_delinquent: np.ndarray, to_default: np.ndarray, to_current: np.ndarray) -> np.ndarray:
    """Return the probability of default within the horizon (n,), by adding up all courses of `walk`."""
    n = len(to_default)
    current, delinquent, default = np.ones(n), np.zeros(n), np.zeros(n)
    for month in range(s.horizon_months):
        falls = current * (1 - s.prepayment) * to_delinquent[:, month]
        ends = delinquent * to_default[:, month]
        cured = (delinquent - ends) * to_current[:, month]
        current = current * (1 - s.prepayment) - falls + cured
        delinquent = delinquent + falls - ends - cured
        default = default + ends
    return default
