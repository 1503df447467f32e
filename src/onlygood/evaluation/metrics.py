"""Image-level metrics: AUROC, average precision, best F1 and the ROC curve.

Labels are 1 for defective and 0 for good; scores are higher where more anomalous. Only the order of the
scores matters, so nothing is rescaled. Equal scores are never told apart: they share one threshold.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from onlygood.errors import ParameterError


def auroc(labels: ArrayLike, scores: ArrayLike) -> float:
    """Area under the ROC curve: the chance that a defective image scores above a good one, ties half.

    The Mann-Whitney statistic divided by (number of good) x (number of defective).

    Args:
        labels: `(n,)` of 0 and 1 or of bools; both must occur.
        scores: `(n,)` finite numbers.

    Raises:
        ParameterError: Lengths differ, a score is not finite, a label is not 0 or 1, or a class is missing.
    """
    truth, values = check_labels_and_scores(labels, scores)
    _need_both(truth)
    good, defect = np.sort(values[~truth]), values[truth]
    below = np.searchsorted(good, defect, side="left").sum(dtype=np.int64)
    not_above = np.searchsorted(good, defect, side="right").sum(dtype=np.int64)
    return float((below + not_above) / (2 * good.size * defect.size))


def average_precision(labels: ArrayLike, scores: ArrayLike) -> float:
    """Average precision: the precision at each threshold weighted by the recall gained, not interpolated.

    Args and errors as for `auroc`.
    """
    truth, values = check_labels_and_scores(labels, scores)
    _need_both(truth)
    hits, called, _ = _counts_down(truth, values)
    gained = np.diff(hits, prepend=0) / hits[-1]
    return float(np.sum(gained * hits / called))


def best_f1(labels: ArrayLike, scores: ArrayLike) -> tuple[float, float]:
    """Highest F1 over all thresholds, and the threshold that gives it (defective from there upward).

    The threshold is chosen by looking at the labels: a figure for comparing with papers, not one to run a
    line with. Of several equally good thresholds the highest is returned. Args and errors as for `auroc`.
    """
    truth, values = check_labels_and_scores(labels, scores)
    _need_both(truth)
    hits, called, thresholds = _counts_down(truth, values)
    f1 = 2 * hits / (called + hits[-1])
    best = int(np.argmax(f1))
    return float(f1[best]), float(thresholds[best])


def roc_curve(
    labels: ArrayLike, scores: ArrayLike
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """The ROC curve, one point per distinct score and the origin first.

    Args and errors as for `auroc`.

    Returns:
        False-positive rates, true-positive rates and thresholds, float64 `(k + 1,)` each, for calling
        defective what scores at or above the threshold; the first threshold is infinite.
    """
    truth, values = check_labels_and_scores(labels, scores)
    _need_both(truth)
    hits, called, thresholds = _counts_down(truth, values)
    false = called - hits
    start = np.zeros(1)
    return (
        np.concatenate([start, false / false[-1]]),
        np.concatenate([start, hits / hits[-1]]),
        np.concatenate([[np.inf], thresholds]),
    )


def check_labels(labels: ArrayLike) -> NDArray[np.bool_]:
    """Labels as bools `(n,)`, True for defective.

    Raises:
        ParameterError: They are not a list of 0 and 1.
    """
    truth = np.asarray(labels)
    if truth.ndim != 1:
        raise ParameterError(f"Labels must be a list of 0 and 1, not an array of shape {truth.shape}.")
    if truth.dtype != np.bool_:
        if truth.size and (truth.dtype.kind not in "iuf" or not np.isin(truth, (0, 1)).all()):
            raise ParameterError("Labels must be 0 (good) or 1 (defective) throughout.")
        truth = truth.astype(bool)
    return truth


def check_labels_and_scores(labels: ArrayLike, scores: ArrayLike) -> tuple[NDArray[np.bool_], NDArray[np.float64]]:
    """Labels as bools and scores as float64, both `(n,)`.

    Raises:
        ParameterError: Lengths differ, a score is not finite, or a label is not 0 or 1.
    """
    truth = check_labels(labels)
    values = np.asarray(scores, dtype=np.float64)
    if values.shape != truth.shape:
        raise ParameterError(
            f"There must be one score for each label, but there are {truth.size} labels and scores of shape "
            f"{values.shape}."
        )
    bad = np.flatnonzero(~np.isfinite(values))
    if bad.size:
        raise ParameterError(f"Score number {bad[0] + 1} of {values.size} is not finite: {values[bad[0]]}.")
    return truth, values


def _need_both(truth: NDArray[np.bool_]) -> None:
    if truth.all() or not truth.any():
        raise ParameterError(
            f"Both good and defective images are needed, but there are {int((~truth).sum())} good and "
            f"{int(truth.sum())} defective."
        )


def _counts_down(
    truth: NDArray[np.bool_], values: NDArray[np.float64]
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]:
    """At each distinct score from the highest down: defects and images at or above it, and the score."""
    order = np.argsort(-values, kind="stable")
    ranked = values[order]
    last = np.flatnonzero(np.append(np.diff(ranked) != 0, True))
    return np.cumsum(truth[order], dtype=np.int64)[last], last + 1, ranked[last]
