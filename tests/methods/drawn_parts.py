"""Made-up parts: synthetic, for behaviour only, never for a claim of accuracy."""

from __future__ import annotations

import numpy as np


def tile(seed: int, side: int = 80) -> np.ndarray:
    """A made-up striped tile with noise: synthetic, for behaviour only, never for a claim of accuracy."""
    rng = np.random.default_rng(seed)
    stripes = 110 + 40 * np.sin(np.arange(side) / 4 + rng.uniform(0, 0.6))
    grey = stripes[None] + rng.normal(0, 6, (side, side))
    return np.repeat(np.clip(grey, 0, 255).astype(np.uint8)[..., None], 3, axis=2)


def spoilt(seed: int, side: int = 80) -> np.ndarray:
    """The same with a bright blot."""
    image = tile(seed, side)
    image[30:52, 26:50] = [250, 240, 20]
    return image
