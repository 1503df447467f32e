"""sPRO against a brute-force reference, figures computed by hand and AUPRO, which it is without saturation."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from onlygood.errors import DataError, ParameterError
from onlygood.evaluation import Region, aupro, loco_spro, spro
from onlygood.images import Sample
from onlygood.images.datasets import Category, Saturation


def brute_force(maps, regions, limit: float) -> float:
    """The definition, threshold by threshold: points (FPR, mean saturated overlap), trapezoids, cut at the limit."""
    thresholds = sorted({float(v) for one in maps for v in one.ravel()}, reverse=True)
    outside = [~np.any([np.zeros(m.shape, bool), *(r.mask for r in of)], axis=0) for m, of in zip(maps, regions)]
    n_normal = sum(int(o.sum()) for o in outside)
    points = [(0.0, 0.0)]
    for threshold in thresholds:
        called = [one >= threshold for one in maps]
        false = sum(int((c & o).sum()) for c, o in zip(called, outside)) / n_normal
        overlaps = [
            min((c & region.mask).sum() / region.saturation, 1) for c, of in zip(called, regions) for region in of
        ]
        points.append((false, float(np.mean(overlaps))))
    area = 0.0
    for (x0, y0), (x1, y1) in pairwise(points):
        if x0 >= limit:
            break
        if x1 > limit:
            y1, x1 = y0 + (y1 - y0) * (limit - x0) / (x1 - x0), limit
        area += (x1 - x0) * (y0 + y1) / 2
    return area / limit


@given(st.integers(0, 10_000), st.sampled_from([2, 5, 1000]), st.sampled_from([0.01, 0.05, 0.3, 0.77, 1.0]))
@settings(max_examples=30, deadline=None)
def test_is_the_definition(seed: int, levels: int, limit: float) -> None:
    rng = np.random.default_rng(seed)
    maps, regions = [], []
    for _ in range(3):
        shape = tuple(rng.integers(3, 9, 2))
        maps.append((rng.integers(-levels, levels, shape) / 7).astype(np.float32))  # few levels: many ties
        of_image = []
        for _ in range(rng.integers(0, 3)):  # they may overlap
            mask = rng.random(shape) < 0.3
            if mask.any():
                of_image.append(Region(mask, rng.uniform(0.5, mask.sum() + 0.5)))
        regions.append(of_image)
    maps.append(rng.normal(size=(4, 4)).astype(np.float32))
    mask = np.zeros((4, 4), bool)
    mask[1, 1:3] = True
    regions.append([Region(mask, 1.0)])
    limits = (limit, 0.2)
    expected = {one: pytest.approx(brute_force(maps, regions, one), abs=1e-9) for one in limits}
    assert spro(iter(maps), iter(regions), limits) == expected
    for most in (1, 20):  # however few pixels are held
        assert spro(iter(maps), iter(regions), limits, most_pixels=most) == expected


def test_by_hand() -> None:
    # Four pixels of a region (saturated by two), then four normal ones. Falling: d .9, n .8, d .7, n .6, d .5, n, d, n.
    scores = np.array([[0.9, 0.7, 0.5, 0.3], [0.8, 0.6, 0.4, 0.2]], np.float32)
    mask = np.array([[True] * 4, [False] * 4])
    # the overlap is 1/2 until the first false positive, 1 from there on
    found = spro([scores], [[Region(mask, 2)]], (0.25, 0.5, 1.0))
    assert found == {0.25: pytest.approx(0.5), 0.5: pytest.approx(0.75), 1.0: pytest.approx(0.875)}
    # without saturation: 1/4, 2/4, 3/4, 1
    assert spro([scores], [[Region(mask, 4)]], (1.0,))[1.0] == pytest.approx((0.25 + 0.5 + 0.75 + 1) / 4)
    # two regions in one image count alike, whatever their size: {.9, .7, .5} saturated by one, and {.3}
    parts = [np.array([[True, True, True, False], [False] * 4]), np.array([[False, False, False, True], [False] * 4])]
    two = [Region(parts[0], 1), Region(parts[1], 1)]
    assert spro([scores], [two], (1.0,))[1.0] == pytest.approx((0.5 + 0.5 + 0.5 + 1) / 4)


def test_a_defect_saturates() -> None:
    # of 100 pixels 30 found: 30 / 50; 50 or 80 found: whole
    mask = np.zeros((20, 20), bool)
    mask[:10, :10] = True
    absolute, relative = Saturation("a", 1, 50, False), Saturation("b", 2, 0.5, True)
    for saturation in (absolute, relative):
        region = Region(mask, saturation.area(100))
        for rows, expected in ((3, 0.6), (5, 1.0), (8, 1.0)):
            predicted = np.zeros((20, 20), bool)
            predicted[:rows] = True
            assert region.overlap(predicted) == pytest.approx(expected)
    assert absolute.area(20) == 20  # never more than there is
    assert relative.area(5) == 2 and relative.area(1) == 1  # rounded down, one at least


def test_without_saturation_it_is_aupro(rng) -> None:
    maps = [rng.normal(size=(30, 40)).astype(np.float32) for _ in range(4)]
    masks = [np.zeros((30, 40), bool) for _ in maps]
    regions: list[list[Region]] = [[] for _ in maps]
    for i, (rows, columns) in enumerate([(slice(2, 6), slice(3, 30)), (slice(10, 20), slice(5, 9))]):
        masks[i][rows, columns] = True
        maps[i][rows, columns] += 1
        regions[i] = [Region(masks[i].copy(), float(masks[i].sum()))]
    for limit, figure in spro(maps, regions, (0.05, 0.3, 1.0)).items():
        assert figure == pytest.approx(aupro(maps, masks, limit), abs=1e-12)


def test_order_alone_matters_and_bounds_hold(rng) -> None:
    maps = [rng.normal(size=(12, 12)).astype(np.float32) for _ in range(2)]
    mask = np.zeros((12, 12), bool)
    mask[3:7, 3:8] = True
    regions = [[Region(mask, 6)], []]
    figures = spro(maps, regions)
    assert figures == spro([2 * one - 40 for one in maps], regions)
    assert all(0 <= figure <= 1 for figure in figures.values())
    assert spro([np.where(mask, 9, one) for one in maps[:1]], regions[:1])[0.01] == pytest.approx(1)
    # a lower saturation can only help
    assert all(figure >= figures[limit] for limit, figure in spro(maps, [[Region(mask, 3)], []]).items())


def test_what_cannot_be_measured() -> None:
    scores, mask = np.zeros((3, 4), np.float32), np.eye(3, 4, dtype=bool)
    region = Region(mask, 1)
    for maps, regions, limits, words in (
        ([scores], [[region]], (0.0,), "limits"),
        ([scores], [[region]], (), "limits"),
        ([scores], [[region]], (1.1,), "limits"),
        ([scores], [[]], (0.05,), "0 regions"),
        ([scores], [[Region(np.ones((3, 4), bool), 1)]], (0.05,), "0 such pixels"),
        ([scores, scores], [[region]], (0.05,), "numbers differ"),
        ([scores], [[region], []], (0.05,), "numbers differ"),
        ([scores[:2]], [[region]], (0.05,), "original_size=True"),
        ([scores * np.nan], [[region]], (0.05,), "finite"),
        ([scores], [[Region(mask, 0)]], (0.05,), "saturation 0"),
        ([scores], [[Region(mask & False, 1)]], (0.05,), "empty"),
        ([scores], [[Region(mask.astype(int), 1)]], (0.05,), "bools"),
    ):
        with pytest.raises(ParameterError, match=words):
            spro(maps, regions, limits)


@pytest.fixture
def category(tmp_path: Path) -> Category:
    """A good image, a structural anomaly, a logical one of two masks."""

    def mask(name: str, value: int, rows: slice) -> Path:
        marked = np.zeros((8, 10), np.uint8)
        marked[rows, 2:7] = value
        Image.fromarray(marked).save(tmp_path / name)
        return tmp_path / name

    test = (
        Sample(tmp_path / "g.png", "good"),
        Sample(
            tmp_path / "l.png",
            "logical_anomalies",
            masks=(mask("l0.png", 255, slice(0, 2)), mask("l1.png", 200, slice(4, 6))),
            nature="logical",
        ),
        Sample(tmp_path / "s.png", "structural_anomalies", mask("s0.png", 200, slice(1, 4)), nature="structural"),
    )
    saturations = (Saturation("missing", 255, 4, False), Saturation("scratch", 200, 0.5, True))
    return Category("pushpins", (), (), test, saturations)


def test_loco_is_totalled_over_the_natures(category, rng) -> None:
    maps = [rng.normal(size=(8, 10)).astype(np.float32) for _ in category.test]
    found = loco_spro(maps, category)

    def region(rows: slice, saturation: float) -> Region:
        marked = np.zeros((8, 10), bool)
        marked[rows, 2:7] = True
        return Region(marked, saturation)

    for limit in (0.01, 0.05, 0.1, 0.3, 1.0):
        structural = brute_force([maps[0], maps[2]], [[], [region(slice(1, 4), 7)]], limit)  # int(0.5 * 15)
        logical = brute_force(maps[:2], [[], [region(slice(0, 2), 4), region(slice(4, 6), 5)]], limit)
        assert found.structural[limit] == pytest.approx(structural, abs=1e-9)
        assert found.logical[limit] == pytest.approx(logical, abs=1e-9)
        assert found.mean[limit] == pytest.approx((structural + logical) / 2, abs=1e-9)


def test_loco_needs_what_the_data_set_brings(category, tmp_path) -> None:
    maps = [np.zeros((8, 10), np.float32)] * 3
    with pytest.raises(DataError, match="defects_config"):
        loco_spro(maps, Category("bottle", (), (), category.test))
    with pytest.raises(ParameterError, match="3 test images, not 2"):
        loco_spro(maps[:2], category)
    with pytest.raises(DataError, match="no test image with a logical"):
        loco_spro(maps[:2], Category("pushpins", (), (), (category.test[0], category.test[2]), category.saturations))
    with pytest.raises(DataError, match=r"l0.png has the pixel value 255, which defects_config.json does not name"):
        loco_spro(maps, Category("pushpins", (), (), category.test, category.saturations[1:]))
    Image.fromarray(np.zeros((8, 10), np.uint8)).save(tmp_path / "l1.png")
    with pytest.raises(DataError, match=r"one pixel value above 0; .*l1.png holds: none"):
        loco_spro(maps, category)


def test_config_is_read_as_the_data_set_writes_it(tmp_path) -> None:
    from onlygood.images.datasets.mvtec_loco import read_saturations

    path = tmp_path / "defects_config.json"
    entries = [
        {"defect_name": "b", "pixel_value": 250, "saturation_threshold": 6300, "relative_saturation": False},
        {"defect_name": "a", "pixel_value": 249, "saturation_threshold": 1.0, "relative_saturation": True},
    ]
    path.write_text(json.dumps(entries))
    assert [(one.defect, one.area(10_000)) for one in read_saturations(path)] == [("a", 10_000.0), ("b", 6300.0)]
