"""One run of a stage: alone, and with a log of what it read, wrote and took."""

from __future__ import annotations

import io
import os
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, redirect_stderr, redirect_stdout, suppress
from pathlib import Path
from typing import Literal

from pipeline.runtime import journal, places, store
from pipeline.runtime.errors import StudyError

Loudness = Literal["quiet", "normal", "verbose"]


class Run:
    """What a run says in the end; it stays empty when the run fails."""

    said = ""


@contextmanager
def alone(name: str, subject: str | None = None) -> Iterator[None]:
    """Hold the lock of `name`, such as ``match sba``; if another process holds it, raise a StudyError that says which.

    Given its `subject` (``sba``) it waits instead, and says for whom.
    The system releases the lock when its process dies, however it dies: a lock file that is left means nothing.
    """
    try:
        import fcntl
    except ImportError:  # no such locks on Windows: two runs at once are then the user's to avoid
        yield
        return
    path = places.LOCKS / f"{name.replace(' ', '@')}.lock"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        file = path.open("a+", encoding="utf-8")
    except OSError as error:
        raise StudyError(
            f"{path} cannot be written ({error.strerror or error}): make room or change its rights."
        ) from error
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            holder = file.read().strip()
            if subject is None:
                raise StudyError(
                    f"another run of it is under way{f' ({holder})' if holder else ''}: wait until it ends, or stop it."
                ) from None
            print(f"Another {name} is under way ({holder}): waiting until it ends.", file=sys.stderr, flush=True)
            fcntl.flock(file, fcntl.LOCK_EX)
        except OSError:  # some network file systems have no such locks either
            pass
        with suppress(OSError):  # a full disk: the lock holds without the message
            file.truncate(0)
            of = f"{subject}, " if subject else ""
            os.write(file.fileno(), f"{of}process {os.getpid()}, since {_utc('%Y-%m-%d %H:%M:%S')} UTC".encode())
        yield


def under_way() -> list[tuple[str, str]]:
    """Return the runs whose locks are held, each with what its lock file says of the holder."""
    try:
        import fcntl
    except ImportError:
        return []
    held = []
    for path in sorted(places.LOCKS.glob("*.lock")):
        with path.open(encoding="utf-8") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                held.append((path.stem.replace("@", " "), file.read().strip()))
            except OSError:
                continue
    return held


@contextmanager
def told(loudness: Loudness) -> Iterator[list[journal.Entry]]:
    """Keep a journal, and print as much as was asked for.

    ``quiet`` keeps what runs inside from printing; ``verbose`` prints every file as it is read or written, and in the
    end seconds and memory.
    """
    began = time.monotonic()

    def tell(line: object) -> None:
        if loudness == "verbose":
            print(f"  {line}", file=sys.stderr)

    with ExitStack() as stack:
        entries = stack.enter_context(journal.kept(tell))
        if loudness == "quiet":
            stack.enter_context(redirect_stdout(io.StringIO()))
            stack.enter_context(redirect_stderr(io.StringIO()))
        try:
            yield entries
        finally:
            tell(f"{time.monotonic() - began:.1f} s, at most {_peak_memory():,.0f} MB of memory")


@contextmanager
def logged(stage: str, study: str | None, entries: list[journal.Entry]) -> Iterator[Run]:
    """Write the log of a run when it ends, whichever way it ends; `study` is None for a stage of all studies.

    ``<stage>.json`` holds what does not differ between two runs that do the same: what the stage said, and the files
    read and written with their rows. ``times/<stage>.json`` holds what does: when, how long, how much memory.
    """
    began, watch = _utc("%Y-%m-%dT%H:%M:%SZ"), time.monotonic()
    run, ended = Run(), "interrupted"
    try:
        yield run
        ended = "done"
    except StudyError as error:
        ended = str(error)
        raise
    except Exception as error:
        ended = f"{type(error).__name__}: {error}"
        raise
    finally:
        files = {
            done: [{"file": entry.file, "rows": entry.rows} for entry in entries if entry.done == done]
            for done in ("read", "written")
        }
        times: dict[str, object] = {
            "began": began,
            "seconds": round(time.monotonic() - watch, 2),
            "processor_seconds": round(_processor(), 2),
            "peak_memory_mb": round(_peak_memory()),
            "python": sys.version.split()[0],
        }
        what: dict[str, object] = {"stage": stage, "study": study, "ended": ended, "said": run.said, **files}
        _write(places.log(study), stage, what, times)


def _write(folder: Path, stage: str, what: dict[str, object], times: dict[str, object]) -> None:
    try:
        store.write_json(folder / f"{stage}.json", what)
        store.write_json(folder / "times" / f"{stage}.json", times)
    except StudyError as error:
        # What the run did, or why it failed, counts more than its log.
        print(f"No log: {error}", file=sys.stderr)


def _utc(form: str) -> str:
    return time.strftime(form, time.gmtime())


def _processor() -> float:
    """Return the seconds of processor that this process, start-up included, and its children have taken."""
    spent = os.times()
    return spent.user + spent.system + spent.children_user + spent.children_system + _of_those_alive()


def _of_those_alive() -> float:
    """Return what children that wait for more work, such as those of joblib, have taken; 0 where Linux does not say."""
    ticks = 0
    for children in Path("/proc/self/task").glob("*/children"):
        for child in children.read_text().split():
            with suppress(OSError):
                # After the name, which may hold anything: user and system time are the 12th and 13th.
                fields = Path(f"/proc/{child}/stat").read_text().rpartition(")")[2].split()
                ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK") if ticks else 0.0


def _peak_memory() -> float:
    """Return the largest memory in MB that this process, or one of its children, has had; 0 where nobody counts."""
    try:
        import resource
    except ImportError:
        return 0.0
    largest = max(resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    # Kilobytes, but bytes on macOS.
    return largest / (1024**2 if sys.platform == "darwin" else 1024)
