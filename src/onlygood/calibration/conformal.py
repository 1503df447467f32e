"""Conformal p-values and thresholds from the leave-one-out scores of the good images.

Every training image is scored against the bank without its own patches (and without those of its near
duplicates). A new good image is then one more draw of the same kind, so the share of good images that
score at least as high as it does is its p-value.

Which guarantee holds. Let s_i be the leave-one-out scores and s the score of a new good image against the
whole bank. If adding images to the bank can only lower scores (plain nearest-neighbour distance, exact
search, full bank), then p = (1 + #{s_i >= s}) / (n + 1) is at least the full conformal p-value, in which
the new image would be in the bank when s_i is computed. So P(p <= a) <= a for every a: finite-sample, for
images that are exchangeable. For scores that are not monotone in the bank (a local density, a coreset, the
graph index) the same p-values are computed and no such theorem holds; the false-reject rate is then
nominal, and docs/results.md shows what was measured. (Vovk et al. 2005; Barber et al. 2021, jackknife+,
give at most 2a for a related form that rescores each new image n times.)
Trained networks hold images out instead: those scores and that of a new good image come from one and the same
network, which has seen neither, so they are exchangeable and p = (1 + #{s_i >= s}) / (m + 1) is valid at every
number m of held-out images (split conformal prediction; Papadopoulos et al. 2002, Vovk et al. 2005).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from onlygood.errors import ParameterError
from onlygood.inspection import Verdict


@dataclass(frozen=True)
class Promise:
    """What can be promised about false rejects.

    Attributes:
        requested: The false-reject rate asked for.
        level: The one that is promised: the one asked for, or more if there are too few images for it.
        units: Independent good images (near duplicates count as one).
        proven: Whether the finite-sample theorem covers this detector.
    """

    requested: float
    level: float
    units: float
    proven: bool

    @property
    def kept(self) -> bool:
        """Whether there are enough images for the rate asked for."""
        return self.level <= self.requested

    def __str__(self) -> str:
        count = f"{self.units:.0f} independent good image{'s' if round(self.units) != 1 else ''}"
        if self.units == 0:
            return "Nothing can be promised: there was no second good image to calibrate with."
        kind = "guaranteed" if self.proven else "expected"
        ground = (
            "a finite-sample statement for exchangeable good images"
            if self.proven
            else "the nominal conformal rate; no finite-sample theorem covers this score"
        )
        if self.kept:
            return f"At most {self.requested:.2%} false rejects {kind}, from {count} ({ground})."
        needed = int(np.ceil(1 / self.requested - 1))
        return (
            f"{self.requested:.2%} false rejects cannot be promised with {count}: at least {needed} are needed. "
            f"At most {self.level:.2%} {'is' if self.proven else 'are'} {kind} ({ground})."
        )


@dataclass(frozen=True)
class Calibration:
    """Scores of good images that were not learned, and the rates the verdicts are made with.

    Attributes:
        scores: Leave-one-out image scores float64 `(n,)`, in the order of the training images; of trained networks
            those of the held-out images.
        weights: Share of each image in its group of near duplicates, float64 `(n,)`: a group counts once.
        peaks: Highest value of each left-out image's anomaly map, float64 `(n,)`; empty without maps.
        false_reject: Rate of good images that may be called NG.
        review: Rate of good images that may be called NG or REVIEW.
        proven: Whether the finite-sample theorem covers the score.
    """

    scores: NDArray[np.float64]
    weights: NDArray[np.float64]
    peaks: NDArray[np.float64]
    false_reject: float = 0.01
    review: float = 0.05
    proven: bool = False

    def __post_init__(self) -> None:
        check_rates(self.false_reject, self.review)

    @classmethod
    def from_scores(
        cls,
        scores: ArrayLike,
        groups: ArrayLike | None = None,
        peaks: ArrayLike = (),
        *,
        false_reject: float = 0.01,
        review: float = 0.05,
        proven: bool = False,
    ) -> Calibration:
        """Calibrate from leave-one-out scores `(n,)` and the group number of each image."""
        values = np.asarray(scores, np.float64).ravel()
        if not np.isfinite(values).all():
            raise ParameterError("Calibration scores must be finite numbers.")
        weights = np.ones(len(values))
        if groups is not None and len(values):
            _, member, sizes = np.unique(np.asarray(groups), return_inverse=True, return_counts=True)
            weights = 1 / sizes[member]
        return cls(values, weights, np.asarray(peaks, np.float64), false_reject, review, proven)

    @property
    def units(self) -> float:
        """Independent good images: groups of near duplicates count as one."""
        return float(self.weights.sum())

    @property
    def promise(self) -> Promise:
        """What can be promised at the false-reject rate asked for."""
        return Promise(self.false_reject, self._ng_level, round(self.units, 6), self.proven)

    @property
    def _ng_level(self) -> float:
        return max(self.false_reject, 1 / (self.units + 1)) if len(self.scores) else 1.0

    @property
    def _review_level(self) -> float:
        # one rank above NG at least: a part as odd as the oddest good one deserves a look
        return max(self.review, self._ng_level + 1 / (self.units + 1)) if len(self.scores) else 1.0

    @cached_property
    def ng_threshold(self) -> float:
        """Images that score above are NG; infinite without calibration scores."""
        return self._threshold(self.scores, self._ng_level)

    @cached_property
    def review_threshold(self) -> float:
        """Images that score above are at least REVIEW; minus infinity without calibration scores."""
        return self._threshold(self.scores, self._review_level) if len(self.scores) else -np.inf

    @cached_property
    def pixel_threshold(self) -> float:
        """Map values above mark a region: set so that at most `review` of good images show one."""
        return self._threshold(self.peaks, self._review_level) if len(self.peaks) else np.inf

    def reached_by_good(self, peaks: ArrayLike) -> float:
        """What another map than the whole one reaches in good images, at the rate of NG, from its peaks `(n,)`."""
        return self._threshold(np.asarray(peaks, np.float64), self._ng_level)

    def p_values(self, scores: ArrayLike) -> NDArray[np.float64]:
        """Conformal p-values in (0, 1] of scores `(q,)`; 1 where nothing was calibrated."""
        order = np.argsort(self.scores, kind="stable")
        # weight of the calibration scores that are at least as high
        above = np.append(np.cumsum(self.weights[order][::-1])[::-1], 0.0)
        at_least = above[np.searchsorted(self.scores[order], np.asarray(scores, np.float64), side="left")]
        return np.minimum((1 + at_least) / (1 + self.units), 1.0)

    def verdict(self, score: float) -> Verdict:
        """OK, REVIEW or NG; REVIEW for everything while nothing is calibrated."""
        if score > self.ng_threshold:
            return Verdict.NG
        return Verdict.REVIEW if score > self.review_threshold else Verdict.OK

    def at(self, false_reject: float, review: float | None = None) -> Calibration:
        """The same scores at another false-reject rate."""
        review = max(self.review, false_reject) if review is None else review
        return Calibration(self.scores, self.weights, self.peaks, false_reject, review, self.proven)

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON types."""
        return {
            "scores": self.scores.tolist(),
            "weights": self.weights.tolist(),
            "peaks": self.peaks.tolist(),
            "false_reject": self.false_reject,
            "review": self.review,
            "proven": self.proven,
        }

    @classmethod
    def from_dict(cls, table: dict[str, Any]) -> Calibration:
        """The inverse of `as_dict`."""
        values: dict[str, Any] = {key: np.asarray(table[key], np.float64) for key in ("scores", "weights", "peaks")}
        return cls(**values, **{key: table[key] for key in ("false_reject", "review", "proven")})

    def _threshold(self, values: NDArray[np.float64], level: float) -> float:
        """Smallest of the values such that anything above it has a p-value of at most `level`."""
        if not len(values):
            return float(np.inf)
        order = np.argsort(values, kind="stable")
        above = self.units - np.cumsum(self.weights[order])  # weight strictly behind each place
        enough = (1 + above) / (1 + self.units) <= level + 1e-12
        return float(values[order][int(np.argmax(enough))])


def check_rates(false_reject: float, review: float) -> None:
    """Raise `ParameterError` unless 0 < false_reject <= review < 1."""
    if not 0 < false_reject <= review < 1:
        raise ParameterError(
            f"false_reject={false_reject}, review={review}: both are rates with 0 < false_reject <= review < 1."
        )
