from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from onlygood.errors import ParameterError
from onlygood.inspection import Inspection, Verdict
from onlygood.reports import overlay, save_overlay, side_by_side
from onlygood.reports.colours import RAMP, VERDICT_COLOURS, VERDICT_INK, linear_light


def photograph(height: int = 40, width: int = 60) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)


def hill(height: int = 40, width: int = 60) -> np.ndarray:
    y, x = np.mgrid[:height, :width]
    return np.exp(-((y - height / 2) ** 2 + (x - width / 2) ** 2) / 60).astype(np.float32)


def luminance(rgb: np.ndarray) -> np.ndarray:
    return linear_light(rgb / 255) @ np.array([0.2126, 0.7152, 0.0722])


def test_below_the_threshold_the_image_stays_as_it_is() -> None:
    image, scores = photograph(), hill()
    drawn = overlay(image, scores, low=0.3, high=1.0)
    assert drawn.dtype == np.uint8 and drawn.shape == image.shape
    np.testing.assert_array_equal(drawn[scores < 0.3], image[scores < 0.3])
    assert (drawn[scores >= 0.3] != image[scores >= 0.3]).any(axis=1).mean() > 0.9


def test_the_image_given_is_not_changed() -> None:
    image = photograph()
    before = image.copy()
    overlay(image, hill(), low=0.1, high=1.0)
    np.testing.assert_array_equal(image, before)


def test_colour_covers_more_where_the_score_is_higher() -> None:
    image = np.full((1, 200, 3), 128, dtype=np.uint8)
    scores = np.linspace(0, 1, 200, dtype=np.float32)[None]
    drawn = overlay(image, scores, low=0.0, high=1.0, opacity=1.0)
    np.testing.assert_array_equal(drawn[0, -1], RAMP[255])
    assert luminance(drawn[0, 190]) > luminance(drawn[0, 100]) > luminance(drawn[0, 10])


@pytest.mark.parametrize("value", [-3.0, 0.0, 7.0])
@pytest.mark.parametrize(("low", "high"), [(0.0, 1.0), (0.0, 0.0), (7.0, 7.0), (5.0, 1.0)])
def test_constant_maps_work(value: float, low: float, high: float) -> None:
    image = np.full((30, 30, 3), 90, dtype=np.uint8)
    drawn = overlay(image, np.full((8, 8), value, np.float32), low=low, high=high)
    assert (drawn != image).any() == (value >= low)


def test_a_map_of_another_size_is_brought_to_the_image() -> None:
    scores = np.zeros((4, 4), dtype=np.float32)
    scores[0, 3] = 1
    image = np.zeros((80, 40, 3), dtype=np.uint8)
    changed = overlay(image, scores, low=0.5, high=1.0).any(axis=2)
    assert changed[0, 39] and changed[:30, 25:].any()
    assert not changed[40:].any() and not changed[:, :20].any()


def test_the_colours_grow_lighter_in_even_steps() -> None:
    light = np.cbrt(luminance(RAMP.astype(float)))
    steps = np.diff(light[::15])
    assert (steps > 0).all()
    assert steps.max() < 2.5 * steps.min()


@pytest.mark.parametrize("verdict", list(Verdict))
def test_the_words_of_the_verdicts_can_be_read(verdict: Verdict) -> None:
    ground, ink = (float(luminance(np.array(colours[verdict]))) for colours in (VERDICT_COLOURS, VERDICT_INK))
    assert (max(ground, ink) + 0.05) / (min(ground, ink) + 0.05) >= 4.5


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"image": np.zeros((4, 4), np.uint8)}, "uint8"),
        ({"image": np.zeros((4, 4, 3), np.float32)}, "uint8"),
        ({"anomaly_map": np.zeros(4)}, "anomaly map"),
        ({"anomaly_map": np.full((4, 4), np.nan)}, "finite"),
        ({"low": float("nan")}, "colour scale"),
        ({"opacity": 1.5}, "opacity"),
    ],
)
def test_bad_input_is_refused(arguments: dict, message: str) -> None:
    usual = {"image": photograph(), "anomaly_map": hill(), "low": 0.3, "high": 1.0}
    with pytest.raises(ParameterError, match=message):
        overlay(**{**usual, **arguments})


@pytest.mark.parametrize("shape", [(1, 1), (7, 900), (500, 3), (64, 64), (1500, 2000)])
@pytest.mark.parametrize("name", ["a.png", "a" * 300, "weird\nnäme 図.png", ""])
def test_any_image_and_name_can_be_put_side_by_side(shape: tuple[int, int], name: str) -> None:
    inspection = Inspection(name, 1.5, 0.01, Verdict.NG, hill(8, 8), (), (shape[1], shape[0]))
    page = side_by_side(photograph(*shape), inspection, low=0.3)
    assert page.dtype == np.uint8
    assert page.shape[1] >= 480 and page.shape[1] <= 2100
    # The sign has the colour of the verdict.
    assert tuple(page[0, 0]) == VERDICT_COLOURS[Verdict.NG]


def test_a_saved_overlay_is_a_png_and_leaves_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "part.png"
    inspection = Inspection("part.png", 1.5, 0.01, Verdict.REVIEW, hill(), (), (60, 40))
    save_overlay(path, photograph(), inspection, low=0.3)
    with Image.open(path) as written:
        assert written.format == "PNG"
        np.testing.assert_array_equal(np.asarray(written), side_by_side(photograph(), inspection, low=0.3))
    assert [p.name for p in tmp_path.iterdir()] == ["part.png"]


def test_without_a_map_there_is_nothing_to_draw(tmp_path: Path) -> None:
    with pytest.raises(ParameterError, match=r"part\.png was inspected without a map"):
        save_overlay(tmp_path / "x.png", photograph(), Inspection("part.png", 1.0, 0.5, Verdict.OK), low=0.3)
    assert list(tmp_path.iterdir()) == []


def test_maps_of_single_branches_follow_in_a_second_row() -> None:
    none = np.zeros((40, 60), np.float32)
    image = np.full((360, 540, 3), 90, np.uint8)
    plain = side_by_side(image, Inspection("a", 1.5, 0.01, Verdict.NG, hill()), low=0.3, high=1.0)
    both = Inspection(
        "a", 1.5, 0.01, Verdict.NG, hill(), maps={"local": hill(), "global": none}, levels={"global": 0.1}
    )
    page = side_by_side(image, both, low=0.3, high=1.0)
    np.testing.assert_array_equal(page[: len(plain)], plain)
    assert page.shape[1] == plain.shape[1] and len(page) > len(plain) + 360
    upper, lower = page[len(plain) - 360 : len(plain)], page[-360:]
    np.testing.assert_array_equal(lower[:, :540], upper[:, -540:])  # the local map is the whole one here
    np.testing.assert_array_equal(lower[:, -540:], image)  # nothing to draw
