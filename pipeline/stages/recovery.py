"""Stage recovery."""

from pipeline.analyses.recovery.rows import run

__all__ = ["run"]
