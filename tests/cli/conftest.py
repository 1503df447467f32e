"""A tiny part with good and dented images, a detector fitted on it, and a way to run the program."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from onlygood.cli import main

SIDE = 96


@dataclass(frozen=True)
class Outcome:
    """What a run of the program left behind."""

    status: int
    out: str
    err: str


Program = Callable[..., Outcome]


@pytest.fixture
def og(capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Program:
    """Runs `onlygood` with the words given, in an empty folder."""
    monkeypatch.chdir(tmp_path)

    def run(*words: object) -> Outcome:
        capsys.readouterr()
        with pytest.raises(SystemExit) as stop:
            main([str(word) for word in words])
        text = capsys.readouterr()
        status = stop.value.code
        return Outcome(status if isinstance(status, int) else 0, text.out, text.err)

    return run


def picture(rng: np.random.Generator, dented: bool = False) -> np.ndarray:
    """A grooved grey plate, with a dark dent if asked for."""
    y, x = np.mgrid[:SIDE, :SIDE]
    plate = 128 + 40 * np.sin(x / 7 + rng.uniform(0, 0.5)) + 20 * np.cos(y / 9) + rng.normal(0, 6, (SIDE, SIDE))
    image = np.repeat(plate.clip(0, 255).astype(np.uint8)[..., None], 3, axis=2)
    if dented:
        image[30:55, 30:60] = (250, 20, 20)
    return image


@pytest.fixture(scope="session")
def part(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An MVTec AD folder: 8 good images to fit on, 3 good and 2 dented ones to test with, with masks."""
    folder = tmp_path_factory.mktemp("data") / "plate"
    rng = np.random.default_rng(5)
    for kind, count in (("train/good", 8), ("test/good", 3), ("test/dent", 2)):
        (folder / kind).mkdir(parents=True)
        for i in range(count):
            Image.fromarray(picture(rng, "dent" in kind)).save(folder / kind / f"{i}.png")
    masks = folder / "ground_truth" / "dent"
    masks.mkdir(parents=True)
    mask = np.zeros((SIDE, SIDE), np.uint8)
    mask[30:55, 30:60] = 255
    for i in range(2):
        Image.fromarray(mask).save(masks / f"{i}_mask.png")
    return folder


@pytest.fixture(scope="session")
def model(part: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model file fitted on the part."""
    pytest.importorskip("torch", reason="fitting needs torch")
    path = tmp_path_factory.mktemp("model") / "plate.og"
    with pytest.raises(SystemExit) as stop:
        main(["fit", str(part), "-o", str(path), "--size", "64"])
    assert stop.value.code == 0
    return path
