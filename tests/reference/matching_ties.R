# Values of tests/stats/test_matched_effects.py, test_ties_are_averaged_as_in_matching: matching with replacement that
# takes all neighbours that tie, with Abadie and Imbens' error, by the package Matching.
# Rscript tests/reference/matching_ties.R        (R 4.2.2, Matching 4.10-8)
suppressMessages(library(Matching))
i <- 0:119
x <- (7 * i) %% 11
z <- (i * i) %% 5
treated <- as.numeric((3 * i) %% 7 < 2)
y <- ((13 * i) %% 17) / 4 + x / 2 + treated
for (neighbours in 1:3) for (covariates in 1:2) {
  points <- if (covariates == 1) cbind(x) else cbind(x, z)
  found <- Match(y, treated, points, estimand = "ATT", M = neighbours, replace = TRUE, ties = TRUE,
                 Weight = 1, Var.calc = neighbours)
  cat(covariates, neighbours, format(c(found$est, found$se, length(found$index.treated)), digits = 12), "\n")
}
