"""Comparable loans: pairs or weights."""
