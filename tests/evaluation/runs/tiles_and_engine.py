"""Categories of drawn tiles, and an engine that runs in this process."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
from PIL import Image

from onlygood.evaluation.runs.measuring import Task, measure
from onlygood.evaluation.runs.records import Record

SIDE = 80


def tile(seed: int, spoilt: bool = False) -> np.ndarray:
    """A made-up striped tile, with a bright blot if asked for: for behaviour only, never for a claim of accuracy."""
    rng = np.random.default_rng(seed)
    stripes = 110 + 40 * np.sin(np.arange(SIDE) / 4 + rng.uniform(0, 0.6))
    grey = stripes[None] + rng.normal(0, 6, (SIDE, SIDE))
    image = np.repeat(np.clip(grey, 0, 255).astype(np.uint8)[..., None], 3, axis=2)
    if spoilt:
        image[30:52, 26:50] = image[30:52, 26:50] // 2 + 40
    return image


def draw_category(folder: Path, first: int) -> None:
    seed = first
    for kind, count in (("train/good", 6), ("test/good", 3), ("test/blot", 3)):
        (folder / kind).mkdir(parents=True)
        for i in range(count):
            Image.fromarray(tile(seed, "blot" in kind)).save(folder / kind / f"{i}.png")
            seed += 1
    (folder / "ground_truth" / "blot").mkdir(parents=True)
    mask = np.zeros((SIDE, SIDE), np.uint8)
    mask[30:52, 26:50] = 255
    for i in range(3):
        Image.fromarray(mask).save(folder / "ground_truth" / "blot" / f"{i}_mask.png")


class InThisProcess:
    """The simplest engine: one run after the other, here. Remembers what it was given."""

    threads = 1

    def __init__(self) -> None:
        self.given: list[Task] = []

    def run(self, tasks: Iterable[Task]) -> Iterator[Record]:
        for task in tasks:
            self.given.append(task)
            yield measure(task)
