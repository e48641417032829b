"""What preparing a study yields, and the bookkeeping of every row that leaves on the way."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

import pandas as pd

from pipeline.core.protocol import Study
from pipeline.core.schema import Checked
from pipeline.core.shared import Checks
from pipeline.runtime import store
from pipeline.runtime.errors import StudyError


class Parts(Mapping[str, pd.DataFrame]):
    """Tables by name, made when they are asked for: whole, or part by part where they may be too long to hold."""

    def __init__(self, makers: Mapping[str, Callable[[], Iterator[pd.DataFrame]]]) -> None:
        """Take for each name what yields its parts, of the same columns and types, in order."""
        self._makers = makers

    def parts(self, name: str) -> Iterator[pd.DataFrame]:
        """Yield the rows of a table part by part."""
        return self._makers[name]()

    def __getitem__(self, name: str) -> pd.DataFrame:
        """Return a whole table."""
        return pd.concat(self.parts(name), ignore_index=True)

    def __iter__(self) -> Iterator[str]:
        """Return the names."""
        return iter(self._makers)

    def __len__(self) -> int:
        """Return how many tables there are."""
        return len(self._makers)


class Preparation(NamedTuple):
    """The tables that the later stages read; a study without a debatable choice has no robustness sample."""

    cohort: pd.DataFrame
    """The loans of the analysis, one row each."""
    flow: pd.DataFrame
    """The sample flow: ``step, reason, loans, defaults, remaining, remaining_defaults``."""
    quarantined: pd.DataFrame
    """Raw rows that break a data rule, with the reason."""
    robustness: pd.DataFrame | None = None
    """The cohort and the loans that a debatable choice of the protocol left out, same columns."""
    panels: Mapping[str, pd.DataFrame] = MappingProxyType({})
    """Tables with several rows a loan, such as loan-months, by name."""
    further: Mapping[str, Callable[[], pd.DataFrame]] = MappingProxyType({})
    """Further tables by name, each made when it is called: whoever prepares hundreds of worlds makes none."""


def raw_tables(folder: Path) -> dict[str, pd.DataFrame]:
    """Return the raw tables of a study's folder by name: where they fit into memory, no engine is needed."""
    return {path.stem: store.read_parquet(path) for path in sorted(folder.glob("*.parquet"))}


def known_factors(study: Study, known: Collection[str], where: str) -> None:
    """Raise a StudyError when a study's choices, in the file `where`, name a factor that its data do not measure."""
    if unknown := [name for name in study.factors if name not in known]:
        raise StudyError(f"{where}: factors: {unknown} cannot be measured here; there are {', '.join(known)}.")


def in_arms(columns: pd.DataFrame, study: Study, measured: Collection[str]) -> pd.DataFrame:
    """Return loans with the arm that the study's rule puts them in, and of the factors measured only the study's."""
    assert study.treatment is not None
    treated = (columns[study.treatment.factor] >= study.treatment.at_least).astype("int64")
    return columns.drop(columns=[name for name in measured if name not in study.factors]).assign(treated=treated)


def tidy(loans: pd.DataFrame) -> pd.DataFrame:
    """Sort by loan and drop categories that no loan has."""
    loans = loans.sort_values("loan_id", kind="stable", ignore_index=True)
    for name in loans.select_dtypes("category"):
        loans[name] = loans[name].cat.remove_unused_categories()
    return loans


class SampleFlow:
    """Counts every row that leaves, under a named reason."""

    def __init__(self, frame: pd.DataFrame, default: pd.Series) -> None:
        """Start with all rows of `frame`; `default` (0/1, same index) is counted beside them."""
        self.frame = frame
        self._default = default
        self._steps = [self._step("read", 0, 0)]

    def _step(self, reason: str, loans: int, defaults: int) -> dict[str, object]:
        remaining = self._default.loc[self.frame.index]
        return {
            "reason": reason,
            "loans": loans,
            "defaults": defaults,
            "remaining": len(remaining),
            "remaining_defaults": int(remaining.sum()),
        }

    def leave(self, reason: str, leaving: pd.Series) -> pd.DataFrame:
        """Let the rows go for which `leaving` is true, count them under `reason`, and return them."""
        gone = self.frame[leaving.loc[self.frame.index]]
        self.frame = self.frame.drop(index=gone.index)
        self._steps.append(self._step(reason, len(gone), int(self._default.loc[gone.index].sum())))
        return gone

    def table(self) -> pd.DataFrame:
        """Return the steps in order; that they add up is checked here."""
        flow = pd.DataFrame(self._steps)
        flow.insert(0, "step", range(len(flow)))
        if (flow["remaining"].diff().iloc[1:] != -flow["loans"].iloc[1:]).any():
            raise AssertionError("the sample flow does not add up")
        return flow


def stop_if_too_many(checked: Checked, rows: int, checks: Checks, table: str) -> None:
    """Raise a StudyError when more rows break a data rule than the study tolerates."""
    share = len(checked.quarantined) / max(rows, 1)
    if share > checks.quarantine_share:
        broken = "; ".join(
            f"{case.column} {case.rule}: {case.rows} rows ({case.first_five})" for case in checked.failures.itertuples()
        )
        raise StudyError(
            f"{table}: {len(checked.quarantined)} of {rows} rows break a data rule, more than checks.quarantine_share "
            f"allows ({checks.quarantine_share:g}): {broken}."
        )


def meet(expected: int | None, found: int, name: str) -> None:
    """Raise a StudyError when a count of the sample flow is not the one that the protocol expects."""
    if expected is not None and expected != found:
        raise StudyError(
            f"the sample flow finds {found} where the study's params.yaml expects {expected} (expected.{name}): "
            "set it to null if you changed vintages or eligibility on purpose, otherwise look at the source files."
        )
