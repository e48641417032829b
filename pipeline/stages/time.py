"""Stage time."""

from pipeline.analyses.time.rows import run

__all__ = ["run"]
