"""Stage predict."""

from pipeline.analyses.predict.rows import run

__all__ = ["run"]
