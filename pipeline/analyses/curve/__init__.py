"""The effect under every combination of choices that could as well have been made."""
