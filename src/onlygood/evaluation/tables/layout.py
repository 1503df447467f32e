"""Compared numbers as grids to be read: one for each metric of a table, with numbered notes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from onlygood.evaluation.tables.comparing import Compared
from onlygood.evaluation.tables.published import KINDS, PLAIN, Paper, Remark, title_of

METRIC_NAMES = {
    "image_auroc": "image AUROC",
    "pixel_auroc": "pixel AUROC",
    "aupro": "AUPRO",
    "image_auroc_natures": "image AUROC, mean of structural and logical",
    "images_per_second": "images per second",
    "gpu_gb": "GPU memory, GB",
}
_NATURES = ("structural", "logical")


@dataclass(frozen=True)
class Cell:
    """One number of a grid; `notes` are numbers of the grid's notes."""

    compared: Compared
    notes: tuple[int, ...] = ()


@dataclass(frozen=True)
class Line:
    """One row of a grid; `notes` hold for all of its numbers."""

    row: str
    cells: tuple[Cell | None, ...]
    notes: tuple[int, ...] = ()

    @property
    def has_ours(self) -> bool:
        """Whether any of it was run."""
        return any(cell is not None and cell.compared.ours is not None for cell in self.cells)

    @property
    def has_printed(self) -> bool:
        """Whether any of it is printed."""
        return any(cell is not None and cell.compared.published is not None for cell in self.cells)


@dataclass(frozen=True)
class Grid:
    """One metric of one table.

    Attributes:
        table: Label, such as `Table 2`, or `Table 2 on cookie` of what is not printed.
        about: What the table shows; empty of what is not printed.
        metric: Key of the metric.
        dataset: The data set, if it is one.
        columns: Their headings.
        lines: In printed order.
        notes: Number 1 first.
    """

    table: str
    about: str
    metric: str
    dataset: str
    columns: tuple[str, ...]
    lines: tuple[Line, ...]
    notes: tuple[str, ...]

    @property
    def title(self) -> str:
        """Such as `image AUROC, %`."""
        return metric_name(self.metric)

    @property
    def has_ours(self) -> bool:
        """Whether any of it was run."""
        return any(line.has_ours for line in self.lines)

    @property
    def overall(self) -> tuple[Compared, ...]:
        """Its means over all categories, or its only column."""
        cells = (cell.compared for line in self.lines for cell in line.cells if cell is not None)
        return tuple(one for one in cells if one.category == "mean" or len(self.columns) == 1)


def metric_name(metric: str) -> str:
    """As people write it, with its unit."""
    base, _, nature = metric.rpartition("_")
    if nature in _NATURES:
        return f"{METRIC_NAMES[base]} of {nature} anomalies, %"
    name = METRIC_NAMES.get(metric, metric)
    return name if metric in PLAIN else f"{name}, %"


def grids(compared: Iterable[Compared], paper: Paper) -> tuple[Grid, ...]:
    """All numbers as grids; what is not printed has grids of its own."""
    about = {table.label: table.about for table in reversed(paper.tables)}
    groups: dict[tuple[str, str, str], list[Compared]] = {}
    for one in compared:
        alone = "" if one.published else title_of(one.dataset)
        label = f"{one.table} on {alone}" if alone else one.table
        groups.setdefault((label, "" if alone else about[one.table], one.metric), []).append(one)
    order = {label: place for place, label in enumerate(dict.fromkeys(key[0] for key in groups))}
    metrics = [*METRIC_NAMES]
    ranked = sorted(groups.items(), key=lambda kept: (order[kept[0][0]], _rank(metrics, kept[0][2])))
    return tuple(_grid(label, said, metric, members) for (label, said, metric), members in ranked)


def _rank(metrics: Sequence[str], metric: str) -> int:
    """Image AUROC first, whatever the order in print."""
    return metrics.index(metric) if metric in metrics else len(metrics)


def show(value: float, metric: str, places: int = 1, *, signed: bool = False) -> str:
    """A number as text: shares in per cent."""
    scaled = value if metric in PLAIN else 100 * value
    text = f"{scaled:+.{places}f}" if signed else f"{scaled:.{places}f}"
    return text.replace("-", "−")


def ours_text(one: Compared) -> str:
    """Our number with its standard deviation; empty if there is none."""
    if one.ours is None:
        return ""
    spread = f" ± {show(one.std, one.metric, places_of(one))}" if one.std is not None else ""
    return show(one.ours, one.metric, places_of(one)) + spread


def places_of(one: Compared) -> int:
    """Decimals to show ours with: those printed, at least one."""
    return max(one.published.places, 1) if one.published else 1


def printed_text(one: Compared) -> str:
    """The printed number, shares in per cent; empty if there is none."""
    if one.published is None:
        return ""
    value, places = one.published, one.published.places
    if value.std is None:
        return show(value.value, one.metric, places)
    # The two are not always printed with the same number of places.
    decimals = len(value.printed_std.partition(".")[2])
    return f"{show(value.value, one.metric, places)} ± {show(value.std, one.metric, decimals)}"


def remark_text(remark: Remark) -> str:
    """Such as `misprint: the 12 categories average 93.31`."""
    return f"{remark.kind}: {remark.text}" if remark.kind != "note" else remark.text


def _grid(table: str, about: str, metric: str, members: Sequence[Compared]) -> Grid:
    several = len({one.dataset for one in members}) > 1
    found_places = dict.fromkeys((one.dataset, one.category, one.shots) for one in members)
    # Means first: they are what is looked for, and a wide table is cut off at its right.
    places = sorted(found_places, key=lambda place: (place[1] != "mean", not place[1].startswith("mean")))
    rows = dict.fromkeys(one.row for one in members)
    at = {(one.row, one.dataset, one.category, one.shots): one for one in members}
    notes: dict[str, int] = {}
    lines = []
    for row in rows:
        found = [at.get((row, *place)) for place in places]
        said = [_said(one) for one in found if one is not None]
        shared = [text for text in said[0] if all(text in others for others in said)]
        cells = tuple(
            None if one is None else Cell(one, _numbered(notes, (t for t in _said(one) if t not in shared)))
            for one in found
        )
        lines.append(Line(row, cells, _numbered(notes, shared)))
    dataset = members[0].dataset if not several else ""
    columns = tuple(_heading(*place, several=several) for place in places)
    return Grid(table, about, metric, dataset, columns, tuple(lines), tuple(notes))


def _heading(dataset: str, category: str, shots: int | None, *, several: bool) -> str:
    if shots is not None:
        return f"{shots} shot{'s' if shots > 1 else ''}"
    if several:
        return title_of(dataset) if category == "mean" else f"{title_of(dataset)}: {category}"
    return category


def _said(one: Compared) -> tuple[str, ...]:
    return (*(remark_text(remark) for remark in one.remarks), *one.reasons)


def _numbered(notes: dict[str, int], texts: Iterable[str]) -> tuple[int, ...]:
    return tuple(notes.setdefault(text, len(notes) + 1) for text in texts)


def legend() -> dict[str, str]:
    """What the kinds of remarks mean."""
    return {kind: f"the printed number {meaning}" for kind, meaning in KINDS.items() if kind != "note"}
