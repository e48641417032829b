"""Stage curve."""

from pipeline.analyses.curve.rows import run

__all__ = ["run"]
