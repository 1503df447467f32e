"""How long each step of inspecting takes, and how much the neighbour search finds. Measures; prints nothing."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from onlygood.errors import ParameterError
from onlygood.images import ImageSource, as_sources
from onlygood.images.sources import Images
from onlygood.progress import Report, silent, track

if TYPE_CHECKING:
    from onlygood.methods import Detector

#: Steps of inspecting in their order, and what each does.
STAGES = {
    "read": "read and resize",  # of scans the geometry, too
    "backbone": "backbone",
    "search": "neighbour search",
    "score": "score, map, regions",
    "whole": "whole inspection",
}
#: Inspections before the clock counts: engines and caches take their memory in the first ones.
WARM_UP = 3
Vectors = NDArray[np.floating[Any]]

#: Bank vectors that the exact search looks at together.
_BLOCK = 4096


@dataclass(frozen=True)
class Timing:
    """One step, done many times.

    Attributes:
        median_ms, p95_ms: Median and 95th percentile in milliseconds.
        runs: How often it was timed.
    """

    median_ms: float
    p95_ms: float
    runs: int

    @classmethod
    def of(cls, seconds: list[float]) -> Timing:
        """Of single times in seconds."""
        ms = 1000 * np.asarray(seconds, np.float64)
        return cls(float(np.median(ms)), float(np.percentile(ms, 95)), len(seconds))


@dataclass(frozen=True)
class Recall:
    """How often the index of a bank finds a nearest neighbour that is truly the nearest.

    Attributes:
        value: Share of the patches, 0 to 1. One of several equally near vectors counts as found.
        deciding: The same of patches that decide their image's score, at which a graph looks twice.
        patches: Patches asked about, of either kind.
        vectors: Vectors in the bank.
    """

    value: float
    deciding: float
    patches: int
    vectors: int


@dataclass(frozen=True)
class Speed:
    """What was measured of a detector.

    Attributes:
        stages: Timing of each step of `STAGES` by name, one image at a time; `search` is missing where a method
            has no memory bank, `backbone` where it looks at points alone. Each is timed by itself, so they add up to
            the whole only nearly.
        first_ms: The very first inspection: the engine was not yet made, unless the detector had been used before.
        images_per_second: Of a whole list of images (`Detector.stream`), the median of the rounds.
        recall: Of the nearest-neighbour search; None where a method has no memory bank.
        images, repeats, warm_up: Images, rounds over all of them, and inspections before that which do not count.
    """

    stages: dict[str, Timing]
    first_ms: float
    images_per_second: float
    recall: Recall | None
    images: int
    repeats: int
    warm_up: int

    @property
    def whole_over_backbone(self) -> float | None:
        """Median of the whole inspection over the median of the backbone alone; None without a backbone."""
        backbone = self.stages.get("backbone")
        return self.stages["whole"].median_ms / backbone.median_ms if backbone else None

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON types."""
        return {**asdict(self), "whole_over_backbone": self.whole_over_backbone}


def model_bytes(detector: Detector) -> int:
    """Size of a fitted detector's model file."""
    with tempfile.TemporaryDirectory(prefix="onlygood-") as folder:
        path = Path(folder) / "model.og"
        detector.save(path)
        return path.stat().st_size


def measure_speed(
    detector: Detector,
    images: Images,
    *,
    repeats: int = 5,
    recall_patches: int = 1000,
    seed: int = 0,
    progress: Report | None = None,
) -> Speed:
    """Time every step of inspecting, one image at a time.

    For each image in turn all steps are run one by one and the whole is run from its file on, in turns the one
    and the other first, so that a busy moment of the machine strikes all alike. Then follows the next image.

    Args:
        detector: Fitted, of any method.
        images: As `onlygood.images.as_sources` takes them, but no open files: each is read again every time. After
            the first time it comes from the memory of the operating system.
        repeats: Rounds over all images.
        recall_patches: Patches of these images for the recall, drawn at random.
        seed: Seeds that draw.
        progress: Called as `progress(stage, done, total)`; None tells nobody.

    Raises:
        ParameterError: `repeats` or `recall_patches` is below 1.
        NotFittedError, DataError, ImageError: As named.
    """
    if repeats < 1 or recall_patches < 1:
        raise ParameterError(f"repeats={repeats}, recall_patches={recall_patches}: at least 1 each.")
    detector._check_fitted()
    sources = as_sources(images)
    started = time.perf_counter()
    _inspect(detector, sources[0])
    first = time.perf_counter() - started
    report = progress or silent
    for number in track(range(WARM_UP), "warm up", WARM_UP, report):
        _one(detector, sources[number % len(sources)], {}, whole_first=False)
    seconds: dict[str, list[float]] = {}
    rates = []
    total = repeats * len(sources)
    for turn in track(range(total), "time", total, report):
        _one(detector, sources[turn % len(sources)], seconds, whole_first=turn % 2 == 1)
        if turn % len(sources) == len(sources) - 1:
            started = time.perf_counter()
            for _ in detector.stream(sources, progress=silent):
                pass
            rates.append(len(sources) / (time.perf_counter() - started))
    return Speed(
        stages={name: Timing.of(seconds[name]) for name in STAGES if name in seconds},
        first_ms=1000 * first,
        images_per_second=float(np.median(rates)),
        recall=recall_of(detector, sources, recall_patches, seed=seed, progress=progress),
        images=len(sources),
        repeats=repeats,
        warm_up=WARM_UP,
    )


def recall_of(
    detector: Detector, images: Images, patches: int = 1000, *, seed: int = 0, progress: Report | None = None
) -> Recall | None:
    """How often the detector's index finds the true nearest neighbour of patches of these images.

    Args:
        detector: Fitted.
        images: As `onlygood.images.as_sources` takes them; the patches are spread over all of them.
        patches: How many are drawn, at most.
        seed: Seeds the draw.
        progress: As in `measure_speed`.

    Returns:
        None for a method without a memory bank.
    """
    from onlygood.memory.bank import halved
    from onlygood.methods.bank import BankDetector

    if not isinstance(detector, BankDetector):
        return None
    sources = as_sources(images)
    rng = np.random.default_rng(seed)
    sources = [sources[i] for i in sorted(rng.permutation(len(sources))[:patches])]
    shares = np.diff(np.linspace(0, patches, len(sources) + 1).round().astype(int))
    asked: dict[str, list[tuple[Vectors, NDArray[np.int64]]]] = {"every": [], "deciding": []}
    for source, share in zip(track(sources, "search", len(sources), progress), shares):
        features = halved(detector._features_at(source)[0])
        squared, rows = detector._neighbours_of(features)
        deciding = detector._deciding(detector._scores_from(squared, rows, features.shape[:2]))
        queries = features.reshape(-1, features.shape[-1])
        for name, among in (("every", np.arange(len(queries))), ("deciding", np.flatnonzero(deciding))):
            drawn = rng.choice(among, min(int(share), len(among)), replace=False)
            asked[name].append((queries[drawn], rows[drawn, 0]))
    shares_found = {}
    for name, parts in track(asked.items(), "search exactly", len(asked), progress):
        queries, nearest = (np.concatenate(arrays) for arrays in zip(*parts))
        shares_found[name] = float(is_nearest(detector.bank_.vectors, queries, nearest).mean())
    count = sum(len(nearest) for _, nearest in asked["every"])
    return Recall(shares_found["every"], shares_found["deciding"], count, len(detector.bank_))


def is_nearest(vectors: Vectors, queries: Vectors, rows: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Whether a row `(q,)` of the vectors is the nearest to its query: bool `(q,)`.

    Args:
        vectors: float16 or float32 `(N, D)`.
        queries: The same `(q, D)`.
        rows: Found by the search; negative where nothing was.
    """
    nearest = exact_distances(vectors, queries)
    # of two vectors that are equally near but for rounding, either is the nearest
    return (rows >= 0) & (_squared(vectors, np.maximum(rows, 0), queries) <= nearest * np.float32(1 + 1e-5))


def exact_distances(vectors: Vectors, queries: Vectors) -> NDArray[np.float32]:
    """Squared distance float32 `(q,)` of each query `(q, D)` to its nearest of the vectors `(N, D)`.

    The vectors are looked at block by block, so that a bank of any size needs but some megabytes more.
    """
    from onlygood.memory import ExactIndex

    nearest = np.full(len(queries), np.inf, np.float32)
    for start in range(0, len(vectors), _BLOCK):
        block = vectors[start : start + _BLOCK]
        rows = ExactIndex(block).search(queries, 1)[1][:, 0]
        np.minimum(nearest, _squared(block, rows, queries), out=nearest)
    return nearest


def _squared(vectors: Vectors, rows: NDArray[np.int64], queries: Vectors) -> NDArray[np.float32]:
    """Squared distance of each query to one row: the same sum for whoever found it, so that equal is equal."""
    difference = queries.astype(np.float32) - vectors[rows]
    return np.asarray(np.einsum("qd,qd->q", difference, difference), np.float32)


def timed_load(
    path: str | Path, *, engine: str | None = None, device: str | None = None, threads: int | None = None
) -> tuple[Detector, float]:
    """Load a model file and make its engine, as `onlygood.load`; the detector, and the seconds that took.

    The first load of a process also imports the engine and the index, as the program's first image has to.
    """
    from onlygood.methods import load

    started = time.perf_counter()
    detector = load(path, engine=engine, device=device, threads=threads)
    _ = detector.graph_.engine  # made at first use
    return detector, time.perf_counter() - started


def _inspect(detector: Detector, source: ImageSource) -> object:
    return detector.inspect([source], progress=silent)[0]


def _one(detector: Detector, source: ImageSource, seconds: dict[str, list[float]], whole_first: bool) -> None:
    """One image, both step by step and whole."""
    if not whole_first:
        _stages(detector, source, seconds)
    _timed(seconds, "whole", lambda: _inspect(detector, source))
    if whole_first:
        _stages(detector, source, seconds)


def _stages(detector: Detector, source: ImageSource, seconds: dict[str, list[float]]) -> None:
    """One image, step by step; what `Detector.inspect` does in one go."""
    from onlygood.memory.bank import halved
    from onlygood.methods.bank import BankDetector

    prepared, size = _timed(seconds, "read", lambda: detector._prepared_at(source))
    if not detector.graph_.is_empty:
        features = _timed(seconds, "backbone", lambda: detector._features_of_batch([prepared])[0])
    else:
        features = detector._features_of_batch([prepared])[0]
    if isinstance(detector, BankDetector):
        bank = detector

        def search() -> tuple[Any, Any, Any]:
            rounded = halved(features)
            return rounded, *bank._neighbours_of(rounded)

        found = _timed(seconds, "search", search)

        def scores() -> tuple[NDArray[np.float32], float | None]:
            return bank._decided(*found)
    else:

        def scores() -> tuple[NDArray[np.float32], float | None]:
            return detector._maps_of(features, prepared)[0], None

    def judge() -> None:
        patches, score = scores()
        detector._judge(source.name, patches, size, detector.has_map, score=score)

    _timed(seconds, "score", judge)


def _timed(seconds: dict[str, list[float]], name: str, step: Callable[[], Any]) -> Any:
    started = time.perf_counter()
    result = step()
    seconds.setdefault(name, []).append(time.perf_counter() - started)
    return result
