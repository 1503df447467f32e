"""From a fitted detector to an ONNX file: reduce the bank, write the graph, compare, and only then keep it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from onlygood.errors import ExportError, ParameterError, require
from onlygood.exporting.coreset import check_wanted, for_export, rank_correlation
from onlygood.exporting.parity import Parity, check_parity
from onlygood.files import check_writable, replacing
from onlygood.images import as_sources, find_good_images
from onlygood.images.sources import Images
from onlygood.methods import Detector
from onlygood.methods.bank import BankDetector
from onlygood.progress import Report, Reporting

#: Largest difference of a score, as a share of the NG threshold. Engines round in another order; measured were a few
#: 1e-7, and more only where that changes which of two good patches is the nearer one.
TOLERANCE = 1e-4


@dataclass(frozen=True)
class Exported:
    """What was written, and how it compares.

    Attributes:
        path: The file.
        bytes: Its size.
        detector: The detector whose answers the file gives, calibrated anew if its bank was reduced.
        vectors: Vectors in the file; 0 for methods without a bank.
        of_vectors: Vectors in the bank of the detector that was exported.
        parity: What the gate saw.
        left_out: Training images that both detectors score as if they had not been learned.
        left_out_equal: How many of them have the same verdict from both.
        fidelity: Rank correlation of these scores; 1 where the bank was not reduced.
    """

    path: Path
    bytes: int
    detector: Detector
    vectors: int
    of_vectors: int
    parity: Parity
    left_out: int
    left_out_equal: int
    fidelity: float


def export_onnx(
    detector: Detector,
    path: str | Path,
    *,
    images: Images,
    vectors: int | None = None,
    share: float | None = None,
    fidelity: float | None = None,
    any_size: bool = True,
    tolerance: float = TOLERANCE,
    progress: Report | None = None,
) -> Exported:
    """Write a fitted detector as one self-contained ONNX graph, if the graph says what the detector says.

    The bank is reduced to a coreset, found by exact search inside the graph, and the reduced detector is calibrated
    anew from the full bank, so that the false-reject rate of the file's verdicts is the one that was asked for.

    Args:
        detector: A fitted detector; left as it is.
        path: The file to write.
        images: Good images to compare on: a folder (`train/good` and `good` are found inside it), or as for `fit`.
        vectors: Vectors to keep; 10,000 if nothing is said.
        share: Share of the bank to keep instead, 1 for all.
        fidelity: As few vectors as keep the rank correlation of left-out scores at this, instead.
        any_size: Let the graph take images of any size and resize them; otherwise it takes the input size only.
        tolerance: Largest difference of a score, and mean difference of a map, as a share of the NG threshold.
        progress: As in `fit`.

    Returns:
        What was written and how it compares.

    Raises:
        ExportError: The graph differs from the detector, or cannot be loaded. Nothing is written.
        ParameterError, DataError, ImageError, NotFittedError, MissingDependencyError: As named.
    """
    require("onnx", "fit", "Exporting to ONNX")
    from onlygood.exporting.onnx_graph import compose
    from onlygood.exporting.scores import check_exportable

    detector._check_fitted()
    check_exportable(detector)
    check_wanted(vectors, share, fidelity)
    if not tolerance >= 0:
        raise ParameterError(f"tolerance={tolerance!r}: a share of the NG threshold, at least 0.")
    path = Path(path)
    check_writable(path, "part.onnx")
    folder = isinstance(images, str | Path) and Path(images).is_dir()
    sources = as_sources(find_good_images(images) if folder else images)  # type: ignore[arg-type]
    with Reporting(progress) as report:
        smaller = for_export(detector, vectors=vectors, share=share, fidelity=fidelity, progress=report)
        model = compose(smaller, any_size=any_size)
        parity = check_parity(model, smaller, detector, sources, tolerance=tolerance, any_size=any_size, report=report)
    try:
        with replacing(path) as partial:
            partial.write_bytes(model)
    except OSError as error:
        raise ExportError(f"Cannot write {path}: {error.strerror or error}. Nothing was changed there.") from error
    before, after = detector.calibration_, smaller.calibration_
    same = sum(before.verdict(a) == after.verdict(b) for a, b in zip(before.scores, after.scores))
    return Exported(
        path=path,
        bytes=len(model),
        detector=smaller,
        vectors=len(smaller.bank_) if isinstance(smaller, BankDetector) else 0,
        of_vectors=len(detector.bank_) if isinstance(detector, BankDetector) else 0,
        parity=parity,
        left_out=len(before.scores),
        left_out_equal=same,
        fidelity=rank_correlation(before.scores, after.scores),
    )
