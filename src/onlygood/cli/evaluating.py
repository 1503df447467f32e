"""`onlygood evaluate`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from onlygood.cli.config import ConfigOption
from onlygood.cli.options import DeviceOption, EngineOption, FalseRejectOption, ThreadsOption
from onlygood.cli.output import pairs, print_json, say, warn

if TYPE_CHECKING:
    from onlygood.evaluation import Evaluation, Rate


def evaluate(
    model: Annotated[Path, typer.Argument(help="Model file.")],
    folder: Annotated[
        Path, typer.Argument(help="MVTec AD folder (test/good, test/<defect>), or one with good and bad.")
    ],
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
    report: Annotated[Path | None, typer.Option(metavar="FILE.html", help="Write the HTML report.")] = None,
    aupro_limit: Annotated[float, typer.Option(help="Highest pixel false-positive rate of AUPRO.")] = 0.3,
    false_reject: FalseRejectOption = None,
    allow_training_images: Annotated[
        bool, typer.Option("--allow-training-images", help="Go on where test images were fitted on, with a warning.")
    ] = False,
    engine: EngineOption = None,
    device: DeviceOption = None,
    threads: ThreadsOption = None,
    config: ConfigOption = None,
) -> None:
    """Measure a detector on labelled images: AUROC, AUPRO, false-reject rate and escape rate.

    \b
      onlygood evaluate bottle.og bottle --report bottle.html
      onlygood evaluate part.og parts/labelled --json

    False rejects are good images called NG, escapes are defects called OK. Pixel figures need masks
    (ground_truth/<defect>/<name>_mask.png) and are taken at the detector's input size.
    """
    from onlygood.evaluation.testset import run_test
    from onlygood.images import find_labelled_images
    from onlygood.methods import load
    from onlygood.progress import TerminalProgress

    if report is not None:
        from onlygood.reports.pages import check_page

        check_page(report)
    detector = load(model, engine=engine, device=device, threads=threads)
    if false_reject is not None:
        detector.calibration_ = detector.calibration_.at(false_reject)
    samples = find_labelled_images(folder)
    with TerminalProgress() as progress:
        run = run_test(detector, samples, allow_training_images=allow_training_images, progress=progress)
    if run.trained_on:
        warn(
            f"{len(run.trained_on)} of {len(samples)} test images are among the training images, such as "
            f"{run.trained_on[0]}: the figures are too good to be true."
        )
    result = run.evaluate(aupro_limit)
    promise = detector.calibration_.promise
    if report is not None:
        from onlygood.reports import write_report
        from onlygood.reports.of_test import report_of_test, report_title

        write_report(report, report_of_test(detector, run, result, title=report_title(folder)))
    if as_json:
        context = {
            "model": str(model),
            "folder": str(folder),
            "method": detector.method,
            "training_images_in_test": len(run.trained_on),
            "false_reject_requested": promise.requested,
            "false_reject_promised": promise.level,
            "review_threshold": detector.calibration_.review_threshold,
            "ng_threshold": detector.calibration_.ng_threshold,
            "ms_per_image": run.ms_per_image,
        }
        print_json({**result.as_dict(), **context})
    else:
        rows = [*figure_rows(result, promise.level), ("time per image", f"{run.ms_per_image:.0f} ms")]
        pairs([*rows, ("report", str(report))] if report is not None else rows)
        _print_types(result)


def figure_rows(result: Evaluation, promised: float) -> list[tuple[str, str]]:
    """Name and value of each figure there is."""
    rows = [("test images", f"{result.n_good} good, {result.n_defect} defective")]
    areas = {
        "image AUROC": result.image_auroc,
        "average precision": result.average_precision,
        "pixel AUROC": result.pixel_auroc,
        f"AUPRO (limit {result.aupro_limit:g})": result.aupro,
    }
    rows += [(name, f"{value:.4f}") for name, value in areas.items() if value is not None]
    if result.image_auroc_interval is not None:
        low, high = result.image_auroc_interval
        rows[1] = ("image AUROC", f"{result.image_auroc:.4f} (95% interval {low:.3f} to {high:.3f})")
    rows += [(f"image AUROC, {name}", f"{value:.4f}") for name, value in result.per_nature.items()]
    rates = {
        "false-reject rate": (result.false_reject_rate, f"good called NG; promised: at most {promised:.2%}"),
        "escape rate": (result.escape_rate, "defects called OK"),
        "sent to review": (result.review_rate, "images"),
    }
    rows += [(name, f"{rate_text(rate)} {what}") for name, (rate, what) in rates.items() if rate is not None]
    if result.n_without_mask and result.pixel_auroc is not None:
        rows.append(("without mask", f"{result.n_without_mask} defective images are not in the pixel figures"))
    return rows


def rate_text(rate: Rate) -> str:
    """`1.7% (95% interval 0.3% to 8.9%), 1 of 60`."""
    return f"{rate.value:.1%} (95% interval {rate.low:.1%} to {rate.high:.1%}), {rate.count} of {rate.total}"


def _print_types(result: Evaluation) -> None:
    if len(result.per_type) < 2:
        return
    width = max(len(row.name) for row in result.per_type)
    say()
    say(f"{'defect':{max(width, 6)}}  images  image AUROC    OK  REVIEW    NG", "dim")
    for row in result.per_type:
        figure = "-" if row.image_auroc is None else f"{row.image_auroc:.4f}"
        counts = "  ".join(f"{row.verdicts[word]:>{space}}" for word, space in zip(row.verdicts, (4, 6, 4)))
        say(f"{row.name:{max(width, 6)}}  {row.total:>6}  {figure:>11}  {counts}")
