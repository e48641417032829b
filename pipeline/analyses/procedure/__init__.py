"""How often the procedure is right where the truth is known."""
