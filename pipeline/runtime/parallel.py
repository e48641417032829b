"""Tasks that do not need each other, computed by processes of this machine or by a Dask cluster.

Where a task is computed changes no number: every process adds up with one thread and the same kernels, and workers of a
cluster are asked for the same code and packages before they compute anything.

Tasks go to a cluster by Dask's own client. joblib's Dask backend gives the same bytes, but waits without end where all
workers are gone, and where a cluster has one thread in all it computes in this process and asks no worker.
"""

from __future__ import annotations

import os
import threading
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from functools import cache, lru_cache
from pathlib import Path
from typing import Any, Literal, Protocol

from pipeline.runtime import journal
from pipeline.runtime.errors import StudyError

PATIENCE = 10.0
"""Seconds in which the scheduler must answer and have a worker."""
WITHOUT_WORKERS = 60.0
"""Seconds after which a cluster that has lost all its workers is given up."""

PACKAGES = ("joblib", "numpy", "pandas", "pyarrow", "scikit-learn", "scipy", "statsmodels")
"""Packages whose version may change a digit."""


class Where(Protocol):
    """Where tasks are computed: the section `parallel` of params.yaml."""

    @property
    def backend(self) -> Literal["loky", "dask"]:
        """In processes of this machine, or on a cluster."""

    @property
    def address(self) -> str | None:
        """The cluster's scheduler."""

    @property
    def workers(self) -> int:
        """How many processes of this machine."""


def each(
    function: Callable[[Any], Any], items: Iterable[Any], settings: Where, label: str | None = None
) -> Iterator[Any]:
    """Yield the result of `function` for each item, in the order of the items.

    Args:
        function: depends on its argument alone, reads no file of this machine and draws from no shared stream.
        items: what it is called with, one at a time.
        settings: the section `parallel` of params.yaml.
        label: what the tasks are, counted on a terminal with the time left; None: nothing is said.

    An error of the function is raised here as it is. Raises StudyError that names parallel.address when the cluster
    cannot be reached, has no worker left, or computes with other code or packages.
    """
    items = list(items)
    results = _on_cluster(function, items, settings) if settings.backend == "dask" else _here(function, items, settings)
    yield from results if label is None else journal.counted(results, len(items), label)


def _here(function: Callable[[Any], Any], items: Sequence[Any], settings: Where) -> Iterator[Any]:
    from joblib import Parallel as Processes
    from joblib import delayed, parallel_config

    here = Path.cwd()
    # Processes keep memory that they used (pipeline/__init__.py): joblib takes it for a leak, starts another and warns.
    warnings.filterwarnings("ignore", "A worker stopped while some jobs were given to the executor")
    with parallel_config(backend="loky", inner_max_num_threads=1):
        processes = Processes(n_jobs=settings.workers, return_as="generator")
        results = processes(delayed(_in_folder)(here, function, item) for item in items)
    yield from results


def _in_folder(folder: Path, function: Callable[[Any], Any], item: Any) -> Any:
    """Compute one item in the folder at work: joblib lends processes of an earlier call, which may stand elsewhere."""
    os.chdir(folder)
    return function(item)


def _on_cluster(function: Callable[[Any], Any], items: Sequence[Any], settings: Where) -> Iterator[Any]:
    """Yield results of a Dask cluster; what a worker that is lost had computed or begun is computed again."""
    address = settings.address
    try:
        import cloudpickle
        from distributed import Client
    except ImportError as error:
        raise StudyError(
            f"parallel.backend: dask needs packages that are not installed ({error.name}): make .venv/dask adds them."
        ) from error
    try:
        client = Client(address, timeout=PATIENCE, set_as_default=False)
    except (OSError, ValueError) as error:
        raise StudyError(f"parallel.address: no Dask scheduler answers at {address}: start one there.") from error
    futures: list[Any] = []
    try:
        try:
            client.wait_for_workers(1, timeout=PATIENCE)
        except TimeoutError as error:
            raise StudyError(f"parallel.address: the scheduler at {address} has no worker: start one.") from error
        # A task of its own, not data in the memory of a worker: when that worker is lost, it is made again.
        packed = client.submit(bytes, cloudpickle.dumps(function), pure=False)
        here = surroundings()
        futures = [client.submit(_task, packed, item, here, pure=False) for item in items]
        for place, future in enumerate(futures):
            yield _result(client, future, address)
            # The cluster keeps no result that has been handed over.
            futures[place] = None
    finally:
        with suppress(Exception):
            client.cancel([future for future in futures if future is not None])
        with suppress(Exception):
            client.close(timeout=PATIENCE)


def _result(client: Any, future: Any, address: str | None) -> Any:
    """Wait for one task. A cluster without workers may start new ones, for a while."""
    from distributed import KilledWorker
    from distributed.client import FutureCancelledError

    while True:
        try:
            return future.result(timeout=WITHOUT_WORKERS)
        except TimeoutError:
            if future.status != "pending":
                raise
            if not client.scheduler_info(n_workers=-1)["workers"]:
                raise StudyError(f"parallel.address: all workers of {address} are gone: start them again.") from None
        except KilledWorker as error:
            raise StudyError(
                f"parallel.address: workers of {address} died in turn at the same task: give them more memory."
            ) from error
        except FutureCancelledError as error:
            raise StudyError(f"parallel.address: the scheduler at {address} was lost: start it again.") from error
        except (ModuleNotFoundError, RuntimeError) as error:
            said = str(error).split("\n")[0]
            if isinstance(error, ModuleNotFoundError) or "deserializ" in said:
                raise StudyError(
                    f"parallel.address: the cluster at {address} cannot load this study's code: start scheduler and "
                    f"workers in this folder with the packages of requirements.lock ({said})."
                ) from error
            raise


TURN = threading.Lock()
"""Threads of one worker take turns: warnings and linear algebra have one state a process."""


def _task(packed: bytes, item: Any, expected: dict[str, str]) -> Any:
    """Compute one item on a worker of a cluster."""
    from threadpoolctl import threadpool_limits

    found = surroundings()
    other = [
        f"{name} {found[name]} instead of {version}" for name, version in expected.items() if found[name] != version
    ]
    if other:
        raise StudyError(
            f"parallel.address: a worker of the cluster computes with {', '.join(other)}: start workers in this folder "
            "with the packages of requirements.lock."
        )
    with TURN, threadpool_limits(1):
        return _unpacked(packed)(item)


@lru_cache(maxsize=1)
def _unpacked(packed: bytes) -> Callable[[Any], Any]:
    import cloudpickle

    return cloudpickle.loads(packed)


@cache
def surroundings() -> dict[str, str]:
    """Return what must be alike for numbers to be: Python, packages, what they take of processors, and this code."""
    import hashlib
    import platform
    from importlib.metadata import version

    import scipy.linalg  # noqa: F401
    from numpy.lib.introspect import opt_func_info
    from threadpoolctl import threadpool_info

    kernels = {str(one["architecture"]) for one in threadpool_info() if one["internal_api"] == "openblas"}
    package = Path(__file__).parents[1]
    code = hashlib.sha256()
    for path in sorted(package.rglob("*.py")):
        code.update(path.relative_to(package).as_posix().encode() + b"\0" + path.read_bytes())
    return {
        "python": platform.python_version(),
        **{name: version(name) for name in PACKAGES},
        "kernels": " ".join(sorted(kernels)) or os.environ.get("OPENBLAS_CORETYPE", ""),
        "exponentials": str(opt_func_info("^exp$", "float64")["exp"]["dd"]["current"]),
        "code": code.hexdigest()[:12],
    }
