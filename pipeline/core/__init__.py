"""The ground floor: parameters, the loan cohort, deterministic files, the results table."""
