"""The journal of a run: every file that the store reads or writes, noted as it happens."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import Literal, NamedTuple, TypeVar

Item = TypeVar("Item")


def counted(items: Iterable[Item], total: int, label: str) -> Iterable[Item]:
    """Return items that are counted on a terminal as they are taken, with the time that is left."""
    from tqdm import tqdm

    return tqdm(items, label, total, disable=None)


class Entry(NamedTuple):
    """One file that was read or written."""

    done: Literal["read", "written"]
    file: str
    rows: int | None
    """Rows of a table; None for what is no table."""

    def __str__(self) -> str:
        """Return the entry as a line for people."""
        return f"{self.done} {self.file}" + ("" if self.rows is None else f": {self.rows:,} rows")


_open: ContextVar[Callable[[Entry], None] | None] = ContextVar("journal", default=None)


@contextmanager
def kept(heard: Callable[[Entry], None] | None = None) -> Iterator[list[Entry]]:
    """Yield the list to which every entry is added until the block ends; `heard` is called with each as well."""
    entries: list[Entry] = []

    def add(entry: Entry) -> None:
        entries.append(entry)
        if heard is not None:
            heard(entry)

    token = _open.set(add)
    try:
        yield entries
    finally:
        _open.reset(token)


def note(done: Literal["read", "written"], path: Path, rows: int | None = None) -> None:
    """Add an entry to the journal that is being kept, if one is."""
    add = _open.get()
    if add is not None:
        add(Entry(done, Path(path).as_posix(), rows))
