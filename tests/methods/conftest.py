from __future__ import annotations

import numpy as np
import pytest

from onlygood.methods.registry import METHODS


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


@pytest.fixture(scope="session")
def good() -> list[np.ndarray]:
    return [tile(seed) for seed in range(8)]


@pytest.fixture(scope="session")
def bad() -> list[np.ndarray]:
    return [spoilt(seed) for seed in range(50, 54)]


@pytest.fixture(scope="session", params=list(METHODS))
def method(request):
    """Every registered method, at a size that fits in a moment."""
    kind = METHODS[request.param]
    small = {"k": 3} if "k" in kind.parameter_names() and request.param in ("kth_nn", "lof", "ldof") else {}

    def make(**parameters):
        return kind(size=64, **{**small, **parameters})

    make.kind = kind
    return make


@pytest.fixture(scope="session")
def fitted(method, good):
    return method().fit(good)
