"""Filled contours against what they must enclose, and the figures of BTM against plain loops."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.ndimage import map_coordinates

from onlygood.errors import DataError
from onlygood.reports.btm_figures import CORE, FIGURES, NEIGHBOURS, Figure, values_of, write_figures
from onlygood.reports.contours import path_of, region_above


def area(polygons: list[np.ndarray]) -> float:
    """Signed, by the shoelace formula: holes count against what they lie in."""
    return sum(0.5 * float(np.sum(p[:, 0] * np.roll(p[:, 1], -1) - np.roll(p[:, 0], -1) * p[:, 1])) for p in polygons)


def contains(polygons: list[np.ndarray], x: float, y: float) -> bool:
    """By the even-odd rule."""
    crossings = 0
    for polygon in polygons:
        for (x0, y0), (x1, y1) in zip(polygon, np.roll(polygon, -1, axis=0)):
            if (y0 > y) != (y1 > y):
                crossings += x < x0 + (y - y0) / (y1 - y0) * (x1 - x0)
    return crossings % 2 == 1


@settings(max_examples=80, deadline=None)
@given(arrays(np.int8, st.tuples(st.integers(2, 6), st.integers(2, 6)), elements=st.integers(-5, 5)))
def test_every_grid_point_is_on_its_side(values: np.ndarray) -> None:
    level = 0.5
    polygons = region_above(values.astype(float), level)
    rows, columns = values.shape
    for i in range(rows):
        for j in range(columns):
            # a step towards the middle of the grid, off the rim that closes the polygons
            x = j + 0.01 * (1 if j == 0 else -1 if j == columns - 1 else 0)
            y = i + 0.011 * (1 if i == 0 else -1 if i == rows - 1 else 0)
            assert contains(polygons, x, y) == (values[i, j] > level)


@pytest.mark.parametrize("seed", range(3))
def test_vertices_lie_on_the_level_or_on_the_rim(seed: int) -> None:
    values = np.random.default_rng(seed).normal(size=(9, 12))
    for polygon in region_above(values, 0.2):
        inner = ((polygon > 0) & (polygon < [11, 8])).all(axis=1)
        found = map_coordinates(values, polygon[inner][:, ::-1].T, order=1)
        np.testing.assert_allclose(found, 0.2, atol=1e-6)


def test_the_area_of_a_disc_and_of_a_ring() -> None:
    y, x = np.mgrid[:101, :101]
    distance = np.hypot(x - 50, y - 50)
    disc, ring = region_above(-distance, -30.0), region_above(-np.abs(distance - 30), -10.0)
    assert len(disc) == 1 and len(ring) == 2
    assert abs(area(disc)) == pytest.approx(np.pi * 30**2, rel=1e-3)
    assert abs(area(ring)) == pytest.approx(np.pi * (40**2 - 20**2), rel=1e-2)


def test_all_above_and_all_below() -> None:
    (whole,) = region_above(np.ones((4, 6)), 0.5)
    assert abs(area([whole])) == pytest.approx(5 * 3)
    assert region_above(np.zeros((4, 6)), 0.5) == []


def test_saddles_are_joined_through_a_high_middle_only() -> None:
    high, low = np.array([[1, 0.4], [0.4, 1]]), np.array([[1, 0.0], [0.0, 0.9]])
    assert len(region_above(high, 0.5)) == 1 and len(region_above(low, 0.5)) == 2


def test_paths_are_placed_and_scaled() -> None:
    path = path_of([np.array([[0, 0], [1, 0], [1, 0.001], [1, 2]], float)], 10, 20, 5, 3)
    assert path == "M10 20L15 20L15 26Z"


# the scores that are drawn, literally


def literal(number: int, point: np.ndarray, core: np.ndarray, k: int) -> float:
    apart = [float(np.linalg.norm(point - c)) for c in core]
    if number == 3:
        return float(np.mean(np.sort(np.square(apart))[:k]))
    nearest = int(np.argmin(apart))
    among = sorted(range(len(core)), key=lambda j: np.linalg.norm(core[j] - core[nearest]))[:k]
    share = np.exp(apart[nearest]) / sum(np.exp(apart[j]) for j in among)
    return {4: share, 5: (1 - share) * apart[nearest], 6: 1 - share, 7: (1 - share) * apart[nearest]}[number]


@pytest.mark.parametrize("figure", FIGURES, ids=lambda figure: str(figure.number))
def test_the_panels_show_the_papers_formulas(figure: Figure) -> None:
    rng = np.random.default_rng(figure.number)
    x0, x1, y0, y1 = figure.window
    for k in NEIGHBOURS:
        values = values_of(figure, k)
        rows, columns = values.shape
        assert (columns, rows) == ((351, 51) if figure.number == 7 else (201, 201))
        for i, j in zip(rng.integers(rows, size=12), rng.integers(columns, size=12)):
            point = np.array([x0 + (x1 - x0) * j / (columns - 1), y0 + (y1 - y0) * i / (rows - 1)])
            assert values[i, j] == pytest.approx(literal(figure.number, point, figure.core, k), abs=1e-5)


def test_what_the_paper_says_of_its_figures() -> None:
    shares = {k: values_of(FIGURES[1], k) for k in NEIGHBOURS}
    assert (shares[1] == 1).all()  # m* alone: weight and score are 0 everywhere
    assert (values_of(FIGURES[2], 1) == 0).all()
    for k in (2, 3, 5):  # "the maximum is approximately inversely proportional to k"
        assert 0.9 / k < shares[k].max() <= 1 / k + 1e-6
    gaps = np.diff(np.sort(FIGURES[4].core[:, 0]))  # stretched: clusters of one, two and three samples
    assert sorted(np.argsort(gaps)[-2:].tolist()) == [0, 2]
    assert len(CORE) == 6


def test_figures_are_whole_documents(tmp_path: Path) -> None:
    paths = write_figures(tmp_path / "new" / "figures")
    assert [path.name for path in paths] == [f"figure-{number}.svg" for number in (3, 4, 5, 6, 7)]
    for path in paths:
        root = ET.parse(path).getroot()
        names = [element.tag.split("}")[1] for element in root.iter()]
        assert names.count("circle") == 4 * 6 + 2
        assert f"k = {NEIGHBOURS[-1]}" in path.read_text("utf-8")
    assert len(list((tmp_path / "new" / "figures").iterdir())) == 5


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match="file"):
        write_figures(tmp_path / "file")
