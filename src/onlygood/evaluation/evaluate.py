"""What a labelled test set says of a detector: one call from inspections to all figures."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from onlygood.errors import ParameterError
from onlygood.evaluation.bootstrap import bootstrap_interval
from onlygood.evaluation.metrics import auroc, average_precision, best_f1, check_labels_and_scores
from onlygood.evaluation.pixels import aupro, pixel_auroc
from onlygood.evaluation.rates import Rate, wilson
from onlygood.inspection import Inspection, Verdict

#: What an anomaly of MVTec LOCO AD can be.
NATURES = ("structural", "logical")


@dataclass(frozen=True)
class TypeResult:
    """One type of defect against all good images.

    Attributes:
        name: The type, such as `scratch`.
        total: Images of it.
        image_auroc: This type versus all good images; None without good ones.
        escape_rate: Share of it called OK.
        verdicts: Number of its images under each verdict.
    """

    name: str
    total: int
    image_auroc: float | None
    escape_rate: Rate
    verdicts: dict[Verdict, int]


@dataclass(frozen=True)
class Evaluation:
    """All figures of one detector on one labelled set; None where a figure cannot be computed.

    REVIEW means that a person looks, so it is neither a false reject nor an escape, but reported
    on its own.

    Attributes:
        n_good: Good images.
        n_defect: Defective images.
        image_auroc: AUROC of the image scores.
        image_auroc_interval: Its 95 % bootstrap interval over images; None with fewer than two of a class.
        average_precision: Of the image scores.
        best_f1: Highest F1 over all thresholds; chosen with the labels in view.
        best_f1_threshold: The score that gives it.
        pixel_auroc: Over all pixels, good images included.
        aupro: Up to `aupro_limit`.
        aupro_limit: Highest pixel false-positive rate of AUPRO.
        n_without_mask: Defective images left out of the pixel figures because they have no mask.
        false_reject_rate: Good images called NG.
        escape_rate: Defective images called OK: what slips through if review finds all of its defects.
        escape_rate_if_review_passes: Defective images not called NG: what slips through if everything under
            REVIEW is passed.
        review_rate: Images called REVIEW, of all.
        verdicts: Number of images by truth, `good` and `defect`, and by verdict.
        per_type: One row per type of defect, in order of name; empty if no types were given.
        per_nature: Image AUROC of the good images against the `structural` and against the `logical` anomalies, and
            the `mean` of both, REB's total for MVTec LOCO AD. ULSAD's total is `image_auroc`. Empty where no image
            has a nature, or one of the two lacks.
    """

    n_good: int
    n_defect: int
    image_auroc: float | None
    average_precision: float | None
    best_f1: float | None
    best_f1_threshold: float | None
    pixel_auroc: float | None
    aupro: float | None
    aupro_limit: float
    n_without_mask: int
    false_reject_rate: Rate | None
    escape_rate: Rate | None
    escape_rate_if_review_passes: Rate | None
    review_rate: Rate | None
    verdicts: dict[str, dict[Verdict, int]]
    per_type: tuple[TypeResult, ...] = ()
    image_auroc_interval: tuple[float, float] | None = None
    per_nature: dict[str, float] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        """Everything as plain JSON types: rates as numbers, their 95 % intervals apart, None if unknown."""
        rates = {
            "false_reject_rate": self.false_reject_rate,
            "escape_rate": self.escape_rate,
            "escape_rate_if_review_passes": self.escape_rate_if_review_passes,
            "review_rate": self.review_rate,
        }
        return {
            "n_good": self.n_good,
            "n_defect": self.n_defect,
            "image_auroc": self.image_auroc,
            "average_precision": self.average_precision,
            "best_f1": self.best_f1,
            "best_f1_threshold": self.best_f1_threshold,
            "pixel_auroc": self.pixel_auroc,
            "aupro": self.aupro,
            "aupro_limit": self.aupro_limit,
            "n_without_mask": self.n_without_mask,
            **{name: rate.value if rate else None for name, rate in rates.items()},
            "intervals": {
                "image_auroc": list(self.image_auroc_interval) if self.image_auroc_interval else None,
                **{name: [rate.low, rate.high] if rate else None for name, rate in rates.items()},
            },
            "per_nature": dict(self.per_nature),
            "verdicts": {truth: _plain(counts) for truth, counts in self.verdicts.items()},
            "per_type": [
                {
                    "name": row.name,
                    "total": row.total,
                    "image_auroc": row.image_auroc,
                    "escape_rate": row.escape_rate.value,
                    "escape_interval": [row.escape_rate.low, row.escape_rate.high],
                    "verdicts": _plain(row.verdicts),
                }
                for row in self.per_type
            ],
        }


def evaluate(
    inspections: Sequence[Inspection],
    labels: ArrayLike,
    masks: Sequence[ArrayLike | None] | None = None,
    *,
    types: Sequence[str] | None = None,
    natures: Sequence[str | None] | None = None,
    aupro_limit: float = 0.3,
) -> Evaluation:
    """Compare what a detector said with what is true.

    Args:
        inspections: One per image; with maps if `masks` are given.
        labels: One per image: 1 or True for defective, 0 or False for good.
        masks: One per image: `(h, w)`, not zero where defective, of any size; None for a good image means no
            defect, None for a defective one leaves it out of the pixel figures. A mask of another size than
            the map is resized to the map's by taking the nearest pixel, and components are found after that;
            a defect thinner than a pixel of the map can vanish by it.
        types: One per image: the type of defect; those of good images are not used.
        natures: One per image: `structural`, `logical`, or None.
        aupro_limit: Highest pixel false-positive rate of AUPRO, in (0, 1].

    Returns:
        All figures; None where one class, the masks or all pixels of a kind are missing. Never NaN.

    Raises:
        ParameterError: Lengths differ, a score or map is not finite, a label is not 0 or 1, a map is missing,
            or a good image has a mask that marks a defect.
    """
    truth, scores = check_labels_and_scores(labels, [one.score for one in inspections])
    for name, values in (("masks", masks), ("types", types), ("natures", natures)):
        if values is not None and len(values) != truth.size:
            raise ParameterError(f"There must be one of {name} for each of {truth.size} images, not {len(values)}.")
    if not 0 < aupro_limit <= 1:
        raise ParameterError(f"aupro_limit must lie in (0, 1], not {aupro_limit}.")
    verdicts = np.array([str(one.verdict) for one in inspections], dtype=object)
    n_good, n_defect = int((~truth).sum()), int(truth.sum())
    both = n_good > 0 and n_defect > 0
    f1, f1_threshold = best_f1(truth, scores) if both else (None, None)
    pixel_figures, n_without_mask = _pixel_figures(inspections, truth, masks, aupro_limit)
    good, defect = verdicts[~truth], verdicts[truth]
    return Evaluation(
        n_good=n_good,
        n_defect=n_defect,
        image_auroc=auroc(truth, scores) if both else None,
        average_precision=average_precision(truth, scores) if both else None,
        best_f1=f1,
        best_f1_threshold=f1_threshold,
        pixel_auroc=pixel_figures[0],
        aupro=pixel_figures[1],
        aupro_limit=aupro_limit,
        n_without_mask=n_without_mask,
        false_reject_rate=_rate(good == Verdict.NG),
        escape_rate=_rate(defect == Verdict.OK),
        escape_rate_if_review_passes=_rate(defect != Verdict.NG),
        review_rate=_rate(verdicts == Verdict.REVIEW),
        verdicts={"good": _counts(good), "defect": _counts(defect)},
        per_type=_per_type(truth, scores, verdicts, types) if types is not None else (),
        image_auroc_interval=bootstrap_interval(truth, scores, auroc) if both else None,
        per_nature=_per_nature(truth, scores, natures) if natures is not None and both else {},
    )


def resize_mask(mask: ArrayLike, shape: tuple[int, int]) -> NDArray[np.bool_]:
    """A mask at another size, each pixel taken from the one its centre falls in.

    Raises:
        ParameterError: The mask is not `(h, w)` or is empty.
    """
    marked = np.asarray(mask).astype(bool)
    if marked.ndim != 2 or 0 in marked.shape:
        raise ParameterError(f"A mask must be (h, w) with pixels in it, not of shape {marked.shape}.")
    if marked.shape == shape:
        return marked
    rows, columns = (
        np.minimum(((np.arange(new) + 0.5) * old / new).astype(np.int64), old - 1)
        for old, new in zip(marked.shape, shape)
    )
    return marked[np.ix_(rows, columns)]


def _pixel_figures(
    inspections: Sequence[Inspection],
    truth: NDArray[np.bool_],
    masks: Sequence[ArrayLike | None] | None,
    limit: float,
) -> tuple[tuple[float | None, float | None], int]:
    """Pixel AUROC and AUPRO, and the number of defective images without a mask."""
    if masks is None:
        return (None, None), 0
    maps, kept = [], []
    left_out = 0
    for one, is_defect, mask in zip(inspections, truth, masks):
        if mask is None and is_defect:
            left_out += 1
            continue
        if one.map is None:
            raise ParameterError(f"{one.name} was inspected without a map, which the pixel figures need.")
        if mask is not None and not is_defect and np.any(mask):
            raise ParameterError(f"{one.name} is labelled good, but its mask marks a defect.")
        maps.append(one.map)
        kept.append(mask)
    at_map_size = _MasksAtMapSize(maps, kept)
    n_pixels = sum(one.size for one in maps)
    n_marked = sum(int(mask.sum()) for mask in at_map_size)
    if n_marked in (0, n_pixels):
        return (None, None), left_out
    return (pixel_auroc(maps, at_map_size), aupro(maps, at_map_size, limit)), left_out


class _MasksAtMapSize:
    """Masks resized as they are read, so that they are never all held at the size of the maps."""

    def __init__(self, maps: Sequence[NDArray[np.float32]], masks: Sequence[ArrayLike | None]) -> None:
        self._maps, self._masks = maps, masks

    def __iter__(self) -> Iterator[NDArray[np.bool_]]:
        for one, mask in zip(self._maps, self._masks):
            yield np.zeros(one.shape, dtype=bool) if mask is None else resize_mask(mask, one.shape[:2])


def _per_type(
    truth: NDArray[np.bool_], scores: NDArray[np.float64], verdicts: NDArray[Any], types: Sequence[str]
) -> tuple[TypeResult, ...]:
    names = np.array([str(name) for name in types], dtype=object)
    rows = []
    for name in sorted(set(names[truth])):
        chosen = truth & (names == name)
        with_good = chosen | ~truth
        rows.append(
            TypeResult(
                name=name,
                total=int(chosen.sum()),
                image_auroc=None if truth.all() else auroc(truth[with_good], scores[with_good]),
                escape_rate=wilson(int((verdicts[chosen] == Verdict.OK).sum()), int(chosen.sum())),
                verdicts=_counts(verdicts[chosen]),
            )
        )
    return tuple(rows)


def _per_nature(
    truth: NDArray[np.bool_], scores: NDArray[np.float64], natures: Sequence[str | None]
) -> dict[str, float]:
    given = np.array([nature or "" for nature in natures], dtype=object)
    found = {}
    for nature in NATURES:
        chosen = truth & (given == nature)
        if not chosen.any():
            return {}
        with_good = chosen | ~truth
        found[nature] = auroc(truth[with_good], scores[with_good])
    return {**found, "mean": float(np.mean(list(found.values())))}


def _rate(cases: NDArray[np.bool_]) -> Rate | None:
    return wilson(int(cases.sum()), cases.size) if cases.size else None


def _counts(verdicts: NDArray[Any]) -> dict[Verdict, int]:
    return {verdict: int((verdicts == verdict).sum()) for verdict in Verdict}


def _plain(counts: dict[Verdict, int]) -> dict[str, int]:
    return {str(verdict): count for verdict, count in counts.items()}
