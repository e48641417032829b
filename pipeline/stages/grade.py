"""Stage grade."""

from pipeline.analyses.grade.rows import run

__all__ = ["run"]
