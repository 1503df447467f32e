"""Gaussian density estimation on whole-image features (REB section 2; Rippel et al. 2021): image level only."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from onlygood.calibration import Calibration
from onlygood.errors import require
from onlygood.images import ImageSource
from onlygood.images.fingerprint import copies
from onlygood.memory.gaussian import fit_gaussian, mahalanobis
from onlygood.methods.base import Detector, Features
from onlygood.methods.leaving_out import folds
from onlygood.modelfile import Parts
from onlygood.progress import Report, track


@dataclass(kw_only=True, eq=False)
class GDE(Detector):
    """Mahalanobis distance of the L2-normalised image embedding, with Ledoit-Wolf shrinkage.

    The embedding is the global average of the backbone's last feature map. There is no anomaly map.
    """

    aggregator: str = "pooled"
    image_score: str = "max"

    method: ClassVar[str] = "gde"
    aggregators: ClassVar[tuple[str, ...]] = ("pooled",)

    mean_: NDArray[np.float64] = field(init=False, repr=False)
    precision_: NDArray[np.float64] = field(init=False, repr=False)

    @property
    def has_map(self) -> bool:
        """Never: the score is of the whole image."""
        return False

    def _fit(self, sources: list[ImageSource], report: Report) -> dict[str, Any]:
        require("sklearn", "fit", "Fitting GDE")
        self.graph_ = self._ready(self._feature_graph(), sources, report)
        vectors = np.concatenate([batch[:, 0, 0] for batch in self._features_of(sources, report)])
        self.mean_, self.precision_ = fit_gaussian(vectors)
        groups = copies(self.training_.hashes)
        self.training_ = replace(self.training_, groups=groups.tolist())
        scores = self._left_out_scores(vectors, groups, report)
        self.calibration_ = Calibration.from_scores(
            scores, groups if len(scores) else None, false_reject=self.false_reject, review=self.review
        )
        return {}

    def _left_out_scores(
        self, vectors: NDArray[np.float32], groups: NDArray[np.int64], report: Report
    ) -> NDArray[np.float64]:
        """Scores of each image under a Gaussian fitted without its fold."""
        fold_of = folds(groups, self.seed)
        count = int(fold_of.max()) + 1
        if count < 2:
            return np.empty(0)
        scores = np.empty(len(vectors))
        for fold in track(range(count), "calibration", count, report):
            out = fold_of == fold
            scores[out] = mahalanobis(vectors[out], *fit_gaussian(vectors[~out]))
        return scores

    def _patch_scores(self, features: Features) -> NDArray[np.float32]:
        return mahalanobis(features[0], self.mean_, self.precision_).astype(np.float32)[None]

    def _tensors(self) -> dict[str, NDArray[Any]]:
        return {"mean": self.mean_, "precision": self.precision_}

    def _restore(self, parts: Parts) -> None:
        self.mean_, self.precision_ = parts.tensors["mean"], parts.tensors["precision"]
