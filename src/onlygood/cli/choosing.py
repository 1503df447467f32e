"""`onlygood choose`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from onlygood.cli.config import ConfigOption
from onlygood.cli.options import ThreadsOption
from onlygood.cli.output import pairs, print_json, say
from onlygood.errors import DataError

if TYPE_CHECKING:
    from onlygood.evaluation.choosing import Choice


def choose(
    folder: Annotated[Path, typer.Argument(help="Folder of good images; train/good or good inside it is found.")],
    max_ms: Annotated[float | None, typer.Option(help="Budget for one image, in milliseconds on this machine.")] = None,
    max_fit_s: Annotated[float | None, typer.Option(help="Budget for a fit, in seconds.")] = None,
    minutes: Annotated[float | None, typer.Option(help="Begin no further candidate after so many minutes.")] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Fit the recommended one on all images, into this model file.")
    ] = None,
    report: Annotated[Path | None, typer.Option(metavar="FILE.html", help="Write a page with a plot.")] = None,
    seed: Annotated[int, typer.Option(help="Seed of everything random.")] = 0,
    threads: ThreadsOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
    config: ConfigOption = None,
) -> None:
    """Compare methods, sizes and settings on good images alone, and recommend one within a budget.

    \b
      onlygood choose parts/good --max-ms 20 --report choice.html
      onlygood choose parts/good --minutes 10 -o part.og

    Some good images are held out. Each candidate is fitted on the others and asked about these and about synthetic
    defects in them. That ranks the candidates; it does not say what they will do on true defects.
    """
    from onlygood.evaluation.choosing import choose as compare
    from onlygood.files import check_writable
    from onlygood.images import find_good_images
    from onlygood.reports.choice import basis, recommendation, remark, write_choice
    from onlygood.reports.pages import check_page

    if output is not None:
        check_writable(output, "part.og")
    if report is not None:
        check_page(report)
    images = find_good_images(folder)
    choice = compare(images, max_ms=max_ms, max_fit_s=max_fit_s, minutes=minutes, seed=seed, threads=threads)
    if as_json:
        print_json(_plain(choice))
    else:
        pairs(
            (one.candidate.name, one.failure or f"{_figures(choice, place)}  {remark(choice, place)}".rstrip())
            for place, one in enumerate(choice.estimates)
        )
        say()
        say(recommendation(choice))
        say(basis(choice))
    if report is not None:
        write_choice(report, choice, folder.resolve().name)
    if output is not None:
        if choice.best is None:
            raise DataError("Nothing was written: no candidate keeps the budget.")
        choice.best.candidate.make(seed=seed, threads=threads).fit(images).save(output)


def _figures(choice: Choice, place: int) -> str:
    one = choice.estimates[place]
    return (
        f"AUROC {one.auroc:.3f} ± {one.error:.3f}, defects NG {one.caught:4.0%}, good NG {one.rejected:3.0%}, "
        f"{one.ms:6.1f} ms, fit {one.fit_s:5.1f} s, {one.model_mb:6.1f} MB"
    )


def _plain(choice: Choice) -> dict[str, object]:
    """The choice in JSON types."""
    from dataclasses import asdict

    found = asdict(choice)
    found["recommended"] = None if choice.best is None else choice.best.candidate.name
    return found
