"""Names and types of the columns of the raw tables."""

from __future__ import annotations

import pyarrow as pa

INTEGER, NUMBER, TEXT, FLAG, DATE = pa.int64(), pa.float64(), pa.string(), pa.bool_(), pa.timestamp("ms")
SMALL = pa.int32()

SCHEMAS = {
    name: pa.schema(list(columns.items()))
    for name, columns in {
        "institutions": {
            "institution_id": TEXT,
            "institution_type": TEXT,
            "founded_year": SMALL,
            "crm_adoption_date": DATE,
            "contact_log_available": FLAG,
        },
        "branches": {
            "branch_id": TEXT,
            "institution_id": TEXT,
            "region": TEXT,
            "staff": SMALL,
            "service_audit_score": NUMBER,
        },
        "applications": {
            "application_id": INTEGER,
            "client_id": INTEGER,
            "institution_id": TEXT,
            "branch_id": TEXT,
            "application_date": TEXT,
            "decision_date": DATE,
            "loan_type": TEXT,
            "requested_amount": INTEGER,
            "requested_term_months": SMALL,
            "client_segment": TEXT,
            "industry": TEXT,
            "annual_income": TEXT,
            "debt_to_income": NUMBER,
            "relationship_months": NUMBER,
            "credit_score": NUMBER,
            "credit_grade": TEXT,
            "assessment_score": NUMBER,
            "decision": TEXT,
        },
        "loans": {
            "loan_id": INTEGER,
            "application_id": INTEGER,
            "client_id": INTEGER,
            "institution_id": TEXT,
            "branch_id": TEXT,
            "origination_date": TEXT,
            "loan_type": TEXT,
            "amount": TEXT,
            "term_months": SMALL,
            "interest_rate": NUMBER,
            "collateral": FLAG,
            "programme_lot": TEXT,
            "crm_enrolled": FLAG,
            "next_loan_date": DATE,
            "left_lender_date": DATE,
        },
        "contacts": {
            "contact_id": INTEGER,
            "loan_id": INTEGER,
            "contact_date": DATE,
            "channel": TEXT,
            "initiated_by": TEXT,
            "reason": TEXT,
            "reached": FLAG,
        },
        "surveys": {
            "survey_id": INTEGER,
            "loan_id": INTEGER,
            "answer_date": DATE,
            "satisfaction": SMALL,
        },
        "alerts": {"alert_id": INTEGER, "loan_id": INTEGER, "alert_date": DATE, "month_number": SMALL},
        "repayments": {
            "loan_id": INTEGER,
            "month_number": SMALL,
            "month_end": DATE,
            "state": TEXT,
            "days_past_due": SMALL,
            "balance": INTEGER,
            "account_inflow_ratio": NUMBER,
        },
        "documents": {
            "document_id": INTEGER,
            "loan_id": INTEGER,
            "document_group": TEXT,
            "items_requested": SMALL,
            "items_shared": SMALL,
        },
        "reviews": {
            "review_id": INTEGER,
            "client_id": INTEGER,
            "review_date": DATE,
            "language": TEXT,
            "text": TEXT,
            "stars": SMALL,
        },
        "macro": {
            "year": SMALL,
            "quarter": SMALL,
            "gdp_growth": NUMBER,
            "inflation": NUMBER,
            "treasury_bill_rate": NUMBER,
            "unemployment": NUMBER,
        },
    }.items()
}
