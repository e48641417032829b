"""A specification, and the loans of a batch with what the joint test needs of them."""

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from pipeline.analyses.curve.choices import OWN, Batch
from pipeline.core import results
from pipeline.runtime.errors import StudyError
from pipeline.stats.inference import codes, effect
from pipeline.stats.specification_curve import SignChanges

AT_ONCE = 50
"""Permutations that are computed at a time: bounds the memory."""

Row = dict[str, Any]


class Specified(NamedTuple):
    """A specification's row, and what the joint test makes of it (1 + permutations,), if it takes part."""

    row: Row
    effects: np.ndarray | None = None
    errors: np.ndarray | None = None


class Loans:
    """The loans of a batch, with what the joint test needs of them."""

    def __init__(self, batch: Batch, everybody: pd.DataFrame, permutations: np.ndarray) -> None:
        """Take the batch's sample of all loans (`seen`), and its part of what permutations change (`permutations`)."""
        rows = np.flatnonzero(everybody[f"sample {batch.sample}"])
        self.frame = everybody.iloc[rows].reset_index(drop=True)
        self.frame["treated"] = self.frame[f"treatment {batch.treatment}"]
        self.treated = self.frame["treated"].to_numpy()
        self.weights = self.frame["weight"].to_numpy(dtype=float) if "weight" in self.frame else None
        self.outcomes = [name.removeprefix("outcome ") for name in self.frame if name.startswith("outcome ")]
        assigned = batch.job.permuted == "assignment"
        # A randomisation assigned the protocol's treatment and no other, and pairs are not formed again.
        self._assigned = permutations[rows] if assigned and batch.treatment == OWN else None
        self._signs = None if assigned else permutations
        exact = [everybody[key] for key in batch.job.protocol.matching.exact]
        strata = everybody.groupby(exact, observed=True, dropna=False).ngroup() if exact else np.zeros(len(everybody))
        self._strata = np.asarray(strata, dtype=int)[rows]
        self._clusters = codes(everybody[batch.job.protocol.cluster])[rows]

    def outcome(self, name: str) -> np.ndarray:
        """Return an outcome (loans,), missing where a loan has none."""
        return self.frame[f"outcome {name}"].to_numpy()

    def known_alike(self) -> list[list[str]]:
        """Return the outcomes, those together that the same loans have."""
        alike: dict[bytes, list[str]] = {}
        for name in self.outcomes:
            alike.setdefault(np.isfinite(self.outcome(name)).tobytes(), []).append(name)
        return [*alike.values()]

    def signs_changed(
        self, outcomes: np.ndarray, rows: np.ndarray, controls: np.ndarray, weights: np.ndarray | None
    ) -> list[tuple[np.ndarray, np.ndarray]]:
        """Return each outcome's effects and errors (outcomes, each 1 + permutations) in the joint test.

        `outcomes` (rows x outcomes) and `controls` (rows x columns) of the loans in `rows`. The exact keys of the
        matching are held equal in every specification, as permuting within them would. Empty for an assignment.
        """
        if self._signs is None:
            return []
        try:
            changed = SignChanges(self.treated[rows], controls, self._strata[rows], self._clusters[rows], weights)
        except StudyError:
            # Inside the keys nothing varies: the specification takes no part.
            return []
        return [*zip(*changed(outcomes, self._signs), strict=True)]

    def assignments(self) -> Iterator[np.ndarray]:
        """Yield the treatments (loans x permutations) as the study might have randomised them."""
        if self._assigned is not None:
            yield from some_at_once(self._assigned)


def some_at_once(table: np.ndarray) -> Iterator[np.ndarray]:
    """Yield columns of a table as numbers, `AT_ONCE` at a time."""
    for start in range(0, table.shape[1], AT_ONCE):
        yield table[:, start : start + AT_ONCE].astype(float)


def row_of(batch: Batch, outcome: str, **choices: Any) -> Row:
    """Return the row of a specification, named after its choices."""
    choices |= {"sample": batch.sample, "treatment": batch.treatment}
    return {
        "estimator": batch.kind,
        "specification": "; ".join(f"{name}={value}" for name, value in choices.items()),
        "factor": "treated",
        "outcome": "default" if outcome == OWN else outcome,
        "estimand": "risk_difference",
        "unit": "percentage points",
    }


def specified(
    row: Row, found: tuple[float, float], level: float, tested: tuple[np.ndarray, np.ndarray] | None, **more: Any
) -> Specified:
    """Return a specification from its effect and error, and from those of the joint test, the real ones first."""
    if not found[1] > 0:
        return Specified(row | more | {"note": "the controls determine treatment, or nothing varies."})
    return Specified(row | in_points(effect(*found, level)) | more, *(tested or ()))


def in_points(found: Any) -> Row:
    """Return an effect in percentage points, rounded as it is written: what is counted are signs that readers see."""
    rounded = {name: results.cleared(float(100 * value)) for name, value in found._asdict().items()}
    return rounded | {"p_value": float(found.p_value)}


def time_first(terms: list[str], time: list[str]) -> list[str]:
    """Put time effects first: where they determine the market's national series, those are dropped, not a month."""
    return list(dict.fromkeys([*(term for term in terms if term in time), *terms]))
