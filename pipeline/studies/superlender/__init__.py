"""A Nigerian lender of small, short loans to clients who come back, with the loans they had before."""
