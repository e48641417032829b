"""Tests of the source records, the fetcher and the readers."""
