"""The gate: an exported graph leaves only if it says what the detector says."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from onlygood.errors import ExportError
from onlygood.features.engines import DEFAULT, import_onnxruntime
from onlygood.images import ImageSource
from onlygood.images.fingerprint import pixel_hash
from onlygood.images.preparing import resize
from onlygood.inspection import Inspection, Verdict
from onlygood.methods import Detector
from onlygood.parallel import in_order
from onlygood.progress import Report, silent, track

ORDER = tuple(Verdict)


@dataclass(frozen=True)
class Parity:
    """What the gate saw.

    Attributes:
        images: Images compared.
        score_difference: Largest difference of a score between graph and detector.
        map_difference: Largest mean difference of the values of an anomaly map; 0 for methods without.
        unit: What the tolerance is a share of: the NG threshold, or the highest score seen if that is higher.
        tolerance: Largest difference allowed, as a share of `unit`.
        verdicts_equal: Images with the same verdict from both.
        known: How many of the images the detector was fitted on.
        changed: Verdicts of the detector as it was fitted and of the exported one, where they differ, with how often.
    """

    images: int
    score_difference: float
    map_difference: float
    unit: float
    tolerance: float
    verdicts_equal: int
    known: int
    changed: dict[tuple[str, str], int]

    @property
    def unchanged(self) -> int:
        """Images with the verdict that the detector as it was fitted gives."""
        return self.images - sum(self.changed.values())


@dataclass(frozen=True)
class Answer:
    """What the graph says of one image."""

    score: float
    p_value: float
    verdict: Verdict
    map: Any


@dataclass(frozen=True)
class Compared:
    """One image: what the detector says, what the graph says, how far their maps are apart on average.

    `before` is the verdict of the detector before its bank was reduced; `known` tells a training image.
    """

    ours: Inspection
    theirs: Answer
    apart: float
    before: Verdict
    known: bool


def open_graph(model: bytes) -> Any:
    """An ONNX Runtime session on the CPU.

    Raises:
        ExportError: The runtime cannot load the graph.
    """
    onnxruntime = import_onnxruntime()
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    try:
        return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # the runtime has no common base class for its errors
        raise ExportError(f"ONNX Runtime cannot load the exported graph: {error}") from error


def check_parity(
    model: bytes,
    detector: Detector,
    fitted: Detector,
    sources: Sequence[ImageSource],
    *,
    tolerance: float,
    any_size: bool = True,
    report: Report | None = None,
) -> Parity:
    """Compare an exported graph with its detector, image by image.

    Args:
        model: The graph.
        detector: What it was made of.
        fitted: The detector before its bank was reduced.
        sources: Images.
        tolerance: Largest difference of a score, and mean difference of a map, as a share of the NG threshold (of the
            highest score seen where that is higher). A map's largest difference says little: a patch as far from two
            good ones takes the density of either.
        any_size: Whether the graph resizes.
        report: Progress.

    Returns:
        What was seen.

    Raises:
        ExportError: A score or a map differs by more, a verdict is another one, or a p-value does not belong to its
            score. It names the first such image.
        ImageError: An image cannot be read.
    """
    session = open_graph(model)
    known = set(detector.training_.hashes)

    def compare(source: ImageSource) -> Compared:
        image = source.read()
        named = [ImageSource(source.name, image)]
        shown = image if any_size else resize(image, detector.graph_.spec.size, source.name)
        ours = detector.inspect(named, progress=silent)[0]
        theirs = _answer(session, shown)
        return Compared(
            ours=replace(ours, map=None),
            theirs=replace(theirs, map=None),
            apart=0.0 if ours.map is None else float(np.abs(theirs.map - ours.map).mean()),
            before=ours.verdict
            if fitted is detector
            else fitted.inspect(named, maps=False, progress=silent)[0].verdict,
            known=pixel_hash(image) in known,
        )

    seen = in_order(compare, sources, detector.threads)
    pairs = list(track(seen, "compare", len(sources), report or silent))
    unit = _unit(detector, [pair.ours.score for pair in pairs])
    for pair in pairs:
        _check(detector, pair, tolerance * unit)
    return Parity(
        images=len(pairs),
        score_difference=max(abs(pair.theirs.score - pair.ours.score) for pair in pairs),
        map_difference=max(pair.apart for pair in pairs),
        unit=unit,
        tolerance=tolerance,
        verdicts_equal=sum(pair.theirs.verdict == pair.ours.verdict for pair in pairs),
        known=sum(pair.known for pair in pairs),
        changed=dict(
            Counter((str(pair.before), str(pair.ours.verdict)) for pair in pairs if pair.before != pair.ours.verdict)
        ),
    )


def _answer(session: Any, image: Any) -> Answer:
    names = [output.name for output in session.get_outputs()]
    try:
        found = dict(zip(names, session.run(names, {"image": image[None]})))
    except Exception as error:  # as above
        raise ExportError(f"ONNX Runtime cannot run the exported graph: {error}") from error
    verdict = ORDER[int(found["verdict"][0])]
    return Answer(float(found["score"][0]), float(found["p_value"][0]), verdict, found.get("map"))


def _unit(detector: Detector, scores: list[float]) -> float:
    threshold = detector.calibration_.ng_threshold
    largest = max(abs(score) for score in scores)
    return max(abs(threshold), largest) if np.isfinite(threshold) else largest


def _check(detector: Detector, pair: Compared, most: float) -> None:
    ours, theirs = pair.ours, pair.theirs
    if theirs.verdict != ours.verdict:
        said = f"says {theirs.verdict} (score {theirs.score:.8g}), the detector {ours.verdict} ({ours.score:.8g})"
        raise _refusal(detector, ours.name, said)
    for what, apart in (("score", abs(theirs.score - ours.score)), ("map", pair.apart)):
        if not apart <= most:  # NaN, too
            raise _refusal(detector, ours.name, f"has a {what} that differs by {apart:.3g}; allowed is {most:.3g}")
    expected = float(detector.calibration_.p_values([theirs.score])[0])
    if not abs(theirs.p_value - expected) <= 1e-6:
        said = f"gives its score the p-value {theirs.p_value:.6g} instead of {expected:.6g}"
        raise _refusal(detector, ours.name, said)


def _refusal(detector: Detector, name: str, what: str) -> ExportError:
    mend = "Allow a larger tolerance only if that is good enough for you."
    if detector.graph_.engine.name != DEFAULT or detector.graph_.engine.device != "cpu":
        mend = f"The detector runs on {detector.graph_.engine.name}: fit it with engine='{DEFAULT}' on the CPU instead."
    return ExportError(f"Not exported: for {name} the exported graph {what}. Nothing was written. {mend}")
