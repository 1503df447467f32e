"""A trained head: the second graph, from patch features to what a detector makes of them."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
from numpy.typing import NDArray

from onlygood.features.engines import Engine, Outputs, make_engine
from onlygood.features.graph import FeatureGraph


class Head:
    """An ONNX graph behind a feature graph, run by the same engine, with the same threads, on the same device.

    Calling is safe from several threads.

    Args:
        onnx: The serialised graph; input `features` float32 `(n, h, w, D)`, outputs by name.
        graph: The feature graph before it.
    """

    def __init__(self, onnx: bytes, graph: FeatureGraph) -> None:
        self.onnx = onnx
        self.graph = graph
        self._engine: Engine | None = None
        self._lock = threading.Lock()

    def __call__(self, features: NDArray[np.float32], **others: NDArray[Any]) -> Outputs:
        """Outputs by name, in the graph's order, of patch features `(n, h, w, D)` and what else the graph takes."""
        return self.engine.run_named({"features": features, **others})

    @property
    def engine(self) -> Engine:
        """The engine, made at first use; errors as `FeatureGraph.engine`."""
        first = self.graph.engine
        with self._lock:
            if self._engine is None:
                self._engine = make_engine(first.name, self.onnx, self.graph.threads, first.device)
        return self._engine
