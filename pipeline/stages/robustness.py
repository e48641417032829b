"""Stage robustness."""

from pipeline.analyses.robustness.rows import run

__all__ = ["run"]
