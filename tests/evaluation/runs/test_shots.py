"""Draws: reproducible, of different images, each its own."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from onlygood.errors import DataError
from onlygood.evaluation.runs.shots import draw_shots

NAMES = [f"image{i}" for i in range(30)]


@given(st.permutations(NAMES), st.integers(1, 30), st.integers(0, 5))
def test_a_draw_depends_on_the_images_not_on_their_order(names: list[str], shots: int, draw: int) -> None:
    places = draw_shots(names, "data", shots, draw)
    assert places == sorted(set(places)) and len(places) == shots
    assert {names[i] for i in places} == {NAMES[i] for i in draw_shots(NAMES, "data", shots, draw)}


def test_a_draw_is_the_same_for_ever() -> None:
    assert draw_shots(NAMES, "data", 5, 0) == [6, 7, 8, 16, 21]
    assert draw_shots(NAMES, "data", 5, 1) == [0, 2, 13, 15, 23]


def test_draws_shots_and_data_each_give_another() -> None:
    found = {tuple(draw_shots(NAMES, data, 10, draw)) for data in ("a", "b") for draw in range(20)}
    assert len(found) == 40
    assert not set(draw_shots(NAMES, "a", 5, 0)) <= set(draw_shots(NAMES, "a", 6, 0))  # no draw is part of another


def test_every_image_is_drawn_about_as_often() -> None:
    counts = Counter(place for draw in range(600) for place in draw_shots(NAMES, "data", 10, draw))
    # 600 draws of a third each: 200 expected, standard deviation 11.5; six of them is beyond chance
    assert len(counts) == 30 and all(131 <= count <= 269 for count in counts.values())


def test_copies_are_one_image_and_too_many_shots_an_error() -> None:
    assert draw_shots(["a", "b", "a", "b"], "data", 2, 0) == [0, 1]
    with pytest.raises(DataError, match="3 shots cannot be drawn of 2 different"):
        draw_shots(["a", "b", "a", "b"], "data", 3, 0)
