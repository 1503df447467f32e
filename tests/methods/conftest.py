from __future__ import annotations

import numpy as np
import pytest
from drawn_parts import spoilt, tile

from onlygood.methods.registry import METHODS


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
    if request.param == "simplenet":
        small = {"epochs": 60, "updates": 1, "patches": 1.0}
    if request.param == "ulsad":
        small = {"width": 0.25, "epochs": 8, "threads": 1}

    def make(**parameters):
        return kind(size=64, **{**small, **parameters})

    make.kind = kind
    return make


@pytest.fixture(scope="session")
def fitted(method, good):
    return method().fit(good)
