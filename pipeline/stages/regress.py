"""Stage regress."""

from pipeline.analyses.regress.rows import run

__all__ = ["run"]
