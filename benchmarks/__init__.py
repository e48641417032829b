"""Measurements: how long the study takes, on which machine."""
