"""By which way the programme works."""
