"""What a training is worth after each epoch: its last epoch, the mean of the last ones, and an oracle's choice."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from statistics import mean
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from onlygood.errors import ParameterError
from onlygood.evaluation.evaluate import resize_mask
from onlygood.evaluation.metrics import auroc, check_labels_and_scores
from onlygood.evaluation.pixels import pixel_auroc
from onlygood.images import as_sources
from onlygood.images.sources import Images
from onlygood.parallel import in_order
from onlygood.progress import Report

if TYPE_CHECKING:
    from onlygood.methods import TrainedDetector


@dataclass(frozen=True)
class EpochFigures:
    """Figures on the test images after an epoch.

    Attributes:
        epoch: From 1; 0 for a mean over several.
        image_auroc: Of the image scores.
        pixel_auroc: Over all pixels; None without masks.
        oracle: Whether the epoch was chosen with the test labels.
    """

    epoch: int
    image_auroc: float
    pixel_auroc: float | None
    oracle: bool = False


@dataclass(frozen=True)
class TrainingCurve:
    """One training, evaluated on test images as it went.

    Attributes:
        figures: After each epoch that was evaluated, the last epoch among them.
        detector: The fitted detector, that of the last epoch.
        oracle_patches: Patch scores of the test images after the oracle's epoch, float32 `(n, h, w)`.
    """

    figures: tuple[EpochFigures, ...]
    detector: TrainedDetector
    oracle_patches: NDArray[np.float32] | None = field(repr=False, compare=False, default=None)

    @property
    def last(self) -> EpochFigures:
        """After the last epoch: what a user gets, and the figure to report."""
        return self.figures[-1]

    def mean_of_last(self, count: int = 10) -> EpochFigures:
        """Mean of the figures of the last `count` evaluations: nothing chosen, the oscillation averaged out."""
        end = self.figures[-count:]
        pixels = [one.pixel_auroc for one in end if one.pixel_auroc is not None]
        return EpochFigures(0, mean(one.image_auroc for one in end), mean(pixels) if pixels else None)

    @property
    def oracle(self) -> EpochFigures:
        """The epoch that does best on the test images, as SimpleNet's and ULSAD's released code choose and report it.

        Highest image AUROC, among equals the highest pixel AUROC. It cannot be had without the test labels.
        """
        best = max(self.figures, key=_worth)
        return EpochFigures(best.epoch, best.image_auroc, best.pixel_auroc, oracle=True)


def training_curve(
    detector: TrainedDetector,
    good: Images,
    test: Images,
    labels: ArrayLike,
    masks: Sequence[ArrayLike | None] | None = None,
    *,
    every: int = 4,
    as_released: bool = False,
    progress: Report | None = None,
) -> TrainingCurve:
    """Train a detector and evaluate it on labelled test images every few epochs (SimpleNet's code: every 4).

    The training is the same as without watching. Features of the test images are kept in memory, and their
    anomaly maps if there are masks.

    Args:
        detector: A method with a trained head; it is not changed.
        good: Images to fit on.
        test: Test images.
        labels: 0 good, 1 defective, `(n,)`.
        masks: One per test image, as `evaluate` takes them; good ones and those with a mask count.
        every: Epochs between two evaluations; the last epoch is always evaluated.
        as_released: Judge every epoch as the method's released code does. That differs for ULSAD alone: quantiles are
            taken from the good test images, and in the last epoch only; before it the maps stay as they are.
        progress: Called as `progress(stage, done, total)`.

    Raises:
        ParameterError: Labels or masks do not fit the images, or `every` is below 1.
    """
    sources = as_sources(test)
    truth, _ = check_labels_and_scores(labels, np.zeros(len(sources)))
    if masks is not None and len(masks) != len(sources):
        raise ParameterError(f"There must be one of masks for each of {len(sources)} images, not {len(masks)}.")
    if every < 1 or truth.all() or not truth.any():
        raise ParameterError("training_curve needs good and defective test images, and every of at least 1.")
    watcher = _Watcher(sources, truth, masks, every, as_released)
    fitted = type(detector)(**detector.get_params())
    fitted._watcher = watcher
    fitted.fit(good, progress=progress)
    fitted._watcher = None
    return TrainingCurve(watcher.ended(), fitted, watcher.best)


def _worth(one: EpochFigures) -> tuple[float, float]:
    return one.image_auroc, one.pixel_auroc or 0.0


class _Watcher:
    """Evaluates a head in the middle of its training."""

    def __init__(
        self,
        sources: Sequence[Any],
        truth: NDArray[np.bool_],
        masks: Sequence[ArrayLike | None] | None,
        every: int,
        as_released: bool = False,
    ) -> None:
        self.sources, self.truth, self.masks, self.every = sources, truth, masks, every
        self.as_released = as_released
        self.best: NDArray[np.float32] | None = None
        self.features: Any = None
        self.figures: list[EpochFigures] = []

    def __call__(self, epoch: int, epochs: int, head: Any, detector: Any) -> None:
        if epoch % self.every == 0 or epoch == epochs:
            figures, patches = self._figures(epoch, epochs, head, detector)
            if self.best is None or _worth(figures) > max(map(_worth, self.figures)):
                self.best = patches
            self.figures.append(figures)

    def ended(self) -> tuple[EpochFigures, ...]:
        if not self.figures:
            raise ParameterError("The training was interrupted before its first evaluation.")
        return tuple(self.figures)

    def _figures(self, epoch: int, epochs: int, head: Any, detector: Any) -> tuple[EpochFigures, NDArray[np.float32]]:
        import torch

        from onlygood.methods.feature_cache import FeatureCache

        graph = detector.graph_
        if self.features is None:
            shape = (len(self.sources), *graph.spec.grid, graph.spec.dim)
            features = in_order(lambda source: graph.features(source)[0][None], self.sources, detector.threads)
            self.features = FeatureCache(shape).fill(features)
        if self.as_released:
            good = [i for i, bad in enumerate(self.truth) if not bad]
            sources = [self.sources[i] for i in good]
            head = detector._released_head(head, self.features.subset(good), sources, epoch == epochs)
        head.eval()  # each epoch sets its own mode
        with torch.no_grad():
            found = [detector._head_scores(head, self.features[[i]], one) for i, one in enumerate(self.sources)]
        patches: NDArray[np.float32] = np.concatenate(found)
        scores = [detector._image_score(one) for one in patches]
        pixels = None
        if self.masks is not None:
            pixels = self._pixel_auroc([detector._map(one) for one in patches])
        return EpochFigures(epoch, auroc(self.truth, scores), pixels), patches

    def _pixel_auroc(self, maps: Sequence[NDArray[np.float32]]) -> float | None:
        assert self.masks is not None
        used = [(one, mask) for one, mask, bad in zip(maps, self.masks, self.truth) if mask is not None or not bad]
        marked = [
            np.zeros(one.shape, bool) if mask is None else resize_mask(mask, (one.shape[0], one.shape[1]))
            for one, mask in used
        ]
        return pixel_auroc([one for one, _ in used], marked) if any(mask.any() for mask in marked) else None
