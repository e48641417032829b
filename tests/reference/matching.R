# Matching and weighting in MatchIt and Matching on loans.csv. Run by hand, in this folder:
#   Rscript matching.R          (writes matching.json)
suppressMessages({library(MatchIt); library(Matching); library(jsonlite)})
d <- read.csv("loans.csv")
out <- list()
rows <- function(m) {
  found <- m$match.matrix
  pairs <- data.frame(treated = as.integer(rownames(found)), control = as.integer(found[, 1]))
  pairs <- pairs[!is.na(pairs$control), ]
  pairs[order(pairs$treated), ] - 1
}
score <- glm(treated ~ x + z, binomial, d, control = list(epsilon = 1e-14))
logit <- round(unname(predict(score)), 6)
out$logit <- logit[1:5]
p <- unname(fitted(score))
near <- function(...) matchit(treated ~ x + z, d, method = "nearest", distance = logit, ...)
out$nearest <- rows(near(m.order = "largest"))
out$smallest <- rows(near(m.order = "smallest"))
out$caliper <- rows(near(m.order = "largest", caliper = 0.1))
out$exact <- rows(near(m.order = "largest", exact = ~ encouraged))
one <- near(m.order = "largest", caliper = 0.1)
columns <- c("Means Treated", "Means Control", "Std. Mean Diff.", "Var. Ratio", "eCDF Mean", "eCDF Max")
as_list <- function(table) {
  table <- table[c("x", "z"), columns]
  setNames(lapply(seq_along(columns), function(i) unname(table[, i])), c("treated", "control", "smd", "ratio", "mean", "max"))
}
out$before <- as_list(summary(one)$sum.all)
out$after <- as_list(summary(one)$sum.matched)
out$effective <- unname(summary(near(m.order = "largest", replace = TRUE))$nn["Matched (ESS)", ])
out$strata <- unname(matchit(treated ~ z + encouraged, d, method = "exact")$weights)
out$coarsened <- unname(matchit(treated ~ x + z, d, method = "cem", cutpoints = list(x = c(-1, 0, 0.8), z = c(1.5)))$weights)
sub <- matchit(treated ~ x + z, d, method = "subclass", distance = logit, subclass = 5, min.n = 1)
out$subclass <- as.integer(sub$subclass) - 1
out$subclass_weights <- unname(sub$weights)
all <- matchit(treated ~ x + z, d, method = "subclass", distance = logit, subclass = 5, min.n = 1, estimand = "ATE")
out$subclass_all <- unname(all$weights)
m <- Match(Y = d$amount, Tr = d$treated, X = logit, estimand = "ATT", M = 1, ties = TRUE, Var.calc = 1, Weight = 1,
           distance.tolerance = 0)
out$abadie_imbens <- list(estimate = drop(m$est), std_error = m$se)
out$weights <- list(att = ifelse(d$treated == 1, 1, p / (1 - p))[1:5], ate = ifelse(d$treated == 1, 1 / p, 1 / (1 - p))[1:5],
                    overlap = ifelse(d$treated == 1, 1 - p, p)[1:5])
write(toJSON(out, auto_unbox = TRUE, digits = NA, pretty = FALSE), "matching.json")
