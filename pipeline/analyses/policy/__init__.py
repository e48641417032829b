"""Rules of whom to treat, by the data and by the truth of a simulation."""
