"""``python -m benchmarks.method``: try every design on made-up loans, and write reports/method.

Results go to reports/method/results.csv in the one form of results, and the page is made of them. With CRM_REFERENCE
naming the folder of the LaLonde data (see tests/stats/test_lalonde.py) their rows are computed again; without it those
of the last run are kept.
"""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jinja2
import numpy as np
import pandas as pd

from benchmarks import figures
from benchmarks.measures import ecdf, oster_delta, quantiles, weighted_difference
from pipeline.core import results
from pipeline.present.figures import draw
from pipeline.present.numerals import fixed, whole
from pipeline.present.tables import markdown
from pipeline.present.words import Words
from pipeline.runtime import store
from pipeline.stats.comparison import WEIGHTS, Comparison, compare
from pipeline.stats.design import term_values
from pipeline.stats.matched_effects import abadie_imbens, weighting_effect
from pipeline.stats.scores import maximum_likelihood, propensity
from pipeline.stats.sensitivity import e_value, rosenbaum_bounds
from pipeline.stats.subclassification import subclasses
from pipeline.stats.weighting import probability

FOLDER = Path("reports/method")
SEED = 20021001
SHUFFLES, LOANS = 50, 600
WORLDS, LOANS_A_WORLD = 200, 1500
LEVEL, TRUTH = 0.95, -0.06

DESIGNS: dict[str, dict[str, Any]] = {
    "closest": {"caliper": 0.2},
    "largest": {"order": "largest", "distance": "probability"},
    "caliper": {"order": "largest", "distance": "probability", "caliper": 0.2},
    "mahalanobis": {"distance": "mahalanobis", "order": "data"},
    "replacement": {"replacement": True, "caliper": 0.2},
    "optimal": {"method": "optimal", "caliper": 0.2},
    "exact": {"method": "exact"},
    "coarsened_exact": {"method": "coarsened_exact", "cuts": {"size": 5}},
    "subclassification": {"method": "subclassification", "number": 6},
    "inverse_probability": {"method": "inverse_probability"},
    "average": {"method": "inverse_probability", "estimand": "ATE"},
    "overlap": {"method": "overlap"},
    "entropy_balancing": {"method": "entropy_balancing"},
}

ON_LALONDE = {
    "largest": "nn_default",
    "caliper": "nn_caliper0.2_ps",
    "mahalanobis": "nn_mahalanobis",
    "replacement": "nn_replace",
}
"""Designs that MatchIt ran, with the names of its runs; there replacement had no caliper."""

RENUMBERED = ("effect", "error", "spread_renumbered", "lowest_renumbered", "highest_renumbered")
"""What the page shows of a design whose loans are numbered anew."""

Rows = Iterator[dict[str, Any]]


def loans(number: int, seed: int, digits: int = 2) -> pd.DataFrame:
    """Make up loans; `digits` of the covariate says how often scores tie."""
    rng = np.random.default_rng(np.random.SeedSequence([SEED, seed]))
    size, firm = rng.normal(size=number).round(digits), rng.integers(0, 2, number)
    treated = rng.random(number) < probability(0.7 * size + 0.5 * firm - 1.1)
    risk = np.clip(0.35 + 0.1 * size + 0.08 * firm + TRUTH * treated, 0.01, 0.99)
    default = rng.random(number) < risk
    return pd.DataFrame({"size": size, "firm": firm, "treated": treated * 1, "default": default * 1})


def design(frame: pd.DataFrame, covariates: list[str], identifier: np.ndarray, logit: np.ndarray, choices: dict) -> Any:
    """Carry out a design on a frame with the columns treated and those of the covariates."""
    exact = frame[["firm"]] if choices.get("method") == "exact" else None
    values = term_values(frame, covariates).astype(float).reset_index(drop=True)
    return compare(values, frame["treated"].to_numpy(), identifier, logit=logit, exact=exact, **choices)


def effect(outcome: np.ndarray, treated: np.ndarray, found: Comparison) -> float:
    """Return the difference of weighted means."""
    return weighted_difference(outcome, treated, found.weight, LEVEL).estimate


def shuffled(
    frame: pd.DataFrame, covariates: list[str], outcome: str, logit: np.ndarray, names: list[str], where: str
) -> Rows:
    """Yield the answers of each design on shuffled rows, with the loans' own numbers and with numbers given anew."""
    rng = np.random.default_rng(np.random.SeedSequence([SEED, len(frame)]))
    orders = [rng.permutation(len(frame)) for _ in range(SHUFFLES)]
    for name in names:
        choices = dict(DESIGNS[name])
        if where == "lalonde" and name == "replacement":
            choices = {"replacement": True, "distance": "probability"}
        ours, renumbered, errors = set(), [], []
        for order in orders:
            rows = frame.iloc[order].reset_index(drop=True)
            y, treated = rows[outcome].to_numpy(), rows["treated"].to_numpy()
            for identifier, take in ((order, ours.add), (np.arange(len(order)), renumbered.append)):
                found = design(rows, covariates, identifier, logit[order], choices)
                # Means in one order of the loans, so that answers differ by their pairs and weights alone.
                back = np.argsort(order)
                again = found._replace(weight=found.weight[back])
                take(effect(y[back], treated[back], again))
            errors.append(with_error(rows, outcome, name, found, logit[order]).std_error)
        common = {"estimator": name, "specification": where, "n": len(frame)}
        yield common | {"estimand": "effect", "estimate": next(iter(ours))}
        yield common | {"estimand": "distinct_answers", "estimate": len({round(value, 9) for value in ours})}
        # The spread of what cannot differ is nought, and not what rounding leaves.
        spread = float(np.std(renumbered, ddof=1)) if np.ptp(renumbered) > 1e-9 * np.abs(renumbered).max() else 0.0
        yield common | {"estimand": "spread_renumbered", "estimate": spread}
        yield common | {"estimand": "error", "estimate": np.mean(errors)}
        yield common | {"estimand": "lowest_renumbered", "estimate": min(renumbered)}
        yield common | {"estimand": "highest_renumbered", "estimate": max(renumbered)}


def lalonde(folder: Path) -> Rows:
    """Yield the same on the LaLonde data, beside what MatchIt gives."""
    data = pd.read_csv(folder / "lalonde.csv", index_col=0).rename(columns={"treat": "treated"})
    for race in ("hispan", "white"):
        data[f"race_{race}"] = (data["race"] == race) * 1.0
    covariates = ["age", "educ", "race_hispan", "race_white", "married", "nodegree", "re74", "re75"]
    matrix = np.column_stack([np.ones(len(data)), data[covariates].to_numpy(dtype=float)])
    logit = (matrix @ maximum_likelihood(matrix, data["treated"].to_numpy())).round(12)
    frame = data.reset_index(drop=True)
    yield from shuffled(frame, covariates, "re78", logit, list(ON_LALONDE), "lalonde")
    summary = pd.read_csv(folder / "matchit_4.7.2_summary.csv", index_col=0)
    pairs = pd.read_csv(folder / "matchit_4.7.2_pairs.csv").dropna(subset="control")
    for name, run in ON_LALONDE.items():
        choices = {"replacement": True, "distance": "probability"} if name == "replacement" else DESIGNS[name]
        found = design(frame, covariates, np.arange(len(frame)), logit, choices).matches
        ours = set(zip(data.index[found.treated], data.index[found.control], strict=True))
        theirs = pairs[pairs["run"] == run]
        common = {"estimator": name, "specification": "lalonde", "n": len(frame)}
        yield common | {"estimand": "matchit", "estimate": summary.loc[run, "att"]}
        same = len(ours & set(zip(theirs["treated"], theirs["control"], strict=True)))
        yield common | {"estimand": "pairs_in_common", "estimate": same, "n_treated": len(theirs)}


def with_error(frame: pd.DataFrame, outcome: str, name: str, found: Comparison, logit: np.ndarray) -> Any:
    """Return a design's effect with the error that belongs to it."""
    choices = DESIGNS[name]
    y, treated = frame[outcome].to_numpy(), frame["treated"].to_numpy()
    if choices.get("method") in WEIGHTS:
        return weighting_effect(
            y,
            treated,
            frame[["size", "firm"]].to_numpy(dtype=float),
            LEVEL,
            method=choices["method"],
            estimand=choices.get("estimand", "ATT"),
        )
    if choices.get("replacement"):
        return abadie_imbens(y, treated, logit, np.zeros(len(y)), found.matches, LEVEL)
    return weighted_difference(y, treated, found.weight, LEVEL, clusters=found.group)


def worlds() -> Rows:
    """Yield bias, spread and coverage of each design over worlds with a known effect."""
    made = {name: [] for name in DESIGNS}
    raw, by_stratum = [], []
    for world in range(WORLDS):
        frame = loans(LOANS_A_WORLD, 1000 + world, digits=6)
        covariates, treated = frame[["size", "firm"]], frame["treated"].to_numpy()
        rows = np.arange(len(frame))
        logit = propensity(covariates, treated, rows)
        raw.append(frame["default"][treated == 1].mean() - frame["default"][treated == 0].mean())
        for name, choices in DESIGNS.items():
            found = design(frame, ["size", "firm"], rows, logit, choices)
            answer = with_error(frame, "default", name, found, logit)
            if name == "subclassification":
                stratum = subclasses(treated, logit, choices["number"])
                clustered = weighted_difference(
                    frame["default"].to_numpy(), treated, found.weight, LEVEL, clusters=stratum
                )
                by_stratum.append(clustered.ci_low <= TRUTH <= clustered.ci_high)
            held = answer.ci_low <= TRUTH <= answer.ci_high
            made[name].append((answer.estimate, answer.std_error, held, found.weight[treated == 1].astype(bool).mean()))
    yield {"estimator": "raw", "specification": "worlds", "estimand": "bias", "estimate": np.mean(raw) - TRUTH}
    yield {
        "estimator": "subclassification_clustered",
        "specification": "worlds",
        "estimand": "coverage",
        "estimate": np.mean(by_stratum),
    }
    for name, answers in made.items():
        estimate, error, held, used = np.array(answers, dtype=float).T
        common = {"estimator": name, "specification": "worlds", "n": LOANS_A_WORLD}
        of_mean = estimate.std(ddof=1) / np.sqrt(WORLDS)
        yield common | {"estimand": "bias", "estimate": estimate.mean() - TRUTH, "std_error": of_mean}
        yield common | {"estimand": "spread", "estimate": estimate.std(ddof=1)}
        yield common | {"estimand": "error", "estimate": error.mean()}
        yield common | {"estimand": "coverage", "estimate": held.mean()}
        yield common | {"estimand": "used", "estimate": used.mean()}


def diagnostics() -> Rows:
    """Yield the rows of the diagnostic figures for one world."""
    frame = loans(LOANS_A_WORLD, 1, digits=6)
    y, treated = frame["default"].to_numpy(), frame["treated"].to_numpy()
    rows = np.arange(len(frame))
    logit = propensity(frame[["size", "firm"]], treated, rows)
    found = design(frame, ["size", "firm"], rows, logit, DESIGNS["closest"])
    arm, value = treated == 1, frame["size"].to_numpy()
    for sample, weight in (("before", np.ones(len(frame))), ("after", found.weight)):
        steps = ecdf(value.round(1), arm, weight)
        for row in steps.itertuples():
            for side in ("treated", "control"):
                yield {
                    "estimator": "ecdf",
                    "specification": f"{sample}_{side}",
                    "factor": "size",
                    "outcome": f"{row.value:.1f}",
                    "estimand": "share",
                    "estimate": getattr(row, side),
                }
        for row in quantiles(value, arm, weight).itertuples():
            for side in ("treated", "control"):
                common = {"estimator": "quantile", "specification": sample, "factor": "size"}
                yield common | {"outcome": f"{row.share:.2f}", "estimand": side, "estimate": getattr(row, side)}
    kept = found.weight > 0
    bounds = rosenbaum_bounds(y[kept], treated[kept], found.group[kept], np.linspace(1, 3, 41))
    for row in bounds.itertuples():
        for side in ("fewer", "more"):
            common = {"estimator": "rosenbaum_bounds", "specification": "pairs", "outcome": f"{row.gamma:.2f}"}
            yield common | {"estimand": side, "estimate": getattr(row, side)}
    share = [y[kept & side].mean() for side in (arm, ~arm)]
    ratio, size = share[0] / share[1], kept.sum() / 2
    # Of two independent shares; the delta method on the logarithm (Katz et al. 1978).
    half = 1.959964 * np.sqrt(sum((1 - one) / (one * size) for one in share))
    low, high = ratio * np.exp([-half, half])
    common = {"estimator": "e_value", "specification": "pairs", "factor": "treated"}
    yield common | {"estimand": "risk_ratio", "estimate": ratio, "ci_low": low, "ci_high": high}
    for name, value in e_value(ratio, low, high)._asdict().items():
        yield common | {"estimand": name, "estimate": value}
    controls = frame[["size", "firm"]].to_numpy(dtype=float)
    least = oster_delta(y * 1.0, treated * 1.0, controls).r_long
    for r_max in np.linspace(1.05 * least, 3 * least, 40):
        found = oster_delta(y * 1.0, treated * 1.0, controls, r_max=r_max)
        common = {"estimator": "oster", "specification": "all_loans", "factor": "treated"}
        yield common | {"outcome": f"{r_max:.5f}", "estimand": "delta", "estimate": found.delta}


def page(rows: results.Results, words: Words) -> str:
    """Lay out the page."""

    def number(name: str, where: str, estimand: str) -> float:
        return rows.one(estimator=name, specification=where, estimand=estimand).estimate

    def text(key: str) -> str:
        environment = jinja2.Environment(undefined=jinja2.StrictUndefined, autoescape=False)
        raw = 100 * number("raw", "worlds", "bias")
        context = {"shuffles": SHUFFLES, "loans": LOANS, "worlds": WORLDS, "loans_a_world": whole(LOANS_A_WORLD)}
        few = 100 * number("subclassification_clustered", "worlds", "coverage")
        context |= {"strata": words.text("designs.subclassification"), "few": fixed(few, 0)}
        context |= {"truth": fixed(100 * TRUTH, 0), "raw": fixed(raw, 1), "level": f"{100 * LEVEL:g}"}
        return " ".join(environment.from_string(words.text(key)).render(**context).split())

    def table(columns: list[str], body: list[list[str]]) -> str:
        return markdown([words.text(f"columns.{name}") for name in columns], body)

    def names(where: str) -> list[str]:
        found = rows.where(specification=where)["estimator"]
        return [name for name in DESIGNS if name in set(found)]

    parts = [f"# {words.text('title')}", text("intro"), f"## {words.text('headings.shuffles')}", text("shuffles")]
    body = []
    for name in names("shuffled"):
        answers = number(name, "shuffled", "distinct_answers")
        values = [fixed(100 * number(name, "shuffled", kind), 2) for kind in RENUMBERED]
        body.append([words.text(f"designs.{name}"), *values[:2], whole(answers), *values[2:]])
    parts.append(table(["design", "effect", "own_error", "answers", "renumbered", "lowest", "highest"], body))
    if names("lalonde"):
        body = []
        for name in names("lalonde"):
            same = rows.one(estimator=name, specification="lalonde", estimand="pairs_in_common")
            label = words.text(f"designs.{name}")
            body.append(
                [
                    label.split(",")[0] if name == "replacement" else label,
                    *(fixed(number(name, "lalonde", kind), 1) for kind in RENUMBERED[:2]),
                    whole(number(name, "lalonde", "distinct_answers")),
                    *(fixed(number(name, "lalonde", kind), 1) for kind in RENUMBERED[2:]),
                    fixed(number(name, "lalonde", "matchit"), 1),
                    f"{whole(same.estimate)} / {whole(same.n_treated)}",
                ]
            )
        parts += [f"## {words.text('headings.lalonde')}", text("lalonde")]
        columns = ["design", "effect", "own_error", "answers", "renumbered", "lowest", "highest", "matchit", "same"]
        parts.append(table(columns, body))
    body = []
    for name in names("worlds"):
        bias = rows.one(estimator=name, specification="worlds", estimand="bias")
        spread, error = (fixed(100 * number(name, "worlds", kind), 2) for kind in ("spread", "error"))
        coverage, used = (f"{fixed(100 * number(name, 'worlds', kind), 0)}%" for kind in ("coverage", "used"))
        of_bias = f"{fixed(100 * bias.estimate, 2)} ({fixed(100 * bias.std_error, 2)})"
        body.append([words.text(f"designs.{name}"), of_bias, spread, error, coverage, used])
    parts += [f"## {words.text('headings.worlds')}", text("worlds")]
    parts.append(table(["design", "bias", "spread", "error", "coverage", "used"], body))
    parts += [f"## {words.text('headings.figures')}", text("figures_intro")]
    parts += [f"![{name.replace('_', ' ')}](figures/{name}.svg)" for name in FIGURES]
    return "\n\n".join(parts)


FIGURES = {
    "distributions": (figures.distributions, "size"),
    "quantiles": (figures.quantiles, "size"),
    "hidden_bias": (figures.hidden_bias, 0.025),
    "confounding": (figures.confounding, "treated"),
    "selection": (figures.selection, "treated"),
}


def main() -> None:
    """Compute the rows, write them, and make the page of them."""
    frame = loans(LOANS, 0)
    logit = propensity(frame[["size", "firm"]], frame["treated"].to_numpy(), np.arange(LOANS))
    rows = [*shuffled(frame, ["size", "firm"], "default", logit, list(DESIGNS), "shuffled"), *worlds(), *diagnostics()]
    path = FOLDER / "results.csv"
    made = results.table("method", "method", rows)
    if folder := os.environ.get("CRM_REFERENCE"):
        kept = results.table("method", "method", list(lalonde(Path(folder))))
    elif path.exists():
        kept = results.read(path).where(specification="lalonde")
    else:
        kept = made.iloc[:0]
    table = pd.concat([made, kept]).sort_values(list(results.KEY), kind="stable", ignore_index=True)
    results.write(path, table)
    read, words = results.read(path), Words("en", "method")
    for name, (figure, *choices) in FIGURES.items():
        draw(figure, FOLDER / "figures" / f"{name}.svg", read, words, *choices)
    store.write_text(FOLDER / "method.md", page(read, words))


if __name__ == "__main__":
    main()
