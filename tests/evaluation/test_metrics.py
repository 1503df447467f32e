from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from onlygood.errors import ParameterError
from onlygood.evaluation import auroc, average_precision, best_f1, roc_curve

sklearn_metrics = pytest.importorskip("sklearn.metrics")


@st.composite
def labelled_scores(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray]:
    """Both classes present, many ties."""
    good = draw(st.lists(st.integers(-8, 8), min_size=1, max_size=30))
    defect = draw(st.lists(st.integers(-8, 8), min_size=1, max_size=30))
    order = np.array(draw(st.permutations(range(len(good) + len(defect)))))
    labels = np.array([0] * len(good) + [1] * len(defect))[order]
    return labels, (np.array(good + defect) / 4)[order]


@given(labelled_scores())
def test_figures_agree_with_scikit_learn(case: tuple[np.ndarray, np.ndarray]) -> None:
    labels, scores = case
    assert auroc(labels, scores) == pytest.approx(sklearn_metrics.roc_auc_score(labels, scores), abs=1e-12)
    expected = sklearn_metrics.average_precision_score(labels, scores)
    assert average_precision(labels, scores) == pytest.approx(expected, abs=1e-12)
    for ours, theirs in zip(
        roc_curve(labels, scores), sklearn_metrics.roc_curve(labels, scores, drop_intermediate=False)
    ):
        np.testing.assert_allclose(ours, theirs, atol=1e-12)


@given(labelled_scores())
def test_best_f1_is_reached_and_not_passed(case: tuple[np.ndarray, np.ndarray]) -> None:
    labels, scores = case
    value, threshold = best_f1(labels, scores)
    assert value == pytest.approx(sklearn_metrics.f1_score(labels, scores >= threshold), abs=1e-12)
    all_values = [sklearn_metrics.f1_score(labels, scores >= t) for t in scores]
    assert value == pytest.approx(max(all_values), abs=1e-12)


@given(labelled_scores())
def test_only_the_order_of_scores_matters(case: tuple[np.ndarray, np.ndarray]) -> None:
    labels, scores = case
    stretched = np.exp(2 * scores) - 5
    assert auroc(labels, stretched) == auroc(labels, scores)
    assert average_precision(labels, stretched) == average_precision(labels, scores)
    assert best_f1(labels, stretched)[0] == best_f1(labels, scores)[0]


@given(labelled_scores())
def test_turning_scores_around_mirrors_auroc(case: tuple[np.ndarray, np.ndarray]) -> None:
    labels, scores = case
    assert auroc(labels, -scores) == pytest.approx(1 - auroc(labels, scores))


def test_constant_scores_are_a_coin_toss() -> None:
    labels = [0, 1, 1, 0, 1]
    assert auroc(labels, [7.0] * 5) == 0.5
    assert average_precision(labels, [7.0] * 5) == pytest.approx(0.6)


def test_perfect_separation() -> None:
    labels, scores = [False, False, True], [0.1, 0.2, 0.3]
    assert auroc(labels, scores) == average_precision(labels, scores) == 1
    assert best_f1(labels, scores) == (1.0, 0.3)


def test_scores_of_any_size_are_told_apart() -> None:
    assert auroc([0, 1], [1e300, np.nextafter(1e300, np.inf)]) == 1


@pytest.mark.parametrize("figure", [auroc, average_precision, best_f1, roc_curve])
@pytest.mark.parametrize(
    ("labels", "scores", "message"),
    [
        ([0, 1], [1.0], "one score for each label"),
        ([0, 1], [1.0, np.nan], "not finite"),
        ([0, 1], [np.inf, 1.0], "Score number 1 of 2"),
        ([0, 2], [1.0, 2.0], "0 .good. or 1"),
        (["a", "b"], [1.0, 2.0], "0 .good. or 1"),
        ([[0, 1]], [[1.0, 2.0]], "list of 0 and 1"),
        ([0, 0], [1.0, 2.0], "2 good and 0 defective"),
        ([1, 1], [1.0, 2.0], "0 good and 2 defective"),
        ([], [], "0 good and 0 defective"),
    ],
)
def test_bad_input_is_refused(figure, labels, scores, message: str) -> None:
    with pytest.raises(ParameterError, match=message):
        figure(labels, scores)
