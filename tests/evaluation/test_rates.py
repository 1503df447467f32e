from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from onlygood.errors import ParameterError
from onlygood.evaluation import escape_rate, false_reject_rate, wilson

stats = pytest.importorskip("scipy.stats")


@given(st.integers(1, 5000), st.floats(0, 1), st.sampled_from([0.5, 0.9, 0.95, 0.999]))
def test_intervals_agree_with_scipy(total: int, share: float, confidence: float) -> None:
    count = round(share * total)
    rate = wilson(count, total, confidence)
    expected = stats.binomtest(count, total).proportion_ci(confidence, method="wilson")
    assert rate.value == count / total
    assert (rate.low, rate.high) == pytest.approx((expected.low, expected.high), abs=1e-12)
    assert 0 <= rate.low <= rate.value <= rate.high <= 1


def test_none_of_twenty_is_not_never() -> None:
    rate = wilson(0, 20)
    assert rate.low == 0
    assert rate.high == pytest.approx(0.161, abs=0.001)


def test_rates_count_their_own_class_only() -> None:
    labels, rejected = [0, 0, 0, 0, 1, 1], [True, False, False, False, True, False]
    false_reject, escape = false_reject_rate(labels, rejected), escape_rate(labels, rejected)
    assert false_reject is not None and (false_reject.count, false_reject.total) == (1, 4)
    assert escape is not None and (escape.count, escape.total) == (1, 2)


def test_a_missing_class_has_no_rate() -> None:
    assert false_reject_rate([1, 1], [True, False]) is None
    assert escape_rate([0], [True]) is None


@pytest.mark.parametrize(("count", "total"), [(0, 0), (-1, 3), (4, 3)])
def test_impossible_counts_are_refused(count: int, total: int) -> None:
    with pytest.raises(ParameterError):
        wilson(count, total)


def test_bad_confidence_and_lengths_are_refused() -> None:
    with pytest.raises(ParameterError):
        wilson(1, 2, confidence=95)
    with pytest.raises(ParameterError):
        false_reject_rate([0, 1], [True])
