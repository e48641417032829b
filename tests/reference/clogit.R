# The likelihood given each group's number of events, by survival::clogit; not run by the tests.
# Loans of two groups with more ones than zeros and three with fewer; printed: log odds ratios and their errors.
library(survival)
loans <- data.frame(
  group = rep(1:5, each = 4),
  y = c(1, 1, 0, 1, 1, 0, 1, 1, 0, 1, 0, 0, 1, 0, 0, 0, 0, 0, 1, 0),
  b = c(1, 0, 0, 1, 0, 1, 1, 0, 1, 1, 0, 0, 0, 1, 0, 1, 0, 1, 1, 0),
  x = c(0.4, -0.2, 0.9, 0.1, 1.2, 0.3, -0.7, 0.5, 0.0, 0.8, -0.4, 0.6, -1.1, 0.2, 0.7, -0.3, 0.9, 0.1, -0.6, 0.4)
)
fit <- clogit(y ~ b + x + strata(group), loans, method = "exact")
print(coef(fit), digits = 10)
print(sqrt(diag(vcov(fit))), digits = 10)
