"""onlygood as a child process that answers as the peers do. See README.md for the steps.

Only `fit` imports torch, so a process that loads and inspects has the memory of inspecting.
"""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from protocol import Channel

channel = Channel()

from onlygood.evaluation.speed import measure_speed, recall_of, timed_load  # noqa: E402
from onlygood.methods import Detector, find_method  # noqa: E402
from onlygood.methods.bank import BankDetector  # noqa: E402
from onlygood.progress import silent  # noqa: E402

MODEL = "model.og"


def fit(
    images: list[str],
    into: str,
    threads: int,
    backbone: str,
    weights: str | None = None,
    size: int = 256,
    coreset_ratio: float = 1.0,
    index: str = "auto",
    method: str = "reb",
    seed: int = 0,
    device: str = "cpu",
) -> dict[str, Any]:
    """Image files to a model file, calibration included."""
    folder = Path(into)
    folder.mkdir(parents=True, exist_ok=True)
    asked = {"backbone": backbone, "weights": weights, "size": size, "threads": threads, "seed": seed}
    asked["device"] = device
    started = time.perf_counter()
    detector = find_method(method)(**asked, coreset=coreset_ratio, index=index)
    detector.fit(images, progress=silent)
    detector.save(folder / MODEL)
    seconds = time.perf_counter() - started
    assert isinstance(detector, BankDetector)
    grid = detector.graph_.spec.grid
    return {
        "seconds": seconds,
        "seconds_whole": seconds,
        "file_mib": (folder / MODEL).stat().st_size / 2**20,
        "vectors": len(images) * grid[0] * grid[1],
        "dim": detector.graph_.spec.dim,
        "bank": len(detector.bank_),
        "index": detector.index_.kind,
        "weights": detector.graph_.spec.backbone,
    }


loaded: dict[str, Detector] = {}


def load(
    folder: str, threads: int, route: str = "onnxruntime", index: str | None = None, device: str | None = None
) -> dict[str, Any]:
    """Make an engine ready; `index` `exact` replaces the graph that was fitted. Imports are in the seconds."""
    loaded[route], seconds = timed_load(Path(folder) / MODEL, engine=route, device=device, threads=threads)
    if index == "exact":
        from onlygood.memory import ExactIndex

        detector = loaded[route]
        assert isinstance(detector, BankDetector)
        started = time.perf_counter()
        detector.index_ = ExactIndex(detector.bank_.vectors, threads)
        seconds += time.perf_counter() - started
    return {"seconds": seconds}


def inspect(images: list[str], route: str = "onnxruntime") -> dict[str, Any]:
    """Image files to score, map, regions and verdict, one at a time."""
    detector = loaded[route]
    milliseconds, scores, shape = [], [], []
    for image in images:
        started = time.perf_counter()
        found = detector.inspect([image], progress=silent)[0]
        milliseconds.append(1000 * (time.perf_counter() - started))
        scores.append(found.score)
        shape = [] if found.map is None else list(found.map.shape)
    return {"milliseconds": milliseconds, "scores": scores, "map_shape": shape}


def speed(images: list[str], route: str = "onnxruntime", repeats: int = 5, patches: int = 1000) -> dict[str, Any]:
    """Each step of inspecting, as `onlygood bench speed` measures it."""
    return measure_speed(loaded[route], images, repeats=repeats, recall_patches=patches).as_dict()


def recall(images: list[str], route: str = "onnxruntime", patches: int = 1000) -> dict[str, Any]:
    """Recall of the nearest-neighbour search for patches of these images."""
    found = recall_of(loaded[route], images, patches)
    if found is None:
        return {"recall": None, "deciding": None, "patches": None}
    return {"recall": found.value, "deciding": found.deciding, "patches": found.patches}


def steady(
    images: list[str], count: int, route: str = "onnxruntime", workers: int = 1, every: int = 500
) -> dict[str, Any]:
    """Inspect again and again from several threads; resident memory along the way, and scores that changed."""
    detector = loaded[route]
    first = {image: detector.inspect([image], progress=silent)[0].score for image in images}

    def differs(number: int) -> bool:
        image = images[number % len(images)]
        return detector.inspect([image], progress=silent)[0].score != first[image]

    memory, different = [[0, resident_mib()]], 0
    started = time.perf_counter()
    with ThreadPoolExecutor(workers) as pool:
        for begin in range(0, count, every):
            end = min(begin + every, count)
            different += sum(pool.map(differs, range(begin, end)))
            memory.append([end, resident_mib()])
    return {"seconds": time.perf_counter() - started, "memory_mib": memory, "different": different}


def resident_mib() -> float:
    """Resident memory of this process now (Linux)."""
    lines = Path("/proc/self/status").read_text("ascii").splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmRSS:"))


if __name__ == "__main__":
    from onlygood.evaluation.machine import versions

    steps = {"fit": fit, "load": load, "inspect": inspect, "speed": speed, "recall": recall, "steady": steady}
    channel.serve(steps, versions())
