"""SPADE: the most similar good images, and the patches at hand among theirs (Cohen and Hoshen 2020)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from onlygood.calibration import Calibration
from onlygood.errors import ParameterError
from onlygood.features import find_backbone
from onlygood.images import ImageSource
from onlygood.images.preparing import resize
from onlygood.memory import MemoryBank
from onlygood.memory.bank import Vectors, halved
from onlygood.memory.density import NeighbourTable
from onlygood.memory.index import ExactIndex
from onlygood.memory.scores import knn_score
from onlygood.methods.bank import BankDetector, check_neighbours, without_gaps
from onlygood.methods.base import Features, Scored
from onlygood.methods.leaving_out import LeftOut
from onlygood.modelfile import Parts
from onlygood.progress import Report, track

Array = NDArray[np.float32]


@dataclass(kw_only=True, eq=False)
class SPADE(BankDetector):
    """The image score is DN2's: the mean distance of the image embedding to the k most similar good images.

    The map is the distance of each patch to the nearest patches, at any place, of these k images alone. Features of
    a patch are those of several layers, joined; the embedding is the global average of the backbone's last map.
    The bank is kept and searched as in the other methods, so that neither the patches of the k images nor all
    distances to them lie in memory at once; a graph is walked with the other images' patches closed.

    Args:
        k: Images looked up (the paper's K); all, if there are fewer.
        kappa: Nearest patches whose mean distance is the score of a patch.
        distance: `euclidean` or `sqeuclidean`, in both.
        stride: Of the finest map, where `layers` does not name them: 4 (the paper's three maps) or 8 (the two coarser
            ones, a quarter of the patches).
    """

    k: int = 50
    kappa: int = 1
    distance: str = "euclidean"
    stride: int = 8
    aggregator: str = "pyramid"
    image_score: str = "max"

    method: ClassVar[str] = "spade"
    aggregators: ClassVar[tuple[str, ...]] = ("pyramid",)
    presets: ClassVar[dict[str, dict[str, Any]]] = {
        "paper": {"stride": 4},
        "released": {"stride": 4},
        "quick": {"k": 10},
    }

    embeddings_: Vectors = field(init=False, repr=False)

    @property
    def _k(self) -> int:
        return self.kappa

    def _score(self, squared: Array, rows: NDArray[np.integer]) -> Array:
        return knn_score(without_gaps(squared, rows)[0], self.distance)

    # looking up

    def _look_up(
        self, queries: Vectors, embedding: Vectors, allowed: NDArray[np.bool_] | None = None
    ) -> tuple[Array, float]:
        """Patch scores `(h, w)` and image score of patch vectors `(h * w, D)` and an embedding `(E,)`.

        `allowed`, bool `(n,)`, says which training images may be found.
        """
        squared, images = self._images.search(embedding[None], self.k, allowed)
        found = images[0] >= 0
        among = None if found.sum() == len(self._images) else np.isin(self.bank_.image_of, images[0][found])
        patches = self._score(*self.index_.search(queries, self._k, among))
        return patches.reshape(self.graph_.spec.grid), float(knn_score(squared[:, found], self.distance)[0])

    def _scores_of(self, source: ImageSource) -> Scored:
        image = source.read()
        features, embeddings = self.graph_.with_embeddings(resize(image, self.size, source.name)[None])
        queries = halved(features.reshape(-1, features.shape[-1]))
        return Scored(*self._look_up(queries, halved(embeddings)[0]), (image.shape[1], image.shape[0]))

    # fitting

    def _default_layers(self) -> Sequence[str]:
        return find_backbone(self.backbone).from_stride(self.stride)

    def _fit(self, sources: list[ImageSource], report: Report) -> dict[str, Any]:
        self.__dict__.pop("embeddings_", None)  # of an earlier fit
        return super()._fit(sources, report)

    def _features_of_batch(self, batch: Sequence[NDArray[np.uint8]]) -> Features:
        """As always; the embeddings join those there are."""
        features, embeddings = self.graph_.with_embeddings(np.stack(batch))
        before = [self.embeddings_] if hasattr(self, "embeddings_") else []
        self.embeddings_ = np.concatenate([*before, halved(embeddings)])
        return features

    def _keep_choices(self, fitted: Any) -> None:
        self.embeddings_ = fitted.embeddings_

    def _calibrate(self, full: MemoryBank, table: NeighbourTable, left_out: LeftOut, report: Report) -> Calibration:
        self._images = ExactIndex(self.embeddings_, self.threads)
        groups = left_out.groups
        h, w = self.graph_.spec.grid
        scores: list[float] = []
        peaks: list[float] = []
        several = len(np.unique(groups)) > 1
        for image in track(range(len(groups) if several else 0), "calibration", len(groups), report):
            queries = full.vectors[image * h * w : (image + 1) * h * w]
            patches, score = self._look_up(queries, self.embeddings_[image], groups != groups[image])
            scores.append(score)
            peaks.append(float(self._map(patches).max()))
        # a mean over fewer than k images becomes one over more, and may rise, with more images
        proven = several and len(groups) - int(np.bincount(groups).max()) >= self.k
        return Calibration.from_scores(
            scores,
            groups[: len(scores)],
            peaks,
            false_reject=self.false_reject,
            review=self.review,
            proven=proven,
        )

    # storing

    def _tensors(self) -> dict[str, NDArray[Any]]:
        return {**super()._tensors(), "embeddings": self.embeddings_}

    def _restore(self, parts: Parts) -> None:
        tensors = dict(parts.tensors)
        self.embeddings_ = tensors.pop("embeddings")
        self._images = ExactIndex(self.embeddings_, self.threads)
        super()._restore(replace(parts, tensors=tensors))

    def _check_parameters(self) -> None:
        super()._check_parameters()
        check_neighbours(self.k)
        check_neighbours(self.kappa)
        self._check_known("distance", ("sqeuclidean", "euclidean"))
        if self.coreset < 1:
            raise ParameterError("SPADE looks patches up image by image and needs all of them: coreset has to be 1.")
        find_backbone(self.backbone).from_stride(self.stride)
