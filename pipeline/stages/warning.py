"""Stage warning."""

from pipeline.analyses.warning.rows import run

__all__ = ["run"]
