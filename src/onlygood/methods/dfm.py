"""DFM: deep feature modelling by principal components (Ahuja et al. 2019; reconstruction error: Ndiour et al. 2022)."""

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
from onlygood.memory.subspace import Subspace, fit_subspace
from onlygood.methods.base import Detector, Features
from onlygood.methods.leaving_out import folds, groups_of
from onlygood.modelfile import Parts
from onlygood.progress import Report, track

Array = NDArray[np.float32]


@dataclass(kw_only=True, eq=False)
class DFM(Detector):
    """How far the features of an image, all patches as one vector, lie outside the subspace of the good images.

    Args:
        components: Share of the variance that the principal components hold, below 1; or their number.
        pool: Cells of the feature map that are averaged to one, each way. It has to divide the map's sides.
        form: `fre`: squared reconstruction error of each patch, and with image_score="sum" of the whole image. `nll`:
            negative log-likelihood of the coordinates inside the subspace; image level only.

    One feature map is used, by default the backbone's at stride 16.
    """

    components: float = 0.97
    pool: int = 2
    form: str = "fre"
    aggregator: str = "stacked"

    method: ClassVar[str] = "dfm"
    presets: ClassVar[dict[str, dict[str, Any]]] = {
        "paper": {"form": "nll"},
        "released": {"image_score": "sum", "map_sigma": 0.0},
        "quick": {"pool": 4},
    }

    subspace_: Subspace = field(init=False, repr=False)

    @property
    def has_map(self) -> bool:
        """Whether inspections have a map: a likelihood is of the whole image."""
        return self.form == "fre"

    @property
    def score_grid(self) -> tuple[int, int]:
        """Pooled cells, or one for a likelihood."""
        h, w = self.graph_.spec.grid
        return (h // self.pool, w // self.pool) if self.form == "fre" else (1, 1)

    def _default_layers(self) -> Sequence[str]:
        return find_backbone(self.backbone).layers[-1:]

    def _fit(self, sources: list[ImageSource], report: Report) -> dict[str, Any]:
        require("threadpoolctl", "fit", "Fitting DFM")
        self.graph_ = self._ready(self._feature_graph(), sources, report)
        self._check_pool()
        maps = np.concatenate([self._pooled(batch) for batch in self._features_of(sources, report)])
        groups = groups_of(maps, self.training_.hashes, self.groups == "auto", "left out by itself", report)
        self.training_ = replace(self.training_, groups=groups.tolist())
        fold_of = folds(groups, self.seed)
        self.subspace_ = self._fit_subspace(maps, fold_of)
        self.calibration_ = self._calibrate(maps, groups, fold_of, report)
        return {"components": len(self.subspace_.axes)}

    def _fit_subspace(self, maps: Array, fold_of: NDArray[np.int64]) -> Subspace:
        """Of all images; for likelihoods with no more components than can be had without a fold.

        A likelihood under fewer components is another quantity, so that the calibration's subspaces have as many.
        """
        flat = maps.reshape(len(maps), -1)
        subspace = fit_subspace(flat, self.components)
        if self.form == "fre":
            return subspace
        without_fold = len(maps) - int(np.bincount(fold_of).max())
        most = without_fold - 1 if without_fold > 1 else len(subspace.axes)
        return subspace if len(subspace.axes) <= most else fit_subspace(flat, most)

    def _calibrate(
        self, maps: Array, groups: NDArray[np.int64], fold_of: NDArray[np.int64], report: Report
    ) -> Calibration:
        """Scores of each image under the subspace fitted without its fold."""
        count = int(fold_of.max()) + 1
        if count < 2:
            return Calibration.from_scores([], false_reject=self.false_reject, review=self.review)
        components = self.components if self.form == "fre" else len(self.subspace_.axes)
        scores, peaks = np.empty(len(maps)), np.empty(len(maps))
        for fold in track(range(count), "calibration", count, report):
            rest = maps[fold_of != fold]
            subspace = fit_subspace(rest.reshape(len(rest), -1), components)
            for image in np.flatnonzero(fold_of == fold):
                patches = self._scored(subspace, maps[image])
                scores[image] = self._image_score(patches)
                if self.has_map:
                    peaks[image] = self._map(patches).max()
        return Calibration.from_scores(
            scores, groups, peaks if self.has_map else (), false_reject=self.false_reject, review=self.review
        )

    def _patch_scores(self, features: Features) -> Array:
        return self._scored(self.subspace_, self._pooled(features[None])[0])

    def _scored(self, subspace: Subspace, map_: Array) -> Array:
        """Scores `(h, w)` of a pooled map `(h, w, c)`; `(1, 1)` for a likelihood."""
        flat = map_.reshape(1, -1)
        if self.form == "nll":
            return subspace.neg_log_likelihood(flat).astype(np.float32)[None]
        return np.asarray((subspace.residual(flat).reshape(map_.shape) ** 2).sum(axis=2))

    def _pooled(self, maps: Features) -> Array:
        """`(n, h, w, c)` -> `(n, h / pool, w / pool, c)`."""
        n, h, w, c = maps.shape
        cells = maps.reshape(n, h // self.pool, self.pool, w // self.pool, self.pool, c)
        return np.asarray(cells.mean(axis=(2, 4)))

    def _tensors(self) -> dict[str, NDArray[Any]]:
        return {"mean": self.subspace_.mean, "axes": self.subspace_.axes, "variances": self.subspace_.variances}

    def _restore(self, parts: Parts) -> None:
        self.subspace_ = Subspace(**parts.tensors)

    def _check_parameters(self) -> None:
        super()._check_parameters()
        self._check_known("form", ("fre", "nll"))
        whole = isinstance(self.components, int) and not isinstance(self.components, bool) and self.components >= 1
        if not whole and not 0 < self.components < 1:
            raise ParameterError(f"components={self.components!r}: a share of the variance below 1, or a whole number.")
        if not isinstance(self.pool, int) or isinstance(self.pool, bool) or self.pool < 1:
            raise ParameterError(f"pool={self.pool!r}: a whole number of cells, at least 1.")

    def _check_pool(self) -> None:
        h, w = self.graph_.spec.grid
        if h % self.pool or w % self.pool:
            raise ParameterError(f"pool={self.pool} does not divide the feature map of {h} x {w} cells. Take another.")
