"""Detectors with a memory bank: everything the nearest-neighbour methods share."""

from __future__ import annotations

import copy
from abc import abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from onlygood.calibration import Calibration
from onlygood.errors import DataError, ParameterError
from onlygood.images import ImageSource, as_sources
from onlygood.images.sources import Images
from onlygood.memory import GraphIndex, MemoryBank, NeighbourIndex, build_index, greedy_coreset, scouts_of
from onlygood.memory.bank import Vectors, halved
from onlygood.memory.density import NeighbourTable, neighbours_in_other_groups
from onlygood.methods.anomaly_map import IMAGE_SCORES, deciding_patches
from onlygood.methods.base import Detector, Features, Scored, Training
from onlygood.methods.leaving_out import LeftOut, leave_out
from onlygood.modelfile import Parts
from onlygood.progress import Report, Reporting, track

Array = NDArray[np.float32]


@dataclass(kw_only=True, eq=False)
class BankDetector(Detector):
    """Nearest neighbours in the bank of good patches.

    Args:
        coreset: Share of the patch vectors that is kept (greedy k-centre); 1.0 is the full bank.
        index: `exact`, `graph` (HNSW) or `auto`, by the size of the bank.
    """

    coreset: float = 1.0
    index: str = "auto"

    bank_: MemoryBank = field(init=False, repr=False)
    index_: NeighbourIndex = field(init=False, repr=False)
    stats_: dict[str, Array] = field(init=False, repr=False)

    # what a score has to say

    @property
    @abstractmethod
    def _k(self) -> int:
        """Neighbours a query needs."""

    @property
    def _table_k(self) -> int:
        """Neighbours in other images that each training patch needs."""
        return self._k

    @property
    def _monotone(self) -> bool:
        """Whether adding images to the bank can only lower the score, so that the promise is a theorem."""
        return False

    @abstractmethod
    def _score(self, squared: Array, rows: NDArray[np.integer]) -> Array:
        """Patch scores `(q,)` from neighbours in the bank `(q, k)`, using `stats_`."""

    def _fit_stats(self, left_out: LeftOut, report: Report) -> dict[str, Array]:
        """Numbers kept for each vector of the full bank, float32 `(N,)` each."""
        return {}

    def _left_out_scores(self, table: NeighbourTable, left_out: LeftOut, group: int) -> Array:
        """Patch scores from neighbours `table` in the bank, as if `group` had not been learned."""
        return self._score(table.squared[:, : self._k], table.rows[:, : self._k])

    def _decide(
        self, patches: Array, neighbours: NeighbourTable, queries: Vectors, allowed: NDArray[np.bool_] | None = None
    ) -> float:
        """The image score.

        Args:
            patches: Patch scores `(h, w)`.
            neighbours: In the bank, of each patch, `(h * w, k)`.
            queries: The patches' vectors `(h * w, D)`.
            allowed: bool `(N,)`: rows of the bank that may be looked at; None for all.
        """
        return self._image_score(patches)

    # fitting

    def _fit(self, sources: list[ImageSource], report: Report) -> dict[str, Any]:
        self.graph_ = self._ready(self._make_graph(sources, report), sources, report)
        self._learn(MemoryBank.from_stream(self._features_of(sources, report), len(sources)), report)
        return {}

    def _make_graph(self, sources: list[ImageSource], report: Report) -> Any:
        return self._feature_graph()

    def _learn(self, full: MemoryBank, report: Report) -> None:
        """Index, near-duplicate groups, statistics and calibration from the bank of all patches."""
        report("index", 0, 1)
        full_index = build_index(full.vectors, self.index, self.threads, self.device)
        if isinstance(full_index, GraphIndex):
            full = MemoryBank(full_index.vectors, full.image_of)  # the graph's own: one copy is enough
        report("index", 1, 1)
        hashes = self.training_.hashes if self.groups == "auto" else None
        left_out = leave_out(full, full_index, self.graph_.spec.grid, self._table_k, hashes, report)
        self.training_ = replace(self.training_, groups=left_out.groups.tolist())
        self.stats_ = self._fit_stats(left_out, report)
        self._keep(left_out, None if self.coreset >= 1 else max(1, int(self.coreset * len(full))), report)

    def _keep(self, left_out: LeftOut, count: int | None, report: Report) -> None:
        """Set bank, index and calibration: the full bank, or a coreset of `count` vectors with their statistics."""
        full, table = left_out.full, left_out.table
        self.bank_, self.index_ = full, left_out.index
        if count is not None:
            kept = self._pick(full, count, report)
            self.bank_ = full.subset(kept)
            self.index_ = build_index(self.bank_.vectors, self.index, self.threads, self.device)
            self.stats_ = {name: values[kept] for name, values in self.stats_.items()}
            left_out = left_out.keeping(kept)
            table = neighbours_in_other_groups(
                full, self.index_, left_out.groups, self._k, self.graph_.spec.grid, report, self.bank_
            )
        self.calibration_ = self._calibrate(full, table, left_out, report)

    def _pick(self, full: MemoryBank, count: int, report: Report) -> NDArray[np.int64]:
        """Rows of the coreset."""
        return greedy_coreset(full.vectors, count, seed=self.seed, report=report)

    def _calibrate(self, full: MemoryBank, table: NeighbourTable, left_out: LeftOut, report: Report) -> Calibration:
        grid = self.graph_.spec.grid
        per_image = grid[0] * grid[1]
        groups = left_out.groups
        scores, peaks = [], []
        if len(np.unique(groups)) > 1:
            if not np.isfinite(table.squared[:, 0]).all():
                raise ParameterError(
                    f"coreset={self.coreset} keeps {len(self.bank_)} vectors, all from one image: it cannot be left "
                    "out when calibrating. Keep more, or fit on more images."
                )
            for image in track(range(len(groups)), "calibration", len(groups), report):
                rows = slice(image * per_image, (image + 1) * per_image)
                of_image = table.part(rows)
                patches = self._left_out_scores(of_image, left_out, int(groups[image])).reshape(grid)
                allowed = groups[self.bank_.image_of] != groups[image]
                scores.append(self._decide(patches, of_image, full.vectors[rows], allowed))
                if self.has_map:
                    peaks.append(float(self._map(patches).max()))
        else:
            groups = groups[:0]
        # a list of fewer than k neighbours becomes longer, and its mean may rise, with more images
        full_lists = bool(np.isfinite(table.squared).all())
        proven = self._monotone and self.coreset >= 1 and self.index_.kind == "exact" and full_lists
        return Calibration.from_scores(
            scores, groups, peaks, false_reject=self.false_reject, review=self.review, proven=proven
        )

    def add(self, images: Images, *, progress: Report | None = None) -> Self:
        """Put newly confirmed good images into the full bank and recalibrate, without the old images.

        Args:
            images: Good images, as for `fit`.
            progress: As in `fit`.

        Raises:
            ParameterError: The bank is a coreset: it no longer holds what recalibrating needs.
            DataError: An image is in the bank already.
        """
        self._check_fitted()
        if self.coreset < 1:
            raise ParameterError("A coreset cannot be extended: its calibration needs the full bank. Fit anew.")
        sources = as_sources(images)
        known = dict(zip(self.training_.hashes, self.training_.names))
        trial = type(self)(**self.get_params())
        trial.graph_ = self.graph_
        trial.training_ = Training([source.name for source in sources])
        trial._keep_choices(self)
        with Reporting(progress) as report:
            new = MemoryBank.from_stream(trial._features_of(sources, report), len(sources))
            for name, digest in zip(trial.training_.names, trial.training_.hashes):
                if digest in known:
                    raise DataError(f"{name} is in the bank already (as {known[digest]}). Leave it out.")
            trial.training_ = Training(
                self.training_.names + trial.training_.names, self.training_.hashes + trial.training_.hashes
            )
            trial._learn(self.bank_.extended(new), report)
        # whoever set other rates after the fit keeps them
        trial.calibration_ = trial.calibration_.at(self.calibration_.false_reject, self.calibration_.review)
        trial.training_ = replace(
            self.training_,
            names=trial.training_.names,
            hashes=trial.training_.hashes,
            groups=trial.training_.groups,
        )
        self.__dict__.update(trial.__dict__)
        return self

    def reduced(self, vectors: int, *, progress: Report | None = None) -> Self:
        """Another detector with a coreset of this one's bank, searched exactly and calibrated anew.

        Statistics and calibration are made with the full bank, as when a coreset is fitted: every training image is
        scored without its own patches. The training images themselves are not needed.

        Args:
            vectors: Vectors to keep, fewer than the bank holds.
            progress: As in `fit`.

        Raises:
            NotFittedError: Nothing is fitted yet.
            ParameterError: The bank is a coreset already, or does not hold more vectors than that.
        """
        return next(self.reductions([vectors], progress=progress))

    def reductions(self, counts: Iterable[int], *, progress: Report | None = None) -> Iterator[Self]:
        """As `reduced` for several numbers of vectors, one by one; what they share is computed once."""
        self._check_fitted()
        full = self.bank_
        if self.coreset < 1:
            raise ParameterError("A coreset cannot be reduced: its calibration needs the full bank. Fit anew.")
        groups = np.asarray(self.training_.groups, np.int64)
        left_out: LeftOut | None = None
        with Reporting(progress) as report:
            for count in counts:
                if not 1 <= count < len(full):
                    raise ParameterError(f"{count} vectors cannot be kept of {len(full)}: at least 1, and fewer.")
                if left_out is None:
                    table = neighbours_in_other_groups(
                        full, self.index_, groups, self._table_k, self.graph_.spec.grid, report
                    )
                    left_out = LeftOut(full, self.index_, groups, table)
                    common = copy.copy(self)
                    common.stats_ = common._fit_stats(left_out, report)
                smaller = copy.copy(common)
                smaller.coreset, smaller.index = count / len(full), "exact"
                smaller._keep(left_out, count, report)
                # whoever set other rates after the fit keeps them
                rates = self.calibration_.false_reject, self.calibration_.review
                smaller.calibration_ = smaller.calibration_.at(*rates)
                yield smaller

    def _keep_choices(self, fitted: Any) -> None:
        """Take over what an earlier fit chose by itself."""

    # inspecting and storing

    def _patch_scores(self, features: Features) -> Array:
        return self._scores_from(*self._neighbours_of(features), features.shape[:2])

    def _scores_of(self, source: ImageSource) -> Scored:
        features, size = self._features_at(source)
        rounded = halved(features)
        return Scored(*self._decided(rounded, *self._neighbours_of(rounded)), size)

    def _decided(self, rounded: Vectors, squared: Array, rows: NDArray[np.int64]) -> tuple[Array, float]:
        """Patch scores `(h, w)` and image score from features `(h, w, D)`, rounded, and their neighbours."""
        patches = self._scores_from(squared, rows, rounded.shape[:2])
        queries = rounded.reshape(-1, rounded.shape[-1])
        return patches, self._decide(patches, NeighbourTable(squared, rows), queries)

    def _neighbours_of(self, features: NDArray[np.floating]) -> tuple[Array, NDArray[np.int64]]:
        """Neighbours in the bank `(h * w, k)` of patch features `(h, w, D)`: squared distances and rows.

        A graph looks twice only where the image score is decided.
        """
        grid, queries = features.shape[:2], halved(features.reshape(-1, features.shape[-1]))
        if not isinstance(self.index_, GraphIndex):
            return self.index_.search(queries, self._k)

        def deciding(squared: Array, rows: NDArray[np.int64]) -> NDArray[np.bool_]:
            return self._deciding(self._scores_from(squared, rows, grid)).ravel()

        return self.index_.look_twice(queries, self._k, scouts_of(grid), deciding)

    def _deciding(self, patches: Array) -> NDArray[np.bool_]:
        """The patches on which the image score depends, bool `(h, w)`, of patch scores `(h, w)`."""
        how = self.image_score if self.image_score in IMAGE_SCORES else "max"  # re-weighting starts at the highest
        return deciding_patches(patches, how, self.size, self.map_sigma)

    def _scores_from(self, squared: Array, rows: NDArray[np.int64], grid: tuple[int, ...]) -> Array:
        """Patch scores `(h, w)` from these neighbours."""
        return np.asarray(self._score(squared, rows), np.float32).reshape(grid)

    def _tensors(self) -> dict[str, NDArray[Any]]:
        tensors: dict[str, NDArray[Any]] = {"image_of": self.bank_.image_of, **self.stats_}
        if not isinstance(self.index_, GraphIndex):
            tensors["vectors"] = self.bank_.vectors
        elif self.index_.node_of is not None:
            tensors["node_of"] = self.index_.node_of
        return tensors

    def _blobs(self) -> dict[str, NDArray[np.uint8]]:
        return {"index.faiss": self.index_.to_bytes()} if isinstance(self.index_, GraphIndex) else {}

    def _restore(self, parts: Parts) -> None:
        tensors = dict(parts.tensors)
        image_of = tensors.pop("image_of")
        if "index.faiss" in parts.blobs:
            self.index_ = GraphIndex.from_bytes(parts.blobs["index.faiss"], tensors.pop("node_of", None), self.threads)
            self.bank_ = MemoryBank(self.index_.vectors, image_of)
        else:
            self.bank_ = MemoryBank(tensors.pop("vectors"), image_of)
            self.index_ = build_index(self.bank_.vectors, "exact", self.threads, self.graph_.device)
        self.stats_ = tensors

    def _check_parameters(self) -> None:
        super()._check_parameters()
        if not 0 < self.coreset <= 1:
            raise ParameterError(f"coreset={self.coreset}: the share of vectors kept is above 0, at most 1.")


@dataclass(kw_only=True, eq=False)
class NeighbourDetector(BankDetector):
    """A bank method whose score looks at k neighbours.

    Args:
        k: Neighbours.
    """

    k: int = 1

    presets: ClassVar[dict[str, dict[str, Any]]] = {
        "paper": {"image_score": "max"},
        "released": {"image_score": "avgpool3_max", "aggregator": "adaptive"},
        "quick": {"coreset": 0.1},
    }

    @property
    def _k(self) -> int:
        return self.k

    def _check_parameters(self) -> None:
        super()._check_parameters()
        check_neighbours(self.k)


def without_gaps(squared: Array, rows: NDArray[np.integer]) -> tuple[Array, NDArray[np.integer]]:
    """Where the bank holds fewer than k vectors, the farthest one found stands for the missing."""
    there = np.isfinite(squared)
    if there.all():
        return squared, rows
    last = np.maximum(there.sum(axis=1, keepdims=True) - 1, 0)
    filled = np.where(there, squared, np.take_along_axis(squared, last, 1))
    return filled.astype(np.float32), np.where(there, rows, np.take_along_axis(rows, last, 1))


def check_neighbours(k: Any, names: Sequence[str] = ()) -> None:
    """Raise `ParameterError` unless `k` is a whole number of at least 1 (or one of the names)."""
    if k in names:
        return
    if not isinstance(k, int) or isinstance(k, bool) or k < 1:
        choices = "".join(f", or {name!r}" for name in names)
        raise ParameterError(f"k={k!r}: a whole number of at least 1{choices}.")
