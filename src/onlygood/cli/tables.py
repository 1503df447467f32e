"""`onlygood bench tables`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from onlygood.cli.output import pairs
from onlygood.errors import DataError, ParameterError


def tables(
    paper: Annotated[str, typer.Option(help="reb, ulsad, simplenet or btm.")],
    into: Annotated[Path, typer.Option(help="Folder to write PAPER.md, PAPER.csv and PAPER.html into.")],
    records: Annotated[Path | None, typer.Option(help="Records of runs, as a JSON list; none: printed alone.")] = None,
    note: Annotated[str, typer.Option(help="A sentence at the head of the page, about the records.")] = "",
) -> None:
    """Write the tables of a paper: what it prints, what was measured, the difference, and why they may differ.

    \b
      onlygood bench tables --paper reb --records runs.json --into tables
      onlygood bench tables --paper ulsad --into tables

    Each record has dataset, category, method, parameters, seed, shots and metrics. Data sets that the paper does not
    report on get the same tables with our numbers alone.
    """
    from onlygood.errors import require
    from onlygood.evaluation.tables import compare, load_paper, plan
    from onlygood.evaluation.tables.writing import to_csv, to_markdown
    from onlygood.files import replacing
    from onlygood.reports.tables_page import render_tables

    printed = load_paper(paper)
    require("jinja2", "report", "The page of tables")
    measured = [] if records is None else _read(records)
    compared = compare(measured, printed)
    datasets: dict[str, list[str]] = {}
    for one in measured:
        names = datasets.setdefault(one["dataset"], [])
        names += [one["category"]] if one["category"] not in names else []
    cannot = plan(paper, datasets).cannot
    pages = {
        "md": to_markdown(compared, printed, cannot),
        "csv": to_csv(compared, printed),
        "html": render_tables(compared, printed, cannot, note=note),
    }
    if into.exists() and not into.is_dir():
        raise ParameterError(f"{into} is a file. Name a folder with --into.")
    into.mkdir(parents=True, exist_ok=True)
    for ending, text in pages.items():
        with replacing(into / f"{paper}.{ending}") as temporary:
            temporary.write_text(text, encoding="utf-8")
    beside = [one for one in compared if one.difference is not None]
    alone = [one for one in compared if one.published is None and one.ours is not None]
    pairs(
        [
            ("printed", f"{len(printed.values)} numbers"),
            ("ours", f"{len(beside)} beside them, {len(alone)} where nothing is printed"),
            *((("written", str(into / f"{paper}.{ending}"))) for ending in pages),
        ]
    )


def _read(path: Path) -> list[dict[str, Any]]:
    """A JSON list of records; `compare` looks into each."""
    try:
        found = json.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        raise DataError(f"There is no file of records {path}. Check the path.") from None
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise DataError(f"{path} is not valid JSON: {error}. Give a list of records.") from error
    if not isinstance(found, list) or not all(isinstance(one, dict) for one in found):
        raise DataError(f"{path} is no list of records. Give a JSON list, one object for each run.")
    return found
