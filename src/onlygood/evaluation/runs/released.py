"""The protocol `released`: what the authors' code chooses by the test images is chosen so, and called an oracle.

Only that choice is theirs. Training, held-out images and parameters are those of the honest run beside it, so that the
difference of the two is what choosing by test images is worth.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from numpy.typing import NDArray

from onlygood.errors import ParameterError
from onlygood.evaluation.epochs import training_curve
from onlygood.evaluation.evaluate import resize_mask
from onlygood.evaluation.oracle import variable_k
from onlygood.evaluation.testset import TestRun
from onlygood.images.layouts import Sample
from onlygood.images.reading import read_masks
from onlygood.progress import silent

if TYPE_CHECKING:
    from onlygood.methods import LDKNN, Detector
    from onlygood.methods.trained import TrainedDetector

#: Candidates of REB's released code for K, on MVTec LOCO AD and elsewhere; no density at all (K = 0) is one more.
KS = (3, 5, 7, 9, 11)
KS_LOCO = (39, 45, 51, 57)
LOCO = "MVTec LOCO AD"
#: Epochs between two evaluations on the test images in the released code: 40 times in 160 epochs, and each.
EVERY = {"simplenet": 4, "ulsad": 1}
#: Method -> what its released code chooses by the test images.
CHOSEN_BY_TEST = {"reb": "k", "ldknn": "k", **dict.fromkeys(EVERY, "epoch")}


@dataclass(frozen=True)
class Choice:
    """What was chosen with the labels of the test images.

    Attributes:
        chosen: `k` (0: no density) or `epoch`.
        tried: Every candidate and its image AUROC.
        patches: Patch scores of the test images with the chosen one, float32 `(n, h, w)`.
    """

    chosen: Mapping[str, int]
    tried: tuple[Mapping[str, Any], ...]
    patches: NDArray[np.float32]

    def tested(self, detector: Detector, honest: TestRun) -> TestRun:
        """The test as it would have been with the chosen one; verdicts are not changed and mean nothing."""
        inspections = [
            replace(one, score=detector._image_score(patches), map=detector._map(patches))
            for one, patches in zip(honest.inspections, self.patches, strict=True)
        ]
        return replace(honest, inspections=inspections)


class Released:
    """One run by the released protocol.

    Args:
        dataset: Name of the data set.
        samples: Its test images.
    """

    def __init__(self, dataset: str, samples: Sequence[Sample]) -> None:
        self._ks = KS_LOCO if dataset == LOCO else KS
        self._paths = [str(sample.path) for sample in samples]
        self._labels = [sample.label for sample in samples]
        self._samples = samples
        self._choice: Choice | None = None

    def fitted(self, detector: Detector, images: Sequence[Path]) -> Detector:
        """Fit; the test images are watched, but what is fitted is the honest detector, of the last epoch.

        Raises:
            ParameterError: The method's released code chooses nothing by test images, or there are not both good and
                defective ones.
        """
        check_released(detector)
        good = [str(path) for path in images]
        if CHOSEN_BY_TEST[detector.method] == "k":
            return detector.fit(good, progress=silent)
        curve = training_curve(
            cast("TrainedDetector", detector),
            good,
            self._paths,
            self._labels,
            self._masks(detector.size),
            every=EVERY[detector.method],
            as_released=True,
            progress=silent,
        )
        tried = tuple({"epoch": one.epoch, "image_auroc": one.image_auroc} for one in curve.figures)
        assert curve.oracle_patches is not None
        self._choice = Choice({"epoch": curve.oracle.epoch}, tried, curve.oracle_patches)
        return curve.detector

    def choose(self, detector: Detector) -> Choice:
        """What the released code chooses; the detector's own K is among the candidates."""
        if self._choice is None:
            fitted = cast("LDKNN", detector)
            found = variable_k(fitted, self._paths, self._labels, sorted({*self._ks, fitted.k_}))
            tried = tuple({"k": k, "image_auroc": figure} for k, figure in found.by_k.items())
            self._choice = Choice({"k": found.best_k}, tried, found.patches)
        return self._choice

    def _masks(self, size: int) -> list[NDArray[np.bool_] | None] | None:
        """Masks at the size of the maps; None if there are none."""
        masks = [resize_mask(read_masks(one.masks), (size, size)) if one.masks else None for one in self._samples]
        return masks if any(mask is not None for mask in masks) else None


def check_released(detector: Detector) -> None:
    """Refuse what has no released protocol of its own.

    Raises:
        ParameterError: The method's released code chooses nothing by test images, or the bank is a coreset.
    """
    if detector.method not in CHOSEN_BY_TEST:
        raise ParameterError(
            f"There is no released protocol of {detector.method}: nothing is chosen by test images there, so its "
            f"honest run is the one to compare with. Choosing are: {', '.join(CHOSEN_BY_TEST)}. Run {detector.method} "
            "without --protocol released (protocol='honest')."
        )
    if CHOSEN_BY_TEST[detector.method] == "k" and (coreset := cast("LDKNN", detector).coreset) < 1:
        raise ParameterError(
            f"coreset={coreset}: the released protocol sweeps K, which needs the full bank. Leave coreset out."
        )
