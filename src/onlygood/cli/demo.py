"""`onlygood demo`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from onlygood.cli.output import pairs, say


def demo(
    cells: Annotated[str, typer.Option(help="mono or poly: which solar cells.")] = "mono",
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder for cells.og and report.html.")] = Path(
        "demo-output"
    ),
    images: Annotated[int, typer.Option(min=2, help="Good images to fit on.")] = 200,
    method: Annotated[str, typer.Option("--method", "-m", help="As for `onlygood fit`.")] = "reb",
) -> None:
    """Fit, inspect and report on real solar-cell images (ELPV), in a few minutes.

    Needs the package elpv-dataset: pip install 'onlygood[demo]'.
    """
    from onlygood.cli.evaluating import figure_rows
    from onlygood.demo import run_demo

    result = run_demo(cells, output, images=images, method=method, say=say)
    training, calibration = result.detector.training_, result.detector.calibration_
    say()
    pairs(
        [
            ("fitted", f"on {len(training.names)} good cells in {training.seconds:.0f} s"),
            ("promise", str(calibration.promise)),
            *figure_rows(result.evaluation, calibration.promise.level),
            ("time per image", f"{result.run.ms_per_image:.0f} ms"),
            ("model", str(result.model)),
            ("report", f"{result.report}  (open it in a browser)"),
        ]
    )
