"""Tests of the study. The package comes first: it fixes one thread for linear algebra before NumPy is imported."""

import pipeline  # noqa: F401
