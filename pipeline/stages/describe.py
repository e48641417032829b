"""Stage describe."""

from pipeline.analyses.describe.rows import run

__all__ = ["run"]
