"""The page reports/benchmarks.md, written from the last measurements of this machine."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np

from benchmarks import history, large, machine, months, regression, since, stages, whole
from benchmarks.history import Measurement
from pipeline.runtime import store

PAGE = Path("reports/benchmarks.md")
TARGET = 60.0
"""Seconds that all stages of a study may take at its published size."""

AT_TEN = (6 * 60.0, 8.0)
"""Seconds and gigabytes that the simulated study may take at scale 10, from raw tables to report."""


def exponent(sizes: Sequence[float], values: Sequence[float]) -> float:
    """Return the slope of a log value on log size: 1 is growth in step with size."""
    return float(np.polyfit(np.log(sizes), np.log(values), 1)[0])


def table(head: Sequence[str], body: Iterable[Sequence[str]]) -> list[str]:
    """Return a Markdown table whose first column is text and whose others are numbers."""
    lines = ["| " + " | ".join(head) + " |", "|:--|" + "--:|" * (len(head) - 1)]
    return ["", *lines, *("| " + " | ".join(row) + " |" for row in body)]


def met(aim: str, is_met: bool) -> list[str]:
    """Say whether a target was met."""
    return ["", f"Target: {aim}. {'Met' if is_met else 'Not met'}."]


def _seconds(found: Measurement) -> str:
    return f"{found.seconds:.2f}" if found.seconds < 100 else f"{found.seconds:.0f}"


def _spread(found: Measurement) -> str:
    return "" if found.repeats == 1 else f"{found.smallest:.2f}–{found.largest:.2f}"


def _peak(found: Measurement) -> str:
    return "" if np.isnan(found.peak) else f"{found.peak:.2f}"


def _change(now: Measurement, old: dict) -> str:
    if now.key not in old:
        return ""
    return f"{100 * (now.seconds / old[now.key].seconds - 1):+.0f}%"


def by_scale(rows: Sequence[Measurement], old: dict) -> list[str]:
    """Return the simulated study's stages at every scale, with the exponents of their growth."""
    mine = [row for row in rows if row.part == "stages" and row.group == stages.SIMULATED]
    scales = sorted({row.size for row in mine})
    if not mine:
        return []
    of = {(row.name, row.size): row for row in mine}
    every = stages.stages_of(stages.SIMULATED)
    names = [name for name in every if any((name, scale) in of for scale in scales)]
    # A stage's fixed costs, start-up and imports, hide its growth: the slope is taken between the two largest scales.
    ends = scales[-2:] if len(scales) > 1 else []
    head = ["stage"]
    for scale in scales:
        head += [f"scale {scale:g} (s)", "spread" if scale == 1 else "", "processor (s)", "peak (GB)", "change"]
    head = [cell for cell in head if cell]
    if ends:
        head += [f"exponent of processor time, {ends[0]:g} to {ends[1]:g}", "of memory"]
    body = []
    for name in names:
        cells = [name]
        for scale in scales:
            found = of.get((name, scale))
            if found is None:
                cells += [""] * (5 if scale == 1 else 4)
                continue
            cells += [_seconds(found), *([_spread(found)] if scale == 1 else []), f"{found.processor:.2f}"]
            cells += [f"{found.peak:.2f}", _change(found, old)]
        if ends:
            cells += growth(ends, [of.get((name, scale)) for scale in ends])
        body.append(cells)
    whole, to_report = (_totals(rows, part) for part in ("whole", "to_report"))
    for totals in (whole, to_report):
        for name in dict.fromkeys(row.name for row in totals.values()):
            cells = [name]
            pair = [row if (row := totals.get(scale)) and row.name == name else None for scale in scales]
            for scale, row in zip(scales, pair, strict=True):
                if row is None:
                    cells += [""] * (5 if scale == 1 else 4)
                    continue
                cells += [_seconds(row), *([_spread(row)] if scale == 1 else [])]
                cells += [f"{row.processor:.0f}" if row.processor else "", f"{row.peak:.2f}", _change(row, old)]
            body.append([*cells, *(growth(ends, pair[-2:]) if ends else [])])
    lines = ["", f"## {stages.SIMULATED}, by scale", "", "Scale 1 is about 88,000 loans and 1.9 million loan-months. "]
    lines[-1] += (
        "Stages ran side by side where what they read and hold allows it, so the whole takes less than its stages "
        "together, and one stage more time than it would alone: growth is that of processor time. `make reproduce` "
        "runs them so too, each with a DVC of its own. The way from raw tables to report leaves out their simulation, "
        "and the notebook, which reads its results beside."
    )
    lines += table(head, body)
    for scale in scales:
        if missing := [name for name in every if (name, scale) not in of]:
            lines += ["", f"Not measured at scale {scale:g}: {', '.join(missing)}."]
    if ends:
        lines += beyond(ends, {name: [of.get((name, scale)) for scale in ends] for name in names})
    if 1.0 in whole:
        lines += met(f"all stages at scale 1 in under {TARGET:g} s", whole[1.0].seconds < TARGET)
    if 10.0 in scales:
        seconds, memory = AT_TEN
        aim = f"scale 10 from raw tables to report in under {seconds / 60:g} minutes and {memory:g} GB"
        found = to_report.get(10.0)
        if found is None:
            lines += ["", f"Target: {aim}. Not known: no run of all stages has come to its end."]
        else:
            lines += met(
                f"{aim}; it took {found.seconds / 60:.1f} minutes and {found.peak:.1f} GB",
                found.seconds < seconds and found.peak < memory,
            )
    return lines


def _totals(rows: Sequence[Measurement], part: str) -> dict[float, Measurement]:
    """Return what several stages of the simulated study take together, by scale."""
    return {row.size: row for row in rows if row.part == part and row.group == stages.SIMULATED}


def growth(sizes: Sequence[float], pair: Sequence[Measurement | None]) -> list[str]:
    """Return the exponents of processor time and of memory, or two empty cells where one of `pair` is missing."""
    both = [one for one in pair if one is not None and one.processor > 0]
    if len(both) < len(sizes):
        return ["", ""]
    return [f"{exponent(sizes, [getattr(one, what) for one in both]):.2f}" for what in ("processor", "peak")]


def beyond(sizes: Sequence[float], pairs: Mapping[str, Sequence[Measurement | None]]) -> list[str]:
    """Say which stages would not fit into this machine's memory at ten times the largest of `sizes`.

    `pairs` are each stage's measurements at both sizes. The peak is followed along its growth between them, which a
    stage's fixed part makes look slower than it is: a stage that fits by this may still not.
    """
    largest = sizes[-1]
    needed = {
        name: pair[-1].peak * 10 ** exponent(sizes, [one.peak for one in pair])
        for name, pair in pairs.items()
        if None not in pair
    }
    too_large = {name: peak for name, peak in needed.items() if peak > machine.memory()}
    if not too_large:
        return []
    listed = ", ".join(f"{name} ({peak:.0f} GB)" for name, peak in too_large.items())
    return [
        "",
        f"Scale {10 * largest:g} is not measured where this machine has {machine.memory():.0f} GB: if memory goes on "
        f"growing as from {sizes[0]:g} to {largest:g}, it holds all but {listed}.",
    ]


def by_study(rows: Sequence[Measurement], old: dict) -> list[str]:
    """Return the stages of each other study."""
    lines = []
    for study in dict.fromkeys(row.group for row in rows if row.part == "stages"):
        mine = [row for row in rows if row.part == "stages" and row.group == study]
        if study == stages.SIMULATED or not mine:
            continue
        whole = [row for row in rows if row.part == "whole" and row.group == study]
        body = [
            [row.name, _seconds(row), _spread(row), f"{row.processor:.2f}", f"{row.peak:.2f}", _change(row, old)]
            for row in [*mine, *whole]
        ]
        head = ["stage", "median (s)", "spread", "processor (s)", "peak (GB)", "change"]
        lines += ["", f"## {study}", *table(head, body)]
        for row in whole[-1:]:
            lines += met(f"all stages in under {TARGET:g} s", row.seconds < TARGET)
    return lines


def since_first(rows: Sequence[Measurement], old: dict) -> list[str]:
    """Return the processor time of each stage beside version 1's, run in turn with it, and the target of some."""
    mine = {(row.name, row.by): row.processor for row in rows if row.part == "since"}
    body, stages_of_both = [], []
    for name in dict.fromkeys(name for name, _ in mine):
        before, now = mine.get((name, since.FIRST)), mine.get((name, "ours"))
        if before and now:
            stages_of_both += [(before, now)] if name != since.RECOVERY else []
            aim, ratio = since.TARGETS.get(name), now / before
            said = "" if aim is None else f"{aim:g}, {'met' if ratio <= aim else 'not met'}"
            body.append([name, f"{before:.2f}", f"{now:.2f}", f"{ratio:.2f}", said])
    if not body:
        return []
    if len(stages_of_both) > 1:
        before, now = map(sum, zip(*stages_of_both, strict=True))
        body.append(["these stages together", f"{before:.2f}", f"{now:.2f}", f"{now / before:.2f}", ""])
    said = f"Processor seconds of the simulated study's stages, run in turn with those of version 1 ({since.VERSION})."
    head = ["stage", "version 1 (s)", "now (s)", "now / version 1", "target"]
    missed = [name for name, *_, said_of in body if name in since.LEFT and not said_of.endswith(", met")]
    left = ["", "What is left, by their profiles:", "", *(f"- {name}: {since.LEFT[name]}" for name in missed)]
    return ["", "## Since version 1", "", said, *table(head, body), *(left if missed else [])]


def whole_commands(rows: Sequence[Measurement], old: dict) -> list[str]:
    """Return what whole commands take beside version 1's, DVC included, and what DVC adds to a stage."""
    of = {(row.name, row.by): row for row in rows if row.part == "commands"}
    body = []
    for name, command in whole.COMMANDS.items():
        before, now = of.get((name, since.FIRST)), of.get((name, "ours"))
        if before and now:
            pairs = (
                ("processor", before.processor, now.processor, command.processor),
                ("clock", before.seconds, now.seconds, command.seconds),
            )
            for what, then, ours, aim in pairs:
                said = "" if aim is None else f"{aim:g}, {'met' if ours / then <= aim else 'not met'}"
                body.append([f"{name}: {what}", f"{then:.1f}", f"{ours:.1f}", f"{ours / then:.2f}", said])
    added = {by: _added(rows, by) for by in (since.FIRST, "ours")}
    if added["ours"] is not None and added[since.FIRST] is not None:
        then, ours, aim = added[since.FIRST], added["ours"], whole.MOST_ADDED
        said = f"{aim:g} s, {'met' if ours <= aim else 'not met'}"
        body.append([f"{whole.ADDED}: processor", f"{then:.1f}", f"{ours:.1f}", f"{ours / then:.2f}", said])
    if not body:
        return []
    said = (
        "With DVC, in clones in which every stage but the recovery is out of date. The simulated study: version 1 ran "
        "one stage at a time, now there are two. All studies: two at a time then and now, and now two lenders more."
    )
    if added["ours"] is not None:
        said += (
            " What DVC adds is the processor time of the whole less that of its stages in the same run, by stage; of "
            "version 1, whose stages ran one at a time, less that of its stages in the table above."
        )
    lines = ["", "## Whole commands since version 1", "", said]
    lines += table(["what", "version 1 (s)", "now (s)", "now / version 1", "target"], body)
    return lines + (["", whole.LEFT] if any(cells[-1].endswith("not met") for cells in body) else [])


def _added(rows: Sequence[Measurement], by: str) -> float | None:
    """Return the seconds of processor that DVC adds to a stage of the simulated study; None where not measured."""
    told = [row.processor for row in rows if (row.part, row.name, row.by) == ("commands", whole.ADDED, by)]
    if told or by == "ours":
        return told[-1] if told else None
    stages_of = [row for row in rows if row.part == "since" and row.by == by and row.name != since.RECOVERY]
    for row in rows:
        if (row.part, row.name, row.by) == ("commands", whole.ONE, by) and stages_of:
            return (row.processor - sum(one.processor for one in stages_of)) / len(stages_of)
    return None


def beside_peers(rows: Sequence[Measurement], old: dict) -> list[str]:
    """Return matching and regressions beside other packages, with ratios and growth."""
    lines = []
    for part, title in (("matching", "Matching"), ("regression", "Regressions")):
        mine = [row for row in rows if row.part == part]
        if not mine:
            continue
        ours = {(row.name, row.size): row.seconds for row in mine if row.by == "ours"}
        body = []
        for row in sorted(mine, key=lambda row: (row.name, row.size, row.by != "ours", row.by)):
            ratio = "" if row.by == "ours" else f"{row.seconds / ours[row.name, row.size]:.1f}"
            what = f"{row.name}: {row.size:,.0f} loans, {row.by}"
            body.append([what, _seconds(row), _spread(row), _peak(row), ratio, _change(row, old)])
        head = ["what, by", "median (s)", "spread", "peak (GB)", "time, theirs / ours", "change"]
        lines += ["", f"## {title}", *table(head, body)]
        if part == "matching":
            sizes = sorted(size for _, size in ours)
            if len(sizes) > 1:
                slope = exponent(sizes, [ours[mine[0].name, size] for size in sizes])
                lines += ["", f"Exponent of growth: {slope:.2f}."]
            if all(row.by == "ours" for row in mine):
                lines += ["", "MatchIt is not installed here, so there is no ratio."]
        for what, (seconds, memory) in regression.TARGETS.items() if part == "regression" else ():
            found = [
                row
                for row in mine
                if (row.name, row.size, row.by) == (regression.NAMES[what], regression.LOANS, "ours")
            ]
            if found:
                aim = f"{found[0].name} of {regression.LOANS:,} loans in under {seconds:g} s"
                aim += f" and {memory:g} GB" if memory else ""
                lines += met(aim, found[0].seconds < seconds and (memory is None or found[0].peak < memory))
    return lines


def of_large(rows: Sequence[Measurement], old: dict) -> list[str]:
    """Return the analyses of a large cohort, and the preparation of very many loan-months."""
    lines = []
    mine = [row for row in rows if row.part == "large"]
    if mine:
        body = [
            [f"{row.name}: {row.size:,.0f} loans", _seconds(row), f"{row.peak:.2f}", _change(row, old)] for row in mine
        ]
        lines += ["", "## A large cohort", *table(["what", "seconds", "peak (GB)", "change"], body)]
        lines += met(f"each in under {large.MEMORY:g} GB", all(row.peak < large.MEMORY for row in mine))
    turned_down = [f"{row.name} ({row.seconds:.1f} s)" for row in rows if row.part == "refused"]
    if turned_down:
        lines += ["", "Refused, with a sentence that names the limit and what to do instead, after so many seconds: "]
        lines[-1] += f"{', '.join(turned_down)}."
    mine = [row for row in rows if row.part == "months"]
    if mine:
        body = [
            [f"{row.name}: {row.size:,.0f} loan-months", _seconds(row), f"{row.peak:.2f}", _change(row, old)]
            for row in mine
        ]
        lines += ["", "## Very many loan-months", *table(["what", "seconds", "peak (GB)", "change"], body)]
        prepared = [row for row in mine if row.name == months.PREPARED and row.size >= months.ROWS]
        for row in prepared[-1:]:
            aim = f"a cohort of {months.ROWS:,} loan-months prepared in under {months.SECONDS / 60:g} minutes "
            aim += f"within {months.MEMORY:g} GB"
            lines += met(aim, row.seconds < months.SECONDS and row.peak < months.MEMORY)
    return lines


def slowed(rows: Sequence[Measurement]) -> list[str]:
    """Return what became slower since the measurement before."""
    lines = ["", "## Slower than before", ""]
    pairs = history.slower(rows)
    if not pairs:
        return [*lines, f"Nothing is more than {history.SLOWER:.0%} slower than when it was measured before."]
    body = [
        [
            f"{now.group}: {now.name} ({now.size:,.0f}, {now.by})",
            _seconds(then),
            _seconds(now),
            f"{now.seconds / then.seconds - 1:+.0%}",
            f"{then.date} {then.code}".strip(),
        ]
        for then, now in pairs
    ]
    return lines + table(["what", "before (s)", "now (s)", "change", "before was"], body)[1:]


def text(rows: Sequence[Measurement]) -> str:
    """Return the page for the measurements of one machine, the oldest first."""
    last, old = list(history.latest(rows).values()), history.before(rows)
    dates = sorted({row.date for row in last})
    when = "" if not dates else f" on {dates[0]}" if len(dates) == 1 else f" from {dates[0]} to {dates[-1]}"
    lines = [
        "# Benchmarks",
        "",
        f"Measured by `make bench`{when} on {machine.name()}; {machine.versions()}.",
        "",
        "Medians, with the smallest and the largest time beside them where something was measured more than once. Each "
        "measurement ran in a process of its own; stages of a study by the commands that DVC runs, start-up and "
        "imports included, DVC left out but where the page says so. "
        "Peak memory is that of the process and of all that it starts. An exponent of 1 is growth in step with size. "
        "The change is that of the median since the measurement before on this machine; all are kept in "
        "[benchmarks_history.csv](benchmarks_history.csv).",
    ]
    for part in (since_first, whole_commands, by_scale, by_study, beside_peers, of_large):
        lines += part(last, old)
    return "\n".join(lines + slowed(rows))


def write() -> None:
    """Write the page."""
    store.write_text(PAGE, text(history.read()))
