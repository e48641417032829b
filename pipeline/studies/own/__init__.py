"""A reader's own loans: a table of any lender, its columns mapped to the cohort by params.yaml."""
