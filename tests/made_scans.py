"""Made-up scans of a domed part under a depth camera: synthetic, for behaviour only, never for a claim of accuracy.

A pinhole camera looks down at a shallow dome on a table. Light comes from all sides, so the picture shows what the
surface is painted like and nothing of its shape: a dent is in the points alone, a stain in the picture alone.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

#: Metres: from the camera to the table, radius and height of the dome.
TABLE, RADIUS, HEIGHT = 0.30, 0.085, 0.014
#: Defects of the shape alone, of the colour alone, and of both.
OF_SHAPE, OF_COLOUR, OF_BOTH = ("bump", "dent", "cut"), ("stain",), ("hole",)


@dataclass(frozen=True)
class Made:
    """Picture uint8 `(h, w, 3)`, points float32 `(h, w, 3)` in metres with zeros where missing, and the mask."""

    rgb: np.ndarray
    xyz: np.ndarray
    mask: np.ndarray


def made_scan(seed: int, defect: str | None = None, side: int = 64, noise: float = 1.0) -> Made:
    """One part: turned and waved as parts are, with sensor noise of 0.05 mm and about 1 % of the points missing."""
    rng = np.random.default_rng(seed)
    waves = [(rng.uniform(30, 60), rng.uniform(0, 2 * np.pi), rng.uniform(0, 2 * np.pi)) for _ in range(3)]
    angle, reach = rng.uniform(0, 2 * np.pi), rng.uniform(0.2, 0.5) * RADIUS
    centre = np.array([np.cos(angle), np.sin(angle)]) * reach

    def height(x: np.ndarray, y: np.ndarray) -> np.ndarray:
        """Of the surface over the table."""
        inside = np.clip(1 - (x**2 + y**2) / RADIUS**2, 0, None)
        dome = HEIGHT * np.sqrt(inside)
        wave = sum(np.sin(f * (np.cos(a) * x + np.sin(a) * y) + p) for f, a, p in waves)
        dome += 2e-4 * wave * (inside > 0)
        across, along = x - centre[0], y - centre[1]
        blob = np.exp(-(across**2 + along**2) / (2 * 0.010**2))
        if defect == "bump":
            dome += 0.007 * blob
        elif defect == "dent":
            dome -= 0.007 * blob
        elif defect == "cut":
            dome -= 0.007 * np.clip(1 - np.abs(across) / 0.007, 0, 1) * (np.abs(along) < 0.03)
        return dome

    focal, middle = 1.3 * side, (side - 1) / 2
    rows, columns = np.indices((side, side))
    z = np.full((side, side), TABLE)
    for _ in range(8):  # where each pixel's ray meets the surface
        x, y = (columns - middle) * z / focal, (rows - middle) * z / focal
        z = TABLE - height(x, y)
    slope = np.hypot(*np.gradient(z)) / (z / focal)
    near = np.hypot(x - centre[0], y - centre[1])
    mask = {
        None: np.zeros((side, side), bool),
        "cut": (np.abs(x - centre[0]) < 0.007) & (np.abs(y - centre[1]) < 0.03),
    }.get(defect, near < 0.014)

    z = z + rng.normal(0, 5e-5 * noise, z.shape) * (1 + slope)
    xyz = np.stack([(columns - middle) * z / focal, (rows - middle) * z / focal, z], axis=-1)
    missing = (rng.random(z.shape) < 0.01 * noise) | (slope > 3)
    if defect == "hole":
        missing |= mask
    xyz[missing] = 0

    on_part = np.hypot(x, y) < RADIUS
    speckle = rng.normal(0, 1, (side // 2, side // 2)).repeat(2, 0).repeat(2, 1)
    colour = np.where(on_part[..., None], [176, 130, 84], [58, 60, 64]) + 7.0 * speckle[..., None] * on_part[..., None]
    if defect == "stain":
        colour[mask] = [96, 40, 36] + 4 * rng.normal(0, 1, (int(mask.sum()), 1))
    elif defect == "hole":
        colour[mask] = 12
    colour += rng.normal(0, 3 * noise, colour.shape)
    return Made(np.clip(colour, 0, 255).astype(np.uint8), xyz.astype(np.float32), mask)
