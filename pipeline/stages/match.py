"""Stage match."""

from pipeline.analyses.match.rows import run

__all__ = ["run"]
