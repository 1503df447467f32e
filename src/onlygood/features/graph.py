"""The exported graph: the one way from images to patch features, for fitting and for inspecting."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from onlygood.errors import ModelFileError
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
        aggregator: `concat`, `adaptive` or `pooled`.
        size: Input side in pixels.
        grid: Patches `(h, w)` of one image.
        dim: Length of a patch feature.
        fine_tuned: What the backbone was fine-tuned with, empty if it was not.
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

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON types."""
        return asdict(self)

    @classmethod
    def from_dict(cls, table: dict[str, Any]) -> GraphSpec:
        """The inverse of `as_dict`."""
        return cls(**{**table, "layers": tuple(table["layers"]), "grid": tuple(table["grid"])})


class FeatureGraph:
    """An ONNX graph from uint8 images to patch features, run by ONNX Runtime.

    Input normalisation, the truncated backbone and the aggregation are all inside the graph. Calling is
    safe from several threads.

    Args:
        onnx: The serialised graph; input `images` uint8 `(n, size, size, 3)`, output `patches`.
        spec: What it is.
        threads: Threads of one call; None for all cores.
    """

    def __init__(self, onnx: bytes, spec: GraphSpec, threads: int | None = None) -> None:
        self.onnx = onnx
        self.spec = spec
        self.threads = threads
        self._session: Any = None
        self._lock = threading.Lock()

    def __call__(self, images: NDArray[np.uint8]) -> Features:
        """Patch features `(n, h, w, dim)` of uint8 images `(n, size, size, 3)`."""
        return np.asarray(self.session.run(None, {"images": images})[0], np.float32)

    @property
    def session(self) -> Any:
        """The ONNX Runtime session, made at first use."""
        with self._lock:
            if self._session is None:
                import onnxruntime

                options = onnxruntime.SessionOptions()
                options.intra_op_num_threads = self.threads or 0
                options.log_severity_level = 3
                try:
                    self._session = onnxruntime.InferenceSession(self.onnx, options, providers=["CPUExecutionProvider"])
                except Exception as error:  # the runtime has no common base class for its errors
                    raise ModelFileError(f"The feature graph cannot be loaded: {error}") from error
        return self._session

    def features(self, source: ImageSource) -> tuple[Features, tuple[int, int]]:
        """Patch features `(h, w, dim)` of one image, and its original `(width, height)`."""
        image = source.read()
        prepared = resize(image, self.spec.size, source.name)
        return self(prepared[None])[0], (image.shape[1], image.shape[0])

    def stream(self, sources: Sequence[ImageSource], batch: int = 8) -> Iterator[Features]:
        """Patch features `(n, h, w, dim)` of many images, batch by batch."""
        for start in range(0, len(sources), batch):
            part = sources[start : start + batch]
            yield self(np.stack([resize(source.read(), self.spec.size, source.name) for source in part]))
