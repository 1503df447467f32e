"""Choosing without peeking: parameters that tell synthetic defects from the good images they were made in."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from onlygood.errors import require
from onlygood.evaluation.metrics import auroc
from onlygood.images import ImageSource
from onlygood.images.preparing import resize
from onlygood.images.sources import paths_of, spread
from onlygood.memory import scouts_of
from onlygood.memory.bank import halved
from onlygood.memory.density import NeighbourTable
from onlygood.progress import Report, track

if TYPE_CHECKING:
    from onlygood.memory import NeighbourIndex
    from onlygood.methods.ldknn import LDKNN
    from onlygood.methods.leaving_out import LeftOut

#: Value of a parameter that is to be chosen.
AUTO = "auto"
#: What `auto` chooses from, the default first.
K_CHOICES = (9, 5, 20)
ALPHA_CHOICES = (0.5, 0.0, 0.25, 1.0)
#: Good images that get synthetic defects, and defects made in each.
MOST_IMAGES = 32
DEFECTS_EACH = 3
#: Another choice must beat the default by this much synthetic AUROC: less is noise.
MARGIN = 0.005


@dataclass(frozen=True)
class Defective:
    """A synthetic defect in a training image.

    Attributes:
        image: uint8 `(size, size, 3)`.
        source: Number of the training image.
    """

    image: NDArray[np.uint8]
    source: int


def synthetic_defects(sources: Sequence[ImageSource], size: int, seed: int) -> list[Defective]:
    """DefectMaker defects in up to 32 training images, spread evenly over the folder, three in each."""
    require("scipy", "fit", "Choosing with synthetic defects")
    from onlygood.synthesis import KINDS, DefectMaker

    chosen = spread(len(sources), MOST_IMAGES)
    images = [resize(sources[i].read(), size, sources[i].name) for i in chosen]
    paths = paths_of([sources[i] for i in chosen])
    maker = DefectMaker(images, paths=paths, seed=seed)
    rng = np.random.default_rng(seed)
    made = []
    for place, source in enumerate(chosen):
        for kind in rng.choice(KINDS, size=DEFECTS_EACH, replace=False):
            made.append(Defective(maker.make(str(kind), rng, place).image, source))
    return made


def choose_density(
    detector: LDKNN, sources: Sequence[ImageSource], left_out: LeftOut, report: Report
) -> tuple[int, float]:
    """K and alpha of LDKNN that best tell synthetic defects from left-out good images.

    Every image, good or spoilt, is searched as if the training image behind it had never been learned.
    Where nothing is clearly better the default stays.

    Args:
        detector: Being fitted; its `k` and `alpha` say which of both are `auto`.
        sources: The training images.
        left_out: Neighbours and groups of the training patches.
        report: Progress.
    """
    ks = K_CHOICES if detector.k == AUTO else (detector.k_,)
    alphas = ALPHA_CHOICES if detector.alpha == AUTO else (detector.alpha_,)
    if len(np.unique(left_out.groups)) < 2:
        return detector.k_, detector.alpha_
    defects = synthetic_defects(sources, detector.size, detector.seed)
    cases = _searched(detector, defects, left_out, report)
    labels = np.repeat([1, 0], [len(defects), len(cases) - len(defects)])
    figures = {}
    for detector.k_ in ks:
        for detector.alpha_ in alphas:
            scores = [_score(detector, table, left_out, group) for table, group in cases]
            figures[detector.k_, detector.alpha_] = auroc(labels, scores)
    default = (ks[0], alphas[0])
    best = max(figures, key=lambda choice: figures[choice])
    chosen = best if figures[best] > figures[default] + MARGIN else default
    detector.k_, detector.alpha_ = chosen
    return chosen


def synthetic_auroc(detector: LDKNN, sources: Sequence[ImageSource], report: Report) -> float:
    """How well a fitted detector tells synthetic defects from the left-out good images they were made in.

    Stored densities count every training image; the nearest neighbours leave the image's group out.
    """
    defects = synthetic_defects(sources, detector.size, detector.seed)
    h, w = detector.graph_.spec.grid
    groups = np.asarray(detector.training_.groups)
    scores = []
    for defect in track(defects, "synthetic defects", len(defects), report):
        allowed = groups[detector.bank_.image_of] != groups[defect.source]
        patches = detector._score(*_nearest(detector, defect, detector.index_, allowed))
        scores.append(detector._image_score(patches.reshape(h, w)))
    good = detector.calibration_.scores[sorted({defect.source for defect in defects})]
    return auroc(np.repeat([1, 0], [len(scores), len(good)]), [*scores, *good])


def _searched(
    detector: LDKNN, defects: Sequence[Defective], left_out: LeftOut, report: Report
) -> list[tuple[NeighbourTable, int]]:
    """Nearest neighbours and group of each defective image, then of the good images they were made in."""
    h, w = detector.graph_.spec.grid
    cases = []
    for defect in track(defects, "synthetic defects", len(defects), report):
        group = int(left_out.groups[defect.source])
        found = _nearest(detector, defect, left_out.index, ~left_out.rows_of(group))
        cases.append((NeighbourTable(*found), group))
    for source in sorted({defect.source for defect in defects}):
        part = left_out.table.part(slice(source * h * w, (source + 1) * h * w))
        cases.append((part, int(left_out.groups[source])))
    return cases


def _nearest(
    detector: LDKNN, defect: Defective, index: NeighbourIndex, allowed: NDArray[np.bool_]
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Squared distance and row of the nearest allowed bank vector of each patch of a defective image."""
    features = detector.graph_(defect.image[None])[0]
    queries = halved(features.reshape(-1, features.shape[-1]))
    return index.search(queries, 1, allowed, scouts_of(features.shape[:2]))


def _score(detector: LDKNN, table: NeighbourTable, left_out: LeftOut, group: int) -> float:
    patches = detector._left_out_scores(table, left_out, group)
    return detector._image_score(patches.reshape(detector.graph_.spec.grid))
