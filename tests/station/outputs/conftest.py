"""Decisions to send on."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from onlygood.inspection import Verdict
from onlygood.station.decisions import Decision, Thresholds, new_id, now


@pytest.fixture
def decide() -> Callable[..., Decision]:
    """Makes a decision; anything may be given by name."""

    def make(**given: object) -> Decision:
        table: dict[str, object] = {
            "id": new_id(),
            "time": now(),
            "recipe": "cap",
            "model": "ab" * 32,
            "source": "rest",
            "name": "part-1.png",
            "verdict": Verdict.NG,
            "score": 2.5,
            "p_value": 0.005,
            "thresholds": Thresholds(2.0, 1.5),
            "pixel_threshold": 1.8,
            "reason": "structural",
            "regions": ({"box": [1, 2, 3, 4], "area": 4, "peak": 2.5},),
            "width": 64,
            "height": 48,
            "digest": "cd" * 32,
            "wait_ms": 1.0,
            "inspect_ms": 9.0,
            "picture": "2026/11/x.png",
        }
        return Decision(**{**table, **given})  # type: ignore[arg-type]

    return make
