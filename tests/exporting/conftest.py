"""Drawn plates of several sizes, detectors fitted on them, and a graph run by nothing but ONNX Runtime."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnxruntime
import pytest

import onlygood

pytest.importorskip("onnx", reason="exporting needs onnx")
pytest.importorskip("torch", reason="fitting needs torch")


def plate(seed: int, height: int = 80, width: int = 80) -> np.ndarray:
    """A grooved plate with noise: synthetic, for behaviour only, never for a claim of accuracy."""
    rng = np.random.default_rng(seed)
    grooves = 110 + 40 * np.sin(np.arange(width) * 20 / width + rng.uniform(0, 0.6))
    grey = grooves[None] + rng.normal(0, 6, (height, width))
    return np.repeat(np.clip(grey, 0, 255).astype(np.uint8)[..., None], 3, axis=2)


def dented(seed: int, height: int = 80, width: int = 80) -> np.ndarray:
    image = plate(seed, height, width)
    image[height // 3 : height // 2, width // 3 : width * 2 // 3] = (250, 240, 20)
    return image


#: Input size, smaller and larger, wider and taller.
SIZES = ((64, 64), (80, 80), (48, 200), (150, 60), (300, 100), (20, 9))


@pytest.fixture(scope="session")
def good() -> list[np.ndarray]:
    return [plate(seed, *SIZES[seed % 4]) for seed in range(8)]


@pytest.fixture(scope="session")
def unseen() -> list[np.ndarray]:
    """Good, dented and quite other images in every size."""
    odd = [np.zeros((64, 64, 3), np.uint8), np.random.default_rng(3).integers(0, 256, (70, 90, 3)).astype(np.uint8)]
    return [make(100 + i, *size) for i, size in enumerate(SIZES) for make in (plate, dented)] + odd


@pytest.fixture(scope="session")
def gde(good: list[np.ndarray]) -> onlygood.GDE:
    return onlygood.GDE(size=64).fit(good[:4])


class Graph:
    """An exported model and what it says of one image `(h, w, 3)`, by output name."""

    def __init__(self, model: Any) -> None:
        self.session = onnxruntime.InferenceSession(model if isinstance(model, bytes) else str(model))
        self.names = [one.name for one in self.session.get_outputs()]

    def __call__(self, image: np.ndarray) -> dict[str, np.ndarray]:
        return dict(zip(self.names, self.session.run(self.names, {"image": image[None]})))


@pytest.fixture(scope="session")
def opened() -> type[Graph]:
    """Opens a model, bytes or a path."""
    return Graph
