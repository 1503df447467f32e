"""Perlin noise and the defect mask DRAEM cuts from it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from onlygood.synthesis.arrays import FloatArray, MaskArray


def _fade(t: NDArray[np.float32]) -> NDArray[np.float32]:
    return t**3 * (t * (6 * t - 15) + 10)


def perlin_noise(rng: np.random.Generator, height: int, width: int, rows: int, columns: int) -> FloatArray:
    """Gradient noise with `rows` x `columns` lattice cells over the whole field.

    Returns:
        float32, shape (height, width), in [-1, 1]; 0 at every lattice point.
    """
    angle = rng.uniform(0, 2 * np.pi, size=(rows + 1, columns + 1))
    gradient = np.stack([np.cos(angle), np.sin(angle)]).astype(np.float32)
    y = np.arange(height, dtype=np.float32) * (rows / height)
    x = np.arange(width, dtype=np.float32) * (columns / width)
    cell_y, cell_x = y.astype(int), x.astype(int)
    y, x = y - cell_y.astype(np.float32), x - cell_x.astype(np.float32)

    def corner(down: int, right: int) -> NDArray[np.float32]:
        along_x, along_y = gradient[:, :, cell_x + right][:, cell_y + down]
        return np.asarray(along_x * (x - right)[None, :] + along_y * (y - down)[:, None])

    across, along = _fade(x)[None, :], _fade(y)[:, None]
    top = corner(0, 0) * (1 - across) + corner(0, 1) * across
    bottom = corner(1, 0) * (1 - across) + corner(1, 1) * across
    return np.asarray(np.float32(np.sqrt(2)) * (top + (bottom - top) * along))


def perlin_mask(rng: np.random.Generator, height: int, width: int, threshold: float = 0.5) -> MaskArray:
    """Draw DRAEM's defect mask: turned Perlin noise above `threshold`, over the whole image.

    The number of cells is 2^0 ... 2^5, drawn for each axis by itself; the turn is uniform in ±90°. Coarse
    noise often stays below the threshold: an empty draw is repeated, and the 16th is cut at its own 95 %
    quantile.

    Returns:
        Mask, bool, shape (height, width), never empty.
    """
    for _ in range(16):
        rows, columns = (int(2**e) for e in rng.integers(0, 6, size=2))
        noise = perlin_noise(rng, height, width, rows, columns)
        turned = Image.fromarray(noise).rotate(rng.uniform(-90, 90), resample=Image.Resampling.BILINEAR)
        noise = np.asarray(turned)
        if (noise > threshold).any():
            return noise > threshold
    return noise >= np.quantile(noise, 0.95)
