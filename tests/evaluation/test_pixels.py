from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from onlygood.errors import ParameterError
from onlygood.evaluation import aupro, pixel_auroc
from onlygood.evaluation import pixels as pixels_module
from onlygood.evaluation.overlap_curve import BINS, coarse, fine, from_halves, ranges

ndimage = pytest.importorskip("scipy.ndimage")
sklearn_metrics = pytest.importorskip("sklearn.metrics")


def slow_aupro(maps: list[np.ndarray], masks: list[np.ndarray], limit: float) -> float:
    """The definition, word by word: one threshold after the other, one component after the other."""
    components = []
    for scores, mask in zip(maps, masks):
        labels, count = ndimage.label(mask, structure=np.ones((3, 3)))
        components += [scores[labels == i] for i in range(1, count + 1)]
    normal = np.concatenate([scores[~mask] for scores, mask in zip(maps, masks)])
    thresholds = np.unique(np.concatenate([scores.ravel() for scores in maps]))[::-1]
    curve = [(0.0, 0.0)]
    for t in thresholds:
        curve.append(((normal >= t).mean(), np.mean([(c >= t).mean() for c in components])))
    area = 0.0
    for (x0, y0), (x1, y1) in pairwise(curve):
        if x1 > limit:
            if x0 < limit:
                cut = y0 + (y1 - y0) * (limit - x0) / (x1 - x0)
                area += (limit - x0) * (y0 + cut) / 2
            break
        area += (x1 - x0) * (y0 + y1) / 2
    return area / limit


def random_set(seed: int, levels: int, n: int = 3) -> tuple[list[np.ndarray], list[np.ndarray]]:
    rng = np.random.default_rng(seed)
    maps, masks = [], []
    for _ in range(n):
        shape = tuple(rng.integers(2, 9, 2))
        masks.append(rng.random(shape) < rng.uniform(0, 0.6))
        maps.append(((rng.integers(0, levels, shape) + masks[-1]) / levels - 0.4).astype(np.float32))
    masks[0][0, 0], masks[0][-1, -1] = True, False
    return maps, masks


@settings(max_examples=150, deadline=None)
@given(st.integers(0, 2**32 - 1), st.sampled_from([2, 5, 1000]), st.sampled_from([0.01, 0.05, 0.3, 0.77, 1.0]))
def test_aupro_is_its_definition(seed: int, levels: int, limit: float) -> None:
    maps, masks = random_set(seed, levels)
    assert aupro(maps, masks, limit) == pytest.approx(slow_aupro(maps, masks, limit), abs=1e-9)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32 - 1), st.sampled_from([2, 5, 1000]))
def test_pixel_auroc_agrees_with_scikit_learn(seed: int, levels: int) -> None:
    maps, masks = random_set(seed, levels)
    expected = sklearn_metrics.roc_auc_score(
        np.concatenate([m.ravel() for m in masks]), np.concatenate([m.ravel() for m in maps])
    )
    assert pixel_auroc(maps, masks) == pytest.approx(expected, abs=1e-9)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32 - 1), st.sampled_from([2, 5, 1000]), st.sampled_from([0.05, 0.3, 1.0]))
def test_streaming_in_chunks_changes_nothing(seed: int, levels: int, limit: float) -> None:
    maps, masks = random_set(seed, levels)
    at_once = aupro(maps, masks, limit), pixel_auroc(maps, masks)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pixels_module, "_CHUNK", 3)
        in_chunks = aupro(maps, masks, limit), pixel_auroc(maps, masks)
    assert in_chunks == pytest.approx(at_once, abs=1e-12)
    from_generators = aupro((m for m in maps), (m for m in masks), limit)
    assert from_generators == at_once[0]


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_only_the_order_of_scores_matters(seed: int) -> None:
    maps, masks = random_set(seed, 5)
    stretched = [np.exp(3 * m).astype(np.float32) for m in maps]
    negative = [m - np.float32(1e4) for m in maps]
    for changed in (stretched, negative):
        assert aupro(changed, masks) == aupro(maps, masks)
        assert aupro(changed, masks, curve="mvtec3d") == aupro(maps, masks, curve="mvtec3d")
        assert pixel_auroc(changed, masks) == pixel_auroc(maps, masks)


def oracle() -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Two defective pixels scoring .9 and .4, ten normal ones scoring .05, .15 ... .95."""
    scores = np.concatenate([[0.9, 0.4], np.arange(10) / 10 + 0.05]).astype(np.float32).reshape(3, 4)
    mask = np.zeros((3, 4), dtype=bool)
    mask[0, :2] = True
    return [scores], [mask]


def test_the_two_curves_differ_on_few_pixels() -> None:
    maps, masks = oracle()
    assert aupro(maps, masks, 0.3) == pytest.approx(1 / 3)
    assert aupro(maps, masks, 0.3, curve="mvtec3d") == pytest.approx(0.125 / 0.3)


def test_the_two_curves_agree_on_many_pixels() -> None:
    rng = np.random.default_rng(3)
    masks = [np.pad(np.ones((20, 20), dtype=bool), 30)] * 4
    maps = [(rng.random(mask.shape) + mask).astype(np.float32) for mask in masks]
    maps = [np.where(rng.random(m.shape) < 0.3, 0.5, m).astype(np.float32) for m in maps]
    assert aupro(maps, masks) == pytest.approx(aupro(maps, masks, curve="mvtec3d"), abs=0.01)


def test_the_limit_is_met_between_two_points() -> None:
    # Everything ties: the curve is the diagonal, so the mean height up to the limit is half the limit.
    mask = np.zeros((5, 5), dtype=bool)
    mask[0, 0] = True
    for limit in (0.05, 0.3, 1.0):
        assert aupro([np.ones((5, 5), np.float32)], [mask], limit) == pytest.approx(limit / 2)


@pytest.mark.parametrize("most", [1, 7, 60, 10_000])
@pytest.mark.parametrize("levels", [1, 4, 1000])
def test_pixel_auroc_is_exact_however_few_pixels_are_held(most: int, levels: int) -> None:
    maps, masks = random_set(3, levels)
    maps = [(one - one.mean()).astype(np.float32) * np.float32(1e-3 if n else 10) for n, one in enumerate(maps)]
    truth, scores = (np.concatenate([part.ravel() for part in parts]) for parts in (masks, maps))
    expected = sklearn_metrics.roc_auc_score(truth, scores)
    assert pixel_auroc(iter(maps), iter(masks), most_pixels=most) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("most", [1, 7, 60])
@pytest.mark.parametrize("levels", [1, 4, 1000])
@pytest.mark.parametrize("limit", [0.01, 0.3, 1.0])
def test_aupro_is_exact_however_few_pixels_are_held(most: int, levels: int, limit: float) -> None:
    maps, masks = random_set(3, levels)
    maps = [(one - one.mean()).astype(np.float32) * np.float32(1e-3 if n else 10) for n, one in enumerate(maps)]
    found = aupro(iter(maps), iter(masks), limit, most_pixels=most)
    assert found == pytest.approx(slow_aupro(maps, masks, limit), abs=1e-9)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32 - 1), st.sampled_from([1, 3, 1000]), st.sampled_from([0.05, 0.3, 1.0]))
def test_the_curve_of_mvtec_3d_is_its_definition(seed: int, levels: int, limit: float) -> None:
    maps, masks = random_set(seed, levels)
    maps = [one - np.float32(0.7) for one in maps]  # scores below zero, too
    components = []
    for scores, mask in zip(maps, masks):
        labels, count = ndimage.label(mask, structure=np.ones((3, 3)))
        components += [scores[labels == i] for i in range(1, count + 1)]
    normal = np.sort(np.concatenate([scores[~mask] for scores, mask in zip(maps, masks)]))
    curve = [(1.0, 1.0)]
    for place in np.linspace(0, normal.size - 1, 100, dtype=int):
        found = np.mean([(one > normal[place]).mean() for one in components])
        curve.append((1 - (place + 1) / normal.size, found))
    x, y = np.array(curve[::-1]).T
    kept = x < limit
    x_cut, y_cut = np.append(x[kept], limit), np.append(y[kept], np.interp(limit, x, y))
    expected = np.trapezoid(y_cut, x_cut) / limit
    assert aupro(maps, masks, limit, curve="mvtec3d") == pytest.approx(expected, abs=1e-9)


@given(st.lists(st.floats(width=32, allow_nan=False, allow_infinity=False), min_size=1), st.integers(1, 5))
def test_scores_come_back_from_their_halves(values: list[float], most: int) -> None:
    scores = np.array(values, np.float32)
    np.testing.assert_array_equal(from_halves(coarse(scores), fine(scores)), scores)
    sizes = np.bincount(coarse(scores), minlength=BINS)
    parts = list(ranges(sizes, most))
    assert sum(int(sizes[first:last].sum()) for first, last in parts) == scores.size
    assert all(sizes[first:last].sum() <= most or last - first == 1 for first, last in parts)


def test_constant_maps_give_half_a_pixel_auroc() -> None:
    mask = np.eye(4, dtype=bool)
    assert pixel_auroc([np.full((4, 4), -2.0, np.float32)], [mask]) == 0.5


def test_pixels_touching_by_a_corner_are_one_component() -> None:
    # Found: the two pixels on the diagonal. As one component of two and one of one (missed) the overlap is
    # 1/2; as three components it would be 2/3.
    mask = np.zeros((4, 4), dtype=bool)
    mask[0, 0] = mask[1, 1] = mask[3, 3] = True
    scores = np.zeros((4, 4), dtype=np.float32)
    scores[0, 0] = scores[1, 1] = 1
    scores[3, 3] = -1
    assert aupro([scores], [mask], 1.0) == pytest.approx(0.5)


def test_components_weigh_the_same_whatever_their_size() -> None:
    mask = np.zeros((6, 10), dtype=bool)
    mask[:, :5] = True
    mask[0, 7] = True
    scores = np.zeros((6, 10), dtype=np.float32)
    scores[0, 7] = 1
    scores[:, :5] = -1
    assert aupro([scores], [mask], 0.5) == pytest.approx(0.5)


def test_negative_zero_and_zero_tie() -> None:
    mask = np.array([[True, False]])
    assert aupro([np.array([[-0.0, 0.0]], np.float32)], [mask], 1.0) == pytest.approx(0.5)
    assert pixel_auroc([np.array([[-0.0, 0.0]], np.float32)], [mask]) == 0.5


@pytest.mark.parametrize("figure", [pixel_auroc, aupro, lambda a, b: aupro(a, b, curve="mvtec3d")])
@pytest.mark.parametrize(
    ("maps", "masks", "message"),
    [
        ([np.zeros((2, 2))], [], "one mask for each map"),
        ([], [np.zeros((2, 2), bool)], "one mask for each map"),
        ([np.zeros((2, 2))], [np.zeros((2, 3), bool)], "must both be"),
        ([np.zeros(4)], [np.zeros(4, bool)], "must both be"),
        ([np.array([[0, np.nan]])], [np.array([[True, False]])], "Map 1 holds"),
        ([np.zeros((2, 2))], [np.zeros((2, 2))], "must be of bools"),
        ([np.zeros((2, 2))], [np.zeros((2, 2), bool)], "4 normal and 0"),
        ([np.zeros((2, 2))], [np.ones((2, 2), bool)], "0 normal and 4"),
        ([], [], "0 normal and 0"),
    ],
)
def test_bad_input_is_refused(figure, maps, masks, message: str) -> None:
    with pytest.raises(ParameterError, match=message):
        figure(maps, masks)


@pytest.mark.parametrize("limit", [0, -0.1, 1.1, float("nan")])
def test_a_limit_outside_its_range_is_refused(limit: float) -> None:
    with pytest.raises(ParameterError, match="limit"):
        aupro(*oracle(), limit)


def test_an_unknown_curve_is_refused() -> None:
    with pytest.raises(ParameterError, match="mvtec3d"):
        aupro(*oracle(), curve="anomalib")  # type: ignore[arg-type]
