"""How far a figure could be another with other test images: bootstrap over images."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike, NDArray

from onlygood.errors import ParameterError
from onlygood.evaluation.metrics import check_labels_and_scores

Figure = Callable[[NDArray[np.bool_], NDArray[np.float64]], float]


def bootstrap_interval(
    labels: ArrayLike,
    scores: ArrayLike,
    figure: Figure,
    *,
    confidence: float = 0.95,
    resamples: int = 1000,
    seed: int = 0,
) -> tuple[float, float] | None:
    """Percentile interval of a figure of labels and scores (Efron 1979).

    Good and defective images are each drawn anew with replacement, as many as there are, so that no draw lacks a class.
    It says what other images of the same kind would do, and nothing of other defects. With few images it is too narrow.

    Args:
        labels: 0 good, 1 defective, one per image.
        scores: Image scores.
        figure: Of labels and scores, such as `auroc`.
        confidence: Share of the draws inside.
        resamples: Draws.
        seed: Of the draws.

    Returns:
        Lower and upper end; None with fewer than two images of a class.

    Raises:
        ParameterError: As `auroc`, or a confidence outside (0, 1), or no draws.
    """
    truth, values = check_labels_and_scores(labels, scores)
    if not 0 < confidence < 1 or resamples < 1:
        raise ParameterError(f"confidence={confidence}, resamples={resamples}: a share below 1, and at least one draw.")
    good, defect = np.flatnonzero(~truth), np.flatnonzero(truth)
    if min(len(good), len(defect)) < 2:
        return None
    rng = np.random.default_rng(seed)
    again = np.repeat([False, True], [len(good), len(defect)])
    found = np.empty(resamples)
    for draw in range(resamples):
        rows = np.concatenate([rng.choice(good, len(good)), rng.choice(defect, len(defect))])
        found[draw] = figure(again, values[rows])
    low, high = np.quantile(found, [(1 - confidence) / 2, (1 + confidence) / 2])
    return float(low), float(high)
