"""From feature maps of several layers to one vector for each patch.

Both aggregators are linear in the feature maps, so each becomes a few convolutions and resizes in the
exported graph.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from onlygood.errors import ParameterError


def adaptive_pool_matrix(length: int, outputs: int) -> NDArray[np.float32]:
    """One-dimensional adaptive average pooling as a matrix `(outputs, length)`.

    Row i averages the entries from floor(i L / D) up to, but excluding, ceil((i + 1) L / D).
    """
    matrix = np.zeros((outputs, length), np.float32)
    for i in range(outputs):
        start, stop = i * length // outputs, -(-(i + 1) * length // outputs)
        matrix[i, start:stop] = 1 / (stop - start)
    return matrix


class Concat(nn.Module):
    """3x3 mean of each map, coarser maps resized bilinearly to the first one's grid, concatenated.

    PatchCore's and REB's text (REB, section 3.2); zero padding counts in the mean.
    """

    def forward(self, maps: Sequence[Tensor]) -> Tensor:
        """`(n, sum of channels, h, w)`."""
        grid = maps[0].shape[-2:]
        pooled = [F.avg_pool2d(m, 3, 1, 1) for m in maps]
        return torch.cat([m if m.shape[-2:] == grid else _resize(m, grid) for m in pooled], dim=1)


class Adaptive(nn.Module):
    """The released code's aggregation: 3x3 neighbourhoods, pooled adaptively to `dim` numbers, twice.

    Per layer the (channel, row, column) neighbourhood of length 9c is pooled to `dim`; the layers' vectors
    are joined and pooled to `dim` again. The product of both poolings is one 3x3 convolution per layer,
    which commutes with the bilinear resize of the coarser maps.
    """

    def __init__(self, channels: Sequence[int], dim: int) -> None:
        super().__init__()
        self.dim = dim
        joined = adaptive_pool_matrix(len(channels) * dim, dim)
        self.rows: list[tuple[int, int]] = []
        for number, width in enumerate(channels):
            last = joined[:, number * dim : (number + 1) * dim] @ adaptive_pool_matrix(9 * width, dim)
            used = np.flatnonzero(last.any(axis=1))
            start, stop = int(used[0]), int(used[-1]) + 1
            self.rows.append((start, stop))
            kernel = torch.from_numpy(last[start:stop].reshape(stop - start, width, 3, 3).copy())
            self.register_buffer(f"kernel{number}", kernel)

    def forward(self, maps: Sequence[Tensor]) -> Tensor:
        """`(n, dim, h, w)`."""
        grid = maps[0].shape[-2:]
        total = None
        for number, (m, (start, stop)) in enumerate(zip(maps, self.rows, strict=True)):
            part = F.conv2d(m, self.get_buffer(f"kernel{number}"), padding=1)
            if part.shape[-2:] != grid:
                part = _resize(part, grid)
            part = F.pad(part, (0, 0, 0, 0, start, self.dim - stop))
            total = part if total is None else total + part
        assert total is not None
        return total


class Pooled(nn.Module):
    """Global average of the last map: one vector for the whole image (Gaussian density estimation)."""

    def forward(self, maps: Sequence[Tensor]) -> Tensor:
        """`(n, c, 1, 1)`."""
        return maps[-1].mean(dim=(2, 3), keepdim=True)


def build_aggregator(name: str, channels: Sequence[int], adaptive_dim: int) -> nn.Module:
    """`concat` (the papers' text), `adaptive`, `adaptive_wide` (REB's and SimpleNet's code) or `pooled` (whole image).

    Raises:
        ParameterError: Another name.
    """
    if name == "concat":
        return Concat()
    if name == "adaptive":
        return Adaptive(channels, adaptive_dim)
    if name == "adaptive_wide":  # as long as the maps have channels: 1536 of WideResNet-50
        return Adaptive(channels, sum(channels))
    if name == "pooled":
        return Pooled()
    raise ParameterError(f"Unknown aggregator {name!r}. Known are: concat, adaptive, adaptive_wide, pooled")


def _resize(maps: Tensor, grid: Sequence[int]) -> Tensor:
    return F.interpolate(maps, size=(int(grid[0]), int(grid[1])), mode="bilinear", align_corners=False)
