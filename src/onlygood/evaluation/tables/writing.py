"""Compared numbers as Markdown and CSV."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Sequence
from io import StringIO
from itertools import groupby

from onlygood.evaluation.tables.comparing import Compared
from onlygood.evaluation.tables.layout import (
    Grid,
    Line,
    grids,
    ours_text,
    places_of,
    printed_text,
    remark_text,
    show,
)
from onlygood.evaluation.tables.published import Paper, title_of

COLUMNS = (
    "paper", "table", "row", "dataset", "category", "shots", "metric", "published", "published_std", "ours",
    "ours_std", "seeds", "difference", "source", "remarks", "why", "oracle",
)  # fmt: skip


def to_csv(compared: Iterable[Compared], paper: Paper) -> str:
    """One line for each number; shares in 0..1, empty where there is none."""
    text = StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    for one in compared:
        value = one.published
        writer.writerow(
            [
                paper.name,
                one.table,
                one.row,
                one.dataset,
                one.category,
                one.shots,
                one.metric,
                value.value if value else None,
                value.std if value else None,
                _rounded(one.ours),
                _rounded(one.std),
                one.seeds or None,
                _rounded(one.difference),
                value.source if value else None,
                "; ".join(map(remark_text, one.remarks)),
                "; ".join(one.reasons),
                None if one.ours is None else one.oracle,
            ]
        )
    return text.getvalue()


def to_markdown(compared: Iterable[Compared], paper: Paper, cannot: Sequence[dict[str, str]] = ()) -> str:
    """The tables of a paper; each row printed, ours under it, and the difference."""
    out = [f"# {paper.title}", "", f"{paper.reference}.", ""]
    out += ["Shares in per cent. Under each printed row that was run: ours, and ours minus printed.", ""]
    for table, members in groupby(grids(compared, paper), key=lambda grid: grid.table):
        for number, grid in enumerate(members):
            if number == 0:
                out += [f"## {table}", ""]
            out += [*_grid(grid), ""]
    if cannot:
        out += ["## Not run", "", *_cannot(cannot), ""]
    out += ["## Not held", "", *(f"* {what}: {why}." for what, why in paper.left_out.items())]
    return "\n".join(out) + "\n"


def _grid(grid: Grid) -> list[str]:
    heading = f"**{grid.about}; {grid.title}**" if grid.about else f"**{title_of(grid.dataset)}; {grid.title}**"
    out = [heading, "", "| | " + " | ".join(map(_escaped, grid.columns)) + " |"]
    out.append("|---|" + "---:|" * len(grid.columns))
    for line in grid.lines:
        out += _line(line)
    return [*out, "", *(f"{number}. {text}" for number, text in enumerate(grid.notes, 1))]


def _line(line: Line) -> list[str]:
    """The printed row, and what was run under it."""
    name = _escaped(line.row) + _marks(line.notes)
    out = []
    if line.has_printed:
        out.append([name, *(printed_text(c.compared) + _marks(c.notes) if c else "" for c in line.cells)])
    if line.has_ours:
        out.append(["ours" if line.has_printed else name, *(ours_text(c.compared) if c else "" for c in line.cells)])
    if line.has_ours and line.has_printed:
        out.append(["difference", *(_difference(c.compared) if c else "" for c in line.cells)])
    return ["| " + " | ".join(cells) + " |" for cells in out]


def _difference(one: Compared) -> str:
    return "" if one.difference is None else show(one.difference, one.metric, places_of(one), signed=True)


def _cannot(cannot: Sequence[dict[str, str]]) -> list[str]:
    reasons: dict[str, list[str]] = {}
    for one in cannot:
        reasons.setdefault(one["why"], []).append(f"{one['table']}: {one['row']}")
    return [f"* {why}: {'; '.join(dict.fromkeys(rows))}." for why, rows in reasons.items()]


def _marks(notes: Sequence[int]) -> str:
    return f" ({', '.join(map(str, notes))})" if notes else ""


def _escaped(text: str) -> str:
    return text.replace("|", "\\|").replace("*", "\\*").replace("_", "\\_")


def _rounded(value: float | None) -> float | None:
    """Without the noise of floating-point arithmetic."""
    return None if value is None else round(value, 10)
