# Areas under the ROC curve (pROC), trends, exact tests, correlations and rates (base R) on loans.csv. Run by hand:
#   Rscript ranks.R             (writes ranks.json)
suppressMessages({library(pROC); library(jsonlite)})
d <- read.csv("loans.csv")
out <- list()
one <- roc(d$default, d$first, direction = "<", levels = 0:1, quiet = TRUE)
two <- roc(d$default, d$second, direction = "<", levels = 0:1, quiet = TRUE)
test <- roc.test(one, two, method = "delong", paired = TRUE)
out$area <- list(first = as.numeric(auc(one)), second = as.numeric(auc(two)), var_first = var(one), var_second = var(two),
                 interval = as.numeric(ci.auc(one, method = "delong")), z = unname(test$statistic), p_value = test$p.value)
# Points of the curve at every threshold.
out$curve <- list(false_alarms = rev(1 - one$specificities), found = rev(one$sensitivities))
out$ks <- unname(suppressWarnings(ks.test(d$first[d$default == 1], d$first[d$default == 0]))$statistic)

# Jonckheere and Terpstra's statistic and Kendall's S are one another's halves, with one variance for ties in both.
kendall <- function(a, b) {
  k <- suppressWarnings(cor.test(a, b, method = "kendall", exact = FALSE, continuity = FALSE))
  list(z = unname(k$statistic), p_value = k$p.value)
}
out$jonckheere_amount <- kendall(round(d$amount, 1), d$z)
out$jonckheere_default <- kendall(d$default, d$z)
events <- tapply(d$default, d$z, sum); sizes <- tapply(d$default, d$z, length)
trend <- prop.trend.test(events, sizes, score = 0:3)
out$cochran_armitage <- list(chi_squared = unname(trend$statistic), p_value = trend$p.value)

exact <- fisher.test(matrix(c(3, 11, 9, 7), 2, byrow = TRUE), conf.level = 0.9)
out$fisher <- list(estimate = unname(exact$estimate), interval = as.numeric(exact$conf.int), p_value = exact$p.value)
out$freeman_halton <- fisher.test(matrix(c(1, 9, 3, 8, 7, 5), 3, byrow = TRUE))$p.value

pearson <- cor.test(d$x, d$amount, conf.level = 0.9)
out$pearson <- list(estimate = unname(pearson$estimate), interval = as.numeric(pearson$conf.int))
out$spearman <- cor(d$x, d$amount, method = "spearman")
out$partial <- cor(resid(lm(x ~ z + treated, d)), resid(lm(amount ~ z + treated, d)))
out$weighted <- cov.wt(d[c("x", "amount")], d$weight, cor = TRUE)$cor[1, 2]
out$holm <- p.adjust(c(0.01, 0.04, 0.03, 0.002), "holm")
wilson <- prop.test(7, 53, conf.level = 0.9, correct = FALSE)
out$wilson <- as.numeric(wilson$conf.int)
out$power <- list(below = uniroot(function(p) power.prop.test(400, 0.2, p, strict = FALSE)$power - 0.8, c(0.01, 0.19),
                                  tol = 1e-12)$root,
                  above = power.prop.test(400, 0.2, power = 0.8, tol = 1e-12)$p2)
# Rosenbaum's bounds on pairs: binomial tests of the discordant ones.
bound <- function(gamma) binom.test(24, 31, gamma / (1 + gamma), "greater")$p.value
out$rosenbaum <- sapply(c(1, 1.5, 2), bound)
out$sensitivity <- uniroot(function(gamma) bound(gamma) - 0.025, c(1, 5), tol = 1e-12)$root
out$ecdf <- ecdf(d$x[d$treated == 1])(c(-1, 0, 1))
out$quantile <- unname(quantile(d$x[d$treated == 1], c(0.25, 0.5, 0.75), type = 1))
write(toJSON(out, auto_unbox = TRUE, digits = NA, pretty = TRUE), "ranks.json")
