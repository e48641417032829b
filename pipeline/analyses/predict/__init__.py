"""Scores of default, judged on other loans, and the score that is saved."""
