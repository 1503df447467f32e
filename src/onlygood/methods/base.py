"""The detector contract: fit, score, inspect, save; common to every method."""

from __future__ import annotations

import copy
import datetime
import time
import warnings
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

import onlygood
from onlygood.calibration import Calibration
from onlygood.errors import DataWarning, NotFittedError, ParameterError, require
from onlygood.features import FeatureGraph, GraphSpec
from onlygood.features.engines import AUTO, DEFAULT, fastest, time_engines
from onlygood.images import ImageSource, as_sources, find_good_images
from onlygood.images.fingerprint import pixel_hash
from onlygood.images.preparing import resize
from onlygood.images.sources import Images, spread
from onlygood.inspection import Inspection, Region
from onlygood.methods.anomaly_map import anomaly_map, at_size, find_regions, image_score
from onlygood.methods.parameters import Parameters
from onlygood.modelfile import Parts, write_parts
from onlygood.parallel import in_order
from onlygood.progress import Report, Reporting, track

Features = NDArray[np.float32]

#: Training images on which engines are timed, at most.
TIMED_IMAGES = 15


@dataclass(frozen=True)
class Training:
    """What a detector was fitted on; recorded in the model file.

    Attributes:
        names: Names of the training images.
        hashes: SHA-256 of the pixels of each, first 16 digits.
        groups: Near-duplicate group of each.
        seconds: How long fitting took.
        date: When, ISO 8601 in UTC.
        notes: What was chosen on the way (K, alpha, fine-tuning), by parameter.
    """

    names: list[str] = field(default_factory=list)
    hashes: list[str] = field(default_factory=list)
    groups: list[int] = field(default_factory=list)
    seconds: float = 0.0
    date: str = ""
    notes: dict[str, Any] = field(default_factory=dict)


class Scored(NamedTuple):
    """What a method says of an image.

    Attributes:
        patches: Patch scores float32 `(h, w)`.
        score: Image score.
        size: Original `(width, height)`.
        branches: Where the patch scores are made of several, each of these by name, `(h, w)`.
    """

    patches: NDArray[np.float32]
    score: float
    size: tuple[int, int]
    branches: Mapping[str, NDArray[np.float32]] = MappingProxyType({})


@dataclass(kw_only=True, eq=False)
class Detector(Parameters, ABC):
    """Base of all detectors. The constructor only stores `Parameters`; attributes of a fit end in `_`."""

    graph_: FeatureGraph = field(init=False, repr=False)
    calibration_: Calibration = field(init=False, repr=False)
    training_: Training = field(init=False, repr=False)
    #: Of a method whose map is made of several: what each reaches in good images.
    branch_levels_: dict[str, float] = field(init=False, repr=False, default_factory=dict)

    # what a method has to say

    @abstractmethod
    def _fit(self, sources: list[ImageSource], report: Report) -> dict[str, Any]:
        """Set the fitted attributes, `graph_` and `calibration_` among them; return notes."""

    @abstractmethod
    def _patch_scores(self, features: Features) -> NDArray[np.float32]:
        """Patch scores `(h, w)` of patch features `(h, w, D)`."""

    @abstractmethod
    def _tensors(self) -> dict[str, NDArray[Any]]:
        """Fitted arrays for the model file."""

    @abstractmethod
    def _restore(self, parts: Parts) -> None:
        """Set the fitted attributes, except the common ones, from a model file."""

    def _blobs(self) -> dict[str, NDArray[np.uint8]]:
        """Further parts of the model file."""
        return {}

    # what everybody gets

    @property
    def has_map(self) -> bool:
        """Whether inspections have a map and regions; those of image-level methods have none."""
        return True

    @property
    def score_grid(self) -> tuple[int, int]:
        """Patch scores `(h, w)` of one image; of a fitted detector."""
        return self.graph_.spec.grid

    @property
    def needs_points(self) -> bool:
        """Whether images must be scans, with a point behind each pixel; known once fitted."""
        return False

    def fit(self, images: Images, *, progress: Report | None = None) -> Self:
        """Learn from good images.

        Args:
            images: A folder (`train/good` and `good` are found inside it), or images as
                `onlygood.images.as_sources` takes them.
            progress: Called as `progress(stage, done, total)`; None draws bars if standard error is a terminal.

        Returns:
            The detector itself. If fitting fails or is interrupted it is left as it was.

        Raises:
            DataError, ImageError, ParameterError, WeightsError, MissingDependencyError: As named.
        """
        self._check_parameters()
        started = time.perf_counter()
        folder = isinstance(images, str | Path) and Path(images).is_dir()
        sources = as_sources(find_good_images(images) if folder else images)  # type: ignore[arg-type]
        fitted = copy.copy(self)
        fitted.training_ = Training([source.name for source in sources])
        with Reporting(progress) as report:
            notes = fitted._fit(sources, report)
        done = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
        seconds = round(time.perf_counter() - started, 3)
        notes = {**fitted.training_.notes, **notes}
        fitted.training_ = replace(fitted.training_, seconds=seconds, date=done, notes=notes)
        fitted._warn_of_data()
        self.__dict__.update(fitted.__dict__)
        return self

    def score(self, images: Images, *, progress: Report | None = None) -> NDArray[np.float64]:
        """Raw image scores float64 `(n,)`: higher is more anomalous, never clamped."""
        return np.array([i.score for i in self.stream(images, maps=False, progress=progress)], np.float64)

    def inspect(
        self,
        images: Images,
        *,
        maps: bool = True,
        original_size: bool = False,
        progress: Report | None = None,
    ) -> list[Inspection]:
        """Inspect images.

        Args:
            images: As `onlygood.images.as_sources` takes them.
            maps: Whether to make anomaly maps and regions.
            original_size: Maps in the size of each image rather than in the detector's input size.
            progress: As in `fit`.

        Raises:
            NotFittedError, DataError, ImageError: As named.
        """
        return list(self.stream(images, maps=maps, original_size=original_size, progress=progress))

    def stream(
        self,
        images: Images,
        *,
        maps: bool = True,
        original_size: bool = False,
        progress: Report | None = None,
    ) -> Iterator[Inspection]:
        """As `inspect`, one by one, while the next ones are already worked on."""
        self._check_fitted()
        sources = as_sources(images)

        def one(source: ImageSource) -> Inspection:
            return self._inspect_one(source, maps and self.has_map, original_size)

        with Reporting(progress) as report:
            yield from track(in_order(one, sources, self.threads), "inspect", len(sources), report)

    def save(self, path: str | Path) -> None:
        """Write the fitted detector to one file, whole or not at all.

        Raises:
            NotFittedError: Nothing is fitted yet.
            ModelFileError: The file cannot be written.
        """
        self._check_fitted()
        parameters = {k: str(v) if isinstance(v, Path) else v for k, v in self.get_params().items()}
        manifest = {
            "method": self.method,
            "version": onlygood.__version__,
            "parameters": parameters,
            "features": self.graph_.spec.as_dict(),
            "calibration": self.calibration_.as_dict(),
            "training": self.training_.__dict__,
        }
        graph = np.frombuffer(self.graph_.onnx, np.uint8)
        write_parts(path, Parts(manifest, self._tensors(), {"features.onnx": graph, **self._blobs()}))

    @classmethod
    def _from_parts(
        cls, parts: Parts, engine: str | None = None, device: str | None = None, threads: int | None = None
    ) -> Self:
        manifest = parts.manifest
        known = set(cls.parameter_names())
        detector = cls(**{k: v for k, v in manifest["parameters"].items() if k in known})
        spec = GraphSpec.from_dict(manifest["features"])
        detector.threads = threads or detector.threads
        engine = engine or (DEFAULT if device else None)  # what is named must be had; what is recorded may be replaced
        detector.graph_ = FeatureGraph(
            parts.blobs["features.onnx"], spec, detector.threads, engine, device or detector.device
        )
        detector.calibration_ = Calibration.from_dict(manifest["calibration"])
        detector.training_ = Training(**manifest["training"])
        detector._restore(parts)
        return detector

    def add(self, images: Images, *, progress: Report | None = None) -> Self:
        """Put newly confirmed good images into the detector and recalibrate; bank methods only."""
        raise ParameterError(f"{self.method} keeps no memory bank; fit it anew with all good images.")

    def _inspect_one(self, source: ImageSource, with_map: bool, original_size: bool) -> Inspection:
        patches, score, size, branches = self._scores_of(source)
        return self._judge(source.name, patches, size, with_map, original_size, score, branches)

    def _judge(
        self,
        name: str,
        patches: NDArray[np.float32],
        size: tuple[int, int],
        with_map: bool = True,
        original_size: bool = False,
        score: float | None = None,
        branches: Mapping[str, NDArray[np.float32]] = MappingProxyType({}),
    ) -> Inspection:
        """Score, map, regions and verdict from the patch scores of an image; arguments as `Scored`.

        The image score is made of the patch scores unless it is given.
        """
        width, height = size
        if score is None:
            score = self._image_score(patches)
        map_: NDArray[np.float32] | None = None
        maps: dict[str, NDArray[np.float32]] = {}
        regions: tuple[Region, ...] = ()
        if with_map:
            map_ = self._map(patches)
            maps = {name: self._map(one) for name, one in branches.items()}
            regions = find_regions(map_, self.calibration_.pixel_threshold, width, height, maps, self.branch_levels_)
            if original_size:
                map_ = at_size(map_, width, height)
                maps = {name: at_size(one, width, height) for name, one in maps.items()}
        return Inspection(
            name=name,
            score=score,
            p_value=float(self.calibration_.p_values([score])[0]),
            verdict=self.calibration_.verdict(score),
            map=map_,
            regions=regions,
            size=size,
            maps=maps,
            levels=dict(self.branch_levels_) if maps else {},
        )

    def _scores_of(self, source: ImageSource) -> Scored:
        """Patch scores and image score of an image."""
        features, size = self._features_at(source)
        patches = self._patch_scores(features)
        return Scored(patches, self._image_score(patches), size)

    def _maps_of(
        self, features: Features, image: NDArray[np.uint8]
    ) -> tuple[NDArray[np.float32], dict[str, NDArray[np.float32]]]:
        """Patch scores `(h, w)`, and those of single branches, of patch features `(h, w, D)` and the prepared image."""
        return self._patch_scores(features), {}

    def _features_at(self, source: ImageSource) -> tuple[Features, tuple[int, int]]:
        """Patch features `(h, w, D)` of an image, and its original `(width, height)`."""
        return self.graph_.features(source)

    def _image_score(self, patches: NDArray[np.float32]) -> float:
        """The image score that `image_score` names, of patch scores `(h, w)`."""
        return image_score(patches, self.image_score, self.size, self.map_sigma)

    def _map(self, patches: NDArray[np.float32]) -> NDArray[np.float32]:
        """Anomaly map `(size, size)` of patch scores `(h, w)`."""
        return anomaly_map(patches, self.size, self.map_sigma, self._taps)

    @property
    def _taps(self) -> int | None:
        """Length of the map's Gaussian kernel in pixels; see `anomaly_map`."""
        return None

    def _default_layers(self) -> Sequence[str] | None:
        """Feature maps used where `layers` is None; None for the aggregator's own default."""
        return None

    def _feature_graph(self, patch: int = 3) -> FeatureGraph:
        """Export the pretrained backbone; torch is imported here and not before. `patch`: see `build_feature_graph`."""
        require("torch", "fit", "Fitting")
        from onlygood.features.export import build_feature_graph

        return build_feature_graph(
            self.backbone,
            size=self.size,
            layers=self.layers or self._default_layers(),
            aggregator=self.aggregator,
            patch=patch,
            weights=self.weights,
            threads=self.threads,
        )

    def _ready(self, graph: FeatureGraph, sources: Sequence[ImageSource], report: Report) -> FeatureGraph:
        """The exported graph in the precision asked for, on the engine asked for; notes are recorded on the way."""
        engine, notes = self.engine, self.training_.notes
        if self.precision == "int8":
            from onlygood.features.quantize import CALIBRATION_IMAGES, quantized

            graph = quantized(graph, self._some(sources, CALIBRATION_IMAGES, "quantise", report))
        if engine == AUTO:
            engine = DEFAULT
            if self.device == "cpu":
                images = self._some(sources, TIMED_IMAGES, "choose engine", report)
                notes["engine_ms"] = time_engines(graph.onnx, images, self.threads)
                notes["engine"] = engine = fastest(notes["engine_ms"])
        return FeatureGraph(graph.onnx, replace(graph.spec, engine=engine), self.threads, engine, self.device)

    def _some(self, sources: Sequence[ImageSource], count: int, stage: str, report: Report) -> NDArray[np.uint8]:
        """Training images uint8 `(n, size, size, 3)`, evenly spread over all, `count` at most."""
        chosen = [sources[i] for i in spread(len(sources), count)]
        return np.stack([resize(s.read(), self.size, s.name) for s in track(chosen, stage, len(chosen), report)])

    def _features_of(self, sources: Sequence[ImageSource], report: Report) -> Iterator[Features]:
        """Patch features `(n, h, w, D)` of training images, in small batches; pixel hashes are recorded on the way."""
        batch: list[Any] = []
        images = in_order(self._prepared_to_learn, sources, self.threads)
        for digest, image in track(images, "features", len(sources), report):
            self.training_.hashes.append(digest)
            batch.append(image)
            if len(batch) == 8:
                yield self._features_of_batch(batch)
                batch = []
        if batch:
            yield self._features_of_batch(batch)

    def _prepared_to_learn(self, source: ImageSource) -> tuple[str, Any]:
        """Pixel hash of a training image, and what `_features_of_batch` takes of it; called from several threads."""
        image = source.read()
        return pixel_hash(image), resize(image, self.size, source.name)

    def _prepared_at(self, source: ImageSource) -> tuple[Any, tuple[int, int]]:
        """What `_features_of_batch` takes of an image, and its original `(width, height)`."""
        image = source.read()
        return resize(image, self.size, source.name), (image.shape[1], image.shape[0])

    def _features_of_batch(self, batch: Sequence[Any]) -> Features:
        """Patch features `(n, h, w, D)` of prepared images."""
        return self.graph_(np.stack(batch))

    def _warn_of_data(self) -> None:
        training = self.training_
        if len(training.names) == 1:
            warnings.warn(
                "Fitted on a single image: nothing can be calibrated, so every verdict is REVIEW. Add good images.",
                DataWarning,
                stacklevel=3,
            )
        first: dict[str, str] = {}
        for name, digest in zip(training.names, training.hashes):
            if digest in first:
                warnings.warn(
                    f"Training images {first[digest]} and {name} are the same picture. Copies weaken the "
                    "false-reject promise; they are counted once. Remove one.",
                    DataWarning,
                    stacklevel=3,
                )
                break
            first[digest] = name

    def _check_fitted(self) -> None:
        if not hasattr(self, "calibration_"):
            raise NotFittedError(f"This {type(self).__name__} is not fitted yet. Call fit(good_images) first.")
