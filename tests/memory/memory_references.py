"""Slow and obvious references, in double precision."""

from __future__ import annotations

import numpy as np

from onlygood.memory import MemoryBank
from onlygood.memory.bank import halved


def squared_distances(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    other = b.astype(float)
    return np.array([((other - row) ** 2).sum(axis=1) for row in a.astype(float)]).reshape(len(a), len(b))


def clustered(rng: np.random.Generator, n: int, dim: int = 24, clusters: int = 30, inner: int = 4) -> np.ndarray:
    """Like patch features: clusters of low intrinsic dimension, all numbers positive."""
    centres = rng.gamma(1.0, 1.0, (clusters, dim))
    spread = rng.normal(size=(clusters, inner, dim)) * 0.3
    which = rng.integers(0, clusters, n)
    points = centres[which] + np.einsum("ni,nid->nd", rng.normal(size=(n, inner)), spread[which])
    return np.maximum(points + rng.normal(size=(n, dim)) * 0.01, 0).astype(np.float32)


def as_kept(vectors: np.ndarray) -> np.ndarray:
    """float32, but rounded as a bank rounds them."""
    return halved(vectors).astype(np.float32)


def line(*positions: float) -> np.ndarray:
    return np.array(positions, np.float32)[:, None]


def bank_of(vectors: np.ndarray, images: np.ndarray | None = None) -> MemoryBank:
    image_of = np.zeros(len(vectors)) if images is None else images
    return MemoryBank(halved(vectors), np.asarray(image_of, np.int32))
