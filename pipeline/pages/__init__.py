"""Whole pages: the report, the paper, the notebooks, the synthesis and the evidence."""
