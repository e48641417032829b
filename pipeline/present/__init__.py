"""Figures, tables, and the report with its words."""
