"""The raw tables of one institution, as its systems would export them (section Raw tables).

Rules that the extracts follow, for whoever prepares them:

- `applications.credit_score` is 620 + 60 x (G + error) and `credit_grade` its fifth (A best), with fixed cuts
  that part the loans granted before adoption in equal numbers; in the benign scenario there is no error.
  `assessment_score` is the index on which the lender decided. `relationship_months` is 24 exp(.7 R),
  `debt_to_income` .35 + .08 x the standard unit.
- `loans.programme_lot` is empty where no programme was offered; `crm_enrolled` is D.
- Month k of `repayments` is calendar month k after origination; the last row is the month of default or
  prepayment, or month 24. State default is 90 days past due.
- `contacts` are those of open loans. Reactive are those with reason `arrears` or `payment_difficulty`;
  every other reason is the lender's own initiative (proactive). Institutions without a contact log have no
  rows. Whether a client was reached is recorded and changes nothing.
- Every client whose loan is open after month 6 is asked in the survey; only answers have a row.
- `documents`: what the client shared at origination, `items_shared` of `items_requested` in eight groups;
  the sum of the first over the sum of the second is the sharing index I to within 1/80.
- `account_inflow_ratio` is the month's inflow to the client's account over its usual level: about 1, and .6
  in a spell of stress.
- `branches.service_audit_score` is 75 + 8 V + 3 e: an audit of service quality made before the loans.
- Text columns that hold numbers or dates (`annual_income`, `amount`, `origination_date`, `application_date`)
  are as exported; the raw extracts are dirty (module `dirt`).
"""

from __future__ import annotations

import numpy as np

from pipeline.studies.reference.clients import Clients, Institution, grade_cuts
from pipeline.studies.reference.columns import Coded, Table, optional, text
from pipeline.studies.reference.months import CURRENT, DEFAULT, DELINQUENT, PREPAID, Course
from pipeline.studies.reference.settings import INSTITUTION_TYPES, Settings
from pipeline.studies.reference.world import logistic, stream

REGIONS = ("north", "north_east", "east", "south_east", "south", "south_west", "west", "north_west")

INDUSTRIES = (
    "agriculture",
    "construction",
    "education",
    "health",
    "hospitality",
    "manufacturing",
    "public_service",
    "retail",
    "technology",
    "transport",
)

GRADES = ("A", "B", "C", "D", "E")
LOAN_TYPES = ("personal", "car", "home_improvement", "working_capital", "equipment", "trade")
TYPICAL_AMOUNT = np.array([7_000, 14_000, 18_000, 40_000, 65_000, 30_000])  # median, dollars
TERMS = np.array([24, 36, 48, 60])  # months: never shorter than the follow-up
SHORTER_TERMS = np.array([0.5, 0.2, 0.2, 0.45, 0.15, 0.6])  # share of each loan type with the shortest term
COLLATERAL = np.array([0.0, 0.0, 0.0, 0.25, 0.60, 0.25])  # share with collateral
RATE_LEVEL = (0.065, 0.120, 0.160)  # annual interest rate at G = R = 0, by institution type

REASONS = (
    "check_in",
    "financial_advice",
    "product_information",
    "service_request",
    "arrears",
    "payment_difficulty",
)

CONTACT_CHANNELS = ("phone", "text_message", "email", "app", "visit")
REACHED = np.array([0.62, 0.90, 0.75, 0.80, 0.85])  # share of contacts that reach the client, by channel

DOCUMENT_GROUPS = (
    "identity",
    "income",
    "bank_statements",
    "tax",
    "assets",
    "liabilities",
    "employment_or_business",
    "references",
)

ITEMS_PER_GROUP = 5


class Extract:
    """Builds the raw tables of one institution from what was simulated.

    `clients` are all applicants, `loans` the positions of the granted ones, `course` theirs under the regime
    that happened. Identifiers count from the institution's own key; the first digit says what they number.
    """

    def __init__(
        self,
        settings: Settings,
        seed: int,
        lender: Institution,
        clients: Clients,
        loans: np.ndarray,
        course: Course,
    ) -> None:
        """Draw the terms and days that several tables share."""
        self.settings, self.seed, self.lender = settings, seed, lender
        self.clients, self.loans, self.course = clients, loans, course
        self.granted = clients.take(loans)
        number = np.arange(1, len(clients) + 1)
        self.application_id = 10_000_000_000 + lender.key + number
        self.client_id = 20_000_000_000 + lender.key + number
        self.loan_id = 30_000_000_000 + lender.key + np.arange(1, len(loans) + 1)
        self.calendar = np.datetime64(settings.first_month, "M")
        self.branch_names = tuple(f"{lender.name}-{branch + 1:02d}" for branch in range(settings.branches))

        draws = self.stream("terms")
        n = len(clients)
        u = draws.random(n)
        kinds = np.where(clients.business, 3, 0)
        self.loan_type = kinds + np.where(u < 0.5, 0, np.where(u < 0.8, 1, 2))
        amount = TYPICAL_AMOUNT[self.loan_type] * np.exp(0.5 * draws.normal(size=n))
        self.amount = (np.round(amount / 100) * 100).astype(np.int64)
        shortest = SHORTER_TERMS[self.loan_type]
        self.term = TERMS[np.minimum((draws.random(n) >= shortest) * (1 + draws.integers(0, 3, n)), 3)]
        rate = RATE_LEVEL[lender.kind] - 0.012 * clients.score - 0.004 * clients.tenure
        self.rate = np.round(np.maximum(rate + 0.008 * draws.normal(size=n), 0.01), 4)
        self.collateral = draws.random(n) < COLLATERAL[self.loan_type]
        self.day = draws.integers(0, 28, n)
        self.decision_days = draws.integers(1, 15, n)
        self.income_noise = draws.normal(size=n)
        self.income_known = draws.random(n) >= logistic(
            settings.income_missing + settings.income_missing_hidden * clients.hidden
        )

    def stream(self, purpose: str) -> np.random.Generator:
        """Return the institution's stream of one purpose."""
        return stream(self.seed, self.lender.kind, self.lender.number, purpose)

    def date(self, month: np.ndarray, day: np.ndarray | int) -> np.ndarray:
        """Return the date `day` days into calendar month `month`."""
        return (self.calendar + month).astype("datetime64[D]") + day

    def _constant(self, label: str, n: int) -> Coded:
        return Coded(np.zeros(n, dtype=np.int8), (label,))

    @property
    def open_months(self) -> np.ndarray:
        """(n, T): whether the loan was still open at the beginning of the month."""
        ended = self.course.state >= DEFAULT
        before = np.zeros_like(ended)
        before[:, 1:] = ended[:, :-1]
        return ~before

    def institutions(self) -> Table:
        """One row: the institution."""
        adopts = self.lender.adoption_month < self.settings.calendar_months
        month = np.array([self.lender.adoption_month if adopts else 0])
        return {
            "institution_id": self._constant(self.lender.name, 1),
            "institution_type": self._constant(INSTITUTION_TYPES[self.lender.kind], 1),
            "founded_year": np.array([self.lender.founded]),
            "crm_adoption_date": optional(self.date(month, 0), np.array([adopts])),
            "contact_log_available": np.array([self.lender.has_contact_log]),
        }

    def branches(self) -> Table:
        """One row per branch."""
        n = self.settings.branches
        regions = tuple(REGIONS[k] if k < len(REGIONS) else f"region_{k + 1}" for k in range(self.settings.regions))
        return {
            "branch_id": Coded(np.arange(n), self.branch_names),
            "institution_id": self._constant(self.lender.name, n),
            "region": Coded(self.lender.branch_region, regions),
            "staff": self.lender.branch_staff,
            "service_audit_score": self.lender.branch_audit,
        }

    def applications(self) -> Table:
        """One row per application, granted or not."""
        s, c, n = self.settings, self.clients, len(self.clients)
        decision = self.date(c.month, self.day)
        income = np.exp(10.4 + 0.25 * c.hidden - 0.10 * c.debt + 0.40 * self.income_noise + 0.5 * c.business)
        annual_income = text((np.round(income / 100) * 100).astype(np.int64))
        annual_income[~self.income_known] = None
        industries = tuple(INDUSTRIES[k] if k < len(INDUSTRIES) else f"industry_{k + 1}" for k in range(s.industries))
        return {
            "application_id": self.application_id,
            "client_id": self.client_id,
            "institution_id": self._constant(self.lender.name, n),
            "branch_id": Coded(c.branch, self.branch_names),
            "application_date": text(decision - self.decision_days),
            "decision_date": decision,
            "loan_type": Coded(self.loan_type, LOAN_TYPES),
            "requested_amount": self.amount,
            "requested_term_months": self.term,
            "client_segment": Coded(c.business.astype(np.int8), ("consumer", "small_business")),
            "industry": Coded(c.industry, industries),
            "annual_income": annual_income,
            "debt_to_income": np.round(np.maximum(0.35 + 0.08 * c.debt, 0.0), 4),
            "relationship_months": np.round(24 * np.exp(0.7 * c.tenure), 1),
            "credit_score": np.round(620 + 60 * c.recorded, 3),
            "credit_grade": Coded(4 - np.searchsorted(grade_cuts(s), c.recorded), GRADES),
            "assessment_score": np.round(c.index, 3),
            "decision": Coded(c.granted.astype(np.int8), ("refused", "granted")),
        }

    def loans_table(self) -> Table:
        """One row per loan granted."""
        s, g, rows, n = self.settings, self.granted, self.loans, len(self.loans)
        draws = self.stream("details")
        loyalty, state = self.course.loyalty, self.course.state[:, -1]
        u, month = draws.random((2, n)), draws.integers(3, s.follow_up_months + 1, (2, n))
        day = draws.integers(0, 28, (2, n))
        paid = state != DEFAULT
        returns = paid & (u[0] < logistic(s.repeat_intercept + s.repeat_loyalty * loyalty))
        leaves = paid & ~returns & (u[1] < logistic(s.attrition_intercept + s.attrition_loyalty * loyalty))
        lot = np.where(g.after_adoption, g.drawn, False).astype(np.int8)
        return {
            "loan_id": self.loan_id,
            "application_id": self.application_id[rows],
            "client_id": self.client_id[rows],
            "institution_id": self._constant(self.lender.name, n),
            "branch_id": Coded(g.branch, self.branch_names),
            "origination_date": text(self.date(g.month, self.day[rows])),
            "loan_type": Coded(self.loan_type[rows], LOAN_TYPES),
            "amount": text(self.amount[rows]),
            "term_months": self.term[rows],
            "interest_rate": self.rate[rows],
            "collateral": self.collateral[rows],
            "programme_lot": optional(np.array(["lost", "drawn"], dtype=object)[lot], g.after_adoption),
            "crm_enrolled": g.enrolled,
            "next_loan_date": optional(self.date(g.month + month[0], day[0]), returns),
            "left_lender_date": optional(self.date(g.month + month[1], day[1]), leaves),
        }

    def contacts(self) -> Table:
        """One row per contact of an open loan: the lender's own, and those of a delinquent client."""
        course, is_open = self.course, self.open_months
        was_delinquent = np.zeros_like(is_open)
        was_delinquent[:, 1:] = course.state[:, :-1] == DELINQUENT
        proactive = np.where(is_open, course.contacts, 0)
        reactive = np.where(is_open & was_delinquent, course.reactive, 0)
        if not self.lender.has_contact_log:
            proactive, reactive = np.zeros_like(proactive), np.zeros_like(reactive)
        both = (proactive + reactive).astype(np.int64)
        months = both.shape[1]
        cell = np.repeat(np.arange(both.size), both.ravel())
        within = np.arange(len(cell)) - np.repeat(np.cumsum(both.ravel()) - both.ravel(), both.ravel())
        loan, month = np.divmod(cell, months)
        is_reactive = within >= proactive.ravel()[cell]

        draws = self.stream("contact_rows")
        n = len(cell)
        day = draws.integers(0, 28, n)
        by_client = is_reactive & (draws.random(n) < 0.3)
        own_reason = np.minimum((draws.random(n) * 4).astype(np.int8), 2)
        reason = np.where(is_reactive, np.where(by_client, 5, 4), own_reason)
        channel = np.searchsorted([0.45, 0.65, 0.80, 0.95], draws.random(n), side="right")
        date = self.date(self.granted.month[loan] + 1 + month, day)
        order = np.lexsort((date, loan))
        count = np.bincount(loan, minlength=len(self.loans))
        number = np.arange(n) - np.repeat(np.cumsum(count) - count, count)
        return {
            "contact_id": self.loan_id[loan] * 1000 + number + 1,
            "loan_id": self.loan_id[loan],
            "contact_date": date[order],
            "channel": Coded(channel[order], CONTACT_CHANNELS),
            "initiated_by": Coded(by_client[order].astype(np.int8), ("lender", "client")),
            "reason": Coded(reason[order], REASONS),
            "reached": (draws.random(n) < REACHED[channel])[order],
        }

    def surveys(self) -> Table:
        """One row per answer in month 6; satisfaction from 1 to 10."""
        s, n = self.settings, len(self.loans)
        draws = self.stream("surveys")
        state = self.course.state[:, s.survey_month - 1]
        late = state == DELINQUENT
        answer = self.course.satisfaction + s.survey_delinquent * late + s.survey_noise * draws.normal(size=n)
        response = logistic(
            s.response_intercept
            + s.response_satisfaction * (self.course.satisfaction - 7)
            + s.response_delinquent * late
        )
        answered = (draws.random(n) < response) & (state < DEFAULT)
        date = self.date(self.granted.month + s.survey_month + 1, draws.integers(0, 21, n))
        return {
            "survey_id": self.loan_id[answered] + 10_000_000_000,
            "loan_id": self.loan_id[answered],
            "answer_date": date[answered],
            "satisfaction": np.clip(np.rint(answer), 1, 10).astype(np.int64)[answered],
        }

    def alerts(self) -> Table:
        """One row per early warning of an open loan."""
        loan, month = np.nonzero(self.course.alerts & self.open_months)
        return {
            "alert_id": self.loan_id[loan] * 100 + month + 1,
            "loan_id": self.loan_id[loan],
            "alert_date": self.date(self.granted.month[loan] + 1 + month, 2),
            "month_number": month + 1,
        }

    def repayments(self) -> Table:
        """One row per loan and month until the loan ends."""
        state, is_open = self.course.state, self.open_months
        months = np.arange(1, state.shape[1] + 1)
        late = np.zeros(len(state), dtype=np.int64)
        days = np.zeros(state.shape, dtype=np.int64)
        for month in range(state.shape[1]):
            late = np.where(state[:, month] == DELINQUENT, late + 1, 0)
            days[:, month] = np.minimum(30 * late, 60)
        days[state == DEFAULT] = 90
        paid = np.maximum.accumulate(np.where(state == CURRENT, months, 0), axis=1)
        rate = (self.rate[self.loans] / 12)[:, None]
        growth = np.exp(-rate * (self.term[self.loans][:, None] - paid))
        whole = np.exp(-rate * self.term[self.loans][:, None])
        balance = np.rint(self.amount[self.loans][:, None] * (1 - growth) / (1 - whole)).astype(np.int64)
        balance[state == PREPAID] = 0
        noise = self.stream("account").normal(size=state.shape)
        inflow = np.round(np.maximum(1 - 0.4 * self.course.stressed + 0.08 * noise, 0), 2)
        loan, month = np.nonzero(is_open)
        end = self.date(self.granted.month[loan] + month + 2, -1)
        return {
            "loan_id": self.loan_id[loan],
            "month_number": month + 1,
            "month_end": end,
            "state": Coded(state[loan, month], ("current", "delinquent", "default", "prepaid")),
            "days_past_due": days[loan, month],
            "balance": balance[loan, month],
            "account_inflow_ratio": inflow[loan, month],
        }

    def documents(self) -> Table:
        """Eight rows per loan: items shared of items requested, by group; their sum over 40 is I."""
        n, groups = len(self.loans), len(DOCUMENT_GROUPS)
        total = np.rint(self.course.sharing * groups * ITEMS_PER_GROUP).astype(np.int64)
        turn = (np.arange(groups)[None, :] + self.loan_id[:, None]) % groups
        return {
            "document_id": (self.loan_id[:, None] * 100 + np.arange(1, groups + 1)).ravel(),
            "loan_id": np.repeat(self.loan_id, groups),
            "document_group": Coded(np.tile(np.arange(groups), n), DOCUMENT_GROUPS),
            "items_requested": np.full(n * groups, ITEMS_PER_GROUP),
            "items_shared": ((total[:, None] + turn) // groups).ravel(),
        }
