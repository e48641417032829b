"""Alerts month by month, and how good they are."""
