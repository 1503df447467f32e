"""Which part of the bank goes into the exported file."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from onlygood.errors import ParameterError
from onlygood.memory import build_index
from onlygood.methods import Detector
from onlygood.methods.bank import BankDetector
from onlygood.progress import Report

#: Vectors that are exported unless something else is asked for; a bank that holds no more goes in whole.
VECTORS = 10_000
#: Where the search for a fidelity begins: this share of the bank, doubled until it is reached.
FIRST_SHARE = 0.01


def check_wanted(vectors: int | None, share: float | None, fidelity: float | None) -> None:
    """Raise `ParameterError` unless at most one is given, and that one can be."""
    given = {"vectors": vectors, "share": share, "fidelity": fidelity}
    names = [name for name, value in given.items() if value is not None]
    if len(names) > 1:
        raise ParameterError(f"{' and '.join(names)} say the same thing in different ways. Give one of them.")
    if vectors is not None and (isinstance(vectors, bool) or not isinstance(vectors, int | np.integer) or vectors < 1):
        raise ParameterError(f"vectors={vectors!r}: a whole number of at least 1.")
    for name, value in (("share", share), ("fidelity", fidelity)):
        if value is not None and not 0 < value <= 1:
            raise ParameterError(f"{name}={value!r}: above 0, at most 1.")


def for_export(
    detector: Detector,
    *,
    vectors: int | None = None,
    share: float | None = None,
    fidelity: float | None = None,
    progress: Report | None = None,
) -> Detector:
    """The detector with as much of its bank as is asked for, searched exactly.

    Args:
        detector: A fitted detector; left as it is.
        vectors: Vectors to keep.
        share: Share of the bank to keep.
        fidelity: Keep as few vectors as give left-out images scores whose rank correlation with those of the full
            bank is at least this; tried are 1 %, 2 %, 4 % ... of the bank.
        progress: As in `fit`.

    Raises:
        ParameterError: The values contradict each other, or the detector keeps no full bank to choose from.
    """
    check_wanted(vectors, share, fidelity)
    nothing = (vectors, share, fidelity) == (None, None, None)
    if not isinstance(detector, BankDetector):
        if not nothing:
            raise ParameterError(f"{detector.method} keeps no memory bank: vectors, share and fidelity say nothing.")
        return detector
    total = len(detector.bank_)
    if fidelity is not None:
        return _faithful(detector, fidelity, progress)
    if nothing:
        vectors = VECTORS if detector.coreset >= 1 else total
    elif share is not None:
        vectors = max(1, round(share * total))
    assert vectors is not None
    return _searched_exactly(detector) if vectors >= total else detector.reduced(vectors, progress=progress)


def rank_correlation(first: NDArray[np.float64], second: NDArray[np.float64]) -> float:
    """Spearman's rank correlation of two lists of scores; equal ones share their mean rank. 1 for fewer than two."""
    if len(first) < 2:
        return 1.0
    a, b = _ranks(first), _ranks(second)
    spread = float(a.std() * b.std())
    if spread == 0:
        return float(np.array_equal(a, b))
    return float(np.mean((a - a.mean()) * (b - b.mean())) / spread)


def _ranks(values: NDArray[np.float64]) -> NDArray[np.float64]:
    _, place, counts = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    return np.asarray((last - (counts - 1) / 2)[place])


def _faithful(detector: BankDetector, fidelity: float, progress: Report | None) -> Detector:
    if fidelity == 1:
        return _searched_exactly(detector)
    scores = detector.calibration_.scores
    if len(scores) < 2:
        raise ParameterError("fidelity compares scores of left-out images, and this detector has none. Give vectors.")
    for smaller in detector.reductions(_doubling(len(detector.bank_)), progress=progress):
        if rank_correlation(scores, smaller.calibration_.scores) >= fidelity:
            return smaller
    return _searched_exactly(detector)


def _doubling(total: int) -> Iterator[int]:
    count = max(1, round(FIRST_SHARE * total))
    while count <= total / 2:
        yield count
        count *= 2


def _searched_exactly(detector: BankDetector) -> Detector:
    """The same bank and thresholds without the graph index, which an exported graph does not have."""
    if detector.index_.kind == "exact":
        return detector
    exact: Any = copy.copy(detector)
    exact.index = "exact"
    exact.index_ = build_index(detector.bank_.vectors, "exact", detector.threads, detector.graph_.device)
    return exact
