"""The tables of a paper as one self-contained page: printed, ours, the difference, and why they may differ."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby
from statistics import median
from typing import Any

from onlygood.evaluation.tables import Compared, Paper
from onlygood.evaluation.tables.layout import (
    Grid,
    grids,
    legend,
    metric_name,
    ours_text,
    places_of,
    printed_text,
    show,
)
from onlygood.evaluation.tables.published import PLAIN, title_of
from onlygood.reports.pages import page_template
from onlygood.reports.table_charts import SERIES, Curve, Pair, curves_chart, mark_svg, pairs_chart


@dataclass(frozen=True)
class Section:
    """One table of the page.

    Attributes:
        label: Such as `Table 2`.
        anchor: Its place in the page.
        grids: Its metrics.
        charts: `(title, SVG, key)`: what there is to draw of what was run.
        has_ours: Whether any of it was run; what was not is folded up.
    """

    label: str
    anchor: str
    grids: tuple[Grid, ...]
    charts: tuple[tuple[str, Any, tuple[tuple[Any, str], ...]], ...]
    has_ours: bool


def render_tables(
    compared: Sequence[Compared],
    paper: Paper,
    cannot: Sequence[dict[str, str]] = (),
    *,
    note: str = "",
    created: str = "",
) -> str:
    """The page as HTML text.

    Args:
        compared: From `onlygood.evaluation.tables.compare`.
        paper: The printed values.
        cannot: What is not run, and why: `Plan.cannot`.
        note: What must be known of our numbers, at the head of the page.
        created: When; now by default.

    Raises:
        MissingDependencyError: Jinja2 is not installed (extra `report`).
    """
    from markupsafe import Markup

    template = page_template("tables.html")
    sections = [
        Section(label, label.lower().replace(" ", "-"), found, _charts(found), any(grid.has_ours for grid in found))
        for label, group in groupby(grids(compared, paper), key=lambda grid: grid.table)
        for found in (tuple(group),)
    ]
    return template.render(
        paper=paper,
        note=note,
        created=created or datetime.now().astimezone().strftime("%Y-%m-%d %H:%M %Z"),
        summary=_summary(compared),
        sections=sections,
        cannot=_by_reason(cannot),
        legend=legend(),
        markup=Markup,
        title_of=title_of,
        printed=printed_text,
        ours=ours_text,
        difference=_difference,
        tone=_tone,
    )


def _summary(compared: Sequence[Compared]) -> list[tuple[str, str, str]]:
    """Name, value and note of the figures at the head."""
    printed = [one for one in compared if one.published is not None]
    both = [one for one in printed if one.difference is not None and one.metric not in PLAIN]
    means = [one for one in both if one.category == "mean"]
    alone = [one for one in compared if one.published is None and one.ours is not None]
    tiles = [("Printed numbers", f"{len(printed)}", "in the tables of the paper")]
    beside = f"{len(means)} of them means over all categories" if both else "no run of the paper's data is recorded"
    tiles.append(("Ours beside them", f"{len(both)}", beside))
    if both:
        middle = median(100 * abs(one.difference) for one in both if one.difference is not None)
        tiles.append(("Median difference", f"{middle:.1f} points", "without its sign, over all numbers run"))
    if alone:
        names = sorted({title_of(one.dataset) for one in alone})
        tiles.append(("Ours alone", f"{len(alone)}", f"nothing is printed for them: {', '.join(names)}"))
    return tiles


def _charts(found: Sequence[Grid]) -> tuple[tuple[str, Any, tuple[tuple[Any, str], ...]], ...]:
    from markupsafe import Markup

    charts = []
    for grid in found:
        means = [one for one in grid.overall if one.ours is not None and one.shots is None]
        axis = metric_name(grid.metric)
        if any(one.swept for one in means):
            charts += _sweeps(means, axis)
        elif len(means) > 1 and len({one.dataset for one in means}) == 1 and grid.metric != "images_per_second":
            key = ((_ring("printed"), "printed"), (_ring("ours"), "ours, with the standard deviation over seeds"))
            what = "mean over all categories" if means[0].category == "mean" else means[0].category
            title = f"{title_of(means[0].dataset)}: {axis}, {what}"
            used = key if any(one.published for one in means) else key[1:]
            charts.append((title, Markup(pairs_chart([_pair(one) for one in means], axis)), used))
    charts += _speeds(found)
    return tuple(chart for chart in charts if chart[1])


def _sweeps(means: Sequence[Compared], axis: str) -> list[tuple[str, Any, tuple[tuple[Any, str], ...]]]:
    from markupsafe import Markup

    charts = []
    swept = [one for one in means if one.swept is not None]
    for (parameter, dataset), group in groupby(swept, key=lambda one: (one.swept[0] if one.swept else "", one.dataset)):
        points: dict[str, list[tuple[float, float]]] = {}
        for one in group:
            assert one.swept is not None and one.ours is not None
            name = one.row.rsplit(f", {parameter}=", 1)[0]
            points.setdefault(name, []).append((float(one.swept[1]), _scaled(one.ours, one.metric)))
        curves = [Curve(name, values) for name, values in points.items()]
        svg = curves_chart(curves, parameter, axis)
        charts.append((f"{title_of(dataset)}: {axis} over {parameter}", Markup(svg), _key(curves)))
    return charts


def _speeds(found: Sequence[Grid]) -> list[tuple[str, Any, tuple[tuple[Any, str], ...]]]:
    """Image AUROC against images a second, where both were measured."""
    from markupsafe import Markup

    cells = [one for grid in found for one in grid.overall]
    at = {(one.metric, one.dataset, one.row): one.ours for one in cells}
    points: dict[tuple[str, str], list[tuple[float, float]]] = {}
    for one in cells:
        speed, auroc = (at.get((name, one.dataset, one.row)) for name in ("images_per_second", "image_auroc"))
        if one.metric == "image_auroc" and speed is not None and auroc is not None:
            name = one.row.rsplit(f", {one.swept[0]}=", 1)[0] if one.swept else one.row
            points.setdefault((one.dataset, name), []).append((speed, 100 * auroc))
    charts = []
    for dataset in dict.fromkeys(key[0] for key in points):
        curves = [Curve(name, values) for (other, name), values in points.items() if other == dataset]
        svg = curves_chart(curves, "images per second", metric_name("image_auroc"))
        charts.append((f"{title_of(dataset)}: accuracy against speed", Markup(svg), _key(curves)))
    return charts


def _key(curves: Sequence[Curve]) -> tuple[tuple[Any, str], ...]:
    from markupsafe import Markup

    return tuple((Markup(mark_svg(style)), curve.name) for style, curve in zip(SERIES, curves))


def _ring(style: str) -> Any:
    from markupsafe import Markup

    return Markup(
        '<svg class="mark" viewBox="0 0 14 14" aria-hidden="true"><circle class="{}" cx="7" cy="7" r="5"/></svg>'
    ).format(style)


def _pair(one: Compared) -> Pair:
    printed = None if one.published is None else _scaled(one.published.value, one.metric)
    std = None if one.std is None else _scaled(one.std, one.metric)
    return Pair(one.row, printed, None if one.ours is None else _scaled(one.ours, one.metric), std)


def _scaled(value: float, metric: str) -> float:
    return round(value if metric in PLAIN else 100 * value, 6)


def _difference(one: Compared) -> str:
    return "" if one.difference is None else show(one.difference, one.metric, places_of(one), signed=True)


def _tone(one: Compared) -> str:
    """Whether ours is above or below the printed number by more than the last printed digit."""
    if one.difference is None or _difference(one).strip("+−0.") == "":
        return "even"
    return "up" if one.difference > 0 else "down"


def _by_reason(cannot: Sequence[dict[str, str]]) -> list[tuple[str, list[str]]]:
    reasons: dict[str, dict[str, None]] = {}
    for one in cannot:
        reasons.setdefault(one["why"], {})[f"{one['table']}: {one['row']}"] = None
    return [(why, list(rows)) for why, rows in reasons.items()]
