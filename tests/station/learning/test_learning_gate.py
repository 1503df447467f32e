"""The gate: what a candidate must show."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from onlygood.calibration import Calibration
from onlygood.station.decisions import Thresholds
from onlygood.station.learning.gate import CHANCE, Outcome, allowed_rejects, judge
from onlygood.station.learning.scoring import Scored

LIMITS = Thresholds(ng=3.0, review=2.0)
HUNDRED = Calibration.from_scores(np.arange(100.0)).promise
TEN = Calibration.from_scores(np.arange(10.0)).promise


def image(truth, score, learned=False):
    then = None if score is None else Scored(score, learned)
    return Outcome("0" * 64, "part", truth, Scored(1.0, False), then, LIMITS, LIMITS)


def gate(*outcomes, candidate=HUNDRED, on_duty=HUNDRED):
    return judge(outcomes, candidate, on_duty)


def test_passes_with_a_defect_found_and_a_good_image_not_rejected():
    found = gate(image("defect", 3.5), image("good", 1.0))
    assert found.passed and not found.reasons and (found.escapes, found.false_rejects) == (0, 0)


def test_review_is_no_escape_and_no_false_reject():
    assert gate(image("defect", 2.5), image("good", 2.5)).passed


@pytest.mark.parametrize("score", [2.0, -1.0])
def test_one_defect_called_ok_is_enough(score):
    found = gate(*[image("defect", 9.0)] * 50, image("defect", score), image("good", 1.0))
    assert not found.passed and found.escapes == 1 and "1 of 51 defects would escape" in found.reasons[0]


@pytest.mark.parametrize(
    ("outcomes", "missing"),
    [
        ([], "one defect and one good image"),
        ([image("good", 1.0)], "one defect"),
        ([image("defect", 4.0)], "one good image"),
        ([image("defect", 4.0), image("good", 1.0, learned=True)], "one good image that is not learned"),
    ],
)
def test_a_set_that_proves_nothing_lets_nothing_pass(outcomes, missing):
    found = gate(*outcomes)
    assert not found.passed and "proves nothing" in found.reasons[0] and missing in found.reasons[0]


def test_learned_good_images_count_neither_way():
    found = gate(image("defect", 4.0), image("good", 1.0), image("good", 9.0, learned=True))
    assert found.passed and found.good == 1 and "was learned" in " ".join(found.notes)


def test_a_learned_defect_that_escapes_counts():
    assert gate(image("defect", 0.0, learned=True), image("good", 1.0)).escapes == 1


def test_an_image_without_a_score_waits():
    found = gate(image("defect", 4.0), image("good", 1.0), image("good", None))
    assert not found.passed and "not judged yet" in " ".join(found.reasons) and found.false_rejects == 0


def test_false_rejects_are_held_to_the_promise():
    few = [image("good", 9.0)] + [image("good", 1.0)] * 4
    assert not gate(image("defect", 4.0), *few).passed  # 1 of 5 at a promise of 1 %
    assert gate(image("defect", 4.0), *few, candidate=TEN, on_duty=TEN).passed  # of 9 %, by ten images


def test_a_candidate_may_not_promise_less():
    assert gate(image("defect", 4.0), image("good", 1.0), candidate=HUNDRED, on_duty=TEN).passed
    found = gate(image("defect", 4.0), image("good", 1.0), candidate=TEN, on_duty=HUNDRED)
    assert not found.passed and "9.09%" in found.reasons[0] and "1.00%" in found.reasons[0]


def test_few_good_images_are_said_to_show_little():
    note = gate(image("defect", 4.0), *[image("good", 1.0)] * 10).notes[0]
    assert "25.9%" in note and "299 good images are needed" in note  # 1 - 0.05 ** (1 / 10); log 0.05 / log 0.99
    assert not gate(image("defect", 4.0), *[image("good", 1.0)] * 299).notes


@pytest.mark.parametrize("rate", [0.001, 0.01, 0.05, 0.3, 1.0])
@pytest.mark.parametrize("good", [0, 1, 5, 6, 35, 36, 500])
def test_allowed_rejects_against_scipy(good, rate):
    found = allowed_rejects(good, rate)
    at_least = [stats.binom.sf(k - 1, good, rate) for k in range(good + 1)]
    assert found == max(k for k, chance in enumerate(at_least) if chance >= CHANCE)
