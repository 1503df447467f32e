"""`onlygood figures`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from onlygood.cli.output import pairs
from onlygood.errors import ParameterError

#: Papers whose figures can be drawn.
PAPERS = ("btm",)


def figures(
    paper: Annotated[str, typer.Argument(help="btm.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder to write the figures into.")],
) -> None:
    """Draw figures of a paper anew, with the functions the detectors score with.

    \b
      onlygood figures btm -o figures

    btm: Figures 3 to 7, contours of the k-NN distance, of the re-weighting and of its weights over a core set in the
    plane, as SVG.
    """
    if paper not in PAPERS:
        raise ParameterError(f"There are no figures of {paper!r}. Known are: {', '.join(PAPERS)}")
    from onlygood.reports.btm_figures import write_figures

    pairs([("written", str(path)) for path in write_figures(output)])
