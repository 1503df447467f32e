"""What every input shares: handing an image over to be inspected, and counting."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import Future, wait
from typing import TYPE_CHECKING

from onlygood.station.connections import Connection, ConnectionState
from onlygood.station.decisions import Decision
from onlygood.station.errors import BusyError, NotRecordedError

if TYPE_CHECKING:
    from onlygood.station.inspecting import Answer


#: Takes the bytes of an image, what to call it, the input's name and the recipe; the future ends once the decision is
#: recorded. Raises `BusyError` if too many images wait.
Submit = Callable[[bytes, str, str, str], "Future[Answer]"]


class Input(Connection):
    """Takes images from somewhere, in a thread of its own, and has them inspected."""

    def __init__(self, name: str, recipe: str, submit: Submit) -> None:
        super().__init__(name)
        self._recipe = recipe
        self._submit = submit
        self._count = self._failed = self._waiting = 0
        self._give_up = float("inf")

    def stop(self, timeout: float = 10.0) -> bool:
        """Take no more images, wait for the decisions of those handed over, and end; True if the thread has ended."""
        self._give_up = time.monotonic() + timeout
        return super().stop(timeout + 1.0)

    @property
    def state(self) -> ConnectionState:
        """How it is doing now."""
        return ConnectionState(
            self.name, self.running, self._problem, self._last_error, self._count, self._waiting, self._failed
        )

    def _hand_over(self, data: bytes, name: str) -> Future[Answer] | None:
        """Hand an image over, as soon as there is room; None if the input is to stop before that."""
        while not self._stopping.is_set():
            try:
                return self._submit(data, name, self.name, self._recipe)
            except NotRecordedError as error:
                return _failed(error)
            except BusyError as error:
                self._stopping.wait(error.retry_after)
            except Exception as error:
                return _failed(error)
        return None

    def _decision(self, future: Future[Answer]) -> Decision | None:
        """Wait for the decision, which is counted; None if the input must end before; raises what the future raises."""
        while not wait([future], 0.1).done:
            if time.monotonic() >= self._give_up:
                return None
        decision = future.result().decision
        self._count += 1
        return decision


def _failed(error: Exception) -> Future[Answer]:
    future: Future[Answer] = Future()
    future.set_exception(error)
    return future
