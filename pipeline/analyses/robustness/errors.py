"""The headline coefficient under every standard error, and without each cluster in turn."""

from collections.abc import Callable, Iterator

import numpy as np

from pipeline.analyses.robustness.sample import Row, Sample
from pipeline.core import results
from pipeline.runtime.errors import StudyError
from pipeline.stats import robust_errors
from pipeline.stats.inference import CORRECTION, Effect, cluster_codes, codes

DRAWS = 9_999
"""Draws of the wild bootstrap: with one more, a multiple of the reciprocals of usual significance levels."""


def errors(sample: Sample, fit: robust_errors.Partialled, without: np.ndarray | None) -> Iterator[Row]:
    """Yield the headline coefficient under every error; the note says which small-sample correction it carries."""
    level, clusters = sample.level, cluster_codes(sample.clusters)

    def by_both() -> Effect:
        if sample.time is None:
            raise StudyError("no column of time has periods enough to cluster by.")
        return robust_errors.two_way(fit, clusters, codes(sample.loans[sample.time]), level)

    seed = [sample.seed]
    ways: dict[str, tuple[Callable[[], Effect], str]] = {
        "robust": (lambda: robust_errors.heteroskedastic(fit, level), "n/(n-k); normal distribution"),
        "clustered": (lambda: robust_errors.clustered(fit, clusters, level), f"{CORRECTION}; normal distribution"),
        "clustered_t": (
            lambda: robust_errors.clustered(fit, clusters, level, student=True),
            f"{CORRECTION}; Student's t with G-1 degrees of freedom",
        ),
        "two_way": (
            by_both,
            f"{CORRECTION} in each part; Student's t with G-1 degrees of freedom; clusters and {sample.time}",
        ),
        "jackknife": (
            lambda: robust_errors.jackknife(fit, without, level),
            "(G-1)/G (CV3); Student's t with G-1 degrees of freedom",
        ),
        "wild_bootstrap": (
            lambda: robust_errors.wild_bootstrap(fit, clusters, level, DRAWS, seed),
            f"null imposed, {DRAWS} draws; p-value and interval from the draws, standard error as clustered",
        ),
    }
    for name, (find, note) in ways.items():
        if sample.alone and name not in ("robust", "clustered"):
            yield sample.row("errors", name, "risk_difference", note="every loan is a cluster of its own.")
            continue
        try:
            found = results.in_points(find())
        except StudyError as error:
            found, note = {}, str(error)
        yield sample.row("errors", name, "risk_difference", **found, note=note)


UNNAMED = "without one client"


def without_clusters(sample: Sample, without: np.ndarray | None) -> Iterator[Row]:
    """Yield the smallest and the largest effect that leaving one cluster out gives."""
    if without is None or np.isnan(without).all():
        return
    # Clusters are numbered in the order of their names.
    names = np.sort(sample.clusters.unique())
    sizes = sample.clusters.value_counts()
    for estimand, place in (("smallest", np.nanargmin(without)), ("largest", np.nanargmax(without))):
        name = names[place]
        # Clusters may be clients, whom no page names.
        called = f"without {name}" if sample.protocol.cluster != "client_id" else UNNAMED
        yield sample.row(
            "leave_one_cluster_out",
            "linear_probability",
            estimand,
            stays=(sample.clusters != name).to_numpy(),
            estimate=100 * without[place],
            unit="percentage points",
            note=f"{called}, {sizes[name]} loans",
        )
