# Numbers of R that tme's own are held against: writes reference.json beside this file.
#
#   Rscript tests/golden/make_reference.R
#
# Debian bookworm: apt-get install r-base-core r-cran-survival r-cran-coin r-cran-proc r-cran-brglm2
#   r-cran-vegan r-cran-spdep r-cran-spatstat.explore r-cran-jsonlite
#
# Data are small tables, or made by a formula; they are written beside the numbers, so that both come from
# one place. Where no package has the method, the published formula is solved by another way than tme's,
# and `source` says so.

suppressPackageStartupMessages({
  library(survival); library(coin); library(pROC); library(brglm2); library(vegan); library(spdep)
  library(spatstat.explore); library(jsonlite)
})

cases <- list()
case <- function(test, name, input, expected, source) {
  cases[[length(cases) + 1]] <<- list(test = test, name = name, source = source, input = input,
                                      expected = expected)
}

# n numbers between 0 and 1, all different for n < 211, in no order that is easily seen.
uneven <- function(n, seed) ((seq_len(n) * seed) %% 211 + 0.5) / 211
bell <- function(n, seed, digits = 3) round(qnorm(uneven(n, seed)), digits)

# ---- one group ------------------------------------------------------------------------------------------
walsh <- function(x) median(outer(x, x, "+")[upper.tri(diag(length(x)), diag = TRUE)] / 2)
signed <- list(
  "no ties, no zeros" = bell(24, 47) + 0.4,
  "8 patients" = bell(8, 90) + 0.9,
  "60 patients" = bell(60, 31) + 0.2,
  "ties" = round(bell(21, 59) * 2 + 0.7) / 2 + 0.25,
  "zeros and ties" = c(0, 0, 0, -1, 1, 1, 2, 2, 2, 3, -3, 4, 5, 0.5),
  "mostly zeros" = c(rep(0, 9), 1, 2, 3, 4, 5, 6, -0.5)
)
for (name in names(signed)) {
  x <- signed[[name]]
  pratt <- wilcoxsign_test(x ~ rep(0, length(x)), zero.method = "Pratt", distribution = "exact")
  expected <- list(p = as.numeric(pvalue(pratt)), statistic = sum(rank(abs(x))[x > 0]), estimate = walsh(x))
  if (!any(x == 0) && !anyDuplicated(abs(x))) {
    plain <- wilcox.test(x, exact = TRUE, conf.int = TRUE)
    stopifnot(all.equal(plain$p.value, expected$p), all.equal(plain$estimate[[1]], expected$estimate))
    expected <- c(expected, ci_low = plain$conf.int[1], ci_high = plain$conf.int[2])
  }
  case("wilcoxon", name, list(x = x), expected,
       "coin::wilcoxsign_test, Pratt, exact; interval: stats::wilcox.test, where there are no ties")
}

# ---- two groups -----------------------------------------------------------------------------------------
grouped <- list(
  "6 against 18" = list(bell(6, 47) + 1.1, bell(18, 59)),
  "5 against 5" = list(bell(5, 31) + 1.5, bell(5, 90)),
  "12 against 40" = list(bell(12, 23) + 0.3, bell(40, 101)),
  "ties" = list(round(bell(9, 47) * 2 + 1) / 2, round(bell(21, 59) * 2) / 2),
  "ties between the groups alone" = list(c(1, 2, 3, 4, 5, 9), c(1, 2, 3, 4, 5, 6, 7, 8)),
  "apart" = list(c(7.5, 8.25, 9, 10, 12, 12.5), bell(18, 59)),
  "half zeros" = list(c(0, 0, 0, 1, 2, 4), c(rep(0, 10), -1, -2, 0.5, 0.25))
)
# Newcombe 2006, method 5: (A - t)^2 n m = z^2 t (1 - t) (1 + h ((1 - t) / (2 - t) + t / (1 + t))), as a
# polynomial of the fourth degree in t.
newcombe <- function(area, n, m) {
  times <- function(a, b) {
    out <- numeric(length(a) + length(b) - 1)
    for (i in seq_along(a)) out[i + seq_along(b) - 1] <- out[i + seq_along(b) - 1] + a[i] * b
    out
  }
  h <- (n + m) / 2 - 1
  both <- times(c(2, -1), c(1, 1))
  left <- n * m * times(c(area^2, -2 * area, 1), both)
  inner <- both + h * (times(c(1, -1), c(1, 1)) + times(c(0, 1), c(2, -1)))
  ends <- polyroot(left - qnorm(0.975)^2 * times(c(0, 1, -1), inner))
  ends <- sort(Re(ends[abs(Im(ends)) < 1e-7 & Re(ends) > -1e-9 & Re(ends) < 1 + 1e-9]))
  c(if (area == 0) 0 else max(ends[ends < area - 1e-7]), if (area == 1) 1 else min(ends[ends > area + 1e-7]))
}
for (name in names(grouped)) {
  x <- grouped[[name]][[1]]
  y <- grouped[[name]][[2]]
  both <- data.frame(value = c(x, y), group = factor(rep(c("first", "second"), c(length(x), length(y)))))
  expected <- list(
    p = as.numeric(pvalue(wilcox_test(value ~ group, both, distribution = "exact"))),
    statistic = suppressWarnings(wilcox.test(x, y)$statistic[[1]]),
    estimate = median(outer(x, y, "-"))
  )
  if (!anyDuplicated(both$value)) {
    plain <- wilcox.test(x, y, exact = TRUE, conf.int = TRUE)
    stopifnot(all.equal(plain$p.value, expected$p), all.equal(plain$estimate[[1]], expected$estimate))
    expected <- c(expected, ci_low = plain$conf.int[1], ci_high = plain$conf.int[2])
  }
  case("mann_whitney", name, list(first = x, second = y), expected,
       "coin::wilcox_test, exact; interval: stats::wilcox.test, where there are no ties")
  curve <- pROC::roc(both$group, both$value, levels = c("second", "first"), direction = "<", quiet = TRUE)
  area <- as.numeric(pROC::auc(curve))
  ends <- newcombe(area, length(x), length(y))
  delong <- suppressWarnings(as.numeric(pROC::ci.auc(curve, method = "delong")))
  case("auroc", name, list(first = x, second = y),
       list(estimate = area, ci_low = ends[1], ci_high = ends[2], delong_low = delong[1],
            delong_high = delong[3]),
       "pROC::auc; interval: roots of Newcombe's equation by polyroot, no package of Debian's having it")
}

# ---- correlation ----------------------------------------------------------------------------------------
permutations <- function(v) {
  if (length(v) < 2) return(matrix(v, 1))
  do.call(rbind, lapply(seq_along(v), function(i) cbind(v[i], permutations(v[-i]))))
}
correlated <- list(
  "7 patients" = list(bell(7, 47), c(-40, 12, 3, -25, -8, 30, 5)),
  "8 patients with ties" = list(c(1, 1, 2, 3, 3, 4, 5, 6), c(10, 5, 5, 0, -5, -5, -30, -12)),
  "24 patients" = list(bell(24, 47), round(-20 * bell(24, 47) + 25 * bell(24, 101), 1)),
  "24 patients with ties" = list(round(bell(24, 59)), round(bell(24, 101) - bell(24, 59)))
)
for (name in names(correlated)) {
  x <- correlated[[name]][[1]]
  y <- correlated[[name]][[2]]
  n <- length(x)
  rho <- cor(x, y, method = "spearman")
  if (n > 8) {
    p <- suppressWarnings(cor.test(x, y, method = "spearman", exact = FALSE)$p.value)
  } else {
    orders <- permutations(seq_len(n))
    null <- apply(orders, 1, function(order) cor(rank(x), rank(y)[order]))
    p <- mean(abs(null) >= abs(rho) - 1e-9)
    if (!anyDuplicated(x) && !anyDuplicated(y))
      stopifnot(all.equal(p, cor.test(x, y, method = "spearman", exact = TRUE)$p.value))
  }
  reach <- qnorm(0.975) * sqrt((1 + rho^2 / 2) / (n - 3))
  case("spearman", name, list(x = x, y = y),
       list(estimate = rho, p = p, ci_low = tanh(atanh(rho) - reach), ci_high = tanh(atanh(rho) + reach)),
       "stats::cor.test; to 8 patients all permutations; interval: Bonett and Wright's formula")
}

# ---- regressions ----------------------------------------------------------------------------------------
covariance <- list(
  "24 patients" = list(round(7 + bell(24, 47), 3), 6, 0.8),
  "12 patients" = list(round(5 + bell(12, 90), 3), 5, -0.4)
)
for (name in names(covariance)) {
  pre <- covariance[[name]][[1]]
  responder <- seq_along(pre) <= covariance[[name]][[2]]
  post <- round(2 + 0.6 * pre + covariance[[name]][[3]] * responder + 0.4 * bell(length(pre), 101), 3)
  fit <- lm(post ~ pre + responder)
  ends <- confint(fit)["responderTRUE", ]
  row <- summary(fit)$coefficients["responderTRUE", ]
  case("ancova", name, list(pre = pre, post = post, responder = responder),
       list(estimate = row[[1]], ci_low = ends[[1]], ci_high = ends[[2]], statistic = row[[3]],
            p = row[[4]]), "stats::lm")
}

# Firth: coefficients by brglm2; the profile of the penalised likelihood from its formula, with every other
# coefficient at the top.
penalised <- function(beta, X, y) {
  line <- drop(X %*% beta)
  weight <- plogis(line) * plogis(-line)
  sum(y * line - ifelse(line > 0, line + log1p(exp(-line)), log1p(exp(line)))) +
    0.5 * as.numeric(determinant(crossprod(X, X * weight))$modulus)
}
at <- function(slope, X, y, start) {
  others <- setdiff(seq_len(ncol(X)), 2)
  whole <- function(rest) { beta <- start; beta[2] <- slope; beta[others] <- rest; beta }
  minus <- function(rest) -penalised(whole(rest), X, y)
  best <- start[others]
  for (round in 1:40) for (one in seq_along(best)) {
    along <- function(value) minus(replace(best, one, value))
    best[one] <- optimize(along, best[one] + c(-20, 20) / round^2, tol = 1e-12)$minimum
  }
  -minus(best)
}
firth <- function(X, y) {
  fit <- glm(y ~ X - 1, family = binomial, method = "brglmFit", type = "AS_mean", epsilon = 1e-12,
             maxit = 1000)
  top <- unname(coef(fit))
  best <- penalised(top, X, y)
  fallen <- function(slope) 2 * (best - at(slope, X, y, top)) - qchisq(0.95, 1)
  reach <- 5 * sqrt(vcov(fit)[2, 2])
  list(log_estimate = top[2], log_low = uniroot(fallen, c(top[2] - reach, top[2]), tol = 1e-11)$root,
       log_high = uniroot(fallen, c(top[2], top[2] + reach), tol = 1e-11)$root,
       p = pchisq(2 * (best - at(0, X, y, top)), 1, lower.tail = FALSE))
}
wide <- bell(40, 101) * 9 + 60
answered <- list(
  "6 against 18" = list(c(bell(6, 47) + 0.9, bell(18, 59)), 6, NULL),
  "5 against 20 with ties" = list(round(c(bell(5, 31) + 1, bell(20, 90))), 5, NULL),
  "apart" = list(c(7:10 / 2, 1:9 / 4), 4, NULL),
  "with a covariate" = list(c(bell(20, 23) + 0.8, bell(20, 59)), 20, (wide - mean(wide)) / sd(wide))
)
for (name in names(answered)) {
  x <- answered[[name]][[1]]
  y <- as.numeric(seq_along(x) <= answered[[name]][[2]])
  X <- cbind(1, x - mean(x), answered[[name]][[3]])
  case("firth", name, list(x = x, responder = y == 1, covariate = answered[[name]][[3]]), firth(X, y),
       "brglm2 (AS_mean); profile of the penalised likelihood by stats::optimize and stats::uniroot")
}

# ---- survival -------------------------------------------------------------------------------------------
followed <- function(n, seed, step, covariate = NULL) {
  x <- bell(n, seed)
  entry <- round(20 + 60 * uneven(n, 90))
  time <- entry + ceiling(-300 * log(uneven(n, 31)) * exp(-0.5 * x) / step) * step
  last <- entry + ceiling((60 + 500 * uneven(n, 101)) / step) * step
  list(entry = entry, time = pmin(time, last), event = time <= last, x = x, covariate = covariate)
}
tied <- followed(30, 47, 30)
# Events fall on days on which others are biopsied: who enters on a day is not at risk on it.
tied$time[c(3, 9, 15)] <- tied$entry[c(4, 10, 16)] + c(1, 0, 0)
tied$entry[c(3, 9, 15)] <- tied$time[c(3, 9, 15)] - 11
tied$event[c(3, 9, 15)] <- TRUE
late_entry <- function(entry, time, event, columns) {
  fit <- coxph(Surv(entry, time, event) ~ columns, ties = "efron",
               control = coxph.control(eps = 1e-13, toler.chol = 1e-14, iter.max = 100))
  row <- summary(fit)$coefficients[1, ]
  ends <- confint(fit)[1, ]
  list(log_estimate = row[[1]], log_low = ends[[1]], log_high = ends[[2]], statistic = row[["z"]],
       p = row[["Pr(>|z|)"]])
}
survived <- list(
  "40 patients" = followed(40, 47, 1),
  "ties, and events on days of entry" = tied,
  "with a covariate" = followed(60, 59, 7, round(bell(60, 23) * 9 + 60))
)
for (name in names(survived)) {
  one <- survived[[name]]
  columns <- if (is.null(one$covariate)) cbind(x = one$x) else cbind(x = one$x, age = one$covariate)
  case("cox", name, one, late_entry(one$entry, one$time, one$event, columns),
       "survival::coxph, Surv(entry, time, event), Efron")
  curve <- survfit(Surv(one$time - one$entry, one$event) ~ 1, conf.type = "log-log")
  late <- survfit(Surv(one$entry, one$time, one$event) ~ 1)
  median <- summary(curve)$table[["median"]]
  case("kaplan_meier", name, one[c("entry", "time", "event")],
       list(days = curve$time, at_risk = curve$n.risk, survival = curve$surv, low = curve$lower,
            high = curve$upper, median = median, from_dose_days = late$time,
            from_dose_at_risk = late$n.risk, from_dose_survival = late$surv),
       "survival::survfit from the biopsy on (log-log interval), and from first dose with delayed entry")
}

# ---- many tests -----------------------------------------------------------------------------------------
families <- list(
  "rising" = c(0.001, 0.008, 0.039, 0.041, 0.042, 0.06, 0.074, 0.205, 0.212, 0.216, 0.222, 0.251, 0.269,
               0.275, 0.34, 0.341, 0.384, 0.569, 0.594, 0.696, 0.762, 0.94, 0.942, 0.975, 0.986),
  "ties and ones" = c(0.04, 0.01, 0.04, 1, 0.04, 0.9, 1), "one" = 0.03
)
for (name in names(families))
  case("benjamini_hochberg", name, list(p = families[[name]]),
       list(p_adjusted = p.adjust(families[[name]], "BH")), "stats::p.adjust")

# ---- places ---------------------------------------------------------------------------------------------
grids <- list(
  "8 x 9 squares" = expand.grid(column = 0:8, row = 0:7),
  "a ragged piece" = subset(expand.grid(column = 0:11, row = 0:9),
                            (row - 4.5)^2 + (column - 5)^2 < 19 & (row * 12 + column) %% 7 != 3)
)
for (name in names(grids)) {
  grid <- grids[[name]]
  values <- floor(40 * uneven(nrow(grid), 47)^3) + ifelse(grid$row < 3 & grid$column > 4, 12, 0)
  queen <- include.self(dnearneigh(as.matrix(grid), 0, 1.5))
  case("getis_ord", name, list(rows = grid$row, columns = grid$column, values = values),
       list(z = as.numeric(localG(values, nb2listw(queen, style = "B")))),
       "spdep::localG with the square itself, queen neighbours, binary weights")
  other <- floor(30 * uneven(nrow(grid), 59)^2)
  case("morisita_horn", name, list(one = values, other = other),
       list(overlap = 1 - as.numeric(vegdist(rbind(values, other), method = "horn"))),
       "vegan::vegdist, horn")
}

# Distances to the nearest neighbour in whole pixels of 1 unit, points on centres of pixels: then pixels and
# exact geometry give the same areas. Axis-parallel pairs and pairs at 3-4-5 triangles.
anchors <- expand.grid(x = seq(10.5, 190.5, by = 20), y = seq(8.5, 128.5, by = 20))
step <- rbind(c(2, 0), c(0, 5), c(3, 4), c(7, 0), c(0, 9))[seq_len(nrow(anchors)) %% 5 + 1, ]
pairs <- rbind(as.matrix(anchors), as.matrix(anchors) + step)
whole <- ppp(pairs[, 1], pairs[, 2], window = owin(c(0, 205), c(0, 140)))
G <- Gest(whole, r = seq(0, 30, by = 0.25), correction = "han")
mean_distance <- sum(G$r * diff(c(0, G$han)))
case("clark_evans", "whole pixels", list(x = whole$x, y = whole$y, width = 205, height = 140),
     list(nnd = nndist(whole), naive = clarkevans(whole, correction = "none"),
          r = 2 * sqrt(npoints(whole) / area(whole)) * mean_distance),
     "spatstat: Gest with Hanisch's correction, nndist, clarkevans")
# Any places: the mask's pixels stand for exact geometry, as near as they are small.
free <- ppp(round(1000 * uneven(150, 47), 2), round(600 * uneven(150 * 151, 59)[(1:150) * (2:151)], 2),
            owin(c(0, 1000), c(0, 600)))
d <- nndist(free)
weight <- ifelse(d <= bdist.points(free), 1 / eroded.areas(Window(free), d), 0)
case("clark_evans", "any places", list(x = free$x, y = free$y, width = 1000, height = 600),
     list(nnd = d, naive = clarkevans(free, correction = "none"),
          r = 2 * sqrt(npoints(free) / area(free)) * sum(weight * d) / sum(weight)),
     "spatstat: nndist, bdist.points, eroded.areas")

# ---- a whole cohort, for `tme associate` ----------------------------------------------------------------
n <- 30
cohort <- data.frame(n_pre = round(exp(5 + 0.5 * bell(n, 47))), day = round(28 + 40 * uneven(n, 90)))
cohort$response <- ifelse(seq_len(n) <= 9, c("CR", "PR", "PR"), c("SD", "PD"))
cohort$response[c(14, 23)] <- "NE"
rise <- ifelse(seq_len(n) <= 9, 1, 0.1) + 0.7 * bell(n, 101)
cohort$n_post <- round(cohort$n_pre * 2^rise)
cohort$pct_change_sld <- pmax(-100, round(5 - 22 * rise + 20 * bell(n, 23), 1))
cohort$pfs_days <- ceiling(-260 * log(uneven(n, 31)) * exp(-0.5 * (rise - mean(rise)))) + 25
cohort$pfs_event <- seq_len(n) %% 5 > 0
cohort$os_days <- cohort$pfs_days + ceiling(200 * uneven(n, 59))
cohort$os_event <- seq_len(n) %% 3 == 0
cohort$log2fc <- log2((cohort$n_post + 0.5) / (cohort$n_pre + 0.5))
stopifnot(!anyDuplicated(abs(cohort$log2fc)))
known <- subset(cohort, response != "NE")
known$responder <- known$response %in% c("CR", "PR")
x <- known$log2fc[known$responder]
y <- known$log2fc[!known$responder]
one <- wilcox.test(cohort$log2fc, exact = TRUE, conf.int = TRUE)
two <- wilcox.test(x, y, exact = TRUE, conf.int = TRUE)
area <- two$statistic[[1]] / (length(x) * length(y))
ends <- newcombe(area, length(x), length(y))
penalty <- firth(cbind(1, known$log2fc - mean(known$log2fc)), as.numeric(known$responder))
line <- lm(log2((n_post + 0.5) / 4) ~ log2((n_pre + 0.5) / 4) + responder, known)
rank_p <- suppressWarnings(cor.test(cohort$log2fc, cohort$pct_change_sld, method = "spearman", exact = FALSE))
cox_of <- function(days, event) {
  there <- days > cohort$day
  late_entry(cohort$day[there], days[there], event[there], cbind(x = cohort$log2fc[there]))
}
hazards <- list(cox_pfs = cox_of(cohort$pfs_days, cohort$pfs_event),
                cox_os = cox_of(cohort$os_days, cohort$os_event))
ranked <- function(found) list(estimate = found$estimate[[1]], ci_low = found$conf.int[1],
                               ci_high = found$conf.int[2], p = found$p.value)
ratio <- function(found) list(estimate = exp(found$log_estimate), ci_low = exp(found$log_low),
                              ci_high = exp(found$log_high), p = found$p)
rows <- c(list(
  wilcoxon = ranked(one),
  mann_whitney = ranked(two),
  auroc = list(estimate = area, ci_low = ends[1], ci_high = ends[2]),
  firth_logistic = ratio(penalty),
  ancova = list(estimate = coef(line)[["responderTRUE"]], ci_low = confint(line)["responderTRUE", 1],
                ci_high = confint(line)["responderTRUE", 2],
                p = summary(line)$coefficients["responderTRUE", 4]),
  spearman = list(estimate = rank_p$estimate[[1]], p = rank_p$p.value)
), lapply(hazards, ratio))
family <- c("wilcoxon", "mann_whitney", "spearman", "cox_pfs", "cox_os")
adjusted <- p.adjust(sapply(rows[family], function(row) row$p), "BH")
for (test in family) rows[[test]]$p_adjusted <- adjusted[[test]]
case("associate", "30 patients, 9 responders, 2 NE", as.list(subset(cohort, select = -log2fc)), rows,
     "as above, and stats::p.adjust over the five tests of the family")

here <- dirname(normalizePath(sub("--file=", "", grep("--file=", commandArgs(), value = TRUE))))
packages <- c("survival", "coin", "pROC", "brglm2", "vegan", "spdep", "spatstat.explore",
              "spatstat.geom")
versions <- c(list(R = paste(R.version$major, R.version$minor, sep = ".")),
              sapply(packages, function(name) as.character(packageVersion(name)), simplify = FALSE))
document <- list(versions = versions, cases = cases)
write(toJSON(document, digits = NA, auto_unbox = TRUE, null = "null", pretty = TRUE),
      file.path(here, "reference.json"))
