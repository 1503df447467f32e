"""Choosing a detector from good images alone: candidates, compared on synthetic defects in held-out good images.

Which candidate will do best on true defects cannot be known without any. What is compared is how well each tells
held-out good images from the same images with DefectMaker's defects in them, how many of these it calls NG at its
promised false-reject rate, and what it costs. docs/choosing.md says how far that ranking can be trusted.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from onlygood.errors import DataError, OnlyGoodError, ParameterError
from onlygood.evaluation.metrics import auroc
from onlygood.evaluation.speed import model_bytes
from onlygood.images import ImageSource, as_sources
from onlygood.images.preparing import resize
from onlygood.images.sources import Images
from onlygood.inspection import Verdict
from onlygood.progress import Report, Reporting, silent

if TYPE_CHECKING:
    from onlygood.methods import Detector

#: Share of the groups of good images that is held out, and how many images that may be.
HELD_OUT, MOST_HELD_OUT = 0.3, 40
#: Fewer kinds of parts tell nothing.
FEWEST_GROUPS = 6
#: Side at which near duplicates are looked for; candidates of any size then share one split.
GROUPING_SIZE = 128
RESAMPLES = 400
#: A candidate whose difference from the best is above this quantile of its resamples is not clearly worse.
CLEARLY = 0.9


@dataclass(frozen=True)
class Candidate:
    """A method with its parameters.

    Attributes:
        name: Shown to people.
        method: Of the registry.
        parameters: What differs from the method's defaults.
    """

    name: str
    method: str = "reb"
    parameters: Mapping[str, Any] = field(default_factory=dict)

    def make(self, **more: Any) -> Detector:
        """The detector, not yet fitted."""
        from onlygood.methods import find_method

        return find_method(self.method)(**{**self.parameters, **more})

    @property
    def size(self) -> int:
        """Input side in pixels."""
        return int(self.make().size)


#: In order of preference: where several are as good, the first one among them is taken.
CANDIDATES = (
    Candidate("REB, 256 px"),
    Candidate("REB, 192 px", parameters={"size": 192}),
    Candidate("REB, 320 px", parameters={"size": 320}),
    Candidate("REB, K = 20", parameters={"k": 20}),
    Candidate("1-NN, 256 px", "knn"),
    Candidate("PatchCore, 1 %, 256 px", "patchcore", {"coreset": 0.01}),
    Candidate("PatchCore, 1 %, 192 px", "patchcore", {"coreset": 0.01, "size": 192}),
    Candidate("PaDiM, 256 px", "padim", {"stride": 8}),
    Candidate("DFM, 256 px", "dfm"),
    Candidate("SimpleNet, quick", "simplenet", {"epochs": 40, "updates": 400}),
    Candidate("REB, fine-tuned (quick)", parameters={"fine_tune": "quick"}),
)


@dataclass(frozen=True)
class Estimate:
    """What was seen of a candidate, fitted on the good images that were not held out.

    Attributes:
        candidate: Which.
        auroc: Held-out good images against the synthetic defects in them; NaN if it failed.
        error: Standard deviation of `auroc` over resampled images.
        caught: Share of the synthetic defects called NG.
        rejected: Share of the held-out good images called NG.
        ms: Median milliseconds from image file to verdict, one at a time.
        fit_s: Seconds.
        model_mb: Size of the model file.
        failure: Why there are no figures; empty if there are.
        within: Whether it keeps the budget.
        on_front: Whether no other within the budget is both faster and better.
    """

    candidate: Candidate
    auroc: float = float("nan")
    error: float = float("nan")
    caught: float = float("nan")
    rejected: float = float("nan")
    ms: float = float("nan")
    fit_s: float = float("nan")
    model_mb: float = float("nan")
    failure: str = ""
    within: bool = False
    on_front: bool = False


@dataclass(frozen=True)
class Choice:
    """The candidates compared.

    Attributes:
        estimates: One for each candidate tried, in their order.
        recommended: Place of the recommended one in `estimates`; None if none keeps the budget.
        learned, held_out, defects: Images fitted on, good images held out, synthetic defects made in these.
        max_ms, max_fit_s: The budget; None is no limit.
        left_out: Names of the candidates not tried because the time was up.
    """

    estimates: tuple[Estimate, ...]
    recommended: int | None
    learned: int
    held_out: int
    defects: int
    max_ms: float | None
    max_fit_s: float | None
    left_out: tuple[str, ...] = ()

    @property
    def best(self) -> Estimate | None:
        """The recommended candidate."""
        return None if self.recommended is None else self.estimates[self.recommended]


@dataclass(frozen=True)
class _Scores:
    """Scores of the held-out good images `(n,)`, of the defects `(m,)`, and the good image of each defect `(m,)`."""

    good: NDArray[np.float64]
    bad: NDArray[np.float64]
    source: NDArray[np.int64]

    def auroc(self, images: NDArray[np.int64] | None = None) -> float:
        """Of these images, by number and as often as they are named, with their defects; None for all."""
        if images is None:
            images = np.arange(len(self.good))
        times = np.bincount(images, minlength=len(self.good))
        good, bad = np.repeat(self.good, times), np.repeat(self.bad, times[self.source])
        return auroc(np.repeat([0, 1], [len(good), len(bad)]), np.concatenate([good, bad]))


def choose(
    images: Images,
    candidates: Sequence[Candidate] = CANDIDATES,
    *,
    max_ms: float | None = None,
    max_fit_s: float | None = None,
    minutes: float | None = None,
    seed: int = 0,
    threads: int | None = None,
    progress: Report | None = None,
) -> Choice:
    """Compare candidates on good images and recommend one within a budget.

    Some of the good images, one of each group of near duplicates, are held out. Every candidate is fitted on the rest
    and asked about the held-out ones and DefectMaker's defects in them. Recommended is, of those within the budget that
    are not clearly worse than the best one, the first in the list: where nothing can be told apart the default stays.

    Args:
        images: Good images, as `Detector.fit` takes them.
        candidates: What to compare, in order of preference.
        max_ms: Budget for one image in milliseconds, on this machine.
        max_fit_s: Budget for a fit in seconds.
        minutes: No further candidate is begun after so many minutes.
        seed: Of the split, the defects and the candidates.
        threads: As for detectors.
        progress: Called as `progress(stage, done, total)`; None shows bars on a terminal.

    Raises:
        DataError: Too few different good images.
        ParameterError: No candidates, or a budget that is not above 0.
    """
    for name, value in (("max_ms", max_ms), ("max_fit_s", max_fit_s), ("minutes", minutes)):
        if value is not None and not value > 0:
            raise ParameterError(f"{name}={value!r}: a number above 0.")
    if not candidates:
        raise ParameterError("There is no candidate to choose from.")
    began = time.perf_counter()
    sources = as_sources(images)
    with Reporting(progress) as report:
        learned, held_out = _split(sources, seed, threads, report)
        good, bad, of = _held_out_images([sources[i] for i in held_out], candidates, seed)
        found: list[tuple[Estimate, _Scores | None]] = []
        for number, candidate in enumerate(candidates):
            if minutes is not None and time.perf_counter() - began > 60 * minutes and found:
                break
            report("candidates", number, len(candidates))
            try:
                detector = candidate.make(seed=seed, threads=threads)
                fit_s = _fit(detector, [sources[i] for i in learned])
                scores, estimate = _tried(candidate, detector, fit_s, good, bad, of, [sources[i] for i in held_out])
                found.append((estimate, scores))
            except OnlyGoodError as error:
                found.append((Estimate(candidate, failure=str(error)), None))
        report("candidates", len(candidates), len(candidates))
    estimates, recommended = _weighed(found, max_ms, max_fit_s, seed)
    left_out = tuple(candidate.name for candidate in candidates[len(found) :])
    return Choice(estimates, recommended, len(learned), len(held_out), len(bad), max_ms, max_fit_s, left_out)


def _split(
    sources: list[ImageSource], seed: int, threads: int | None, report: Report
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    from onlygood.methods import KNN
    from onlygood.methods.holding_out import hold_out

    groups = np.arange(len(sources))
    if len(sources) >= FEWEST_GROUPS:
        grouping = KNN(size=GROUPING_SIZE, threads=threads).fit(sources, progress=report)
        groups = np.asarray(grouping.training_.groups)
    count = len(np.unique(groups))
    if count < FEWEST_GROUPS:
        raise DataError(
            f"Only {count} different good images: to choose takes at least {FEWEST_GROUPS}, and more tell more. Take "
            "the default (onlygood fit), or add good images."
        )
    return hold_out(groups, min(HELD_OUT, MOST_HELD_OUT / count), seed)


def _held_out_images(
    sources: Sequence[ImageSource], candidates: Sequence[Candidate], seed: int
) -> tuple[list[Any], list[Any], NDArray[np.int64]]:
    """Good images and defects uint8 `(s, s, 3)`, at the largest size a candidate wants, and each defect's image."""
    from onlygood.methods.choice import synthetic_defects

    size = max(candidate.size for candidate in candidates)
    good = [resize(source.read(), size, source.name) for source in sources]
    made = synthetic_defects(sources, size, seed)
    return good, [one.image for one in made], np.array([one.source for one in made], np.int64)


def _fit(detector: Detector, sources: list[ImageSource]) -> float:
    started = time.perf_counter()
    detector.fit(sources, progress=silent)
    return time.perf_counter() - started


def _tried(
    candidate: Candidate,
    detector: Detector,
    fit_s: float,
    good: list[Any],
    bad: list[Any],
    of: NDArray[np.int64],
    files: Sequence[ImageSource],
) -> tuple[_Scores, Estimate]:
    of_good = detector.inspect(good, progress=silent)
    of_bad = detector.inspect(bad, progress=silent)
    seconds = []
    for source in files:
        started = time.perf_counter()
        detector.inspect([source], progress=silent)
        seconds.append(time.perf_counter() - started)
    scores = _Scores(np.array([i.score for i in of_good]), np.array([i.score for i in of_bad]), of)
    estimate = Estimate(
        candidate,
        auroc=scores.auroc(),
        caught=float(np.mean([i.verdict == Verdict.NG for i in of_bad])),
        rejected=float(np.mean([i.verdict == Verdict.NG for i in of_good])),
        ms=1000 * float(np.median(seconds)),
        fit_s=fit_s,
        model_mb=model_bytes(detector) / 1e6,
    )
    return scores, estimate


def _weighed(
    found: Sequence[tuple[Estimate, _Scores | None]], max_ms: float | None, max_fit_s: float | None, seed: int
) -> tuple[tuple[Estimate, ...], int | None]:
    """The estimates with their errors, budget and front, and the place of the recommended one."""
    rng = np.random.default_rng(seed)
    count = next((len(scores.good) for _, scores in found if scores is not None), 0)
    draws = rng.integers(count, size=(RESAMPLES, count)) if count else np.empty((0, 0), np.int64)
    resampled = [None if scores is None else np.array([scores.auroc(d) for d in draws]) for _, scores in found]
    estimates = []
    for (estimate, _), values in zip(found, resampled):
        within = (
            not estimate.failure
            and (max_ms is None or estimate.ms <= max_ms)
            and (max_fit_s is None or estimate.fit_s <= max_fit_s)
        )
        error = float("nan") if values is None else float(values.std())
        estimates.append(replace(estimate, within=within, error=error))
    inside = [i for i, estimate in enumerate(estimates) if estimate.within]
    for i in inside:
        mine = estimates[i]
        beaten = any(
            other.ms <= mine.ms and other.auroc >= mine.auroc and (other.ms, other.auroc) != (mine.ms, mine.auroc)
            for other in (estimates[j] for j in inside)
        )
        estimates[i] = replace(mine, on_front=not beaten)
    if not inside:
        return tuple(estimates), None
    best = max(inside, key=lambda i: estimates[i].auroc)
    top = resampled[best]
    assert top is not None
    for i in inside:
        values = resampled[i]
        assert values is not None
        if i == best or np.quantile(values - top, CLEARLY) >= 0:
            return tuple(estimates), i
    return tuple(estimates), best
