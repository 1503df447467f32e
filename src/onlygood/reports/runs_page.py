"""Recorded runs as one self-contained page: tables, accuracy against speed, sweeps, few shots, what failed."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from math import floor
from pathlib import Path
from typing import Any

import onlygood
from onlygood.evaluation.runs.records import Record
from onlygood.evaluation.runs.spec import RunSpec
from onlygood.evaluation.runs.summary import Column, Summary, Value, name_of, swept_lines
from onlygood.files import replacing
from onlygood.reports.charts import Bar, Dot, bar_chart, scatter_chart
from onlygood.reports.pages import page_template
from onlygood.reports.table_charts import SERIES, Curve, curves_chart, mark_svg

#: Metrics of the tables: key, heading, and whether the best of a column is marked. The least false rejects are not:
#: who lets every defect escape has none.
METRICS = (
    ("image_auroc", "Image AUROC", True),
    ("pixel_auroc", "Pixel AUROC", True),
    ("aupro", "AUPRO", True),
    ("false_reject_1", "False rejects at the threshold that promises 1 %", False),
    ("escape_1", "Escapes at the threshold that promises 1 % false rejects", False),
)
#: Parameters whose sweeps are drawn, and the names of their axes.
SWEPT = {"k": "K", "alpha": "alpha", "coreset": "coreset, share kept", "size": "image size, pixels"}
#: Points of a scatter chart that have their names beside them; more have numbers and a key.
NAMED = 6
_AXIS = "image AUROC, %"


@dataclass(frozen=True)
class Table:
    """One metric.

    Attributes:
        title: Its name.
        groups: Data sets and how many columns each has.
        columns: Headings: categories, after a mean where a data set has several.
        lines: Name of the candidate and its cells: text, hint, whether it is the best of its column.
    """

    title: str
    groups: list[tuple[str, int]]
    columns: list[str]
    lines: list[tuple[str, list[tuple[str, str, bool]]]]


@dataclass(frozen=True)
class Chart:
    """A chart: SVG, and a key of marks and names."""

    title: str
    svg: Any
    key: tuple[tuple[Any, str], ...] = ()


def write_runs(path: str | Path, records: Sequence[Record], title: str) -> None:
    """Write the page as one self-contained HTML file, whole or not at all.

    Args:
        path: Of the file; its folder must exist.
        records: Runs, at least one.
        title: Name of the file of records.

    Raises:
        MissingDependencyError: Jinja2 is not installed (extra `report`).
        OSError: The file cannot be written.
    """
    page = render_runs(records, title)
    with replacing(path) as temporary:
        temporary.write_text(page, encoding="utf-8", errors="replace")


def render_runs(records: Sequence[Record], title: str, *, created: str = "") -> str:
    """The page as HTML text.

    Args:
        records: Runs, at least one.
        title: Name of the file of records.
        created: When; now by default.

    Raises:
        MissingDependencyError: Jinja2 is not installed (extra `report`).
    """
    template = page_template("runs.html")
    summary = Summary(records)
    failed = [record for record in records if record.status == "failed"]
    return template.render(
        title=title,
        created=created or datetime.now().astimezone().strftime("%Y-%m-%d %H:%M %Z"),
        version=onlygood.__version__,
        tiles=_tiles(summary, records, failed),
        common=" ".join(f"{name}={value}" for name, value in summary.common.items()),
        limits=_limits(records),
        tables=[table for metric in METRICS if (table := _table(summary, *metric))],
        bars=_bars(summary),
        speeds=_speeds(records, summary),
        sweeps=_sweeps(summary),
        shots=_shots(summary),
        failed=_by_reason((record.error, record) for record in failed),
        warned=_by_reason((text, one) for one in records for text in one.circumstances.get("warnings", ())),
        circumstances=_circumstances(records),
    )


def _tiles(summary: Summary, records: Sequence[Record], failed: Sequence[Record]) -> list[tuple[str, str, str]]:
    days = sorted({record.ended[:10] for record in records})
    when = days[0] if len(days) == 1 else f"{days[0]} to {days[-1]}"
    datasets = sorted({dataset for dataset, _ in summary.columns})
    return [
        ("Finished runs", f"{len(records) - len(failed)}", when),
        ("Failed runs", f"{len(failed)}", "see below" if failed else "none"),
        ("Methods and settings", f"{len(summary.rows)}", ", ".join(sorted({row.method for row in summary.rows}))),
        ("Categories", f"{len(summary.columns)}", ", ".join(datasets)),
    ]


def _limits(records: Iterable[Record]) -> str:
    """Up to which false-positive rate AUPRO is integrated."""
    found = sorted({limit for one in records if (limit := one.figures.get("aupro_limit")) is not None})
    return " and ".join(f"{limit:.0%}" for limit in found)


def _table(summary: Summary, metric: str, title: str, mark_best: bool) -> Table | None:
    groups: list[tuple[str, int]] = []
    places: list[tuple[list[Column], str]] = []
    for dataset in dict.fromkeys(dataset for dataset, _ in summary.columns):
        known = [c for c in summary.columns_of(dataset) if any(summary.value(r, [c], metric) for r in summary.rows)]
        found = [(known, "mean")] if len(known) > 1 else []  # first: wide tables are cut off on the right
        found += [([column], column[1] if column[1] != dataset else "") for column in known]
        places += found
        groups += [(dataset, len(found))] if found else []
    if not places:
        return None
    values = [[summary.value(row, columns, metric) for columns, _ in places] for row in summary.rows]
    best = [max((_shown(value) for value in column if value), default=0.0) for column in zip(*values)]
    several = mark_best and len(summary.rows) > 1
    lines = []
    for row, found_values in zip(summary.rows, values):
        if metric != METRICS[0][0] and not any(found_values):
            continue  # the first table tells of what failed
        cells = [
            (*_cell(summary, row, columns, value), several and value is not None and _shown(value) == top)
            for (columns, _), value, top in zip(places, found_values, best)
        ]
        lines.append((summary.name(row), cells))
    return Table(title, groups, [heading for _, heading in places], lines)


def _cell(summary: Summary, row: RunSpec, columns: Sequence[Column], value: Value | None) -> tuple[str, str]:
    """Text and hint."""
    failures = sum(summary.failures(row, column) for column in columns)
    failed = f", {failures} failed" if failures else ""
    if value is None:
        return ("failed" if failures else "–"), f"no value for the whole{failed}"
    return _with_std(value), f"{value.runs} {'run' if value.runs == 1 else 'runs'} of each category{failed}"


def _shown(value: Value) -> float:
    """In per cent, as precise as the tables are."""
    return round(100 * value.mean, 1)


def _with_std(value: Value) -> str:
    return f"{100 * value.mean:.1f}" + ("" if value.std is None else f" ± {100 * value.std:.1f}")


def _whole(summary: Summary) -> list[RunSpec]:
    """Candidates fitted on all images they may have; all if there are none."""
    return [row for row in summary.rows if row.shots is None] or summary.rows


def _bars(summary: Summary) -> list[Chart]:
    from markupsafe import Markup

    found = [
        (column, [(row, value) for row in _whole(summary) if (value := summary.value(row, [column], "image_auroc"))])
        for column in summary.columns
    ]
    means = [value.mean for _, values in found for _, value in values]
    low = 10.0 * floor(min(5.0, 10 * min(means, default=1.0)))
    charts = []
    for column, values in found:
        bars = [
            Bar(summary.name(row), 100 * value.mean, _with_std(value), None if value.std is None else 100 * value.std)
            for row, value in values
        ]
        title = column[1] if column[0] == column[1] else f"{column[0]}: {column[1]}"
        charts.append(Chart(title, Markup(bar_chart(bars, max(low, 0.0), 100.0, f"{_AXIS}, {title}"))))
    return [chart for chart in charts if chart.svg]


def _speeds(records: Sequence[Record], summary: Summary) -> list[Chart]:
    """Images a second against image AUROC, for each data set; times of different machines in charts of their own."""
    from markupsafe import Markup

    setups: dict[str, list[Record]] = {}
    for record in records:
        if record.status == "ok":
            setups.setdefault(_setup(record), []).append(record)
    charts = []
    for setup, group in setups.items():
        here = Summary(group)
        for dataset in dict.fromkeys(dataset for dataset, _ in here.columns):
            columns, points = here.columns_of(dataset), []
            for row in _whole(here):
                ms, auroc = (here.value(row, columns, name) for name in ("ms_per_image", "image_auroc"))
                if ms and auroc and ms.mean > 0:
                    points.append((summary.name(row), 1000 / ms.mean, 100 * auroc.mean, 100 * (auroc.std or 0)))
            if points:
                svg, key = _scatter(points)
                charts.append(Chart(f"{dataset} · {setup}", Markup(svg), key))
    return charts


def _scatter(points: Sequence[tuple[str, float, float, float]]) -> tuple[str, tuple[tuple[Any, str], ...]]:
    front = [
        (x, y) for _, x, y, _ in points if not any(a >= x and b >= y and (a, b) != (x, y) for _, a, b, _ in points)
    ]
    numbered = len(points) > NAMED
    dots = [
        Dot(str(number) if numbered else name, x, y, std, "front" if (x, y) in front else "")
        for number, (name, x, y, std) in enumerate(points, 1)
    ]
    key = tuple((f"{number}", name) for number, (name, *_) in enumerate(points, 1)) if numbered else ()
    return scatter_chart(dots, front, "images per second", _AXIS, ceiling=100.0), key


def _setup(record: Record) -> str:
    """What a time depends on besides the method, in words."""
    about = record.circumstances
    machine, threads, workers = about.get("machine", {}), about.get("threads"), about.get("workers")
    parts = [machine.get("cpu", "machine not known")]
    parts += [f"{machine['cores']} cores"] if machine.get("cores") else []
    parts += [f"{threads} {'thread' if threads == 1 else 'threads'}"] if threads else []
    parts += [f"{workers} runs at a time"] if (workers or 1) > 1 else []
    return ", ".join([*parts, *([about["engine"]] if about.get("engine") else [])])


def _sweeps(summary: Summary) -> list[Chart]:
    """Image AUROC over a parameter, for each data set, number of shots and most images to fit on."""
    charts = []
    for parameter, axis in SWEPT.items():
        lines = swept_lines(summary.rows, parameter)
        for dataset in dict.fromkeys(dataset for dataset, _ in summary.columns):
            columns = summary.columns_of(dataset)
            curves = []
            for found in lines.values():
                values = [(at, summary.value(row, columns, "image_auroc")) for at, row in found.items()]
                points = [(at, 100 * value.mean) for at, value in values if value]
                if len(points) > 1:
                    curves.append(Curve(name_of(next(iter(found.values())), [*summary.common, parameter]), points))
            charts += _curve_charts(f"{dataset}: over {axis}", curves, axis)
    return charts


def _shots(summary: Summary) -> list[Chart]:
    """Image AUROC over the number of training images, where there are several."""
    charts = []
    for dataset in dict.fromkeys(dataset for dataset, _ in summary.columns):
        columns = summary.columns_of(dataset)
        points: dict[str, list[tuple[float, float]]] = {}
        for row in summary.rows:
            value = summary.value(row, columns, "image_auroc")
            if row.shots is not None and value:
                name = summary.name(replace(row, shots=None))
                points.setdefault(name, []).append((row.shots, 100 * value.mean))
        curves = [Curve(name, found) for name, found in points.items() if len(found) > 1]
        charts += _curve_charts(dataset, curves, "training images")
    return charts


def _curve_charts(title: str, curves: Sequence[Curve], axis: str) -> list[Chart]:
    """As many charts as it takes to tell the curves apart."""
    from markupsafe import Markup

    charts = []
    for start in range(0, len(curves), len(SERIES)):
        some = curves[start : start + len(SERIES)]
        key = tuple((Markup(mark_svg(style)), curve.name) for style, curve in zip(SERIES, some))
        charts.append(Chart(title, Markup(curves_chart(some, axis, _AXIS, ceiling=100.0)), key))
    return charts


def _by_reason(pairs: Iterable[tuple[str, Record]]) -> list[tuple[str, list[str], str]]:
    """Reason, labels of its runs, and the traceback of one of them."""
    found: dict[str, list[Record]] = {}
    for reason, record in pairs:
        found.setdefault(reason, []).append(record)
    return [(reason, [one.spec.label for one in group], group[0].traceback) for reason, group in found.items()]


def _circumstances(records: Sequence[Record]) -> list[tuple[str, str]]:
    """What the runs were done with: each value, and how many runs had it where there are several."""
    found: dict[str, dict[str, int]] = {}
    for record in records:
        about = record.circumstances
        machine, versions = about.get("machine", {}), about.get("versions", {})
        fields = {
            "host": about.get("host"),
            "processor": machine.get("cpu"),
            "cores": machine.get("cores"),
            "memory": f"{machine['memory_gib']} GiB" if machine.get("memory_gib") else None,
            "system": machine.get("system"),
            "threads of a run": about.get("threads"),
            "runs at a time": about.get("workers"),
            "engine": about.get("engine"),
            "backbone": about.get("backbone"),
            **versions,
            "source": about.get("source"),
        }
        for name, value in fields.items():
            if value is not None:
                counts = found.setdefault(name, {})
                counts[str(value)] = counts.get(str(value), 0) + 1
    return [
        (name, next(iter(counts)) if len(counts) == 1 else "; ".join(f"{v} ({n} runs)" for v, n in counts.items()))
        for name, counts in found.items()
    ]
