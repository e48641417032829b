"""Stage missing."""

from pipeline.analyses.missing.rows import run

__all__ = ["run"]
