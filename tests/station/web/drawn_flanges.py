"""Drawn flanges, with and without a defect, and their anomaly maps: to look at, never for a claim of accuracy."""

from __future__ import annotations

import io
import math
import os
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from onlygood.reports.colours import RAMP

#: Pixels along each side are 4 and 3 times so many; more where they are to be looked at.
SCALE = 200 if os.environ.get("ONLYGOOD_SCREENSHOTS") else 60
WIDTH, HEIGHT = 4 * SCALE, 3 * SCALE


@dataclass(frozen=True)
class Drawn:
    """One drawn part.

    Attributes:
        jpeg: Its image.
        heat: float `(HEIGHT, WIDTH)`: 1 at the pixel threshold.
        boxes: Of its defects, `[left, top, right, bottom]`.
    """

    jpeg: bytes
    heat: np.ndarray
    boxes: tuple[tuple[int, int, int, int], ...]


def flange(seed: int, defects: int = 0, *, strength: float = 1.6) -> Drawn:
    """A turned ring with six holes; each defect is a scratch or a dark pit. Drawn for 800 x 600, then scaled."""
    rng = np.random.default_rng(seed)
    unit = HEIGHT / 600
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH] / unit
    cx, cy = 400 + rng.uniform(-12, 12), 300 + rng.uniform(-9, 9)
    radius, angle = np.hypot(x - cx, y - cy), np.arctan2(y - cy, x - cx)
    noise = rng.normal(0, 1, x.shape)
    turned = 158 + 34 * np.cos(2 * (angle - 0.8)) + 7 * np.sin(radius * 1.9) + 4 * noise
    turned += np.where(radius > 226, -38, 0) + np.where(np.abs(radius - 226) < 2, 50, 0)
    grey = np.where((radius < 262) & (radius > 92), turned, 42 + 16 * x / 800 + 2.2 * noise)
    grey[np.abs(radius - 262) < 2.5] = 215
    grey[np.abs(radius - 94) < 3] = 225
    grey[(radius > 265) & (radius < 282)] *= 0.62
    turn = rng.uniform(0, math.pi / 3)
    for hole in range(6):
        at = turn + hole * math.pi / 3
        away = np.hypot(x - cx - 164 * math.cos(at), y - cy - 164 * math.sin(at))
        grey[away < 26] = 36
        grey[np.abs(away - 27) < 2] = 210
    rgb = np.stack([grey * 0.97, grey, grey * 1.04], axis=-1)
    image = Image.fromarray(np.clip(rgb, 0, 255).astype(np.uint8))
    heat = np.zeros((HEIGHT, WIDTH))
    boxes = []
    for _ in range(defects):
        at = rng.uniform(0, 2 * math.pi)
        dx, dy = cx + 200 * math.cos(at), cy + 200 * math.sin(at)
        layer = Image.new("L", image.size)
        draw = ImageDraw.Draw(layer)
        if rng.random() < 0.6:
            bend = rng.normal(0, 9, (6, 2)).cumsum(0)
            line = [(dx + 17 * (i - 3) + bend[i][0], dy + 8 * (i - 3) + bend[i][1]) for i in range(6)]
            draw.line([(unit * u, unit * v) for u, v in line], fill=255, width=max(2, round(4 * unit)))
            image.paste((238, 236, 226), mask=layer.filter(ImageFilter.GaussianBlur(0.8 * unit)))
        else:
            draw.ellipse([unit * end for end in (dx - 19, dy - 14, dx + 19, dy + 14)], fill=230)
            image.paste((44, 36, 34), mask=layer.filter(ImageFilter.GaussianBlur(3 * unit)))
        spread = np.asarray(layer.filter(ImageFilter.GaussianBlur(11 * unit)), dtype=float)
        level = strength * spread / max(spread.max(), 1)
        heat = np.maximum(heat, level)
        above = np.argwhere(level > 1)
        (top, left), (bottom, right) = above.min(0), above.max(0) + 1
        boxes.append((int(left), int(top), int(right), int(bottom)))
    file = io.BytesIO()
    image.filter(ImageFilter.GaussianBlur(0.7 * unit)).save(file, "JPEG", quality=88)
    return Drawn(file.getvalue(), heat, tuple(boxes))


def overlay(heat: np.ndarray) -> bytes:
    """The map as a PNG that is transparent below the threshold."""
    level = np.clip(heat - 1, 0, 1)
    colours = RAMP[(255 * level).astype(int)]
    alpha = np.where(heat > 1, 255, 0).astype(np.uint8)
    file = io.BytesIO()
    Image.fromarray(np.dstack([colours, alpha])).save(file, "PNG")
    return file.getvalue()


def thumbnail(jpeg: bytes, side: int = 160) -> bytes:
    """A small version of an image."""
    image = Image.open(io.BytesIO(jpeg))
    image.thumbnail((side, side))
    file = io.BytesIO()
    image.save(file, "JPEG")
    return file.getvalue()
