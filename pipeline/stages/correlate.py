"""Stage correlate."""

from pipeline.analyses.correlate.rows import run

__all__ = ["run"]
