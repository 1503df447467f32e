"""Bootstrap intervals against SciPy's and their coverage; structural and logical anomalies apart."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from onlygood.errors import ParameterError
from onlygood.evaluation import auroc, bootstrap_interval, evaluate
from onlygood.inspection import Inspection, Verdict


def scored(rng: np.random.Generator, good: int, bad: int, shift: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    return np.repeat([0, 1], [good, bad]), np.concatenate([rng.normal(size=good), rng.normal(shift, 1, bad)])


def test_the_interval_is_scipys(rng) -> None:
    labels, scores = scored(rng, 60, 80)

    def area(good: np.ndarray, bad: np.ndarray) -> float:
        return auroc(np.repeat([0, 1], [len(good), len(bad)]), np.concatenate([good, bad]))

    theirs = stats.bootstrap(
        (scores[:60], scores[60:]), area, vectorized=False, method="percentile", n_resamples=2000, random_state=1
    ).confidence_interval
    ours = bootstrap_interval(labels, scores, auroc, resamples=2000)
    assert ours == pytest.approx(tuple(theirs), abs=0.01)
    assert ours[0] < auroc(labels, scores) < ours[1]


def test_it_covers_the_truth_about_as_often_as_it_says(rng) -> None:
    truth = stats.norm.cdf(1 / np.sqrt(2))
    inside = 0
    for _ in range(150):
        found = bootstrap_interval(*scored(rng, 50, 50), auroc, resamples=150)
        inside += found[0] <= truth <= found[1]
    assert 0.87 <= inside / 150 <= 0.99


def test_few_images_and_senseless_wishes(rng) -> None:
    assert bootstrap_interval([0, 1, 1], [0.0, 1.0, 2.0], auroc) is None
    for wish in ({"confidence": 1.0}, {"resamples": 0}):
        with pytest.raises(ParameterError, match="confidence"):
            bootstrap_interval(*scored(rng, 5, 5), auroc, **wish)


def inspected(scores: list[float]) -> list[Inspection]:
    return [Inspection(name=str(s), score=s, p_value=0.5, verdict=Verdict.OK) for s in scores]


def test_structural_and_logical_anomalies_are_totalled_in_both_ways() -> None:
    """REB: the mean of both classes; ULSAD: good images against all anomalies."""
    scores = [0.0, 1.0, 2.0, 3.0, 0.5, 1.5, 5.0]
    natures = [None, None, None, "structural", "logical", "logical", "structural"]
    result = evaluate(inspected(scores), [0, 0, 0, 1, 1, 1, 1], natures=natures)
    assert result.per_nature == {"structural": 1.0, "logical": 0.5, "mean": 0.75}
    assert result.image_auroc == pytest.approx((3 + 3 + 1 + 2) / 12)
    assert result.as_dict()["per_nature"]["mean"] == 0.75
    assert result.as_dict()["intervals"]["image_auroc"] == list(result.image_auroc_interval)


def test_without_both_natures_there_is_no_total() -> None:
    result = evaluate(inspected([0.0, 1.0, 2.0]), [0, 1, 1], natures=[None, "logical", "logical"])
    assert result.per_nature == {} and result.image_auroc_interval is None
