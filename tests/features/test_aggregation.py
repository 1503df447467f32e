"""The aggregators against a literal reading of what the papers and the released code do."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from onlygood.errors import ParameterError

torch = pytest.importorskip("torch")
F = torch.nn.functional

from onlygood.features.aggregation import adaptive_pool_matrix, build_aggregator  # noqa: E402


@pytest.mark.parametrize(
    ("length", "outputs", "windows"),
    [
        (1152, 512, [(0, 3), (2, 5), (4, 7), (6, 9), (9, 12)]),
        (2304, 512, [(0, 5), (4, 9), (9, 14), (13, 18), (18, 23)]),
        (9216, 1024, [(9 * i, 9 * i + 9) for i in range(1024)]),
    ],
)
def test_adaptive_windows(length: int, outputs: int, windows: list[tuple[int, int]]) -> None:
    matrix = adaptive_pool_matrix(length, outputs)
    for row, (start, stop) in zip(matrix, windows, strict=False):
        assert np.flatnonzero(row).tolist() == list(range(start, stop))
        np.testing.assert_allclose(row[start:stop], 1 / (stop - start))


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 300), st.integers(1, 120), st.integers(0, 10**6))
def test_pooling_matrix_is_torchs_adaptive_pooling(length: int, outputs: int, seed: int) -> None:
    values = np.random.default_rng(seed).normal(size=length).astype(np.float32)
    expected = F.adaptive_avg_pool1d(torch.from_numpy(values)[None, None], outputs)[0, 0]
    np.testing.assert_allclose(adaptive_pool_matrix(length, outputs) @ values, expected, atol=1e-5)


def literal_adaptive(maps: Sequence, dim_pre: int, dim: int):
    """Gather 3x3 patches, resize coarser grids patch entry by patch entry, pool to dim_pre, join, pool to dim."""
    n, _, height, width = maps[0].shape
    vectors = []
    for m in maps:
        channels, h, w = m.shape[1:]
        patches = F.unfold(m, 3, padding=1).reshape(n, channels * 9, h, w)
        if (h, w) != (height, width):
            patches = F.interpolate(patches, (height, width), mode="bilinear", align_corners=False)
        flat = patches.permute(0, 2, 3, 1).reshape(-1, 1, channels * 9)
        vectors.append(F.adaptive_avg_pool1d(flat, dim_pre)[:, 0])
    joined = torch.stack(vectors, 1).reshape(len(vectors[0]), 1, -1)
    return F.adaptive_avg_pool1d(joined, dim).reshape(n, height, width, dim).permute(0, 3, 1, 2)


LAYERS = [
    [(8, 12, 12)],
    [(16, 8, 8), (32, 4, 4)],
    [(40, 16, 16), (112, 8, 8)],
    [(12, 9, 7), (20, 5, 4), (7, 3, 2)],
    [(24, 8, 8), (24, 8, 8)],
]


@pytest.mark.parametrize("layers", LAYERS)
@pytest.mark.parametrize("dim", [1, 10, 64, 97])
def test_adaptive_is_the_released_code(layers: list[tuple[int, int, int]], dim: int) -> None:
    torch.manual_seed(0)
    maps = [torch.randn(2, *shape) for shape in layers]
    out = build_aggregator("adaptive", [shape[0] for shape in layers], dim)(maps)
    torch.testing.assert_close(out, literal_adaptive(maps, dim, dim), atol=1e-5, rtol=1e-4)


def test_first_half_comes_from_the_first_layer_and_last_half_from_the_second() -> None:
    torch.manual_seed(0)
    combine = build_aggregator("adaptive", [16, 32], 64)
    fine, coarse = torch.randn(1, 16, 8, 8), torch.randn(1, 32, 4, 4)
    both = combine([fine, coarse])
    torch.testing.assert_close(combine([fine, coarse * 0])[:, :32], both[:, :32])
    torch.testing.assert_close(combine([fine * 0, coarse])[:, 32:], both[:, 32:])
    assert (combine([fine * 0, coarse])[:, :32] == 0).all()


def test_nine_numbers_for_each_output_are_the_mean_of_each_channel() -> None:
    torch.manual_seed(0)
    m = torch.randn(1, 20, 6, 6)
    expected = F.avg_pool2d(m, 3, 1, 1)
    torch.testing.assert_close(build_aggregator("adaptive", [20], 20)([m]), expected, atol=1e-6, rtol=1e-4)


def test_adaptive_wide_is_as_long_as_the_maps_have_channels() -> None:
    maps = [torch.randn(1, 6, 8, 8), torch.randn(1, 10, 4, 4)]
    wide = build_aggregator("adaptive_wide", [6, 10], 99)(maps)
    assert wide.shape == (1, 16, 8, 8)
    torch.testing.assert_close(wide, build_aggregator("adaptive", [6, 10], 16)(maps))


@pytest.mark.parametrize("layers", LAYERS)
def test_concat_is_the_papers_text(layers: list[tuple[int, int, int]]) -> None:
    torch.manual_seed(0)
    maps = [torch.randn(2, *shape) for shape in layers]
    out = build_aggregator("concat", [shape[0] for shape in layers], 1)(maps)
    expected = []
    for m in maps:
        n, channels, h, w = m.shape
        mean = F.unfold(m, 3, padding=1).reshape(n, channels, 9, h, w).mean(2)
        expected.append(F.interpolate(mean, layers[0][1:], mode="bilinear", align_corners=False))
    torch.testing.assert_close(out, torch.cat(expected, 1), atol=1e-5, rtol=1e-4)


def test_zeros_outside_the_map_count_in_the_mean() -> None:
    out = build_aggregator("concat", [3], 1)([torch.ones(1, 3, 5, 5)])
    np.testing.assert_allclose(out[0, 0, 0, [0, 1]], [4 / 9, 6 / 9], rtol=1e-6)
    assert out[0, 0, 2, 2] == pytest.approx(1)


@pytest.mark.parametrize(("name", "padding"), [("btf", 0), ("btm", 1)])
@pytest.mark.parametrize("sides", [(28, 14), (8, 4), (12, 7)])
def test_stretched_is_torchs_adaptive_pooling(name: str, padding: int, sides: tuple[int, int]) -> None:
    maps = [torch.randn(2, 3, sides[0], sides[0]), torch.randn(2, 5, sides[1], sides[1])]
    expected = [F.adaptive_avg_pool2d(F.avg_pool2d(m, 3, 1, padding), sides[0]) for m in maps]
    torch.testing.assert_close(build_aggregator(name, [3, 5], 1)(maps), torch.cat(expected, 1), atol=1e-5, rtol=1e-4)


def test_btm_repeats_each_cell_of_a_map_half_as_fine() -> None:
    maps = [torch.randn(1, 3, 28, 28), torch.randn(1, 5, 14, 14)]
    out = build_aggregator("btm", [3, 5], 1)(maps)
    means = F.avg_pool2d(maps[1], 3, 1, 1)
    torch.testing.assert_close(out[:, 3:], means.repeat_interleave(2, 2).repeat_interleave(2, 3), atol=1e-6, rtol=1e-5)


def test_btf_needs_maps_larger_than_its_mean() -> None:
    with pytest.raises(ParameterError, match="at least 3x3"):
        build_aggregator("btf", [3], 1)([torch.zeros(1, 3, 8, 8), torch.zeros(1, 3, 2, 2)])


def test_pooled_is_the_mean_of_each_map() -> None:
    maps = [torch.randn(2, 3, 8, 8), torch.randn(2, 5, 4, 4)]
    expected = torch.cat([m.mean((2, 3)) for m in maps], 1)
    torch.testing.assert_close(build_aggregator("pooled", [3, 5], 1)(maps)[:, :, 0, 0], expected)


@pytest.mark.parametrize("patch", [1, 5])
def test_other_neighbourhoods(patch: int) -> None:
    torch.manual_seed(0)
    fine, coarse = torch.randn(1, 6, 12, 12), torch.randn(1, 10, 6, 6)
    means = []
    for m in (fine, coarse):
        windows = F.unfold(m, patch, padding=patch // 2).reshape(1, m.shape[1], patch**2, *m.shape[2:]).mean(2)
        means.append(F.interpolate(windows, (12, 12), mode="bilinear", align_corners=False))
    found = build_aggregator("concat", [6, 10], 1, patch)([fine, coarse])
    torch.testing.assert_close(found, torch.cat(means, 1), atol=1e-5, rtol=1e-4)
    if patch == 5:
        flat = F.unfold(fine, 5, padding=2).reshape(1, 150, 144).permute(0, 2, 1)
        expected = F.adaptive_avg_pool1d(F.adaptive_avg_pool1d(flat, 7), 7)[0].T.reshape(1, 7, 12, 12)
        found = build_aggregator("adaptive", [6], 7, 5)([fine])
        torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-4)


def test_a_neighbourhood_has_a_middle() -> None:
    with pytest.raises(ParameterError, match="odd"):
        build_aggregator("concat", [3], 1, 4)


def test_stacked_repeats_the_cells_of_coarser_maps() -> None:
    fine, coarse = torch.randn(2, 3, 8, 8), torch.randn(2, 5, 4, 4)
    found = build_aggregator("stacked", [3, 5], 1)([fine, coarse]).numpy()
    assert np.array_equal(found[:, :3], fine.numpy())
    assert np.array_equal(found[:, 3:], np.kron(coarse.numpy(), np.ones((1, 1, 2, 2))))


def test_pyramid_keeps_the_last_map_for_the_embedding() -> None:
    fine, coarse, last = torch.randn(2, 3, 8, 8), torch.randn(2, 5, 4, 4), torch.randn(2, 7, 2, 2)
    patches, embedding = build_aggregator("pyramid", [3, 5, 7], 1)([fine, coarse, last])
    big = F.interpolate(coarse, (8, 8), mode="bilinear", align_corners=False)
    torch.testing.assert_close(patches, torch.cat([fine, big], 1))
    torch.testing.assert_close(embedding, last.mean((2, 3)))


def test_unknown_aggregator() -> None:
    with pytest.raises(ParameterError, match="concat, adaptive, adaptive_wide, grouped, stacked, pyramid, btf"):
        build_aggregator("max", [3], 4)


def test_grouped_is_the_mean_of_neighbouring_channels() -> None:
    """WideResNet-50's 512 + 1024 channels become 384 means of four, without neighbourhood means (ULSAD)."""
    rng = np.random.default_rng(0)
    maps = [torch.from_numpy(rng.normal(size=s).astype(np.float32)) for s in ((2, 512, 4, 4), (2, 1024, 2, 2))]
    joined = torch.cat([maps[0], F.interpolate(maps[1], (4, 4), mode="bilinear", align_corners=False)], 1)
    expected = F.adaptive_avg_pool1d(joined.permute(0, 2, 3, 1).reshape(-1, 1, 1536), 384).reshape(2, 4, 4, 384)
    out = build_aggregator("grouped", [512, 1024], 1024)(maps)
    np.testing.assert_allclose(out.permute(0, 2, 3, 1), expected, atol=1e-5)
    np.testing.assert_allclose(out[:, 0], maps[0][:, :4].mean(1), atol=1e-6)
    few = build_aggregator("grouped", [3, 5], 1024)([maps[0][:, :3], maps[1][:, :5]])
    torch.testing.assert_close(few, joined[:, [0, 1, 2, 512, 513, 514, 515, 516]])
