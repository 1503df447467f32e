"""`onlygood report`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from onlygood.cli.output import pairs
from onlygood.errors import DataError, ParameterError


def report(
    records: Annotated[Path, typer.Argument(help="File of records, as of onlygood bench run.")],
    output: Annotated[Path, typer.Option("--output", "-o", metavar="FILE.html", help="The page.")],
) -> None:
    """Write recorded runs as one page to look at: tables, accuracy against speed, sweeps, few shots, what failed.

    \b
      onlygood report runs.sqlite -o runs.html

    Means and standard deviations are over seeds and draws. The page is one file and needs no network.
    """
    from onlygood.evaluation.runs.records import Records
    from onlygood.reports.pages import check_page
    from onlygood.reports.runs_page import write_runs

    if not records.is_file():
        raise DataError(f"There is no file of records {records}. Check the path, or make it with onlygood bench run.")
    if output.exists() and output.samefile(records):
        raise ParameterError(f"{output} is the file of records itself. Name another file, such as runs.html.")
    check_page(output)
    found = Records(records).all()
    if not found:
        raise DataError(f"{records} holds no runs yet. Record some with onlygood bench run --into {records}.")
    write_runs(output, found, records.name)
    pairs([("runs", f"{len(found)}"), ("written", str(output))])
