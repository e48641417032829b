"""Stage heterogeneity."""

from pipeline.analyses.heterogeneity.rows import run

__all__ = ["run"]
