"""What has to be run for each row of the papers' tables, as data: one file per paper in `runs/`.

A `[[run]]` names the `tables` and `rows` it is for (or a `figure`, whose printed curves cannot be read), a method, a
preset and parameters. `seeds` is how many, from 0 on; `best_of` lists settings of which the papers report the best
by test score, `sweep` a parameter and its values, each a row of its own; `differs` says why ours may differ. A
`[[cannot]]` says why rows are not run; a `[[difference]]` what holds for many rows, with `oracle` only if ours
is one or is none. Conditions are lists of
patterns.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cache
from typing import Any

from onlygood.evaluation.tables.published import Paper, Published, load_paper, read_toml


@dataclass(frozen=True)
class Setting:
    """A method and its parameters, presets resolved."""

    method: str
    parameters: Mapping[str, Any]


@dataclass(frozen=True)
class Row:
    """One row of a table on one data set, and what it is made of.

    Attributes:
        table: Label of the table or figure.
        row: Its name there.
        dataset: Data set.
        settings: What is run; of several the best by image AUROC is taken, category by category: an oracle.
        seeds: Seeds of each.
        shots: Numbers of training images; None for all.
        differs: Why ours may differ from the printed row.
        why_not: Why it cannot be run; empty if it can.
        swept: Name and value of the parameter that a figure has along its axis.
    """

    table: str
    row: str
    dataset: str
    settings: tuple[Setting, ...] = ()
    seeds: int = 1
    shots: tuple[int | None, ...] = (None,)
    differs: str = ""
    why_not: str = ""
    swept: tuple[str, Any] | None = None


@cache
def _content(paper: str) -> dict[str, Any]:
    return read_toml("runs", paper)


@cache
def rows_of(paper: str) -> tuple[Row, ...]:
    """Every row of every table and figure of a paper, those that cannot be run too.

    Raises:
        ParameterError: There is no such paper.
    """
    return (*_rows_of_tables(load_paper(paper)), *_rows_of_figures(paper))


def development_rows(paper: str, dataset: str) -> tuple[Row, ...]:
    """The rows that are run on a data set the paper does not report on; each once, whatever it is printed for.

    Raises:
        ParameterError: There is no such paper.
    """
    labels = _content(paper)["development"]
    found: dict[tuple[Any, ...], Row] = {}
    for one in sorted((row for row in rows_of(paper) if row.table in labels), key=lambda row: labels.index(row.table)):
        if one.why_not:
            continue
        moved = Row(one.table, one.row, dataset, one.settings, one.seeds, (None,), "", "", one.swept)
        found.setdefault((one.table, one.row, one.swept), moved)
    return tuple(found.values())


def differences(paper: str, value: Published, oracle: bool = False) -> tuple[str, ...]:
    """Why ours, honest or an oracle's, may differ from a printed value, whatever the row."""
    place = {"table": value.table, "row": value.row, "dataset": value.dataset, "metric": value.metric}
    fitting = (one for one in _content(paper).get("difference", ()) if _fits(one, place))
    return tuple(one["text"] for one in fitting if one.get("oracle", oracle) == oracle)


def _rows_of_tables(paper: Paper) -> Iterator[Row]:
    content = _content(paper.name)
    lines: dict[tuple[str, str, str], set[int | None]] = {}
    for value in paper.values:
        lines.setdefault((value.table, value.row, value.dataset), set()).add(value.shots)
    for (table, row, dataset), shots in lines.items():
        place = {"table": table, "row": row, "dataset": dataset}
        run = next((one for one in content["run"] if "figure" not in one and _fits(one, place)), None)
        if run is None:
            cannot = (one for one in content.get("cannot", ()) if "figure" not in one and _fits(one, place))
            why = next((one["why"] for one in cannot), "nobody has said how to run it")
            yield Row(table, row, dataset, why_not=why)
        else:
            counts = tuple(sorted(shots, key=lambda count: count or 0))
            yield Row(table, row, dataset, tuple(_settings(run)), run.get("seeds", 1), counts, run.get("differs", ""))


def _rows_of_figures(paper: str) -> Iterator[Row]:
    content = _content(paper)
    for run in content["run"]:
        for dataset in run["datasets"] if "figure" in run else ():
            (name,) = run["rows"]
            more = {"seeds": run.get("seeds", 1), "differs": run.get("differs", "")}
            if "sweep" not in run:
                yield Row(run["figure"], name, dataset, tuple(_settings(run)), **more)
            for parameter, values in run.get("sweep", {}).items():
                for value in values:
                    at = tuple(_settings(run, {parameter: value}))
                    yield Row(
                        run["figure"], f"{name}, {parameter}={value:g}", dataset, at, swept=(parameter, value), **more
                    )
    for one in content.get("cannot", ()):
        if "figure" in one:
            yield Row(one["figure"], one["rows"][0], "", why_not=one["why"])


def _settings(run: Mapping[str, Any], more: Mapping[str, Any] | None = None) -> Iterator[Setting]:
    from onlygood.methods.registry import find_method

    kind = find_method(run["method"])
    preset = kind.presets[run["preset"]] if "preset" in run else {}
    for best in run.get("best_of", ({},)):
        yield Setting(run["method"], {**preset, **run["parameters"], **best, **(more or {})})


def _fits(entry: Mapping[str, Any], place: Mapping[str, str]) -> bool:
    """Whether every condition an entry has is met; a name stands for itself before it is a pattern."""
    conditions = {key: entry[f"{key}s"] for key in ("table", "row", "dataset", "metric") if f"{key}s" in entry}
    return all(
        key in place and any(place[key] == wanted or fnmatchcase(place[key], wanted) for wanted in patterns)
        for key, patterns in conditions.items()
    )
