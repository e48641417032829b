# Matching and weighting in MatchIt and Matching on loans.csv. Run by hand, in this folder:
#   Rscript matching.R          (writes matching.json)
suppressMessages({library(MatchIt); library(Matching); library(jsonlite)})
d <- read.csv("loans.csv")
out <- list()
score <- glm(treated ~ x + z, binomial, d, control = list(epsilon = 1e-14))
logit <- round(unname(predict(score)), 6)
out$logit <- logit[1:5]
p <- unname(fitted(score))
# A scale on which no two distances are equal, as they are between scores of few decimals.
scale <- round(exp(logit), 9)
pairs <- function(treated, control) {
  kept <- !is.na(control)
  data.frame(treated = treated[kept] - 1, control = control[kept] - 1)
}
of_match <- function(...) {
  m <- Match(Tr = d$treated, replace = FALSE, ties = FALSE, M = 1, distance.tolerance = 0, ...)
  pairs(m$index.treated, m$index.control)
}
out$in_turn <- of_match(X = scale)
out$in_turn_caliper <- of_match(X = scale, caliper = 0.1)
out$in_turn_exact <- of_match(X = cbind(scale, d$encouraged), exact = c(FALSE, TRUE))
# By the definition: each treated loan in turn takes the free control that is nearest.
by_score <- function(decreasing, limit = Inf) {
  turn <- which(d$treated == 1); turn <- turn[order(logit[turn], decreasing = decreasing)]
  free <- d$treated == 0; chosen <- rep(NA, length(turn))
  for (i in seq_along(turn)) {
    far <- ifelse(free, abs(logit - logit[turn[i]]), Inf); best <- which.min(far)
    if (far[best] <= limit) { chosen[i] <- best; free[best] <- FALSE }
  }
  pairs(turn, chosen)
}
out$largest <- by_score(TRUE)
out$smallest <- by_score(FALSE)
out$caliper <- by_score(TRUE, 0.1 * sd(logit))
served <- out$caliper
d$weight_of_match <- 0
d$weight_of_match[c(served$treated, served$control) + 1] <- 1
columns <- c("Means Treated", "Means Control", "Std. Mean Diff.", "Var. Ratio", "eCDF Mean", "eCDF Max")
as_list <- function(table) {
  table <- table[c("x", "z"), columns]
  setNames(lapply(seq_along(columns), function(i) unname(table[, i])), c("treated", "control", "smd", "ratio", "mean", "max"))
}
# MatchIt's summary of weights that were made elsewhere.
one <- matchit(treated ~ x + z, d, method = "nearest", distance = logit)
one$weights <- setNames(d$weight_of_match, rownames(d)); one$match.matrix <- NULL
out$before <- as_list(summary(one)$sum.all)
out$after <- as_list(summary(one)$sum.matched)
out$strata <- unname(matchit(treated ~ z + encouraged, d, method = "exact")$weights)
out$coarsened <- unname(matchit(treated ~ x + z, d, method = "cem", cutpoints = list(x = c(-1, 0, 0.8), z = c(0.5, 1.5)))$weights)
sub <- matchit(treated ~ x + z, d, method = "subclass", distance = logit, subclass = 5, min.n = 1)
out$subclass <- as.integer(sub$subclass) - 1
out$subclass_weights <- unname(sub$weights)
all <- matchit(treated ~ x + z, d, method = "subclass", distance = logit, subclass = 5, min.n = 1, estimand = "ATE")
out$subclass_all <- unname(all$weights)
m <- Match(Y = d$amount, Tr = d$treated, X = scale, estimand = "ATT", M = 1, ties = TRUE, Var.calc = 1,
           distance.tolerance = 0)
uses <- table(m$index.control)
out$effective <- sum(uses)^2 / sum(uses^2)
out$abadie_imbens <- list(estimate = drop(m$est), std_error = m$se)
out$weights <- list(att = ifelse(d$treated == 1, 1, p / (1 - p))[1:5], ate = ifelse(d$treated == 1, 1 / p, 1 / (1 - p))[1:5],
                    overlap = ifelse(d$treated == 1, 1 - p, p)[1:5])
write(toJSON(out, auto_unbox = TRUE, digits = NA, pretty = FALSE), "matching.json")
