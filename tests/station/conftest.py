"""A tiny part, detectors fitted on it, and a station with one of them on duty."""

from __future__ import annotations

import io
import logging
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from running_station import Running, start_station

from onlygood.station.logs import LOGGER, JsonLines
from onlygood.station.settings import Settings

SIDE = 64


def plate(seed: int, dented: bool = False) -> np.ndarray:
    """A grooved grey plate, with a bright dent if asked for."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:SIDE, :SIDE]
    image = 128 + 40 * np.sin(x / 7 + rng.uniform(0, 0.5)) + 20 * np.cos(y / 9) + rng.normal(0, 6, (SIDE, SIDE))
    image = np.repeat(image.clip(0, 255).astype(np.uint8)[..., None], 3, axis=2)
    if dented:
        image[20:40, 20:44] = (250, 20, 20)
    return image


def encoded(image: np.ndarray, kind: str = "PNG") -> bytes:
    """The bytes of an image file."""
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, kind)
    return buffer.getvalue()


@pytest.fixture(scope="session")
def good() -> bytes:
    """A PNG file of a good part."""
    return encoded(plate(100))


@pytest.fixture(scope="session")
def dented() -> bytes:
    """A PNG file of a part that is NG."""
    return encoded(plate(101, dented=True))


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Two model files of the same part, `a` and `b`, that score differently."""
    pytest.importorskip("torch", reason="fitting needs torch")
    from onlygood.methods import KNN

    folder = tmp_path_factory.mktemp("models")
    images = [plate(seed) for seed in range(6)]
    paths = {}
    for name, k in (("a", 1), ("b", 3)):
        paths[name] = folder / f"{name}.og"
        KNN(size=SIDE, k=k, seed=0, threads=1).fit(images, progress=lambda *_: None).save(paths[name])
    return paths


@pytest.fixture
def settings(models: dict[str, Path], tmp_path: Path) -> Settings:
    """With a copy of model `a` as the recipe `plate`, that a test may change."""
    given = tmp_path / "given.og"
    given.write_bytes(models["a"].read_bytes())
    return Settings(data=tmp_path / "data", models={"plate": given}, threads=1)


@pytest.fixture
def make_station() -> Iterator[Callable[..., Any]]:
    """Makes stations of settings, and closes them when the test is over."""
    pytest.importorskip("fastapi", reason="the station needs onlygood[station]")
    from onlygood.station.running import Station

    made = []

    def make(settings: Settings, **more: Any) -> Any:
        made.append(Station.open(settings, **more))
        return made[-1]

    yield make
    for station in made:
        station.close()


@pytest.fixture
def station(make_station: Callable[..., Any], settings: Settings) -> Any:
    """A station; nothing of it is started but the inspecting."""
    return make_station(settings)


@pytest.fixture
def client(station: Any) -> Iterator[Any]:
    """Talks to the station without a network."""
    from starlette.testclient import TestClient

    from onlygood.station.web.app import create_app

    with TestClient(create_app(station), base_url="http://127.0.0.1", raise_server_exceptions=False) as client:
        yield client


@pytest.fixture
def start(tmp_path: Path, models: dict[str, Path]) -> Iterator[Callable[..., Running]]:
    """Starts stations in processes of their own, with the data in `tmp_path` and settings in TOML."""
    made: list[Running] = []

    def starting(text: str = "", model: Path | None = None) -> Running:
        made.append(start_station(tmp_path, model or models["a"], text))
        return made[-1]

    yield starting
    for one in made:
        if one.process.poll() is None:
            one.process.kill()
            one.process.communicate()


@pytest.fixture
def logged() -> Iterator[list[str]]:
    """Every line of the program's log, as the station writes them, also those for debugging."""
    lines: list[str] = []

    class Lines(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            lines.append(self.format(record))

    handler = Lines(logging.DEBUG)
    handler.setFormatter(JsonLines())
    loggers = [logging.getLogger(), LOGGER]
    levels, propagate = [logger.level for logger in loggers], LOGGER.propagate
    LOGGER.propagate = False  # or its lines would come twice
    for logger in loggers:
        logger.addHandler(handler)
        logger.setLevel(logging.DEBUG)
    yield lines
    LOGGER.propagate = propagate
    for logger, level in zip(loggers, levels):
        logger.removeHandler(handler)
        logger.setLevel(level)


@pytest.fixture
def eventually() -> Callable[..., None]:
    """Waits until something holds."""

    def wait(holds: Callable[[], object], seconds: float = 15.0) -> None:
        end = time.monotonic() + seconds
        while not holds():
            assert time.monotonic() < end, "it did not come to hold"
            time.sleep(0.01)

    return wait
