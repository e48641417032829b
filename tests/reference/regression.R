# Regressions in base R, sandwich, clubSandwich, AER and brglm2 on loans.csv. Run by hand, in this folder:
#   Rscript regression.R        (writes regression.json)
suppressMessages({library(sandwich); library(clubSandwich); library(AER); library(brglm2); library(jsonlite)})
d <- read.csv("loans.csv")
one <- function(fit, name, v) list(estimate = unname(coef(fit)[name]), std_error = sqrt(v[name, name]))
out <- list()

ols <- lm(default ~ treated + x + z, d)
out$ols_bank <- one(ols, "treated", vcovCL(ols, d$bank, type = "HC1"))
out$ols_two_way <- one(ols, "treated", vcovCL(ols, ~ bank + officer, type = "HC1"))
out$ols_hc1 <- one(ols, "treated", vcovHC(ols, type = "HC1"))
# CR3 adds up the squared moves of the coefficient without each cluster; the jackknife multiplies by (G-1)/G.
out$ols_cr3 <- one(ols, "treated", as.matrix(vcovCR(ols, d$bank, type = "CR3")))
wls <- lm(amount ~ treated + x + z, d, weights = weight)
out$wls_bank <- one(wls, "treated", vcovCL(wls, d$bank, type = "HC1"))
out$wls_hc1 <- one(wls, "treated", vcovHC(wls, type = "HC1"))
inside <- lm(default ~ treated + x + z + factor(bank), d)
out$inside_officer <- one(inside, "treated", vcovCL(inside, d$officer, type = "HC1"))
out$inside_bank <- one(inside, "treated", vcovCL(inside, d$bank, type = "HC1"))
both <- lm(amount ~ treated + x + factor(bank) + factor(officer), d)
out$both_z <- one(both, "treated", vcovCL(both, d$z, type = "HC1"))

logit <- glm(default ~ treated + x + z, binomial, d, control = list(epsilon = 1e-14))
out$logit_bank <- one(logit, "treated", vcovCL(logit, d$bank, type = "HC1"))
on <- off <- d; on$treated <- 1; off$treated <- 0
effect_at <- function(b) {
  at <- function(frame) plogis(drop(cbind(1, frame$treated, frame$x, frame$z) %*% b))
  mean(at(on) - at(off))
}
slope_at <- function(b) {
  p <- plogis(drop(cbind(1, d$treated, d$x, d$z) %*% b)); mean(p * (1 - p)) * b[3]
}
numeric_gradient <- function(f, b) sapply(seq_along(b), function(i) {
  h <- 1e-5; up <- down <- b; up[i] <- up[i] + h; down[i] <- down[i] - h; (f(up) - f(down)) / (2 * h)
})
margin <- function(f) {
  b <- unname(coef(logit)); g <- numeric_gradient(f, b)
  list(estimate = f(b), std_error = sqrt(drop(g %*% vcovCL(logit, d$bank, type = "HC1") %*% g)))
}
out$margin_treated <- margin(effect_at)
out$margin_x <- margin(slope_at)
weighted <- suppressWarnings(glm(default ~ treated + x + z, binomial, d, weights = weight,
                                 control = list(epsilon = 1e-14)))
out$weighted_logit_bank <- one(weighted, "treated", vcovCL(weighted, d$bank, type = "HC1"))
with_banks <- glm(default ~ treated + x + z + factor(bank), binomial, d, control = list(epsilon = 1e-14))
out$logit_banks <- one(with_banks, "treated", vcovCL(with_banks, d$officer, type = "HC1"))
out$logit_banks$log_likelihood <- as.numeric(logLik(with_banks))
counts <- glm(calls ~ treated + x + z + factor(bank), poisson, d, control = list(epsilon = 1e-14))
out$poisson_banks <- one(counts, "treated", vcovCL(counts, d$officer, type = "HC1"))
linear <- lm(amount ~ treated + x + z + factor(bank), d)
out$linear_banks <- one(linear, "treated", vcovCL(linear, d$officer, type = "HC1"))

iv <- ivreg(amount ~ treated + x + z + factor(bank) | encouraged + x + z + factor(bank), data = d)
out$iv_officer <- one(iv, "treated", vcovCL(iv, d$officer, type = "HC1"))
first <- lm(treated ~ encouraged + x + z + factor(bank), d)
out$iv_first <- one(first, "encouraged", vcovCL(first, d$officer, type = "HC1"))
reduced <- lm(amount ~ encouraged + x + z + factor(bank), d)
out$iv_reduced <- one(reduced, "encouraged", vcovCL(reduced, d$officer, type = "HC1"))

firth <- glm(rare ~ treated + x + z, binomial, d, method = "brglmFit", type = "AS_mean", epsilon = 1e-12)
out$firth <- one(firth, "treated", vcov(firth))

# An effect in every group, and Wald's test that all are one.
d$grade <- factor(d$z)
groups <- lm(default ~ x + grade + grade:treated, d)
v <- vcovCL(groups, d$bank, type = "HC1")
names <- paste0("grade", 0:3, ":treated")
out$by_group <- list(estimate = unname(coef(groups)[names]), std_error = unname(sqrt(diag(v)[names])))
moved <- coef(groups)[names[-1]] - coef(groups)[names[1]]
contrast <- cbind(-1, diag(3))
spread <- contrast %*% v[names, names] %*% t(contrast)
out$by_group$wald <- drop(moved %*% solve(spread, moved))
out$by_group$p_value <- pchisq(out$by_group$wald, 3, lower.tail = FALSE)
out$by_group$last <- list(estimate = unname(moved[3]), std_error = sqrt(spread[3, 3]))

# Who answered: `encouraged` stands for an answer.
answer <- glm(encouraged ~ x + z, binomial, d, control = list(epsilon = 1e-14))
out$answer <- one(answer, "x", vcovCL(answer, d$bank, type = "HC1"))
out$answer$probability <- unname(fitted(answer))[1:5]

# Residuals over their own standard deviations.
out$studentised <- list(fitted = unname(fitted(wls))[1:5], residual = unname(rstandard(wls))[1:5])
out$vif <- 1 / (1 - summary(lm(treated ~ x + z, d))$r.squared)

# Calibration: slope, and intercept with the slope held at one.
d$offset <- d$second - mean(d$second) - 0.5
slope <- glm(default ~ offset, binomial, d, control = list(epsilon = 1e-14))
large <- glm(default ~ 1, binomial, d, offset = offset, control = list(epsilon = 1e-14))
out$calibration <- list(slope = one(slope, "offset", vcovHC(slope, type = "HC0")),
                        intercept = one(large, "(Intercept)", vcovHC(large, type = "HC0")),
                        slope_bank = one(slope, "offset", vcovCL(slope, d$bank, type = "HC1")))
write(toJSON(out, auto_unbox = TRUE, digits = NA, pretty = TRUE), "regression.json")
