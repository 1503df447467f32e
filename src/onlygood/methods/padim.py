"""PaDiM: a Gaussian for each patch position (Defard et al. 2021)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from onlygood.calibration import Calibration
from onlygood.errors import ParameterError, require
from onlygood.features import find_backbone
from onlygood.images import ImageSource
from onlygood.memory.positions import PositionGaussians, fit_positions
from onlygood.methods.base import Detector, Features
from onlygood.methods.leaving_out import groups_of
from onlygood.modelfile import Parts
from onlygood.progress import Report

Array = NDArray[np.float32]


@dataclass(kw_only=True, eq=False)
class PaDiM(Detector):
    """Mahalanobis distance of each patch to the good patches at its own place: for parts that lie still.

    The maps of three layers, coarser ones repeated to the finest grid, are joined; d of their channels are kept. The
    Gaussians take 4 bytes times h w d (d + 1) / 2 in the model file and twice that in memory.

    Calibration is exact: each good image's distances under the Gaussians without it (and its near duplicates).

    Args:
        d: Channels kept (the paper: 100 with ResNet-18, 550 with WideResNet-50-2); all, if there are no more.
        selection: `random` (the paper): d channels drawn once, by `seed`; `first`: the first d, the finest maps' before
            all.
        eps: Added to the diagonal of each covariance.
        stride: Of the finest map, where `layers` does not name them: 4 (the paper's three maps) or 8 (the two coarser
            ones, a quarter of the positions).
    """

    d: int = 100
    selection: str = "random"
    eps: float = 0.01
    stride: int = 4
    aggregator: str = "stacked"

    method: ClassVar[str] = "padim"
    presets: ClassVar[dict[str, dict[str, Any]]] = {
        "paper": {"image_score": "max"},
        "released": {"image_score": "map_max"},
        "quick": {"d": 50},
    }

    channels_: NDArray[np.int32] = field(init=False, repr=False)
    gaussians_: PositionGaussians = field(init=False, repr=False)

    def _default_layers(self) -> Sequence[str]:
        return find_backbone(self.backbone).from_stride(self.stride)

    def _fit(self, sources: list[ImageSource], report: Report) -> dict[str, Any]:
        require("scipy", "fit", "Fitting PaDiM")
        require("threadpoolctl", "fit", "Fitting PaDiM")
        self.graph_ = self._ready(self._feature_graph(), sources, report)
        self.channels_ = self._chosen(self.graph_.spec.dim)
        h, w = self.graph_.spec.grid
        kept = np.empty((len(sources), h, w, len(self.channels_)), np.float32)
        row = 0
        for batch in self._features_of(sources, report):
            kept[row : row + len(batch)] = batch[..., self.channels_]
            row += len(batch)
        groups = groups_of(kept, self.training_.hashes, self.groups == "auto", "left out by itself", report)
        self.training_ = replace(self.training_, groups=groups.tolist())
        by_position = kept.reshape(len(kept), h * w, -1)
        self.gaussians_, left_out = fit_positions(by_position, self.eps, groups, report)
        self.calibration_ = self._calibrate(left_out, groups)
        report("calibration", 1, 1)
        return {}

    def _chosen(self, total: int) -> NDArray[np.int32]:
        """Numbers of the channels kept, ascending."""
        count = min(self.d, total)
        if self.selection == "first":
            return np.arange(count, dtype=np.int32)
        return np.sort(np.random.default_rng(self.seed).permutation(total)[:count]).astype(np.int32)

    def _calibrate(self, left_out: Array, groups: NDArray[np.int64]) -> Calibration:
        patches = [distances.reshape(self.graph_.spec.grid) for distances in left_out]
        scores = [self._image_score(one) for one in patches]
        peaks = [float(self._map(one).max()) for one in patches]
        return Calibration.from_scores(
            scores, groups[: len(scores)], peaks, false_reject=self.false_reject, review=self.review
        )

    def _patch_scores(self, features: Features) -> Array:
        h, w, _ = features.shape
        return self.gaussians_.distances(features[..., self.channels_].reshape(h * w, -1)).reshape(h, w)

    def _tensors(self) -> dict[str, NDArray[Any]]:
        return {"channels": self.channels_, "mean": self.gaussians_.mean, "whitening": self.gaussians_.packed()}

    def _restore(self, parts: Parts) -> None:
        self.channels_ = parts.tensors["channels"]
        self.gaussians_ = PositionGaussians.unpacked(parts.tensors["mean"], parts.tensors["whitening"])

    def _check_parameters(self) -> None:
        super()._check_parameters()
        if not isinstance(self.d, int) or isinstance(self.d, bool) or self.d < 1:
            raise ParameterError(f"d={self.d!r}: a whole number of channels, at least 1.")
        self._check_known("selection", ("random", "first"))
        find_backbone(self.backbone).from_stride(self.stride)
        if not self.eps > 0:
            raise ParameterError(f"eps={self.eps!r}: above 0, or a covariance of few images cannot be inverted.")
