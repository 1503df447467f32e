"""Choosing by synthetic defects: what is compared, the budget, who is recommended."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from onlygood.errors import DataError, DataWarning, ParameterError
from onlygood.evaluation import choosing
from onlygood.evaluation.choosing import Candidate, Estimate, _Scores, _weighed, choose

SMALL = (
    Candidate("first", "knn", {"size": 64}),
    Candidate("second", "gde", {"size": 64}),
    Candidate("broken", "knn", {"size": 65}),
)


def striped(seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    stripes = 110 + 40 * np.sin(np.arange(96) / rng.uniform(2, 9) + rng.uniform(0, 6))
    grey = np.clip(stripes[None] + rng.normal(0, 6, (96, 96)), 0, 255).astype(np.uint8)
    return np.repeat(grey[..., None], 3, axis=2)


@pytest.fixture(scope="module")
def good() -> list[np.ndarray]:
    return [striped(seed) for seed in range(12)]


@pytest.fixture(scope="module")
def choice(good):
    return choose(good, SMALL, progress=lambda *_: None)


def test_each_candidate_is_asked_about_the_same_held_out_images(choice) -> None:
    first, second, broken = choice.estimates
    assert choice.learned + choice.held_out <= 12 and choice.held_out >= 3 and choice.defects == 3 * choice.held_out
    for one in (first, second):
        assert 0 <= one.auroc <= 1 and 0 <= one.caught <= 1 and 0 <= one.rejected <= 1
        assert one.ms > 0 and one.fit_s > 0 and one.model_mb > 0 and one.error >= 0 and not one.failure
    assert "multiple of 32" in broken.failure and not broken.within and np.isnan(broken.auroc)
    assert choice.recommended in (0, 1) and choice.best is choice.estimates[choice.recommended]


def test_the_same_seed_chooses_the_same(good, choice) -> None:
    again = choose(good, SMALL, progress=lambda *_: None)
    assert [(e.auroc, e.error, e.caught) for e in again.estimates[:2]] == [
        (e.auroc, e.error, e.caught) for e in choice.estimates[:2]
    ]


def test_near_duplicates_are_not_on_both_sides(good) -> None:
    """A copy of an image is neither learned nor counted when that image is held out."""
    with pytest.warns(DataWarning, match="same picture"):
        choice = choose([*good, *good], SMALL[:1], progress=lambda *_: None)
    assert choice.held_out >= 3 and choice.learned + 2 * choice.held_out <= 24


def test_nothing_within_the_budget(good) -> None:
    choice = choose(good, SMALL[:1], max_ms=1e-6, progress=lambda *_: None)
    assert choice.best is None and not choice.estimates[0].within


def test_no_candidate_is_begun_when_the_time_is_up(good) -> None:
    choice = choose(good, SMALL, minutes=1e-9, progress=lambda *_: None)
    assert [e.candidate.name for e in choice.estimates] == ["first"] and choice.left_out == ("second", "broken")


@pytest.mark.parametrize("name", ["max_ms", "max_fit_s", "minutes"])
def test_senseless_budgets_are_refused(good, name) -> None:
    with pytest.raises(ParameterError, match=name):
        choose(good, SMALL, **{name: 0})


def test_too_few_images_are_refused(good) -> None:
    with pytest.raises(DataError, match="at least 6"):
        choose(good[:4], SMALL, progress=lambda *_: None)
    with pytest.raises(ParameterError, match="no candidate"):
        choose(good, ())


def scores(bad: list[float]) -> _Scores:
    return _Scores(np.linspace(0, 1, 10), np.repeat(bad, 3), np.repeat(np.arange(10), 3))


def found(*each: tuple[str, float, list[float]]) -> list[tuple[Estimate, _Scores]]:
    made = []
    for name, ms, bad in each:
        of = scores(bad)
        made.append((Estimate(Candidate(name), auroc=of.auroc(), ms=ms, fit_s=1.0), of))
    return made


def test_areas_under_the_curve_of_drawn_images_are_scikit_learns(rng) -> None:
    of = scores(list(rng.uniform(0, 2, 10)))
    for draw in rng.integers(10, size=(5, 10)):
        labels, values = [], []
        for image in draw:
            labels += [0, 1, 1, 1]
            values += [of.good[image], *of.bad[of.source == image]]
        assert of.auroc(draw) == pytest.approx(roc_auc_score(labels, values))


def test_the_first_that_is_not_clearly_worse_is_recommended() -> None:
    clear, near, poor = [2.0] * 10, [2.0] * 9 + [0.9], [0.4] * 10
    estimates, place = _weighed(found(("near", 20, near), ("clear", 30, clear), ("poor", 5, poor)), None, None, 0)
    assert place == 0 and [e.on_front for e in estimates] == [True, True, True]
    assert _weighed(found(("poor", 5, poor), ("clear", 30, clear)), None, None, 0)[1] == 1
    assert _weighed(found(("poor", 5, poor), ("clear", 30, clear)), 10.0, None, 0)[1] == 0
    beaten, _ = _weighed(found(("slow and poor", 50, poor), ("clear", 30, clear)), None, None, 0)
    assert [e.on_front for e in beaten] == [False, True]


def test_what_the_default_candidates_are() -> None:
    assert choosing.CANDIDATES[0].make().method == "reb" and choosing.CANDIDATES[0].parameters == {}
    for candidate in choosing.CANDIDATES:
        candidate.make(seed=1)._check_parameters()
    assert len({c.name for c in choosing.CANDIDATES}) == len(choosing.CANDIDATES)
    assert replace(choosing.CANDIDATES[0], parameters={"size": 96}).size == 96
