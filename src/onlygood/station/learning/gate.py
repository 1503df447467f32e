"""The gate of a candidate: what it must show on the golden set before a person may put it on duty."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from onlygood.calibration import Promise
from onlygood.inspection import Verdict
from onlygood.station.decisions import Thresholds
from onlygood.station.learning.scoring import Scored

#: A candidate that keeps its promise on the golden good images is turned down by chance so often, at most.
CHANCE = 0.05


@dataclass(frozen=True)
class Outcome:
    """One golden image under the model on duty and under the candidate.

    Attributes:
        digest: Of the image file.
        name: What it was called.
        truth: `good` or `defect`.
        now: Score under the model on duty; None if that is not known.
        then: Score under the candidate; None if that is not known yet.
        now_limits: Thresholds of the model on duty.
        then_limits: Those of the candidate.
    """

    digest: str
    name: str
    truth: str
    now: Scored | None
    then: Scored | None
    now_limits: Thresholds
    then_limits: Thresholds

    @property
    def passed(self) -> bool:
        """A defect that is not called OK, a good part that is not called NG."""
        if self.then is None:
            return False
        verdict = self.then_limits.verdict(self.then.score)
        return verdict != (Verdict.OK if self.truth == "defect" else Verdict.NG)

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON types."""

        def told(scored: Scored | None, limits: Thresholds) -> dict[str, Any] | None:
            return scored and {"score": scored.score, "verdict": str(limits.verdict(scored.score))}

        return {
            "digest": self.digest,
            "name": self.name,
            "truth": self.truth,
            "learned": bool(self.then and self.then.learned),
            "now": told(self.now, self.now_limits),
            "then": told(self.then, self.then_limits),
            "passed": self.passed,
        }


@dataclass(frozen=True)
class Gate:
    """What came out.

    Attributes:
        passed: Whether the candidate may go on duty: there is no reason against it.
        reasons: Why it may not, in words.
        notes: What else a person should know before putting it on duty.
        outcomes: Of each golden image.
        escapes: Defects called OK.
        false_rejects: Good images called NG; those that the candidate has learned are not counted.
        allowed_false_rejects: So many are within the promise.
        good: Good images that count.
        defects: Defects in the set.
    """

    passed: bool
    reasons: tuple[str, ...]
    notes: tuple[str, ...]
    outcomes: tuple[Outcome, ...]
    escapes: int
    false_rejects: int
    allowed_false_rejects: int
    good: int
    defects: int

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON types."""
        table = {name: getattr(self, name) for name in self.__dataclass_fields__}
        return {
            **table,
            "reasons": list(self.reasons),
            "notes": list(self.notes),
            "outcomes": [outcome.as_dict() for outcome in self.outcomes],
        }


def judge(outcomes: Sequence[Outcome], candidate: Promise, on_duty: Promise) -> Gate:
    """Whether a candidate may go on duty.

    * The set must hold a defect, and a good image that the candidate has not learned: else it proves nothing.
    * No defect may be called OK. REVIEW is no escape: a person looks.
    * Good images called NG: no more than a detector that keeps its promised rate p would show by chance. With m good
      images, the greatest k with P(Binomial(m, p) >= k) of at least 5 %; 0 is always allowed.
    * The candidate must not promise a higher rate than the model on duty does.

    Args:
        outcomes: Of every image of the golden set as it is now.
        candidate: Its promise about false rejects.
        on_duty: That of the model on duty.
    """
    defects = [one for one in outcomes if one.truth == "defect"]
    good = [one for one in outcomes if one.truth == "good" and not (one.then and one.then.learned)]
    learned = len(outcomes) - len(defects) - len(good)
    waiting = sum(one.then is None for one in outcomes)
    escapes = sum(one.then is not None and not one.passed for one in defects)
    rejects = sum(one.then is not None and not one.passed for one in good)
    allowed = allowed_rejects(len(good), candidate.level)
    reasons, notes = [], []
    if not defects or not good:
        missing = " and ".join(
            ([] if defects else ["one defect"]) + ([] if good else ["one good image that is not learned"])
        )
        reasons.append(f"The golden set proves nothing: it needs at least {missing}.")
    if waiting:
        reasons.append(f"{_images(waiting)} of the golden set {'is' if waiting == 1 else 'are'} not judged yet.")
    if escapes:
        reasons.append(f"{escapes} of {len(defects)} defects would escape: called OK.")
    if rejects > allowed:
        reasons.append(
            f"{rejects} of {len(good)} good images would be NG; a promise of {candidate.level:.2%} allows {allowed}."
        )
    if candidate.level > on_duty.level + 1e-12:
        reasons.append(
            f"It promises at most {candidate.level:.2%} false rejects, the model on duty {on_duty.level:.2%}."
        )
    if good and not reasons:
        bound = 1 - CHANCE ** (1 / len(good))
        if rejects == 0 and bound > candidate.level:
            needed = math.ceil(math.log(CHANCE) / math.log1p(-candidate.level))
            notes.append(
                f"No false reject among {_images(len(good))} shows no more than a rate below {bound:.1%} (95 % "
                f"confidence). To show {candidate.level:.2%}, {needed} good "
                "images are needed; until then the promise rests on the calibration."
            )
    if learned:
        notes.append(f"{_images(learned)} of the golden set was learned by the candidate and proves nothing.")
    if on_duty.proven and not candidate.proven:
        notes.append("The false-reject rate of the model on duty is guaranteed, the candidate's only expected.")
    return Gate(
        not reasons,
        tuple(reasons),
        tuple(notes),
        tuple(outcomes),
        escapes,
        rejects,
        allowed,
        len(good),
        len(defects),
    )


def allowed_rejects(good: int, rate: float) -> int:
    """The greatest k with P(Binomial(good, rate) >= k) >= 5 %."""
    if rate >= 1:
        return good
    at_least = 1.0
    for k in range(good + 1):
        # at_least is P(X >= k)
        log_pmf = (
            math.lgamma(good + 1)
            - math.lgamma(k + 1)
            - math.lgamma(good - k + 1)
            + k * math.log(rate)
            + (good - k) * math.log1p(-rate)
        )
        at_least -= math.exp(log_pmf)
        if at_least < CHANCE:
            return k
    return good


def _images(count: int) -> str:
    return f"{count} image" if count == 1 else f"{count} images"
