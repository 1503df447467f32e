"""`onlygood bench tables`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from onlygood.cli.options import numbers
from onlygood.cli.output import pairs, warn
from onlygood.errors import DataError, ParameterError

if TYPE_CHECKING:
    from onlygood.evaluation.runs.records import Record
    from onlygood.evaluation.tables import Plan

#: Exit status if a run failed; the tables are written all the same.
SOME_FAILED = 2


def tables(
    paper: Annotated[str, typer.Option(help="reb, ulsad, simplenet or btm.")],
    into: Annotated[Path, typer.Option(help="Folder to write PAPER.md, PAPER.csv and PAPER.html into.")],
    root: Annotated[
        list[Path] | None,
        typer.Option(help="Folder of a data set: what the tables need of it is run; may be repeated."),
    ] = None,
    runs: Annotated[
        Path | None,
        typer.Option(help="File of records (SQLite), as of onlygood bench run; by default INTO/runs.sqlite."),
    ] = None,
    records: Annotated[Path | None, typer.Option(help="Records from elsewhere, as a JSON list.")] = None,
    table: Annotated[
        list[str] | None, typer.Option(help="Run for this table alone, such as 'Table 2'; may be repeated.")
    ] = None,
    method: Annotated[
        list[str] | None, typer.Option("--method", "-m", help="Run this method alone; may be repeated.")
    ] = None,
    backbone: Annotated[
        str | None, typer.Option(help="Taken where the weights of a row's own backbone are not at hand.")
    ] = None,
    seeds: Annotated[
        str | None, typer.Option(help="Such as 0,1: of the seeds of each row, these; all by default.")
    ] = None,
    protocol: Annotated[
        str,
        typer.Option(
            help="released: rows that the paper prints with something chosen by test images are run so, too; an oracle."
        ),
    ] = "honest",
    workers: Annotated[int | None, typer.Option(help="Runs at a time.")] = None,
    threads: Annotated[int | None, typer.Option(help="Threads of each run.")] = None,
    only_plan: Annotated[bool, typer.Option("--plan", help="Say what would be run, and stop.")] = False,
    note: Annotated[str, typer.Option(help="A sentence at the head of the page, about the runs.")] = "",
) -> None:
    """Write the tables of a paper: what it prints, what was measured, the difference, and why they may differ.

    \b
      onlygood bench tables --paper reb --root mvtec --root loco --into tables
      onlygood bench tables --paper reb --root parts --backbone efficientnet_lite0 --plan --into tables
      onlygood bench tables --paper ulsad --into tables

    With --root what is missing is run and recorded, and goes on where it stopped. Data sets that the paper does not
    report on get its main tables with our numbers alone. --records takes a JSON list of objects with dataset,
    category, method, parameters, seed, shots and metrics.
    """
    from onlygood.errors import require
    from onlygood.evaluation.tables import load_paper, plan
    from onlygood.evaluation.tables.recorded import as_sweep, backbones_at_hand, limited, open_data, to_compare

    load_paper(paper)
    require("jinja2", "report", "The page of tables")
    if into.exists() and not into.is_dir():
        raise ParameterError(f"{into} is a file. Name a folder with --into.")
    if runs is not None and not root and not runs.is_file():
        raise DataError(f"There is no file of records {runs}. Check the path, or name data with --root.")
    measured = [] if records is None else _read(records)
    planned, failed = None, 0
    kept = runs or into / "runs.sqlite"
    if root:
        data = open_data(root)
        planned = plan(
            paper,
            data.names,
            tables=table,
            backbones=backbones_at_hand(),
            backbone=backbone,
            seeds=None if seeds is None else numbers(seeds, "--seeds"),
            protocol=protocol,
        )
        if method:
            planned = limited(planned, method)
        if only_plan:
            _say_plan(planned)
            return
        if not planned.runs:
            warn("Nothing of these tables can be run with this data; --plan says why.")
        into.mkdir(parents=True, exist_ok=True)
        failed = _run(as_sweep(planned, data), kept, workers, threads)
    if kept.is_file():
        from onlygood.evaluation.runs.records import Records

        measured += to_compare(Records(kept).all())
    _write(paper, measured, planned, into, note)
    if failed:
        raise typer.Exit(SOME_FAILED)


def _run(sweep: Any, kept: Path, workers: int | None, threads: int | None) -> int:
    """Run what is not recorded yet; the number of runs that failed."""
    from onlygood.evaluation.runs.local import LocalEngine
    from onlygood.evaluation.runs.records import Records
    from onlygood.evaluation.runs.running import run_sweep, share_cores
    from onlygood.evaluation.runs.tunings import TUNED
    from onlygood.progress import TerminalProgress

    with TerminalProgress() as bars:
        outcome = run_sweep(
            sweep,
            Records(kept),
            LocalEngine(*share_cores(workers, threads)),
            features=kept.with_name(f"{kept.name}.features"),
            tunings=kept.with_name(f"{kept.name}.features") / TUNED,
            progress=bars,
            told=_tell_of_failure,
        )
    return len(outcome.failed)


def _write(paper: str, measured: list[dict[str, Any]], planned: Plan | None, into: Path, note: str) -> None:
    from onlygood.evaluation.tables import compare, load_paper, plan
    from onlygood.evaluation.tables.recorded import datasets_of
    from onlygood.evaluation.tables.writing import to_csv, to_markdown
    from onlygood.files import replacing
    from onlygood.reports.tables_page import render_tables

    printed = load_paper(paper)
    compared = compare(measured, printed)
    cannot = (planned or plan(paper, datasets_of(measured))).cannot
    pages = {
        "md": to_markdown(compared, printed, cannot),
        "csv": to_csv(compared, printed),
        "html": render_tables(compared, printed, cannot, note=note),
    }
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


def _say_plan(planned: Plan) -> None:
    counts: dict[str, int] = {}
    for run in planned.runs:
        protocol = f", {run['protocol']} protocol" if "protocol" in run else ""
        what = f"{run['dataset']}, {run['method']}{protocol}"
        counts[what] = counts.get(what, 0) + 1
    rows = [(what, f"{count} runs") for what, count in counts.items()]
    reasons = dict.fromkeys(one["why"] for one in planned.cannot)
    pairs([*rows, ("in all", f"{len(planned.runs)} runs"), *(("not run", why) for why in reasons)])


def _tell_of_failure(record: Record) -> None:
    if record.status == "failed":
        warn(f"{record.spec.label} failed: {record.error}")


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
