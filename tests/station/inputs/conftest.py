"""A stand-in for the inspection, which decodes every image and decides by its brightness."""

from __future__ import annotations

import hashlib
import io
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from onlygood.images.reading import read_image
from onlygood.inspection import Verdict
from onlygood.station.decisions import Decision, Thresholds, new_id, now


def png(level: int, side: int = 16) -> bytes:
    """A grey image; above 200 it is NG, above 100 REVIEW."""
    file = io.BytesIO()
    Image.fromarray(np.full((side, side, 3), level, np.uint8)).save(file, "PNG")
    return file.getvalue()


class Inspector:
    """Keeps every decision in `recorded`; raises each of `errors` once, before it would take an image."""

    def __init__(self) -> None:
        self.recorded: list[Decision] = []
        self.images: list[bytes] = []
        self.errors: list[Exception] = []
        self.failing: list[Exception] = []
        self.open = threading.Event()
        self.open.set()
        self._pool = ThreadPoolExecutor(1)
        self.entered = 0
        self.asked: list[str] = []

    @property
    def names(self) -> list[str]:
        return [decision.name for decision in self.recorded]

    def submit(self, data: bytes, name: str, source: str, recipe: str) -> Future:
        if self.errors:
            raise self.errors.pop(0)
        return self._pool.submit(self._inspect, data, name, source, recipe)

    def _inspect(self, data: bytes, name: str, source: str, recipe: str) -> SimpleNamespace:
        self.entered += 1
        self.open.wait(20)
        self.asked.append(name)
        if self.failing:
            raise self.failing.pop(0)
        pixels = read_image(data, name)
        score = float(pixels.mean())
        verdict = Thresholds(200.0, 100.0).verdict(score)
        height, width = pixels.shape[:2]
        decision = Decision(
            new_id(), now(), recipe, "ab" * 32, source, name, Verdict(verdict), score, 0.5, Thresholds(200.0, 100.0),
            float("inf"), "", (), width, height, hashlib.sha256(data).hexdigest(), 0.0, 1.0,
        )  # fmt: skip
        self.images.append(data)
        self.recorded.append(decision)
        return SimpleNamespace(decision=decision)

    def close(self) -> None:
        self.open.set()
        self._pool.shutdown()


@pytest.fixture
def inspector():
    inspector = Inspector()
    yield inspector
    inspector.close()


@pytest.fixture(name="png")
def png_fixture() -> Callable[..., bytes]:
    """Makes the bytes of a grey image."""
    return png
