"""Loans month by month: survival, hazards, contacts."""
