"""Stage mechanism."""

from pipeline.analyses.mechanism.rows import run

__all__ = ["run"]
