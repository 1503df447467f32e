from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from onlygood.calibration import Calibration
from onlygood.errors import ParameterError
from onlygood.inspection import Verdict

finite = st.floats(-1e6, 1e6, width=32)


def test_p_value_is_the_share_at_least_as_high_counting_itself():
    c = Calibration.from_scores([1, 2, 3, 4])
    assert c.p_values([0, 1, 2.5, 4, 5]).tolist() == [1, 1, 3 / 5, 2 / 5, 1 / 5]


@given(st.lists(finite, min_size=1, max_size=40), st.lists(finite, min_size=1, max_size=20))
def test_p_values_against_a_loop(calibration, scores):
    p = Calibration.from_scores(calibration).p_values(scores)
    for value, score in zip(p, scores):
        assert value == pytest.approx((1 + sum(c >= score for c in calibration)) / (len(calibration) + 1))


@given(st.lists(finite, min_size=1, max_size=60), finite, st.sampled_from([0.01, 0.05, 0.1, 0.3]))
def test_ng_exactly_when_the_p_value_is_within_the_promised_level(calibration, score, rate):
    c = Calibration.from_scores(calibration, false_reject=rate, review=max(rate, 0.3))
    is_ng = c.verdict(score) == Verdict.NG
    assert is_ng == (c.p_values([score])[0] <= c.promise.level + 1e-12)


def test_threshold_is_the_order_statistic_of_split_conformal():
    scores = np.random.default_rng(0).normal(size=199)
    c = Calibration.from_scores(scores, false_reject=0.05, review=0.05)
    assert c.ng_threshold == np.sort(scores)[int(np.ceil(0.95 * 200)) - 1]


def test_too_few_images_say_so():
    promise = Calibration.from_scores(np.arange(31.0)).promise
    assert not promise.kept and promise.level == 1 / 32
    assert "cannot be promised with 31" in str(promise) and "at least 99" in str(promise)
    assert Calibration.from_scores(np.arange(99.0)).promise.kept


def test_guarantee_is_worded_by_what_is_proven():
    scores = np.arange(200.0)
    assert "guaranteed" in str(Calibration.from_scores(scores, proven=True).promise)
    assert "no finite-sample theorem" in str(Calibration.from_scores(scores).promise)


def test_a_group_of_near_duplicates_counts_once():
    c = Calibration.from_scores([1, 5, 5, 5], groups=[0, 1, 1, 1])
    assert c.units == pytest.approx(2)
    assert c.p_values([3])[0] == pytest.approx((1 + 1) / 3)


def test_nothing_calibrated_means_review():
    c = Calibration.from_scores([])
    assert c.verdict(-1e9) == c.verdict(1e9) == Verdict.REVIEW
    assert c.p_values([3.0])[0] == 1


@given(st.lists(finite, min_size=2, max_size=50))
def test_review_begins_below_ng(scores):
    c = Calibration.from_scores(scores)
    assert c.review_threshold <= c.ng_threshold
    assert c.at(0.1).ng_threshold <= c.at(0.01).ng_threshold


def test_false_rejects_stay_within_the_rate_on_exchangeable_scores():
    rng = np.random.default_rng(1)
    rejected = [
        Calibration.from_scores(rng.normal(size=60), false_reject=0.1, review=0.2).verdict(rng.normal()) == Verdict.NG
        for _ in range(3000)
    ]
    assert np.mean(rejected) == pytest.approx(np.floor(0.1 * 61) / 61, abs=0.018)  # three standard errors


def test_round_trip():
    c = Calibration.from_scores([3, 1, 2], [0, 0, 1], [1, 2, 3], false_reject=0.2, review=0.3)
    again = Calibration.from_dict(c.as_dict())
    assert again.ng_threshold == c.ng_threshold and again.pixel_threshold == c.pixel_threshold


@pytest.mark.parametrize("rates", [(0, 0.1), (0.2, 0.1), (0.1, 1), (-1, 0.5)])
def test_bad_rates(rates):
    with pytest.raises(ParameterError, match="rates"):
        Calibration.from_scores([1, 2], false_reject=rates[0], review=rates[1])


def test_scores_must_be_finite():
    with pytest.raises(ParameterError, match="finite"):
        Calibration.from_scores([1, np.nan])
