"""The figures of each epoch, what is made of them, and that watching changes nothing."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

import onlygood
from onlygood.errors import ParameterError
from onlygood.evaluation import EpochFigures, TrainingCurve, auroc, evaluate, training_curve

sys.path.append(str(Path(__file__).parents[1] / "methods"))
from drawn_parts import spoilt, tile

pytest.importorskip("torch")

GOOD = [tile(seed) for seed in range(8)]
TEST = [*(tile(seed) for seed in range(20, 24)), *(spoilt(seed) for seed in range(50, 54))]
LABELS = [0, 0, 0, 0, 1, 1, 1, 1]


def mask() -> np.ndarray:
    marked = np.zeros((80, 80), bool)
    marked[30:52, 26:50] = True
    return marked


def curve(*figures: tuple[int, float, float | None]) -> TrainingCurve:
    return TrainingCurve(tuple(EpochFigures(*one) for one in figures), onlygood.SimpleNet())


def test_last_mean_and_oracle_are_told_apart():
    made = curve((4, 0.6, 0.5), (8, 0.9, 0.4), (12, 0.9, 0.7), (16, 0.8, 0.6))
    assert made.last == EpochFigures(16, 0.8, 0.6) and not made.last.oracle
    assert made.oracle == EpochFigures(12, 0.9, 0.7, oracle=True)  # among equals the better pixel figure
    mean = made.mean_of_last(2)
    assert (mean.image_auroc, mean.pixel_auroc, mean.oracle) == (pytest.approx(0.85), pytest.approx(0.65), False)
    assert made.mean_of_last().image_auroc == pytest.approx(0.8)
    assert curve((4, 0.6, None)).mean_of_last().pixel_auroc is None


def test_figures_are_those_of_the_detector():
    detector = onlygood.SimpleNet(size=64, epochs=6, updates=1, hidden=32, threads=1)
    masks = [None] * 4 + [mask()] * 4
    made = training_curve(detector, GOOD, TEST, LABELS, masks, every=4)
    assert [one.epoch for one in made.figures] == [4, 6]
    assert not hasattr(detector, "calibration_")
    plain = onlygood.SimpleNet(**detector.get_params()).fit(GOOD)
    assert made.detector.head_.onnx == plain.head_.onnx  # watching changes nothing
    found = evaluate(plain.inspect(TEST), LABELS, masks)
    assert made.last.image_auroc == found.image_auroc
    assert made.last.pixel_auroc == pytest.approx(found.pixel_auroc, abs=1e-4)
    shorter = onlygood.SimpleNet(**{**detector.get_params(), "epochs": 4}).fit(GOOD)
    assert made.figures[0].image_auroc == auroc(LABELS, shorter.score(TEST))
    assert made.figures[0].pixel_auroc != made.last.pixel_auroc


def test_a_mask_that_is_missing_leaves_its_image_out():
    detector = onlygood.SimpleNet(size=64, epochs=1, updates=1, hidden=32, threads=1)
    masks = [None] * 4 + [mask(), None, None, None]
    made = training_curve(detector, GOOD, TEST, LABELS, masks)
    chosen = [0, 1, 2, 3, 4]
    found = evaluate(
        made.detector.inspect([TEST[i] for i in chosen]), [LABELS[i] for i in chosen], [masks[i] for i in chosen]
    )
    assert made.last.pixel_auroc == pytest.approx(found.pixel_auroc, abs=1e-4)
    assert training_curve(detector, GOOD, TEST, LABELS).last.pixel_auroc is None


@pytest.mark.parametrize(
    "arguments", [{"labels": [0] * 8}, {"labels": [1] * 8}, {"labels": [0, 1]}, {"masks": [None]}, {"every": 0}]
)
def test_bad_arguments(arguments):
    with pytest.raises(ParameterError):
        training_curve(onlygood.SimpleNet(), GOOD, TEST, **{"labels": LABELS, **arguments})
