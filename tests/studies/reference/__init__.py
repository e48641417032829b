"""Tests of the reference study."""
