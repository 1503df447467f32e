"""Rates at the line, with honest intervals: how many good parts are rejected, how many defects escape."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from numpy.typing import ArrayLike

from onlygood.errors import ParameterError
from onlygood.evaluation.metrics import check_labels


@dataclass(frozen=True)
class Rate:
    """A counted share and what it says of the true one.

    Attributes:
        value: `count / total`.
        count: Cases.
        total: Images looked at; at least 1.
        low: Lower end of the confidence interval of the true rate.
        high: Upper end.
    """

    value: float
    count: int
    total: int
    low: float
    high: float


def wilson(count: int, total: int, confidence: float = 0.95) -> Rate:
    """A rate with its Wilson score interval (Wilson, JASA 1927), without continuity correction.

    The interval keeps its meaning at few images and at none or all cases, where the usual one collapses: 0 of
    20 gives 0 to 16 %.

    Raises:
        ParameterError: Not `0 <= count <= total`, `total` is 0, or `confidence` is outside (0, 1).
    """
    if not (0 <= count <= total and total > 0):
        raise ParameterError(f"A rate needs 0 <= count <= total and a total above 0, not {count} of {total}.")
    if not 0 < confidence < 1:
        raise ParameterError(f"The confidence must lie between 0 and 1, not {confidence}.")
    z = NormalDist().inv_cdf((1 + confidence) / 2)
    share = count / total
    shrink = 1 + z * z / total
    centre = (share + z * z / (2 * total)) / shrink
    half = z / shrink * (share * (1 - share) / total + z * z / (4 * total * total)) ** 0.5
    # At none and at all cases one end is 0 or 1 by the formula; rounding must not move it.
    low = 0.0 if count == 0 else max(0.0, centre - half)
    high = 1.0 if count == total else min(1.0, centre + half)
    return Rate(value=share, count=int(count), total=int(total), low=low, high=high)


def false_reject_rate(labels: ArrayLike, rejected: ArrayLike, confidence: float = 0.95) -> Rate | None:
    """Share of the good images that were rejected; None without good images.

    Args:
        labels: `(n,)`, 1 for defective and 0 for good.
        rejected: `(n,)` of bools.
        confidence: Of the interval.

    Raises:
        ParameterError: Lengths differ or a label is not 0 or 1.
    """
    truth, out = _checked(labels, rejected)
    return _share(out[~truth], confidence)


def escape_rate(labels: ArrayLike, rejected: ArrayLike, confidence: float = 0.95) -> Rate | None:
    """Share of the defective images that were not rejected; None without defective images.

    Args and errors as for `false_reject_rate`.
    """
    truth, out = _checked(labels, rejected)
    return _share(~out[truth], confidence)


def _checked(labels: ArrayLike, rejected: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    truth, out = check_labels(labels), np.asarray(rejected, dtype=bool)
    if out.shape != truth.shape:
        raise ParameterError(f"There are {truth.size} labels but rejections of shape {out.shape}.")
    return truth, out


def _share(cases: np.ndarray, confidence: float) -> Rate | None:
    return wilson(int(cases.sum()), cases.size, confidence) if cases.size else None
