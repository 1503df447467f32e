"""A station that keeps its pictures."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from learning_parts import Kept

from onlygood.station.settings import Settings


@pytest.fixture
def open_station() -> Iterator[Callable[[Settings], Any]]:
    """Opens stations, and closes them when the test is over."""
    pytest.importorskip("fastapi", reason="the station needs onlygood[station]")
    from onlygood.station.record import Record
    from onlygood.station.running import Station

    made = []

    def make(settings: Settings) -> Any:
        record = Record.open("", settings.data, settings.limits)
        made.append(Station.assembled(settings, record, Kept(settings.data / "pictures")))
        return made[-1]

    yield make
    for station in made:
        station.close()


@pytest.fixture
def station(open_station: Callable[[Settings], Any], settings: Settings) -> Any:
    """Replaces the one that keeps no pictures; `client` talks to it."""
    return open_station(settings)
