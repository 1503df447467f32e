"""The station as a whole: its parts, started in order and stopped so that nothing that was accepted is lost."""

from __future__ import annotations

import ipaddress
import threading
from collections.abc import Mapping, Sequence
from typing import Any, Self

from onlygood.station.errors import StationError
from onlygood.station.inputs.base import Input
from onlygood.station.inspecting import Inspecting
from onlygood.station.logs import log
from onlygood.station.outputs.base import Output
from onlygood.station.recipes import Recipes
from onlygood.station.record import Record
from onlygood.station.record.pictures import Pictures
from onlygood.station.settings import Settings
from onlygood.station.telemetry import Telemetry


class Station:
    """What all rooms share while it runs.

    Args:
        settings: How it is set up.
        record: Decisions, answers, activations, audit.
        pictures: Kept images and maps.
        telemetry: Counts.
        poll: Seconds between two looks at the model files.

    Attributes:
        recipes: The models on duty.
        inspecting: Takes images.
        events: Tells browsers of decisions.
        learning: Golden sets, candidates, drift.
        inputs: Folders and cameras.
        outputs: Webhooks, brokers and the like.
        stopping: Set once it shall stop.
    """

    def __init__(
        self,
        settings: Settings,
        record: Record,
        pictures: Pictures,
        telemetry: Telemetry | None = None,
        poll: float = 2.0,
    ) -> None:
        self.settings = settings
        self.record = record
        self.pictures = pictures
        self.telemetry = telemetry or Telemetry()
        self.stopping = threading.Event()
        self.recipes = Recipes(settings, record, self.telemetry, poll)
        self.inspecting = Inspecting(self.recipes, record, pictures, settings, self.telemetry)
        self.events: Any = None
        self.learning: Any = None
        self.inputs: Sequence[Input] = ()
        self.outputs: Sequence[Output] = ()
        self.telemetry.watch(
            lambda: self.inspecting.depth,
            lambda: float(self.record.state["journal"]),
            lambda: float(self.record.state["database"] == "ok"),
        )

    @classmethod
    def open(cls, settings: Settings, poll: float = 2.0) -> Self:
        """A station with all its parts, not yet started.

        Args:
            settings: How it is set up.
            poll: Seconds between two looks at the model files.

        Raises:
            ModelFileError, ParameterError, StationError, MissingDependencyError: As the parts name them.
        """
        from onlygood.station.inputs import open_inputs
        from onlygood.station.learning import Learning
        from onlygood.station.outputs import open_outputs
        from onlygood.station.web.events import Events

        record = Record.open(settings.database, settings.data, settings.limits, keep=settings.keep)
        station = None
        try:
            pictures = Pictures(settings.data, settings.keep, settings.limits.picture_bytes, record)
            station = cls(settings, record, pictures, poll=poll)
            station.events = Events(station.status)
            station.learning = Learning(settings, record, station.recipes)
            station.telemetry.watch_drift(station.learning.drift.standing)
            station.outputs = open_outputs(settings)
            station.inputs = open_inputs(settings, station.inspecting.submit)
        except BaseException:
            if station is not None:
                station.inspecting.close()
            record.close()
            raise
        station.inspecting.listeners += [station.events.decision, *(output.send for output in station.outputs)]
        return station

    def start(self) -> None:
        """Begin to watch model files and to take images in."""
        self.recipes.watch()
        if self.learning is not None:
            self.learning.start()
        for connection in (*self.outputs, *self.inputs):
            connection.start()

    def status(self) -> dict[str, Any]:
        """How it is doing, as plain JSON types: for `/ready`, and for the page every few seconds.

        Returns:
            `ready`; `reasons` why not; `problems` that do not keep it from working; `record` and `pictures`,
            their state; `queue`, images that wait or are worked on; `recipes` with `name`, `model`, `problem`
            and `drift` (None if it was not looked at yet); `connections`, the state of each input and output.
        """
        record, pictures, depth = dict(self.record.state), dict(self.pictures.state), self.inspecting.depth
        connections = [connection.state for connection in (*self.inputs, *self.outputs)]
        wrong = self.recipes.problems
        drift = {one.recipe: one for one in self.learning.drift.standing()} if self.learning is not None else {}
        reasons = []
        if self.stopping.is_set():
            reasons.append("The station is stopping.")
        if depth >= self.settings.limits.queue:
            reasons.append(f"{depth} images wait already.")
        return {
            "ready": not reasons,
            "reasons": reasons,
            "problems": [
                *(str(one["message"]) for one in (record, pictures) if one.get("message")),
                *wrong.values(),
                *(f"{one.name}: {one.problem}" for one in connections if one.problem),
                *(_drifted(one.recipe, one.alarm) for one in drift.values() if one.alarm),
            ],
            "record": record,
            "pictures": pictures,
            "queue": depth,
            "recipes": [
                {
                    "name": name,
                    "model": self.recipes.get(name).model,
                    "problem": wrong.get(name, ""),
                    "drift": drift[name].as_dict() if name in drift else None,
                }
                for name in self.recipes.names()
            ],
            "connections": [one.as_dict() for one in connections],
        }

    def begin_to_stop(self) -> None:
        """Take nothing more; may be called from a signal handler. `close` does the rest."""
        self.stopping.set()
        if self.events is not None:
            self.events.close()

    def close(self) -> bool:
        """Stop inputs, answer what was accepted, hand over to outputs what is to be sent, and close the record.

        Returns:
            Whether all that was accepted is answered.
        """
        self.begin_to_stop()
        self.recipes.close()
        for source in self.inputs:
            source.stop()
        drained = self.inspecting.close(self.settings.stop_seconds)
        if self.learning is not None:
            self.learning.close()
        for output in self.outputs:
            output.stop()
        self.record.close()
        log("stopped", drained=drained)
        return drained

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _drifted(recipe: str, alarm: Mapping[str, Any]) -> str:
    """A drift alarm in words."""
    return (
        f"{recipe}: the scores of its parts have drifted ({alarm['direction']}; alarm of {alarm['time']}). Look at "
        f"light, lens and fixture, then begin a new run: POST /recipes/{recipe}/drift/restart."
    )


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach an address."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def check_exposure(settings: Settings, tokens: bool) -> None:
    """Raise `StationError` if others could reach the station and nobody must show a token."""
    if not tokens and not is_loopback(settings.host):
        raise StationError(
            f"The station will not listen on {settings.host} without tokens: everybody there could change it. "
            f"Make one: onlygood station token NAME --role engineer --data {settings.data}"
        )
