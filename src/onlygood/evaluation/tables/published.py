"""The papers' printed values, as data: one file per paper in `values/`, each number with its source.

A file holds the tables as they are printed, as grids: a label, a colon and the cells of each line. What the lines
and the columns of a grid stand for is said by `down` and `across`: `row` (a method or a setting), `category`,
`dataset`, `metric` or `shots`. A cell holds one number for each of `metrics`, split by `|`, each with the standard
deviation after `±` where one is printed; `-` is an empty cell. A column `metric:category` has a metric of its own.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cache
from importlib.resources import files
from typing import Any

from onlygood.errors import DataError, ParameterError

#: Papers whose tables are held, in the order of the documentation.
PAPERS = ("reb", "ulsad", "simplenet", "btm")
#: Metrics that are no shares in 0..1; their values are as printed.
PLAIN = ("images_per_second", "gpu_gb")
#: What a remark can say of a printed value.
KINDS = {
    "misprint": "cannot be right as printed",
    "mean": "is not the mean of the printed columns",
    "permuted": "stands under another column's name",
    "oracle": "was chosen with test images in view",
    "copied": "was copied from another paper",
    "note": "worth knowing",
}
_AXES = ("row", "category", "dataset", "metric", "shots")


@dataclass(frozen=True)
class Remark:
    """Something to know of a printed value: `kind` is a key of `KINDS`, `text` says it."""

    kind: str
    text: str


@dataclass(frozen=True)
class Published:
    """One printed number.

    Attributes:
        paper: Key of the paper, such as `reb`.
        table: Label of the table, such as `Table 2`.
        row: Method or setting, unique in its table.
        dataset: Such as `mvtec_ad`; the names of the layouts of data sets.
        category: Such as `carpet`; `mean` over all, `mean of texture` over a group of the data set.
        metric: Such as `image_auroc`; `image_auroc_structural` against one nature of anomaly only.
        value: Shares in 0..1, whatever the paper prints; metrics of `PLAIN` as printed.
        source: Paper, table, row and column, as printed.
        remarks: What must be known of it.
        printed: As printed, the standard deviation apart.
        places: Decimal places that are printed, of the value in per cent (or as it is, of metrics of `PLAIN`).
        std: Printed standard deviation, in the unit of `value`.
        printed_std: The same, as printed.
        shots: Training images, in a few-shot table.
    """

    paper: str
    table: str
    row: str
    dataset: str
    category: str
    metric: str
    value: float
    source: str
    remarks: tuple[Remark, ...] = ()
    printed: str = ""
    places: int = 1
    std: float | None = None
    printed_std: str = ""
    shots: int | None = None


@dataclass(frozen=True)
class Table:
    """One printed table, or one part of it.

    Attributes:
        label: As printed, such as `Table 2`; the parts of one table share it.
        about: What it shows.
        values: Its numbers, line by line.
    """

    label: str
    about: str
    values: tuple[Published, ...]

    @property
    def rows(self) -> tuple[str, ...]:
        """Its rows, in printed order."""
        return tuple(dict.fromkeys(value.row for value in self.values))


@dataclass(frozen=True)
class Paper:
    """All printed values of one paper.

    Attributes:
        name: Key of the paper.
        title: Its title.
        reference: Authors, venue and year.
        tables: In printed order.
        left_out: Table or figure -> why its values are not held.
    """

    name: str
    title: str
    reference: str
    tables: tuple[Table, ...]
    left_out: Mapping[str, str]

    @property
    def values(self) -> tuple[Published, ...]:
        """Every number of every table."""
        return tuple(value for table in self.tables for value in table.values)


def load_papers() -> tuple[Paper, ...]:
    """All papers whose tables are held."""
    return tuple(load_paper(name) for name in PAPERS)


@cache
def load_paper(name: str) -> Paper:
    """The printed values of one paper.

    Raises:
        ParameterError: There is no such paper.
        DataError: Its file is not what it must be, which names the table and the line.
    """
    if name not in PAPERS:
        raise ParameterError(f"There are no tables of {name!r}. Known are: {', '.join(PAPERS)}.")
    return parse_paper(name, read_toml("values", name))


def read_toml(folder: str, name: str) -> dict[str, Any]:
    """One of the data files beside this module."""
    return tomllib.loads((files(__package__) / folder / f"{name}.toml").read_text("utf-8"))


def parse_paper(name: str, content: Mapping[str, Any]) -> Paper:
    """A paper from the content of its file; errors as for `load_paper`."""
    tables = tuple(
        Table(one["label"], one["about"], tuple(_numbers(name, content["unit"], one))) for one in content["table"]
    )
    left_out = {one["what"]: one["why"] for one in content.get("left_out", ())}
    return Paper(name, content["title"], content["reference"], tables, left_out)


@cache
def categories_of() -> dict[str, tuple[str, ...]]:
    """Data set -> its categories."""
    return {name: tuple(one["categories"]) for name, one in read_toml("values", "datasets").items()}


@cache
def groups_of() -> dict[str, dict[str, tuple[str, ...]]]:
    """Data set -> group of categories that a mean is printed for, such as `texture` -> its categories."""
    table = read_toml("values", "datasets")
    return {name: {key: tuple(g) for key, g in one.get("groups", {}).items()} for name, one in table.items()}


@cache
def title_of(dataset: str) -> str:
    """Name of a data set as people write it."""
    return str(read_toml("values", "datasets").get(dataset, {}).get("title", dataset))


def members(dataset: str, category: str) -> tuple[str, ...]:
    """Categories that `category` is the mean over; none if it is a category itself."""
    if category == "mean":
        return categories_of().get(dataset, ())
    if category.startswith("mean of "):
        return groups_of().get(dataset, {}).get(category.removeprefix("mean of "), ())
    return ()


def _numbers(paper: str, unit: str, table: Mapping[str, Any]) -> Iterator[Published]:
    label, columns = table["label"], table["columns"]
    printed_columns = table.get("printed_columns", columns)
    for axis in (table["down"], table["across"]):
        if axis not in _AXES:
            raise DataError(f"{paper}, {label}: {axis!r} is no axis. There are: {', '.join(_AXES)}.")
    for line in table["values"].strip().splitlines():
        head, _, rest = line.rpartition(": ")
        head, cells = head.strip(), rest.split()
        if not head or len(cells) != len(columns):
            raise DataError(f"{paper}, {label}, line {line!r}: a label, a colon and {len(columns)} cells are needed.")
        for column, printed, cell in zip(columns, printed_columns, cells):
            if cell == "-":
                continue
            place = _place(table, head, column)
            metrics = [place.pop("metric")] if "metric" in place else table["metrics"]
            numbers = cell.split("|")
            if len(numbers) != len(metrics):
                raise DataError(f"{paper}, {label}, {head}, {column}: {len(metrics)} numbers are needed, not {cell!r}.")
            for metric, number in zip(metrics, numbers):
                if number == "-":
                    continue
                yield _number(paper, unit, table, f"line {head}, column {printed}", place, metric, number)


def _place(table: Mapping[str, Any], head: str, column: str) -> dict[str, Any]:
    """Where a cell belongs: what its line says, what its column says, and what the table says."""
    place: dict[str, Any] = {"row": table.get("row", ""), "dataset": table.get("dataset", ""), "category": "mean"}
    rows = []
    for axis, word in ((table["down"], head), (table["across"], column)):
        if axis == "row":
            rows.append(word)
        elif axis == "category" and ":" in word:
            place["metric"], place["category"] = word.split(":")
        else:
            place[axis] = word
    if rows:
        place["row"] = ", ".join(rows)
    if "part" in table:
        place["row"] += f", {table['part']}"
    return place


def _number(
    paper: str, unit: str, table: Mapping[str, Any], where: str, place: dict[str, Any], metric: str, number: str
) -> Published:
    printed, _, std = number.partition("±")
    scale = 100 if unit == "per cent" and metric not in PLAIN else 1
    shots = place.get("shots")
    try:
        value = round(float(printed) / scale, 10)
        spread = round(float(std) / scale, 10) if std else None
    except ValueError as error:
        raise DataError(f"{paper}, {table['label']}, {where}: {number!r} is not a number.") from error
    found = {**place, "metric": metric, "table": table["label"]}
    return Published(
        paper=paper,
        table=table["label"],
        row=place["row"],
        dataset=place["dataset"],
        category=place["category"],
        metric=metric,
        value=value,
        source=f"{table['label']}, {where}",
        remarks=tuple(_remarks(table, found)),
        printed=printed,
        places=max(len(printed.partition(".")[2]) - (2 if unit == "share" and metric not in PLAIN else 0), 0),
        std=spread,
        printed_std=std,
        shots=int(shots) if shots is not None else None,
    )


def _remarks(table: Mapping[str, Any], place: Mapping[str, Any]) -> Iterator[Remark]:
    """Those remarks of a table whose every condition fits; a condition is a list of patterns."""
    for remark in table.get("remark", ()):
        if remark["kind"] not in KINDS:
            raise DataError(
                f"{table['label']}: {remark['kind']!r} is no kind of remark. There are: {', '.join(KINDS)}."
            )
        conditions = {key: remark[f"{key}s"] for key in ("row", "dataset", "metric") if f"{key}s" in remark}
        if "categories" in remark:
            conditions["category"] = remark["categories"]
        if all(any(fnmatchcase(place[key], pattern) for pattern in wanted) for key, wanted in conditions.items()):
            yield Remark(remark["kind"], remark["text"])
