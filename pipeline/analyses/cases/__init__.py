"""Cases chosen by rule, with their timelines."""
