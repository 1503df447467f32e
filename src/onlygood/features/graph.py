"""The exported graph: the one way from images to patch features, for fitting and for inspecting."""

from __future__ import annotations

import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from onlygood.errors import DataWarning, OnlyGoodError
from onlygood.features.engines import DEFAULT, Engine, make_engine
from onlygood.images.preparing import resize
from onlygood.images.sources import ImageSource

Features = NDArray[np.float32]


@dataclass(frozen=True)
class GraphSpec:
    """What a feature graph computes and from what it was made.

    Attributes:
        backbone: Weights id, `source/architecture/tag`.
        weights_sha256: Hash of the weight file; empty for an untrained network.
        weights_license: Licence of the weights; empty unless they are published ones.
        layers: Steps whose maps are used.
        aggregator: Name, as `features.aggregation.build_aggregator` takes it.
        size: Input side in pixels.
        grid: Patches `(h, w)` of one image.
        dim: Length of a patch feature.
        fine_tuned: What the backbone was fine-tuned with, empty if it was not.
        precision: `float32`, or `int8` for a graph that was quantised before the bank was made.
        engine: What ran it when fitting.
        patch: Side of the neighbourhood that `concat` and `adaptive` take the mean of, in cells.
        embedding: Length of the image embedding, the second output; 0 if there is none.
    """

    backbone: str
    weights_sha256: str
    weights_license: str
    layers: tuple[str, ...]
    aggregator: str
    size: int
    grid: tuple[int, int]
    dim: int
    fine_tuned: str = ""
    precision: str = "float32"
    engine: str = DEFAULT
    patch: int = 3
    embedding: int = 0

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON types."""
        return asdict(self)

    @classmethod
    def from_dict(cls, table: dict[str, Any]) -> GraphSpec:
        """The inverse of `as_dict`."""
        return cls(**{**table, "layers": tuple(table["layers"]), "grid": tuple(table["grid"])})


#: Called with each engine that a graph makes and the graph; gives the engine that is used in its place.
Wrapping = Callable[[Engine, "FeatureGraph"], Engine]
_wrapping: Wrapping | None = None


@contextmanager
def engines_wrapped(wrapping: Wrapping) -> Iterator[None]:
    """Within the block, in all threads, the engines of feature graphs are wrapped (`evaluation.runs.features`)."""
    global _wrapping
    before, _wrapping = _wrapping, wrapping
    try:
        yield
    finally:
        _wrapping = before


class FeatureGraph:
    """An ONNX graph from uint8 images to patch features, and the engine that runs it.

    Input normalisation, the truncated backbone and the aggregation are all inside the graph. Calling is
    safe from several threads.

    Args:
        onnx: The serialised graph, as bytes or uint8 `(b,)` (mapped from a model file); input `images` uint8
            `(n, size, size, 3)`, output `patches`. Empty where there is none.
        spec: What it is.
        threads: Threads of one call; None for all cores.
        engine: `onnxruntime` or `openvino`. None takes the one of the specification on this device, and ONNX Runtime
            on the CPU where that cannot be had.
        device: `cpu` or `cuda`.
    """

    def __init__(
        self,
        onnx: bytes | NDArray[np.uint8],
        spec: GraphSpec,
        threads: int | None = None,
        engine: str | None = None,
        device: str = "cpu",
    ) -> None:
        self._onnx = onnx
        self.spec = spec
        self.threads = threads
        self.device = device
        self._name = engine
        self._engine: Engine | None = None
        self._lock = threading.Lock()

    @property
    def onnx(self) -> bytes:
        """The serialised graph; if it is mapped, a copy each time, which nobody needs to keep."""
        return bytes(self._onnx)

    @property
    def is_empty(self) -> bool:
        """Whether there is no graph: what looks at points alone has none."""
        return not len(self._onnx)

    def __call__(self, images: NDArray[np.uint8]) -> Features:
        """Patch features `(n, h, w, dim)` of uint8 images `(n, size, size, 3)`."""
        return self.engine.run(images)

    def with_embeddings(self, images: NDArray[np.uint8]) -> tuple[Features, Features]:
        """Patch features `(n, h, w, dim)` and image embeddings `(n, E)`; of a graph that has both (`pyramid`)."""
        outputs = self.engine.run_named({"images": images})
        return outputs["patches"], outputs["embedding"]

    @property
    def engine(self) -> Engine:
        """The engine, made at first use.

        Raises:
            MissingDependencyError: The one that was named, or its device, cannot be had.
            ModelFileError: The graph is damaged.
        """
        with self._lock:
            if self._engine is None:
                name = self._name or self.spec.engine
                try:
                    self._engine = make_engine(name, self.onnx, self.threads, self.device)
                except OnlyGoodError:
                    if self._name is not None:
                        raise
                    self._engine = make_engine(DEFAULT, self.onnx, self.threads)
                if self.spec.precision == "int8" and self._engine.name != self.spec.engine:
                    warnings.warn(
                        f"This int8 graph was fitted with {self.spec.engine} and runs with {self._engine.name}, which "
                        f"rounds otherwise: scores differ by a few percent. Use {self.spec.engine}, or fit anew.",
                        DataWarning,
                        stacklevel=3,
                    )
                if _wrapping is not None:
                    self._engine = _wrapping(self._engine, self)
        return self._engine

    def features(self, source: ImageSource) -> tuple[Features, tuple[int, int]]:
        """Patch features `(h, w, dim)` of one image, and its original `(width, height)`."""
        image = source.read()
        prepared = resize(image, self.spec.size, source.name)
        return self(prepared[None])[0], (image.shape[1], image.shape[0])
