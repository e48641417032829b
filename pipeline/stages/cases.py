"""Stage cases."""

from pipeline.analyses.cases.rows import run

__all__ = ["run"]
