"""Grades and tiers of clients."""
