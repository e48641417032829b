"""Notebooks that are executed the same way every time."""

from __future__ import annotations

import re
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.runtime.errors import StudyError

if TYPE_CHECKING:
    from nbformat import NotebookNode

SECONDS = 600
"""A cell that takes longer than this has gone wrong."""


def execute(source: Path, folder: Path, study: str | None = None, language: str | None = None) -> NotebookNode:
    """Execute a notebook's source (jupytext's percent format) in `folder` and return it with its outputs.

    A source that serves several studies names one in a line ``study = "..."``; `study` takes its place. Where texts
    stand in two languages, each under ``# %% [markdown] lang="en"`` or ``"zh"``, those of `language` are kept.

    What would differ between runs or machines is left out: times, versions, random cell names. A cell that fails is a
    StudyError with the cell's own error.
    """
    import jupytext
    from nbclient import NotebookClient
    from nbclient.exceptions import CellExecutionError
    from traitlets.config import Config

    notebook = jupytext.read(source)
    notebook.cells = [cell for cell in notebook.cells if cell["metadata"].get("lang", language) == language]
    if study is not None:
        for cell in notebook.cells:
            cell["source"] = re.sub(r'^study = ".*"$', f'study = "{study}"', cell["source"], flags=re.MULTILINE)
    with tempfile.TemporaryDirectory() as sockets:
        # The kernel talks over sockets in the file system: nothing listens on a port.
        config = Config({"KernelManager": {"transport": "ipc", "ip": str(Path(sockets) / "kernel")}})
        # How a cell's lines are cut into messages is chance: they are put together.
        client = NotebookClient(
            notebook,
            config=config,
            kernel_name="python3",
            timeout=SECONDS,
            record_timing=False,
            coalesce_streams=True,
        )
        client.resources = {"metadata": {"path": str(folder)}}
        try:
            client.execute()
        except CellExecutionError as error:
            raise StudyError(f"{source}: a cell fails with {error.ename}: {error.evalue}") from error
    notebook.metadata = {
        "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
        "language_info": {"name": "python"},
    }
    for place, cell in enumerate(notebook.cells):
        cell["id"] = f"cell-{place:02d}"
        cell["metadata"] = {}
    return notebook
