"""Stage adjust."""

from pipeline.analyses.adjust.rows import run

__all__ = ["run"]
