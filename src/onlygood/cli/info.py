"""`onlygood info`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from onlygood.cli.output import pairs, print_json
from onlygood.errors import ModelFileError


def info(
    model: Annotated[Path, typer.Argument(help="Model file.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Tell what a model file holds: method, images, thresholds, promise, backbone and its licence.

    Only the manifest is read; use `inspect` to have the whole file verified.

    \b
      onlygood info part.og
      onlygood info part.og --json
    """
    from onlygood.cli.describe import detail_rows, info_table, summary_rows
    from onlygood.modelfile import read_manifest

    manifest = read_manifest(model)
    try:
        if as_json:
            print_json(info_table(manifest, model))
        else:
            pairs(summary_rows(manifest, model) + detail_rows(manifest, model))
    except (KeyError, TypeError) as error:
        raise ModelFileError(
            f"The model file {model} is damaged: its manifest lacks {error}. Copy it again or fit anew."
        ) from error
