"""A card for a study's saved score."""

def card(*a): return "card"
