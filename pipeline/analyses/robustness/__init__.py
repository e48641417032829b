"""The headline regressions with other standard errors, effects and shapes."""
