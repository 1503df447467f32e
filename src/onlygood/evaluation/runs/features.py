"""Features computed once and shared by runs: what the backbone says of an image, kept in a folder.

An image is known by its prepared pixels, a backbone with its layers, size and aggregation by the exported graph.
Features are kept in single precision, as the engine gave them, so that a run has the same scores with them as without.
"""

from __future__ import annotations

import hashlib
import shutil
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from onlygood.evaluation.machine import machine
from onlygood.features.engines import Engine, Features, Images, Inputs, Outputs
from onlygood.features.graph import FeatureGraph, engines_wrapped
from onlygood.files import replacing

#: Bytes of the disk that are left free: nothing more is kept beyond that, and the run goes on all the same.
LEFT_FREE = 2**30


class SharedFeatures:
    """A folder of features that many runs, in any number of processes, read and add to.

    Only graphs on the CPU that were not fine-tuned take part: of a GPU nothing promises the same bits for one image as
    for eight at a time, and a fine-tuned backbone is of one run.

    Args:
        folder: Made if it is not there. May be deleted at any time.

    Attributes:
        found: Images whose features were there.
        computed: Images whose features were not.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        self.found = self.computed = 0
        self._lock = threading.Lock()
        self._paused = False

    @contextmanager
    def used(self) -> Iterator[SharedFeatures]:
        """Within the block, graphs that run for the first time take their features from the folder."""
        with engines_wrapped(self._wrap):
            yield self

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Within the block everything is computed, as if there were no folder: for measuring times."""
        self._paused = True
        try:
            yield
        finally:
            self._paused = False

    def _wrap(self, engine: Engine, graph: FeatureGraph) -> Engine:
        if engine.device != "cpu" or graph.spec.fine_tuned:
            return engine
        # another version or another processor may round otherwise
        version = getattr(sys.modules.get(engine.name), "__version__", "")
        made_by = f"{engine.name} {version} {machine()['cpu']}"
        name = hashlib.sha256(hashlib.sha256(graph.onnx).digest() + made_by.encode()).hexdigest()[:32]
        outputs = ("patches", "embedding") if graph.spec.embedding else ("patches",)
        return cast(Engine, _Sharing(engine, self, self.folder / name, outputs))

    def _count(self, found: int, computed: int) -> None:
        with self._lock:
            self.found += found
            self.computed += computed


class _Sharing:
    """An engine that looks into the folder first."""

    def __init__(self, engine: Engine, shared: SharedFeatures, folder: Path, outputs: Sequence[str]) -> None:
        self.name = engine.name
        self.device = engine.device
        self._engine, self._shared, self._folder, self._outputs = engine, shared, folder, tuple(outputs)

    def run(self, images: Images) -> Features:
        """As `Engine.run`."""
        if self._shared._paused:
            return self._engine.run(images)
        first = self._outputs[0]
        return self._all(images, [first], lambda some: {first: self._engine.run(some)})[first]

    def run_named(self, inputs: Inputs) -> Outputs:
        """As `Engine.run_named`."""
        if self._shared._paused or set(inputs) != {"images"}:
            return self._engine.run_named(inputs)
        return self._all(inputs["images"], self._outputs, lambda some: self._engine.run_named({"images": some}))

    def _all(self, images: Images, outputs: Sequence[str], compute: Any) -> Outputs:
        names = [hashlib.blake2b(np.ascontiguousarray(one).tobytes(), digest_size=16).hexdigest() for one in images]
        kept = [self._read(name, outputs) for name in names]
        missing = [place for place, one in enumerate(kept) if one is None]
        if missing:
            new = compute(images[missing] if len(missing) < len(images) else images)
            for row, place in enumerate(missing):
                kept[place] = {output: new[output][row] for output in outputs}
                self._write(names[place], kept[place])
        self._shared._count(len(images) - len(missing), len(missing))
        return {output: np.stack([one[output] for one in kept if one is not None]) for output in outputs}

    def _path(self, name: str, output: str) -> Path:
        return self._folder / name[:2] / f"{name}-{output}.npy"

    def _read(self, name: str, outputs: Sequence[str]) -> dict[str, NDArray[np.float32]] | None:
        try:
            found = {output: np.load(self._path(name, output), mmap_mode="r") for output in outputs}
        except (OSError, ValueError, EOFError):  # not there, or no such file any more
            return None
        return found if all(one.dtype == np.float32 for one in found.values()) else None

    def _write(self, name: str, features: Any) -> None:
        try:
            for output, array in features.items():
                path = self._path(name, output)
                path.parent.mkdir(parents=True, exist_ok=True)
                if shutil.disk_usage(path.parent).free < LEFT_FREE + array.nbytes:
                    return
                with replacing(path) as partial, partial.open("wb") as file:
                    np.save(file, array)
        except OSError:  # a full or read-only disk costs time, not the run
            return


def folder_size(folder: Path) -> int:
    """Bytes of all files in a folder; 0 if it is not there."""
    return sum(path.stat().st_size for path in folder.rglob("*.npy")) if folder.is_dir() else 0
