"""The gate: an exported graph leaves only if it says what the detector says."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from onlygood.errors import ExportError
from onlygood.features.engines import DEFAULT
from onlygood.images import ImageSource
from onlygood.images.fingerprint import pixel_hash
from onlygood.images.preparing import resize
from onlygood.inspection import Inspection, Verdict
from onlygood.methods import Detector
from onlygood.progress import Report, silent, track

ORDER = (Verdict.OK, Verdict.REVIEW, Verdict.NG)


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


def open_graph(model: bytes) -> Any:
    """An ONNX Runtime session on the CPU.

    Raises:
        ExportError: The runtime cannot load the graph.
    """
    import onnxruntime

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
    pairs: list[tuple[ImageSource, Inspection, Answer, float]] = []
    changed: Counter[tuple[str, str]] = Counter()
    met = 0
    for source in track(sources, "compare", len(sources), report or silent):
        image = source.read()
        met += pixel_hash(image) in known
        ours = detector.inspect([ImageSource(source.name, image)], progress=silent)[0]
        answer = _answer(session, image if any_size else resize(image, detector.graph_.spec.size, source.name))
        apart = 0.0 if ours.map is None else float(np.abs(answer.map - ours.map).mean())
        _check_p_value(detector, source, answer)
        pairs.append((source, ours, answer, apart))
        if fitted is not detector:
            before = fitted.inspect([ImageSource(source.name, image)], maps=False, progress=silent)[0]
            if before.verdict != ours.verdict:
                changed[str(before.verdict), str(ours.verdict)] += 1
    unit = _unit(detector, [ours.score for _, ours, _, _ in pairs])
    for source, ours, answer, apart in pairs:
        _check(detector, source, ours, answer, apart, tolerance * unit)
    return Parity(
        images=len(pairs),
        score_difference=max(abs(answer.score - ours.score) for _, ours, answer, _ in pairs),
        map_difference=max(apart for _, _, _, apart in pairs),
        unit=unit,
        tolerance=tolerance,
        verdicts_equal=len(pairs),
        known=met,
        changed=dict(changed),
    )


def _answer(session: Any, image: Any) -> Answer:
    names = [output.name for output in session.get_outputs()]
    found = dict(zip(names, session.run(names, {"image": image[None]})))
    verdict = ORDER[int(found["verdict"][0])]
    return Answer(float(found["score"][0]), float(found["p_value"][0]), verdict, found.get("map"))


def _unit(detector: Detector, scores: list[float]) -> float:
    threshold = detector.calibration_.ng_threshold
    largest = max(abs(score) for score in scores)
    return max(abs(threshold), largest) if np.isfinite(threshold) else largest


def _check_p_value(detector: Detector, source: ImageSource, answer: Answer) -> None:
    expected = float(detector.calibration_.p_values([answer.score])[0])
    if abs(answer.p_value - expected) > 1e-6:
        raise _refusal(detector, source, f"gives its score the p-value {answer.p_value:.6g} instead of {expected:.6g}")


def _check(
    detector: Detector, source: ImageSource, ours: Inspection, answer: Answer, apart: float, most: float
) -> None:
    difference = abs(answer.score - ours.score)
    if answer.verdict != ours.verdict:
        raise _refusal(
            detector,
            source,
            f"says {answer.verdict} (score {answer.score:.8g}), the detector {ours.verdict} ({ours.score:.8g})",
        )
    for what, value in (("score", difference), ("map", apart)):
        if not value <= most:  # NaN, too
            raise _refusal(detector, source, f"has a {what} that differs by {value:.3g}; allowed is {most:.3g}")


def _refusal(detector: Detector, source: ImageSource, what: str) -> ExportError:
    mend = "Allow a larger tolerance only if that is good enough for you."
    if detector.graph_.engine.name != DEFAULT or detector.graph_.engine.device != "cpu":
        mend = f"The detector runs on {detector.graph_.engine.name}: fit it with engine='{DEFAULT}' on the CPU instead."
    return ExportError(f"Not exported: for {source.name} the exported graph {what}. Nothing was written. {mend}")
