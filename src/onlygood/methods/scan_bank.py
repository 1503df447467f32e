"""Detectors with a memory bank of scans: colour, geometry, or both in one patch vector (BTF, BTM)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from onlygood.errors import DataError, ImageError, ParameterError, require
from onlygood.features import FeatureGraph, GraphSpec
from onlygood.features.fpfh import LENGTH
from onlygood.features.geometry import Geometry
from onlygood.images import ImageSource, resize, resize_points
from onlygood.images.fingerprint import pixel_hash
from onlygood.images.scan_foreground import foreground_of
from onlygood.memory import MemoryBank, greedy_coreset
from onlygood.memory.bank import Vectors, halved
from onlygood.memory.coreset import johnson_lindenstrauss
from onlygood.methods.bank import BankDetector
from onlygood.methods.base import Features
from onlygood.modelfile import Parts
from onlygood.progress import Report

Array = NDArray[np.float32]

MODALITIES = ("auto", "rgb", "fpfh", "rgb+fpfh")


@dataclass(frozen=True)
class _Prepared:
    """A scan at the detector's size: hash of its picture, picture, patch geometry and original (width, height)."""

    digest: str
    picture: NDArray[np.uint8] | None
    geometry: Array | None
    size: tuple[int, int]


@dataclass(kw_only=True, eq=False)
class ScanDetector(BankDetector):
    """Nearest neighbours among the patches of good scans.

    A patch vector is the backbone's feature of the picture, the FPFH of the points, or both joined. Pictures without
    points are inspected by their colours alone.

    Args:
        modality: `rgb`, `fpfh`, `rgb+fpfh`, or `auto`: what the training scans have.
        geometry_weight: FPFH is multiplied by it in `rgb+fpfh`; 1 is the papers'. None brings both to the same total
            variance over the good patches, whatever the backbone's features are scaled like.
        neighbours: Points of a histogram, the point itself counted.
        radius: Farther points do not count, in the unit of the scans; None for any distance.
        normal_neighbours: Points of a normal.
        normal_radius: As `radius`, for normals.
        foreground: Points nearer to the table's plane than this, in the unit of the scans, are taken out of points and
            picture, and so is what does not hang together with the part; 0.005 in BTF's preparation, in metres. None
            leaves scans as they are.
    """

    coreset: float = 0.1
    modality: str = "auto"
    geometry_weight: float | None = None
    neighbours: int = 100
    radius: float | None = None
    normal_neighbours: int = 30
    normal_radius: float | None = None
    foreground: float | None = None

    #: Sizes in metres, as in BTF's released code; the objects are smaller, so it is the neighbours that count.
    _released: ClassVar[dict[str, Any]] = {"geometry_weight": 1.0, "radius": 0.25, "normal_radius": 0.1}

    modality_: str = field(init=False, repr=False)
    geometry_weight_: float = field(init=False, repr=False)

    # fitting

    def _fit(self, sources: list[ImageSource], report: Report) -> dict[str, Any]:
        self.modality_ = self._modality_of(sources)
        self.geometry_weight_ = 1.0
        if self.needs_points:
            require("scipy", "3d", "The geometry of scans (FPFH)")  # said before the backbone is loaded
        self.graph_ = self._graph(sources, report)
        full = MemoryBank.from_stream(self._features_of(sources, report), len(sources))
        if self.modality_ == "rgb+fpfh":
            weight = self.geometry_weight
            self.geometry_weight_ = balance(full.vectors, self._colours) if weight is None else float(weight)
            for start in range(0, len(full), 65_536):
                part = slice(start, start + 65_536)
                full.vectors[part] = self._weighted(full.vectors[part])
        self._learn(full, report)
        notes: dict[str, Any] = {"modality": self.modality_} if self.modality == "auto" else {}
        if self.modality_ == "rgb+fpfh" and self.geometry_weight is None:
            notes["geometry_weight"] = self.geometry_weight_
        return notes

    def _modality_of(self, sources: Sequence[ImageSource]) -> str:
        if self.modality != "auto":
            return self.modality
        scans = [source for source in sources if source.is_scan]
        if not scans:
            return "rgb"
        if len(scans) < len(sources):
            picture = next(source for source in sources if not source.is_scan)
            raise DataError(
                f"{len(scans)} of {len(sources)} images are scans, {picture.name} is a picture without points. Fit on "
                "scans alone, or with modality=rgb."
            )
        coloured = [source.content is not None for source in sources]
        if all(coloured):
            return "rgb+fpfh"
        if any(coloured):
            raise DataError(
                f"The scan {sources[coloured.index(False)].name} has no picture while others have. Fit on scans of one "
                "kind, or with modality=fpfh."
            )
        return "fpfh"

    def _graph(self, sources: list[ImageSource], report: Report) -> FeatureGraph:
        """The backbone's graph, its vector length that of the whole patch; an empty one for geometry alone."""
        if not self._sees_colours:
            if self.size % 32 or not 64 <= self.size <= 2048:
                raise ParameterError(f"size={self.size}: the input side is a multiple of 32 from 64 to 2048.")
            grid = (self.size // 8, self.size // 8)
            return FeatureGraph(b"", GraphSpec("", "", "", (), self.aggregator, self.size, grid, LENGTH), self.threads)
        graph = self._ready(self._make_graph(sources, report), sources, report)
        if self._sees_points:
            graph.spec = replace(graph.spec, dim=graph.spec.dim + LENGTH)
        return graph

    def _pick(self, full: MemoryBank, count: int, report: Report) -> NDArray[np.int64]:
        """As BTF's released code: from the first vector on, in a projection that keeps distances (JL, 0.9)."""
        width = johnson_lindenstrauss(len(full))
        return greedy_coreset(full.vectors, count, seed=self.seed, start=0, projection=width, report=report)

    def _keep_choices(self, fitted: Any) -> None:
        self.modality_, self.geometry_weight_ = fitted.modality_, fitted.geometry_weight_

    # features

    @property
    def _sees_colours(self) -> bool:
        return "rgb" in self.modality_

    @property
    def _sees_points(self) -> bool:
        return "fpfh" in self.modality_

    @property
    def needs_points(self) -> bool:
        """Whether images must be scans."""
        return self._sees_points or self.foreground is not None

    @property
    def _colours(self) -> int:
        """Numbers of a patch vector that come from the picture; geometry stands behind them."""
        return self.graph_.spec.dim - LENGTH * self._sees_points

    @property
    def _geometry(self) -> Geometry:
        padded = self.aggregator != "btf"
        return Geometry(self.neighbours, self.radius, self.normal_neighbours, self.normal_radius, padded)

    def _prepared_to_learn(self, source: ImageSource) -> tuple[str, _Prepared]:
        scan = self._prepared(source, hashed=True)
        return scan.digest, scan

    def _features_at(self, source: ImageSource) -> tuple[Features, tuple[int, int]]:
        scan, size = self._prepared_at(source)
        return self._features_of_batch([scan])[0], size

    def _prepared_at(self, source: ImageSource) -> tuple[_Prepared, tuple[int, int]]:
        scan = self._prepared(source)
        return scan, scan.size

    def _prepared(self, source: ImageSource, hashed: bool = False) -> _Prepared:
        """Read and resize; safe from several threads."""
        if self._sees_colours and source.content is None:
            raise DataError(f"The scan {source.name} has no picture, which modality={self.modality_} needs.")
        picture = source.read() if self._sees_colours or hashed else None
        points = source.read_points() if self.needs_points else None
        if picture is not None and points is not None and picture.shape[:2] != points.shape[:2]:
            (h, w), (rows, columns) = picture.shape[:2], points.shape[:2]
            raise ImageError(
                f"The picture of {source.name} has {w} x {h} pixels, its points are {columns} x {rows}. A scan has one "
                "point for each pixel: take files that the sensor registered to each other."
            )
        first = picture if picture is not None else points
        assert first is not None
        height, width = first.shape[:2]
        digest = pixel_hash(picture) if hashed and picture is not None else ""
        seen = resize(picture, self.size, source.name) if picture is not None and self._sees_colours else None
        geometry = None
        if points is not None:
            small = resize_points(points, self.size)
            if self.foreground is not None:
                part = foreground_of(small, self.foreground, source.name, self.seed)
                small = np.where(part[..., None], small, np.float32(np.nan))
                seen = None if seen is None else np.where(part[..., None], seen, np.uint8(0))
            if self._sees_points:
                geometry = self._geometry.patches(small, self.graph_.spec.grid, source.name, self.threads)
        return _Prepared(digest, seen, geometry, (width, height))

    def _features_of_batch(self, scans: Sequence[_Prepared]) -> Any:
        """Patch vectors `(n, h, w, D)`; float16 where there is geometry."""
        parts = []
        if self._sees_colours:
            parts.append(self.graph_(np.stack([scan.picture for scan in scans if scan.picture is not None])))
        if self._sees_points:
            parts.append(np.stack([scan.geometry for scan in scans if scan.geometry is not None]))
        if len(parts) == 1:
            return parts[0]
        return self._weighted(halved(np.concatenate(parts, axis=-1)))

    def _weighted(self, vectors: Vectors) -> Vectors:
        """Geometry weighted, rounded before and after: the bank is weighted once it is known, and rounded by then."""
        if self.geometry_weight_ == 1:
            return vectors
        weighted = vectors.copy()
        geometry = vectors[..., self._colours :].astype(np.float32)
        weighted[..., self._colours :] = halved(geometry * np.float32(self.geometry_weight_))
        return weighted

    # storing

    def _restore(self, parts: Parts) -> None:
        super()._restore(parts)
        notes = self.training_.notes
        self.modality_ = str(notes.get("modality", self.modality))
        self.geometry_weight_ = float(notes.get("geometry_weight", self.geometry_weight or 1))

    def _check_parameters(self) -> None:
        super()._check_parameters()
        self._check_known("modality", MODALITIES)
        for name in ("geometry_weight", "radius", "normal_radius", "foreground"):
            value = getattr(self, name)
            if value is not None and not (isinstance(value, int | float) and 0 < value < np.inf):
                raise ParameterError(f"{name}={value!r}: a number above 0, or none.")
        for name in ("neighbours", "normal_neighbours"):
            value = getattr(self, name)
            if not isinstance(value, int) or isinstance(value, bool) or value < 3:
                raise ParameterError(f"{name}={value!r}: a whole number of at least 3, the point itself counted.")


def balance(vectors: Vectors, split: int) -> float:
    """What geometry is multiplied by so that its total variance over the good patches is that of colour.

    Two good patches taken at random are then, on average, equally far apart in both.

    Args:
        vectors: Patch vectors `(N, D)`, colour first.
        split: Numbers of colour.

    Returns:
        The weight; 1 where one of the variances is 0.
    """
    blocks = [vectors[start : start + 16_384] for start in range(0, len(vectors), 16_384)]
    mean = sum(block.sum(axis=0, dtype=np.float64) for block in blocks) / len(vectors)
    variance = sum(((block - mean) ** 2).sum(axis=0) for block in blocks)
    colour, geometry = float(variance[:split].sum()), float(variance[split:].sum())
    return float(np.sqrt(colour / geometry)) if min(colour, geometry) > 0 else 1.0
