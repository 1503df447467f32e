"""Drift of the scores of good parts: what the alarm promises, and what it finds."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from onlygood.calibration import Calibration
from onlygood.calibration.drift import (
    BETS,
    JUMPS,
    DriftTest,
    Jumper,
    Martingale,
    Ranks,
    below,
    compare,
    one_of_each,
)
from onlygood.errors import ParameterError

quick = settings(deadline=None, max_examples=40)
scores = st.lists(st.integers(-20, 20).map(float), max_size=30)


def slow_p_values(reference, new, seed):
    """By counting, each against all before it."""
    rng = np.random.default_rng(seed)
    seen, found = list(reference), []
    for score in new:
        above = sum(other > score for other in seen)
        equal = sum(other == score for other in seen) + 1
        found.append((above + rng.random() * equal) / (len(seen) + 1))
        seen.append(score)
    return found


def slow_capital(p_values):
    """The mean over jump rates of Simple Jumpers, each with its three accounts, in plain money."""
    path = []
    accounts = {(jump, bet): 1 / (len(JUMPS) * len(BETS)) for jump in JUMPS for bet in BETS}
    for p in p_values:
        for jump in JUMPS:
            total = sum(accounts[jump, bet] for bet in BETS)
            for bet in BETS:
                kept = (1 - jump) * accounts[jump, bet] + jump * total / len(BETS)
                accounts[jump, bet] = kept * (1 + bet * (p - 0.5))
        path.append(sum(accounts.values()))
    return path


@quick
@given(scores, scores, st.integers(0, 5))
def test_martingale_against_counting_and_plain_accounts(reference, new, seed):
    test = Martingale(reference, 0.01, seed)
    for score in new:
        test.add(score)
    assert np.exp(test.path) == pytest.approx(slow_capital(slow_p_values(reference, new, seed)), rel=1e-9)


@quick
@given(st.permutations([0, 1, 2, 3, 3, 3, 4, 5, 5, 6, 7, 8]), st.lists(st.integers(0, 9).map(float), max_size=20))
def test_the_order_of_the_calibration_does_not_matter(reference, new):
    one, other = Ranks(reference, 1), Ranks(sorted(reference), 1)
    assert [one.next(x) for x in new] == [other.next(x) for x in new]


@quick
@given(scores, scores, st.sampled_from([lambda x: 3 * x + 7, lambda x: np.exp(x / 5), lambda x: x**3 * 1e-9]))
def test_only_ranks_count(reference, new, grow):
    one, other = Martingale(reference), Martingale([grow(x) for x in reference])
    for score in new:
        assert one.add(score) == other.add(grow(score))
    assert one.path == other.path
    assert compare(reference, new) == compare([grow(x) for x in reference], [grow(x) for x in new])


def test_p_values_of_exchangeable_scores_are_uniform_and_independent():
    rng = np.random.default_rng(3)
    found = []
    for run in range(400):
        drawn = rng.integers(0, 4, 25)  # many ties
        ranks = Ranks(drawn[:10], run)
        found.append([ranks.next(float(x)) for x in drawn[10:]])
    p = np.asarray(found)
    assert stats.kstest(p.ravel(), "uniform").pvalue > 0.001
    neighbours = np.corrcoef(p[:, :-1].ravel(), p[:, 1:].ravel())[0, 1]
    assert abs(neighbours) < 4 / np.sqrt(p[:, 1:].size)
    far = np.corrcoef(p[:, 0], p[:, -1])[0, 1]
    assert abs(far) < 4 / np.sqrt(len(p))


def test_the_capital_of_uniform_p_values_has_mean_one():
    game = Jumper((40_000,))
    rng = np.random.default_rng(8)
    for _ in range(6):
        capital = np.exp(game.step(rng.random(40_000)))
    assert capital.mean() == pytest.approx(1, abs=5 * capital.std() / np.sqrt(capital.size))


def test_false_alarms_come_no_more_often_than_promised():
    """Runs of 100 good parts of a calibration of 40, with the threshold that the calibration itself gives."""
    runs, alpha, alarms = 80, 0.2, 0
    rng = np.random.default_rng(11)
    for run in range(runs):
        calibration = Calibration.from_scores(rng.gamma(3, size=40), false_reject=0.1, review=0.2)
        test = DriftTest(calibration.scores, calibration.ng_threshold, alpha=alpha, seed=run)
        for score in rng.gamma(3, size=100):
            test.add(score)
        alarms += bool(test.alarm)
    assert alarms <= stats.binom.ppf(0.999, runs, alpha)


def test_ville_holds_and_is_not_vacuous():
    game, alpha = Jumper((4_000,)), 0.2
    rng = np.random.default_rng(4)
    highest = np.zeros(4_000)
    for _ in range(400):
        highest = np.maximum(highest, game.step(rng.random(4_000)))
    alarms = int((highest >= -np.log(alpha)).sum())
    assert 0 < alarms <= stats.binom.ppf(0.999, 4_000, alpha)


def test_ranks_among_the_calibration_alone_would_raise_false_alarms():
    """Why earlier new scores count: a calibration that happens to lie low makes every later p-value small."""
    rng = np.random.default_rng(2)
    runs, parts = 1_000, 400
    calibration = np.sort(rng.normal(size=(runs, 20)))
    new = rng.normal(size=(runs, parts))
    above = np.stack([20 - np.searchsorted(c, x) for c, x in zip(calibration, new)])
    p = (above + rng.random((runs, parts))) / 21
    game, highest = Jumper((runs,)), np.zeros(runs)
    for step in range(parts):
        highest = np.maximum(highest, game.step(p[:, step]))
    assert (highest >= np.log(100)).mean() > 0.05  # promised: 1 %


@pytest.mark.parametrize(("shift", "direction"), [(1.0, "rising"), (-1.0, "falling")])
@pytest.mark.parametrize(("before", "by"), [(0, {"calibration"}), (400, {"calibration", "start"})])
def test_a_shift_is_noticed_with_its_direction(shift, direction, before, by):
    rng = np.random.default_rng(6)
    calibration = Calibration.from_scores(rng.normal(size=150))
    test = DriftTest(calibration.scores, calibration.ng_threshold)
    assert not any(test.add(score) for score in rng.normal(size=before))
    raised = [test.add(score) for score in rng.normal(shift, size=250)]
    assert sum(raised) == 1 and test.alarm in by and test.over
    state = (test.against_calibration if test.alarm == "calibration" else test.against_start).state
    assert state.direction == direction
    assert state.highest >= state.alarm_level == pytest.approx(200)
    assert state.alarm_at == state.parts  # after the alarm nothing more is looked at


def test_defects_above_the_threshold_are_left_out():
    rng = np.random.default_rng(1)
    calibration = Calibration.from_scores(rng.normal(size=300))
    test = DriftTest(calibration.scores, calibration.ng_threshold)
    for score in rng.normal(size=300):
        assert not test.add(score)
        assert not test.add(score + 50)
    assert test.left_out >= 300 and test.against_calibration.state.parts == len(test.scores) <= 300


def test_the_score_at_the_threshold_is_left_out_on_both_sides():
    test = DriftTest([1, 2, 3, 3], 3)
    test.add(3)
    assert test.reference.tolist() == [1, 2] and test.left_out == 1 and not len(test.scores)


def test_a_run_ends_after_its_parts():
    test = DriftTest([1, 2, 3], 10, most=2)
    for score in (1, 20, 2, 3):
        test.add(score)
    assert test.over and not test.alarm and test.scores.tolist() == [1, 2] and test.left_out == 1


def test_without_calibration_only_the_parts_themselves_are_compared():
    test = DriftTest([], np.inf)
    assert [test.add(score) for score in np.arange(400)].count(True) == 1
    assert test.alarm == "start" and test.against_calibration.state.parts == 0
    assert test.against_start.state.direction == "rising"


def test_nothing_seen_yet():
    state = DriftTest([1.0], np.inf).against_calibration.state
    assert (state.parts, state.capital, state.highest, state.alarm_at, state.direction) == (0, 1, 1, 0, "")
    assert Martingale([], 0.5).add(3) is False
    assert compare([], [1, 2]) == compare([1], [])
    assert compare([], []).p_value == 1


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: DriftTest([1], np.nan),
        lambda: DriftTest([np.nan], 1),
        lambda: DriftTest([1], 1, alpha=0),
        lambda: DriftTest([1], 1, most=0),
        lambda: DriftTest([1], 1).add(np.nan),
        lambda: one_of_each([1, 2], [0]),
        lambda: compare([np.nan], [1]),
    ],
)
def test_what_is_no_score_is_refused(wrong):
    with pytest.raises(ParameterError):
        wrong()


@quick
@given(st.lists(st.tuples(st.integers(0, 6), st.floats(0, 1)), max_size=25), st.integers(0, 3))
def test_one_of_each_group(pairs, seed):
    groups = [group for group, _ in pairs]
    chosen = one_of_each([score for _, score in pairs], groups, seed)
    assert len(chosen) == len(set(groups))
    left = sorted(chosen.tolist())
    for group in set(groups):
        assert any(score in left for name, score in pairs if name == group)


def test_any_member_of_a_group_may_be_drawn():
    drawn = {float(one_of_each([1, 2, 3], [0, 0, 0], seed)[0]) for seed in range(40)}
    assert drawn == {1, 2, 3}


def test_below_keeps_the_order():
    assert below([3, 1, 2, 5], 3).tolist() == [1, 2]


@quick
@given(
    st.lists(st.floats(-5, 5), min_size=1, max_size=25, unique=True),
    st.lists(st.floats(6e-3, 5.003), min_size=1, max_size=25, unique=True),
)
def test_two_samples_against_scipy(first, second):
    second = [x for x in second if x not in first]
    if not second:
        return
    ours, theirs = compare(first, second), stats.ks_2samp(first, second, method="exact")
    assert ours.distance == pytest.approx(theirs.statistic, abs=1e-12)
    assert ours.p_value == pytest.approx(theirs.pvalue, abs=1e-9)
    wins = stats.mannwhitneyu(second, first).statistic / (len(first) * len(second))
    assert ours.higher == pytest.approx(wins)


def test_two_large_samples_against_scipy():
    rng = np.random.default_rng(0)
    first, second = rng.normal(size=700), rng.normal(0.15, 1, size=450)
    ours, theirs = compare(first, second), stats.ks_2samp(first, second, method="exact")
    assert ours.p_value == pytest.approx(theirs.pvalue, rel=1e-6)


def test_ties_make_the_two_sample_test_careful():
    rng = np.random.default_rng(5)
    small = [compare(rng.integers(0, 3, 30), rng.integers(0, 3, 30)).p_value <= 0.1 for _ in range(200)]
    assert np.mean(small) <= 0.1
