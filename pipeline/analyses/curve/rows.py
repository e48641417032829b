"""The specification curve: the effect of treatment under every combination of choices that could as well have been.

Specifications that share work form a batch (`choices`): one score, its pairs and their designs; or one set of controls.
"""

from collections.abc import Iterator

import numpy as np

from pipeline.analyses.curve.choices import OWN, Job, choices_of
from pipeline.analyses.curve.specified import Row, Specified
from pipeline.core import results
from pipeline.core.params import Params
from pipeline.core.protocol import Study
from pipeline.runtime.errors import StudyError
from pipeline.stats.specification_curve import joint

WITHIN_STRATA = "within_strata"
"""The specifications that are evidence from a randomisation within strata, where some are not."""

NO_ARMS: Row = {
    "estimator": "specification_count",
    "specification": "all",
    "factor": "treated",
    "note": "there are not two arms of loans to compare.",
}
"""The one row of a study without two arms."""


def rows(found: list[Specified], job: Job, params: Params) -> list[Row]:
    """Return the rows of the specification curve: every specification, how many point which way, and the joint test.

    `found` are the specifications of all batches of a `job`; of `params` the study's own choices and the thresholds of
    what is checked are read.
    """
    noted = [_noted(one.row, params, job.protocol) for one in found]
    return [*noted, *_summary(found, noted, job, params)]


def _noted(row: Row, params: Params, protocol: Study) -> Row:
    """Return a specification's row that says whether it is the study's own, and whether its pairs are unlike."""
    said = [row["note"]] if row.get("note") else []
    unlike = row.get("unlike")
    if _of_study(row, params, protocol):
        said.append("headline" if row["estimator"] == "regression" else "matched pairs")
    if unlike is not None and unlike >= params.checks.balance:
        said.append(f"unlike: largest standardised difference {unlike:.3f}")
    return {name: value for name, value in row.items() if name != "unlike"} | {"note": "; ".join(said)}


def _holds_strata(row: Row, protocol: Study) -> bool:
    """Say whether a specification compares loans within the strata in which treatment was randomised.

    Regressions have an effect for each; of the matched ones those whose exact keys name them do.
    """
    keys = {OWN: protocol.matching.exact, **protocol.alternatives.exact}
    if row["estimator"] == "regression":
        return True
    return set(protocol.controls.strata) <= {*keys[choices_of(row["specification"])["exact"]]}


def _of_study(row: Row, params: Params, protocol: Study) -> bool:
    match, ladder = params.match, [*protocol.controls.ladder()]
    own = {"sample": OWN, "treatment": OWN}
    if row["estimator"] == "regression":
        own |= {"controls": ladder[-1], "model": "linear"}
    else:
        if match.method != "nearest" or match.replacement or match.discard != "none" or match.caliper is None:
            return False
        if match.score == "boosting" and match.folds != params.specification_curve.folds:
            return False
        own |= {"score": match.score, "distance": match.distance, "caliper": f"{match.caliper:g}", "exact": OWN}
        own |= {"order": match.order, "ratio": str(match.ratio), "after": "none"}
    return row["outcome"] == "default" and choices_of(row["specification"]) == own


def _summary(found: list[Specified], noted: list[Row], job: Job, params: Params) -> Iterator[Row]:
    """Yield how many specifications point which way, where the headline stands, and the test of all at once."""
    from scipy.special import ndtri

    alpha = round(1 - job.level, 12)
    estimated = [pair for pair in zip(found, noted, strict=True) if pair[1].get("estimate") is not None]
    parts = {"all": estimated}
    parts |= {kind: [one for one in estimated if one[1]["estimator"] == kind] for kind in ("matching", "regression")}
    held = [one for one in estimated if _holds_strata(one[1], job.protocol)]
    if len(held) < len(estimated):
        parts[WITHIN_STRATA] = held
    for part, chosen in parts.items():
        if not chosen:
            continue
        estimates, p = (np.array([row[name] for _, row in chosen]) for name in ("estimate", "p_value"))
        lower, higher, clear = estimates < 0, estimates > 0, p < alpha
        counts = {
            "specifications": len(estimates),
            "lower": lower.sum(),
            "higher": higher.sum(),
            "significant_lower": (lower & clear).sum(),
            "significant_higher": (higher & clear).sum(),
            "unlike": sum("unlike" in row["note"] for _, row in chosen),
        }
        common = {"specification": part, "factor": "treated", "outcome": "any"}
        for name, count in counts.items():
            yield common | {
                "estimator": "specification_count",
                "estimand": name,
                "estimate": int(count),
                "unit": "specifications",
            }
        ends = {"ci_low": np.quantile(estimates, 0.05), "ci_high": np.quantile(estimates, 0.95)}
        note = "from the 5% to the 95% quantile of the specifications"
        yield (
            common
            | {
                "estimator": "spread",
                "estimand": "median",
                "estimate": float(np.median(estimates)),
                "unit": "percentage points",
                "note": note,
            }
            | ends
        )
        if part != WITHIN_STRATA:
            # Pairs are not formed again under each permutation: what can be tested are the regressions, as above.
            yield from _joint([one for one, _ in chosen], common, job, float(ndtri(1 - alpha / 2)))
    yield from _checked(noted, params)


def _joint(found: list[Specified], common: Row, job: Job, critical: float) -> Iterator[Row]:
    effects, errors = (np.array([getattr(one, name) for one in found]) for name in ("effects", "errors"))
    common = common | {"estimator": "joint_inference"}
    try:
        test = joint(effects, errors, critical)
    except StudyError as error:
        yield common | {"estimand": "median", "note": str(error)}
        return
    how = "treatment permuted as the study randomised it" if job.permuted == "assignment" else "signs of whole clusters"
    note = f"{test.permutations} permutations of {test.specifications} specifications; {how}"
    yield common | {"estimand": "median", "unit": "z statistic", "note": note} | test.median._asdict()
    yield common | {"estimand": "share_significant", "unit": "fraction", "note": note} | test.share._asdict()
    yield common | {"estimand": "stouffer", "unit": "z statistic", "note": note} | test.z._asdict()
    yield common | {"estimand": "centre", "estimate": test.centre, "unit": "z statistic", "note": note}
    yield common | {"estimand": "permuted", "estimate": test.specifications, "unit": "specifications", "note": note}


def _checked(noted: list[Row], params: Params) -> Iterator[Row]:
    """Yield whether the curve agrees on a sign, and whether the headline is a typical part of it."""
    own = next((row for row in noted if row["note"].startswith("headline") and row.get("estimate") is not None), None)
    if own is None:
        return
    estimates = np.array([row["estimate"] for row in noted if row.get("estimate") is not None])
    common = {name: own.get(name) for name in ("factor", "outcome", "n", "n_treated", "n_clusters")}
    same = max(float((estimates < 0).mean()), float((estimates > 0).mean()))
    alike, typical = params.specification_curve.alike, params.specification_curve.typical
    yield results.assumption("curve_of_one_mind", same, alike, passed=same >= alike, **common)
    # Middle of the ranks that the headline shares.
    place = float(((estimates < own["estimate"]).mean() + (estimates <= own["estimate"]).mean()) / 2)
    far = abs(2 * place - 1)
    yield results.assumption("headline_typical", far, typical, passed=far <= typical, **common)
    yield {
        "estimator": "spread",
        "specification": "all",
        "factor": "treated",
        "outcome": "any",
        "estimand": "place_of_headline",
        "estimate": place,
        "unit": "fraction",
    }
