"""``python -m benchmarks.large``: the analyses of a large cohort on one machine, each in a process of its own.

Ten million made-up loans of five hundred lenders, in columns as tight as a cohort's (categories, one byte for 0/1):
score and pairs, weights, the ladder's regressions and two scores of default. What cannot be done on so many loans is
refused before it begins, and the refusal is measured here too.
"""

import argparse
import json
import sys
import time
from collections.abc import Callable, Iterator

import numpy as np
import pandas as pd

from benchmarks import machine
from benchmarks.history import Measurement, add, measurement
from pipeline.runtime.errors import StudyError

LOANS = 10_000_000
MEMORY = 16.0
"""Gigabytes that an analysis may take."""

LENDERS, QUARTERS, COVARIATES = 500, 40, 8
KEYS = ("credit_grade", "loan_type", "institution_type")
SCORE = [f"x{place}" for place in range(COVARIATES)]
LEVEL = 0.95


def loans(number: int, seed: int = 1) -> pd.DataFrame:
    """Make up loans, about a quarter of them treated and a tenth in default, that differ by lender and quarter."""
    rng = np.random.default_rng(seed)

    def category(levels: int) -> pd.Categorical:
        names = [f"{place:03d}" for place in range(levels)]
        return pd.Categorical.from_codes(rng.integers(0, levels, number, dtype=np.int16), names)

    lender, quarter = category(LENDERS), category(QUARTERS)
    grade, kind, lends = category(5), category(6), category(3)
    frame = pd.DataFrame({name: rng.normal(size=number) for name in SCORE})
    habit, season = 0.5 * rng.normal(size=LENDERS), 0.2 * rng.normal(size=QUARTERS)
    index = habit[lender.codes] + 0.3 * frame["x0"].to_numpy() - 0.2 * frame["x1"].to_numpy()
    treated = rng.random(number) < 1 / (1 + np.exp(1.2 - index))
    index = -2.5 + 0.2 * grade.codes - 0.2 * treated + 0.4 * frame["x0"].to_numpy() + season[quarter.codes]
    frame["default"] = (rng.random(number) < 1 / (1 + np.exp(-index))).astype(np.int8)
    frame["treated"] = treated.astype(np.int8)
    more = {"credit_grade": grade, "loan_type": kind, "institution_type": lends, "lender": lender, "quarter": quarter}
    return frame.assign(**more)


def _compared(frame: pd.DataFrame, method: str, **choices: object) -> int:
    """Fit the score, carry out a design, and estimate the effect with errors that fit it."""
    from benchmarks.measures import weighted_difference
    from pipeline.stats.balance import balance
    from pipeline.stats.comparison import compare
    from pipeline.stats.scores import propensity

    treated, number = frame["treated"].to_numpy(), np.arange(len(frame))
    logit = propensity(frame[SCORE], treated, number)
    found = compare(frame[SCORE], treated, number, method=method, exact=frame[[*KEYS]], logit=logit, **choices)
    kept = found.weight > 0
    balance(frame.loc[kept, SCORE], treated[kept], weight=found.weight[kept])
    clusters = found.group if method == "nearest" else frame["lender"].cat.codes.to_numpy()
    weighted_difference(frame["default"].to_numpy(), treated, found.weight, LEVEL, clusters=clusters)
    return int(kept.sum())


def _regressed(frame: pd.DataFrame, what: str) -> int:
    """Regress default on the programme with effects of lenders and quarters, errors by lender."""
    from pipeline.stats.absorbed import absorbed_linear, absorbed_logit
    from pipeline.stats.design import design_matrix

    design = design_matrix(frame, ["treated", "credit_grade", *SCORE]).matrix.drop(columns="intercept")
    absorb, outcome = frame[["lender", "quarter"]], frame["default"]
    if what == "linear":
        return absorbed_linear(outcome, design, ["treated"], absorb, frame["lender"], LEVEL).loans
    return absorbed_logit(outcome, design, "treated", absorb, frame["lender"], LEVEL).loans


def _predicted(frame: pd.DataFrame, kind: str) -> int:
    """Learn a score of default from the first seven tenths of the loans and predict it for the others."""
    from pipeline.stats.accuracy import area
    from pipeline.stats.prediction import Sample, fit

    terms, cut = ["credit_grade", "loan_type", *SCORE], int(0.7 * len(frame))
    train = Sample(frame.iloc[:cut], frame["default"].to_numpy()[:cut], None)
    fitted = fit(train, terms, kind)
    test = frame.iloc[cut:]
    area(test["default"].to_numpy(), fitted.probability(test), LEVEL)
    return cut


ANALYSES: dict[str, Callable[[pd.DataFrame], int]] = {
    "score, pairs by three keys, balance, effect": lambda frame: _compared(frame, "nearest", caliper=0.2),
    "score, inverse probability weights, balance, effect": lambda frame: _compared(frame, "inverse_probability"),
    "score, overlap weights, balance, effect": lambda frame: _compared(frame, "overlap"),
    "score, entropy balancing, balance, effect": lambda frame: _compared(frame, "entropy_balancing"),
    "linear probability, lenders and quarters": lambda frame: _regressed(frame, "linear"),
    "logit, lenders and quarters": lambda frame: _regressed(frame, "logit"),
    "prediction, logistic": lambda frame: _predicted(frame, "logistic"),
    "prediction, boosted trees": lambda frame: _predicted(frame, "boosting"),
}


def _boosted_score(frame: pd.DataFrame) -> None:
    from pipeline.stats.scores import propensity

    propensity(frame[SCORE], frame["treated"].to_numpy(), np.arange(len(frame)), model="boosting", folds=2)


def _of_design(frame: pd.DataFrame, **choices: object) -> None:
    from pipeline.stats.comparison import compare

    logit = frame["x0"].to_numpy().round(6)
    compare(
        frame[SCORE], frame["treated"].to_numpy(), np.arange(len(frame)), exact=frame[[*KEYS]], logit=logit, **choices
    )


def _kind(kind: str) -> Callable[[pd.DataFrame], object]:
    return lambda frame: _predicted(frame, kind)


REFUSED: dict[str, Callable[[pd.DataFrame], object]] = {
    "optimal pairs": lambda frame: _of_design(frame, method="optimal"),
    "pairs by Mahalanobis distance": lambda frame: _of_design(frame, distance="mahalanobis"),
    "pairs with replacement": lambda frame: _of_design(frame, replacement=True),
    "boosted propensity score": _boosted_score,
    "prediction, random forest": _kind("forest"),
    "prediction, pruned tree": _kind("tree"),
}
"""What so many loans do not allow; each ends at once in a StudyError that names the limit and what to do instead."""


def measure(what: str, number: int) -> None:
    """Do one analysis in this process and print its seconds as JSON, or the sentence with which it was refused."""
    frame = loans(number)
    start = time.perf_counter()
    try:
        used = {**ANALYSES, **REFUSED}[what](frame)
    except StudyError as error:
        print(json.dumps({"seconds": time.perf_counter() - start, "refused": str(error)}))
        return
    print(json.dumps({"seconds": time.perf_counter() - start, "loans": used}))


def apart(what: str, number: int) -> tuple[dict, float]:
    """Do one analysis in a process of its own; return what it printed and its memory at the peak, data included."""
    command = [sys.executable, "-m", "benchmarks.large", "--measure", what, "--loans", str(number)]
    spent = machine.run(command)
    if spent.error:
        raise StudyError(f"{what} on {number:,} loans failed: {spent.error}")
    return json.loads(spent.output.splitlines()[-1]), spent.peak


def measured(what: str, number: int, repeat: int = 1) -> Iterator[Measurement]:
    """Yield what one analysis takes."""
    runs = [apart(what, number) for _ in range(repeat)]
    for found, _ in runs:
        if "refused" in found:
            raise StudyError(found["refused"])
    times, peak = [found["seconds"] for found, _ in runs], max(peak for _, peak in runs)
    yield measurement("large", "one cohort", what, number, times, peak)


def refused(what: str, number: int) -> Iterator[Measurement]:
    """Yield how soon an analysis of too many loans is refused; raise a StudyError when it is not."""
    found, peak = apart(what, number)
    if "refused" not in found:
        raise StudyError(f"{what} was done on {number:,} loans: nothing said that these are too many.")
    print(f"{what}: {found['refused']}", flush=True)
    yield measurement("refused", "one cohort", what, number, [found["seconds"]], peak)


def main() -> None:
    """Measure every analysis, add the measurements to the history and print them."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.large", description=__doc__.splitlines()[0])
    parser.add_argument("--measure", metavar="WHAT")
    parser.add_argument("--loans", type=int, default=LOANS)
    parser.add_argument("--repeat", type=int, default=1)
    options = parser.parse_args()
    if options.measure:
        measure(options.measure, options.loans)
        return
    for what in ANALYSES:
        for found in measured(what, options.loans, options.repeat):
            add(found)
            print(f"{found.name}: {found.seconds:.1f} s, {found.peak:.1f} GB", flush=True)


if __name__ == "__main__":
    main()
