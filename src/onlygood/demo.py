"""The demo: REB on real solar cells, from good images to a report."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from onlygood.errors import ParameterError, require
from onlygood.evaluation import Evaluation
from onlygood.evaluation.testset import TestRun, run_test
from onlygood.images.datasets.elpv import load_elpv
from onlygood.images.sources import spread
from onlygood.progress import TerminalProgress

if TYPE_CHECKING:
    from onlygood.methods import Detector

T = TypeVar("T")

#: Defective cells inspected, spread evenly over all.
MOST_DEFECTIVE = 150
NOTE = (
    "Electroluminescence images of solar cells from the ELPV dataset (Buerhop-Lutz et al. 2018, CC BY-NC-SA 4.0). "
    "Good: defect probability 0; defective: probability 1. The good cells inspected were held out; no defective "
    "one was used for fitting or for the thresholds."
)


@dataclass(frozen=True)
class DemoResult:
    """What the demo made: the detector, what it said, the figures, and the two files."""

    detector: Detector
    run: TestRun
    evaluation: Evaluation
    model: Path
    report: Path


def run_demo(
    cells: str = "mono",
    output: str | Path = "demo-output",
    *,
    images: int = 200,
    method: str = "reb",
    most_defective: int = MOST_DEFECTIVE,
    most_good: int | None = None,
    say: Callable[[str], None] = print,
) -> DemoResult:
    """Fit on good ELPV cells, inspect held-out good and defective ones, write the model and the report.

    Args:
        cells: `mono` or `poly`.
        output: Folder for `cells.og` and `report.html`; made if it is missing.
        images: Good cells to fit on, spread evenly over the training part.
        method: Name of the method; its parameters are the defaults.
        most_defective: Defective cells to inspect, spread evenly over all.
        most_good: Held-out good cells to inspect; None for all.
        say: Gets a line before each step.

    Raises:
        MissingDependencyError: `elpv-dataset`, torch or Jinja2 is not installed.
        ParameterError: Fewer than two training images.
    """
    from onlygood.methods import find_method
    from onlygood.reports import write_report
    from onlygood.reports.of_test import report_of_test

    if images < 2:
        raise ParameterError(f"images={images}: the demo needs at least two good images to fit on.")
    detector = find_method(method)()
    require("jinja2", "demo", "The report of the demo")
    split = load_elpv(cells)
    train = evenly(split.train, images)
    good = [sample for sample in split.test if sample.label == 0]
    tested = evenly(good, most_good) + evenly([s for s in split.test if s.label], most_defective)
    folder = Path(output)
    folder.mkdir(parents=True, exist_ok=True)
    model, report = folder / "cells.og", folder / "report.html"

    say(f"Fitting {method} on {len(train)} good {cells}-crystalline solar cells ...")
    detector.fit([str(path) for path in train])
    detector.save(model)
    say(f"Inspecting {len(tested)} other cells ...")
    with TerminalProgress() as progress:
        run = run_test(detector, tested, progress=progress)
    result = run.evaluate()
    title = f"Solar cells, {cells}-crystalline (ELPV)"
    write_report(report, report_of_test(detector, run, result, title=title, note=NOTE))
    return DemoResult(detector, run, result, model, report)


def evenly(items: list[T], count: int | None) -> list[T]:
    """At most `count` of the items, spread evenly, in order."""
    return items if count is None else [items[place] for place in spread(len(items), count)]
