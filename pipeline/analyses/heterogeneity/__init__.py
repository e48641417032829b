"""Whose default treatment changes."""
