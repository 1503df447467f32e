"""Made-up trays of parts: SYNTHETIC, for behaviour only, never for a claim of accuracy.

A tray has nine places; five hold a part, each place always the same one. In a logical anomaly every small patch looks
like patches of good trays, only the arrangement is wrong. A structural one has a patch that no good tray has.
"""

from __future__ import annotations

import numpy as np

SIDE = 96
#: Centres of the places, in pixels.
PLACES = [(row, column) for row in (18, 48, 78) for column in (18, 48, 78)]
#: Part of each place, 0 for none.
GOOD = (1, 0, 2, 0, 3, 4, 5, 0, 0)
COLOURS = [(200, 60, 50), (60, 90, 200), (60, 160, 80), (230, 190, 40), (150, 60, 170)]
LOGICAL = ("missing", "doubled", "swapped", "displaced")


def tray(seed: int, anomaly: str = "") -> np.ndarray:
    """A good tray, or one with a part `missing`, `doubled`, two `swapped`, one `displaced`, or a `scratch`."""
    rng = np.random.default_rng(seed)
    parts = np.array(GOOD)
    full, empty = rng.permutation(np.flatnonzero(parts)), rng.permutation(np.flatnonzero(parts == 0))
    if anomaly == "doubled":
        parts[empty[0]] = parts[full[0]]
    elif anomaly == "swapped":
        parts[full[:2]] = parts[full[1::-1]]
    elif anomaly == "displaced":
        parts[empty[0]], parts[full[0]] = parts[full[0]], 0
    elif anomaly == "missing":
        parts[full[0]] = 0
    image = np.full((SIDE, SIDE, 3), 120.0) + rng.normal(0, 4, (SIDE, SIDE, 1))
    for place, part in zip(PLACES, parts):
        if part:
            image[_shape(part, np.asarray(place) + rng.integers(-1, 2, 2))] = COLOURS[part - 1]
    if anomaly == "scratch":
        row, column = rng.integers(20, 66, 2)
        for step in range(10):
            image[row + step, column + step // 2 : column + step // 2 + 2] = (250, 250, 250)
    return np.clip(image + rng.normal(0, 4, image.shape), 0, 255).astype(np.uint8)


def _shape(part: int, centre: np.ndarray) -> np.ndarray:
    rows, columns = np.mgrid[:SIDE, :SIDE]
    y, x = rows - centre[0], columns - centre[1]
    return [
        np.hypot(y, x) < 6,
        np.maximum(np.abs(y), np.abs(x)) < 5.5,
        np.abs(y) + np.abs(x) < 7.5,
        (np.abs(y) < 3) | (np.abs(x) < 3),
        np.abs(np.hypot(y, x) - 4.5) < 2,
    ][part - 1] & (np.maximum(np.abs(y), np.abs(x)) < 7)
