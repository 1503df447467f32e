"""`onlygood export`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from onlygood.cli.output import pairs
from onlygood.errors import ParameterError

if TYPE_CHECKING:
    from onlygood.exporting import Exported

FORMATS = ("onnx",)


def export(
    model: Annotated[Path, typer.Argument(help="Model file.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="File to write.")],
    images: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Good images to compare on, such as the training folder. Must be given."),
    ] = None,
    to: Annotated[str, typer.Option(help="Format: onnx.")] = "onnx",
    vectors: Annotated[
        int | None, typer.Option(help="Vectors of the bank that go into the file; 10000 by default.")
    ] = None,
    share: Annotated[float | None, typer.Option(help="Share of the bank instead; 1 for all of it.")] = None,
    fidelity: Annotated[
        float | None,
        typer.Option(help="As few vectors as keep this rank correlation of left-out scores instead, such as 0.95."),
    ] = None,
    input_size_only: Annotated[
        bool, typer.Option("--input-size-only", help="Do not resize inside the graph: for engines that cannot.")
    ] = False,
    tolerance: Annotated[
        float, typer.Option(help="Largest difference of a score, as a share of the NG threshold.")
    ] = 0.0001,
) -> None:
    """Write a detector as one self-contained ONNX graph, for places where Python cannot go.

    \b
      onlygood export part.og -o part.onnx --images parts/good
      onlygood export part.og -o part.onnx --images parts/good --fidelity 0.95
      onlygood export part.og -o part.onnx --images parts/good --share 1

    The thresholds are made anew for the vectors that go into the file. The graph is compared with the detector on
    every image of --images; if a score or a verdict differs, nothing is written. docs/export.md has an example of use.
    """
    from onlygood.exporting import export_onnx
    from onlygood.methods import load

    if to not in FORMATS:
        raise ParameterError(f"Unknown format {to!r}. Known is: {', '.join(FORMATS)}")
    if images is None:
        raise ParameterError(
            "The graph is compared with the detector before it is kept. Name a folder of good images for that, such as "
            "the one that was fitted on: --images DIR"
        )
    if not images.is_dir():
        raise ParameterError(f"There is no folder {images}. Check --images.")
    done = export_onnx(
        load(model),
        output,
        images=images,
        vectors=vectors,
        share=share,
        fidelity=fidelity,
        any_size=not input_size_only,
        tolerance=tolerance,
    )
    pairs(_rows(done, resized=not input_size_only))


def _rows(done: Exported, resized: bool) -> list[tuple[str, str]]:
    from onlygood.cli.describe import file_size

    calibration, parity, size = done.detector.calibration_, done.parity, done.detector.size
    rows = [("method", done.detector.method)]
    if done.of_vectors:
        part = "all" if done.vectors == done.of_vectors else f"{done.vectors:,} of"
        rows.append(("memory bank", f"{part} {done.of_vectors:,} patch vectors, exact search"))
    square = f"{size} x {size} pixels"
    rows += [
        ("input", f"any size, resized inside to {square}" if resized else square),
        ("REVIEW above", f"{calibration.review_threshold:.4g}"),
        ("NG above", f"{calibration.ng_threshold:.4g}"),
        ("promise", str(calibration.promise)),
        (
            "compared",
            f"{parity.images:,} images: verdicts equal {parity.verdicts_equal:,}/{parity.images:,}, largest difference "
            f"of a score {parity.score_difference:.2g}, which is {parity.score_difference / (parity.unit or 1):.1g} of "
            f"{parity.unit:.4g} (allowed {parity.tolerance:g})",
        ),
    ]
    if done.vectors < done.of_vectors or parity.changed:
        rows += _reduction_rows(done)
    return [*rows, ("written", f"{done.path} ({file_size(done.path)})")]


def _reduction_rows(done: Exported) -> list[tuple[str, str]]:
    """What the coreset changed against the whole bank."""
    parity = done.parity
    others = ", ".join(f"{count} {before} -> {after}" for (before, after), count in sorted(parity.changed.items()))
    seen = f"verdict as with the whole bank for {parity.unchanged:,}/{parity.images:,}" + (
        f" ({others})" if others else ""
    )
    if parity.known:
        seen += f"; {parity.known:,} are training images, which the bank knows: they tell little"
    rows = [("these images", seen)]
    if done.left_out:
        rows.append(
            (
                "left out",
                f"training images scored as if not learned: verdict as with the whole bank for "
                f"{done.left_out_equal:,}/{done.left_out:,}, rank correlation of the scores {done.fidelity:.3f}",
            )
        )
    return rows
