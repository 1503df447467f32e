"""From feature maps of several layers to one vector for each patch.

All aggregators are linear in the feature maps, so each becomes a few convolutions, products and resizes in
the exported graph.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from onlygood.errors import ParameterError
from onlygood.features.pooling import adaptive_pool_matrix

#: Channels that the `grouped` aggregator keeps at most: ULSAD's c*.
GROUPED_DIM = 384


class Concat(nn.Module):
    """Mean of each map over p x p cells, coarser maps resized bilinearly to the first one's grid, concatenated.

    PatchCore's and REB's text (REB, section 3.2), with p = 3; zero padding counts in the mean.
    """

    def __init__(self, patch: int = 3) -> None:
        super().__init__()
        self.patch = patch

    def forward(self, maps: Sequence[Tensor]) -> Tensor:
        """`(n, sum of channels, h, w)`."""
        return _joined([F.avg_pool2d(m, self.patch, 1, self.patch // 2) for m in maps])


class Stretched(nn.Module):
    """3x3 mean of each map, pooled adaptively to the first one's grid, concatenated (BTF's released code).

    Without padding (`btf`) each map loses its border and is stretched over the grid by windows that overlap or repeat.
    Padded with zeros, which count in the mean (`btm`), the first map stays as it is and a cell of one half as fine
    is repeated 2x2 times (BTM, section 2.2.2).
    """

    def __init__(self, padded: bool) -> None:
        super().__init__()
        self.padding = int(padded)

    def forward(self, maps: Sequence[Tensor]) -> Tensor:
        """`(n, sum of channels, h, w)`."""
        grid = maps[0].shape[-2:]
        if not self.padding and min(min(m.shape[-2:]) for m in maps) < 3:
            raise ParameterError("The aggregator btf needs maps of at least 3x3: take a larger size or earlier layers.")
        return torch.cat([_stretch(F.avg_pool2d(m, 3, 1, self.padding), grid) for m in maps], dim=1)


class Stacked(nn.Module):
    """The maps as they are, the cells of coarser ones repeated to the first one's grid, concatenated (PaDiM)."""

    def forward(self, maps: Sequence[Tensor]) -> Tensor:
        """`(n, sum of channels, h, w)`."""
        grid = maps[0].shape[-2:]
        size = (int(grid[0]), int(grid[1]))
        return torch.cat([m if m.shape[-2:] == grid else F.interpolate(m, size, mode="nearest") for m in maps], dim=1)


class Pyramid(nn.Module):
    """The maps as they are, coarser ones resized bilinearly to the first one's grid, concatenated (SPADE).

    The last map is not among them: its global average is the image embedding, the second output.
    """

    def forward(self, maps: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
        """`(n, sum of channels but the last map's, h, w)` and `(n, channels of the last map)`."""
        return _joined(maps[:-1]), maps[-1].mean(dim=(2, 3))


class Adaptive(nn.Module):
    """The released code's aggregation: p x p neighbourhoods, pooled adaptively to `dim` numbers, twice.

    Per layer the (channel, row, column) neighbourhood of length p^2 c is pooled to `dim`; the layers' vectors
    are joined and pooled to `dim` again. The product of both poolings is one p x p convolution per layer,
    which commutes with the bilinear resize of the coarser maps.
    """

    def __init__(self, channels: Sequence[int], dim: int, patch: int = 3) -> None:
        super().__init__()
        self.dim, self.patch = dim, patch
        joined = adaptive_pool_matrix(len(channels) * dim, dim)
        self.rows: list[tuple[int, int]] = []
        for number, width in enumerate(channels):
            last = joined[:, number * dim : (number + 1) * dim] @ adaptive_pool_matrix(patch**2 * width, dim)
            used = np.flatnonzero(last.any(axis=1))
            start, stop = int(used[0]), int(used[-1]) + 1
            self.rows.append((start, stop))
            kernel = torch.from_numpy(last[start:stop].reshape(stop - start, width, patch, patch).copy())
            self.register_buffer(f"kernel{number}", kernel)

    def forward(self, maps: Sequence[Tensor]) -> Tensor:
        """`(n, dim, h, w)`."""
        grid = maps[0].shape[-2:]
        total = None
        for number, (m, (start, stop)) in enumerate(zip(maps, self.rows, strict=True)):
            part = F.conv2d(m, self.get_buffer(f"kernel{number}"), padding=self.patch // 2)
            if part.shape[-2:] != grid:
                part = _resize(part, grid)
            part = F.pad(part, (0, 0, 0, 0, start, self.dim - stop))
            total = part if total is None else total + part
        assert total is not None
        return total


class Grouped(nn.Module):
    """The maps as they are, coarser ones resized, concatenated; neighbouring channels averaged down to at most `dim`.

    ULSAD's released code: WideResNet-50's 512 + 1024 channels become 384 means of four. There are no neighbourhood
    means. Fewer channels than `dim` stay as they are.
    """

    def __init__(self, channels: Sequence[int], dim: int = GROUPED_DIM) -> None:
        super().__init__()
        total = sum(channels)
        self.means: Tensor | None
        means = None if total <= dim else torch.from_numpy(adaptive_pool_matrix(total, dim)).view(dim, total, 1, 1)
        self.register_buffer("means", means)

    def forward(self, maps: Sequence[Tensor]) -> Tensor:
        """`(n, dim, h, w)`, or `(n, sum of channels, h, w)` where that is less."""
        joined = _joined(maps)
        return joined if self.means is None else F.conv2d(joined, self.means)


class Pooled(nn.Module):
    """Global average of each map, concatenated: one vector for the whole image (GDE, DN2)."""

    def forward(self, maps: Sequence[Tensor]) -> Tensor:
        """`(n, sum of channels, 1, 1)`."""
        return torch.cat([m.mean(dim=(2, 3), keepdim=True) for m in maps], dim=1)


def build_aggregator(name: str, channels: Sequence[int], adaptive_dim: int, patch: int = 3) -> nn.Module:
    """One of the aggregators by name.

    Args:
        name: `concat` (the papers' text), `adaptive` (PatchCore's and REB's released code), `adaptive_wide`
            (SimpleNet's), `grouped` (ULSAD), `stacked` (PaDiM), `pyramid` (SPADE), `btf`, `btm` or `pooled` (whole
            image).
        channels: Of each map.
        adaptive_dim: Vector length of `adaptive`.
        patch: Side p of the neighbourhood of `concat` and the adaptive ones, in cells.

    Raises:
        ParameterError: Another name, or an even p.
    """
    if patch < 1 or patch % 2 == 0:
        raise ParameterError(f"A neighbourhood of {patch} x {patch} patches has no middle: the side is odd.")
    if name == "concat":
        return Concat(patch)
    if name == "adaptive":
        return Adaptive(channels, adaptive_dim, patch)
    if name == "adaptive_wide":  # as long as the maps have channels: 1536 of WideResNet-50
        return Adaptive(channels, sum(channels), patch)
    if name == "grouped":
        return Grouped(channels)
    if name in ("btf", "btm"):
        return Stretched(padded=name == "btm")
    if name == "stacked":
        return Stacked()
    if name == "pyramid":
        return Pyramid()
    if name == "pooled":
        return Pooled()
    known = "concat, adaptive, adaptive_wide, grouped, stacked, pyramid, btf, btm, pooled"
    raise ParameterError(f"Unknown aggregator {name!r}. Known are: {known}")


def _stretch(maps: Tensor, grid: Sequence[int]) -> Tensor:
    """Adaptive average pooling to any grid, which the exporter knows only for whole ratios."""
    rows, columns = (
        torch.from_numpy(adaptive_pool_matrix(int(old), int(new))) for old, new in zip(maps.shape[-2:], grid)
    )
    return rows @ maps @ columns.T


def _joined(maps: Sequence[Tensor]) -> Tensor:
    """Maps resized bilinearly to the first one's grid and concatenated."""
    grid = maps[0].shape[-2:]
    return torch.cat([m if m.shape[-2:] == grid else _resize(m, grid) for m in maps], dim=1)


def _resize(maps: Tensor, grid: Sequence[int]) -> Tensor:
    return F.interpolate(maps, size=(int(grid[0]), int(grid[1])), mode="bilinear", align_corners=False)
