"""Notebooks that are executed the same way every time, in two languages, and the pages that show them."""

from __future__ import annotations

import base64
import html
import itertools
import re
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.present.documents import PANDOC, to_html
from pipeline.present.words import Words
from pipeline.runtime import store
from pipeline.runtime.errors import StudyError

if TYPE_CHECKING:
    from nbformat import NotebookNode

FOLDER = Path("notebooks")

SECONDS = 600
"""A cell that takes longer than this has gone wrong."""

PICTURE = "image/svg+xml"

DRESS = "--IPKernelApp.exec_lines=from pipeline.present.figures import dress; dress()"
"""What the kernel does first."""


def execute(source: Path, folder: Path, study: str | None = None, language: str | None = None) -> NotebookNode:
    """Execute a notebook's source (jupytext's percent format) in `folder` and return it with its outputs.

    A source that serves several studies names one in a line ``study = "..."``, one in two languages names its own in
    ``language = "..."``: what is given takes their place. Where cells stand in two languages, each under
    ``# %% [markdown] lang="en"`` or ``"zh"``, those of `language` are kept.

    What would differ between runs or machines is left out: times, versions, random cell names. A cell that fails is a
    StudyError with the cell's own error.
    """
    import jupytext
    from nbclient import NotebookClient
    from nbclient.exceptions import CellExecutionError
    from traitlets.config import Config

    notebook = jupytext.read(source)
    notebook.cells = [cell for cell in notebook.cells if cell["metadata"].get("lang", language) == language]
    for cell in notebook.cells:
        cell["source"] = cell["source"].strip("\n")
    for name, given in (("study", study), ("language", language)):
        if given is not None:
            for cell in notebook.cells:
                cell["source"] = re.sub(rf'^{name} = ".*"$', f'{name} = "{given}"', cell["source"], flags=re.MULTILINE)
    with tempfile.TemporaryDirectory() as sockets:
        # The kernel talks over sockets in the file system: nothing listens on a port.
        config = Config({"KernelManager": {"transport": "ipc", "ip": str(Path(sockets) / "kernel")}})
        # How a cell's lines are cut into messages is chance: they are put together.
        client = NotebookClient(
            notebook,
            config=config,
            kernel_name="python3",
            extra_arguments=[DRESS],
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
        # Labels and sentences of one language are folded: the code of both is what teaches.
        folded = cell["cell_type"] == "code" and "lang" in cell["metadata"]
        cell["metadata"] = {"jupyter": {"source_hidden": True}} if folded else {}
    describe(notebook, source)
    return notebook


def describe(notebook: NotebookNode, source: Path) -> None:
    """Give each picture the sentence that is printed below it as its text; StudyError where none is."""
    for in_code, cells in itertools.groupby(notebook.cells, lambda cell: cell["cell_type"] == "code"):
        outputs = [output for cell in cells for output in cell["outputs"]] if in_code else []
        for place, output in enumerate(outputs):
            if PICTURE in output.get("data", {}):
                below = next((one["text"] for one in outputs[place:] if one["output_type"] == "stream"), "")
                if not below.strip():
                    raise StudyError(f"{source}: no sentence below a figure says what is seen: print one.")
                output["metadata"] = {PICTURE: {"alt": " ".join(below.split())}}


def publish(
    source: Path, stem: str, page: Path, words: Mapping[str, Words], study: str | None = None
) -> Iterator[Path]:
    """Execute a notebook in two languages; write each and the page that shows it.

    Parameters
    ----------
    source
        In jupytext's percent format.
    stem
        Name of the notebook without its ending.
    page
        The page that shows it, in the first language; the second language stands in the names of its files.
    words
        Of both languages, the first one first.
    study
        Which study a source is run for that serves several.
    """
    import nbformat

    first, second = words
    files = {first: (stem, page.name), second: (f"{stem}.{second}", f"{page.stem}.{second}.html")}
    for own, other in ((first, second), (second, first)):
        executed = execute(source, Path.cwd(), study, own)
        target = FOLDER / f"{files[own][0]}.ipynb"
        store.write_text(target, nbformat.writes(executed))
        title = executed.cells[0]["source"].splitlines()[0].removeprefix("# ")
        twin = (files[other][1], words[other])
        shown = to_html(markdown(executed), PANDOC, title, words[own], page.parent, twin)
        store.write_text(page.with_name(files[own][1]), shown)
        yield target


def markdown(notebook: NotebookNode) -> str:
    """Return an executed notebook as Markdown with its code and outputs in HTML, for a page below the reports."""
    shown = []
    for cell in notebook.cells:
        if cell["cell_type"] == "markdown":
            shown.append(cell["source"].replace("](../reports/", "](../"))
        else:
            code = f'<pre class="cell"><code>{html.escape(cell["source"], quote=False)}</code></pre>'
            folded = f'<details class="cell"><summary>Python</summary>{code}</details>'
            parts = [folded if cell["metadata"] else code]
            parts += [part for output in cell["outputs"] for part in _in_html(output)]
            shown.append("\n".join(("~~~~~~{=html}", *parts, "~~~~~~")))
    return "\n\n".join(shown)


def _in_html(output: NotebookNode) -> Iterator[str]:
    if output["output_type"] == "stream":
        yield from (
            f'<p class="printed">{minus(html.escape(line))}</p>' for line in output["text"].splitlines() if line
        )
    elif PICTURE in output["data"]:
        held = base64.b64encode(output["data"][PICTURE].encode()).decode()
        alt = minus(html.escape(output["metadata"][PICTURE]["alt"]))
        yield f'<figure><img src="data:{PICTURE};base64,{held}" alt="{alt}"></figure>'
    elif "text/html" in output["data"]:
        yield f'<div class="table" tabindex="0">{minus(with_scopes(output["data"]["text/html"]))}</div>'
    else:
        yield f'<p class="printed">{minus(html.escape(output["data"]["text/plain"]))}</p>'


def minus(text: str) -> str:
    """Return what Python printed with true minus signs, as all pages have them."""
    return re.sub(r"(?<![\w.-])-(?=\d)", "\N{MINUS SIGN}", text, flags=re.ASCII)


def with_scopes(table: str) -> str:
    """Return a table as pandas writes it without its own style; each head says what it stands over."""
    bare = re.sub(r"<style.*?</style>|</?div>|\s(?:style|border)=\"[^\"]*\"", "", table, flags=re.DOTALL)
    bare = re.sub(r"<th([^>]*)></th>", r"<td\1></td>", bare)
    head, body = bare.split("</thead>")
    # The name of the rows stands in the first row of heads where the second has nothing else.
    named = re.fullmatch(r"(.*?)<td></td>(.*)<tr>\s*(<th>[^<]*</th>)(?:\s*<td></td>)+\s*</tr>\s*", head, re.DOTALL)
    head = "".join((named[1], named[3], named[2])) if named else head
    heads = head.replace("<th ", '<th scope="colgroup" ').replace("<th>", '<th scope="col">')
    rows = body.replace("<th ", '<th scope="rowgroup" ').replace("<th>", '<th scope="row">')
    return re.sub(r"\n\s*", "\n", f"{heads}</thead>{rows}").strip()
