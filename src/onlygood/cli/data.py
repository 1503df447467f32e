"""`onlygood data`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from onlygood.cli.output import pairs, print_json, say

if TYPE_CHECKING:
    from onlygood.images.datasets import Check

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="Benchmark data sets on disk.")

#: Problems of a kind that are printed; --json has all.
_SHOWN = 20
_COLUMNS = ("train", "validation", "good", "defect")
_COLOURS = {"error": "red", "warning": "yellow", "note": "dim"}


@app.callback()
def data() -> None:
    """Benchmark data sets on disk."""


@app.command(short_help="Say what a data set is, and what is missing or broken.")
def check(
    root: Annotated[Path, typer.Argument(help="Folder of the data set or of one category, CSV manifest, or elpv.")],
    layout: Annotated[str | None, typer.Option(help="Layout, such as mvtec_ad; recognised if not given.")] = None,
    deep: Annotated[bool, typer.Option("--deep", help="Also open every image and mask.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Say what a data set is: layout, categories, numbers beside the published ones, all that is missing or broken.

    \b
      onlygood data check mvtec_anomaly_detection
      onlygood data check parts.csv --deep --json

    Known are MVTec AD, MVTec LOCO AD, MVTec 3D-AD, BTAD, MPDD, VisA, CIFAR-10, magnetic tile defects, ELPV,
    KolektorSDD, folders with train/ and test/ or good/ beside others, and CSV manifests (path, split, label, mask,
    category). Exit status: 0 all is as published, or as it must be; 1 something is not; 2 it is no data set.
    """
    from onlygood.images.datasets import check_dataset
    from onlygood.progress import TerminalProgress

    with TerminalProgress() as progress:
        found = check_dataset(root, layout, deep=deep, progress=progress)
    if as_json:
        print_json(found.as_dict())
    else:
        _print(found)
    raise typer.Exit(0 if found.fine else 1)


def _print(found: Check) -> None:
    about = found.as_dict()
    rows = [
        ("layout", f"{about['title']} ({about['layout']})"),
        ("folder", about["root"]),
        ("split", about["split"]),
        ("categories", str(len(about["categories"]))),
    ]
    if about["source_of_published"]:
        rows.append(("published", about["source_of_published"]))
    pairs(rows)
    say()
    width = max([8, *(len(category["name"]) for category in about["categories"])])
    say(f"{'category':{width}}  " + "  ".join(f"{column:>10}" for column in _COLUMNS) + "   types of defect", "dim")
    for category in about["categories"]:
        numbers = "  ".join(f"{category['counts'][column]:>10}" for column in _COLUMNS)
        types = ", ".join(f"{name} {count}" for name, count in category["defects"].items())
        say(f"{category['name']:{width}}  {numbers}   {types if len(types) < 100 else len(category['defects'])}")
    for severity, colour in _COLOURS.items():
        messages = [problem.message for problem in found.problems if problem.severity == severity]
        for message in messages[:_SHOWN]:
            say(f"{severity}: {message}", colour)
        if len(messages) > _SHOWN:
            say(f"{severity}: and {len(messages) - _SHOWN} more (--json has all).", colour)
    if found.fine:
        say("Nothing is wrong." if found.deep else "Nothing is missing (--deep opens every file).", "green")
