"""`onlygood bulk`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from onlygood.cli.options import MapsOption, OriginalSizeOption, OverlayOption
from onlygood.cli.output import pairs
from onlygood.errors import DataError, ParameterError


def bulk(
    model: Annotated[Path, typer.Argument(help="Model file.")],
    into: Annotated[str, typer.Option(help="Folder, or URI in an object store, to write Parquet files into.")],
    images: Annotated[
        list[str] | None, typer.Argument(help="Images, folders, or URIs such as s3://bucket/parts.")
    ] = None,
    listing: Annotated[Path | None, typer.Option("--list", help="Text file that names an image on each line.")] = None,
    overlay: OverlayOption = None,
    maps: MapsOption = None,
    original_size: OriginalSizeOption = False,
    address: Annotated[
        str | None, typer.Option(help="Ray cluster to use, such as auto; by default one is started here.")
    ] = None,
    workers: Annotated[int | None, typer.Option(min=1, help="At most; by default as many as there are CPUs.")] = None,
    threads: Annotated[int, typer.Option(min=1, help="Threads of each worker.")] = 1,
) -> None:
    """Inspect very many images with Ray Data, and write a row for each into Parquet files.

    A run that was stopped goes on when the same command is given again.

    \b
      onlygood bulk part.og archive --into verdicts
      onlygood bulk part.og --list images.txt --into verdicts --workers 8
      onlygood bulk part.og s3://bucket/parts --into s3://bucket/verdicts --address auto
      onlygood bulk part.og archive --into verdicts --maps maps

    Exit status: 0 all were inspected, whatever they are; 2 some could not be: their rows say why.
    """
    from onlygood.bulk import inspect_bulk

    named = [*(images or ()), *(_lines(listing) if listing else ())]
    if not named:
        raise ParameterError("Nothing says what to inspect: name images, or a file of names with --list.")
    done = inspect_bulk(
        model,
        named,
        into,
        maps=maps,
        overlay=overlay,
        original_size=original_size,
        address=address,
        workers=workers,
        threads=threads,
    )
    rows = [(verdict, f"{done.verdicts.get(verdict, 0):,}") for verdict in ("OK", "REVIEW", "NG")]
    before = [("of these before", f"{done.before:,}")] if done.before else []
    pairs([*rows, ("failed", f"{done.failed:,}"), *before, ("written", done.into)])
    if done.failed:
        raise typer.Exit(2)


def _lines(path: Path) -> list[str]:
    try:
        return [line.strip() for line in path.read_text("utf-8").splitlines() if line.strip()]
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"The list {path} cannot be read: {error}. Give a text file, an image on each line.") from error
