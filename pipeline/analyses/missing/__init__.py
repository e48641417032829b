"""What missing values could hide."""
