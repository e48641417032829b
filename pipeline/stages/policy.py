"""Stage policy."""

from pipeline.analyses.policy.rows import run

__all__ = ["run"]
