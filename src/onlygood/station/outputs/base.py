"""What every output shares: decisions wait in a bounded queue and are delivered in order by a thread of its own."""

from __future__ import annotations

import threading
import time
from abc import abstractmethod
from collections import deque
from collections.abc import Collection
from typing import Any

from onlygood.station.connections import Backoff, Connection, ConnectionState
from onlygood.station.decisions import Decision


class UndeliveredError(Exception):
    """It could not be delivered now; it will be tried again."""


class RefusedDecisionError(Exception):
    """The other side will never take this decision; the next one is tried."""


class Output(Connection):
    """Sends decisions on, in order.

    `send` returns at once. What cannot be delivered is tried again, after longer and longer waits. When more than
    `queue` decisions wait the oldest is dropped and counted; it is still in the record.

    Args:
        name: Stands in the state.
        queue: Decisions that wait at most.
        verdicts: Those that are sent on.
        backoff: Waits between two tries.
    """

    def __init__(
        self,
        name: str,
        queue: int = 10_000,
        verdicts: Collection[str] = ("OK", "REVIEW", "NG"),
        backoff: Backoff | None = None,
    ) -> None:
        super().__init__(name)
        self._room = queue
        self._verdicts = frozenset(verdicts)
        self._backoff = backoff or Backoff()
        self._queue: deque[Decision] = deque()
        self._changed = threading.Condition()
        self._delivered = self._refused = self._dropped = 0
        self._give_up = float("inf")

    def send(self, decision: Decision) -> None:
        """Hand over a decision to be delivered; returns at once."""
        if str(decision.verdict) not in self._verdicts:
            return
        with self._changed:
            if len(self._queue) >= self._room:
                self._queue.popleft()
                self._dropped += 1
            self._queue.append(decision)
            self._changed.notify()

    def stop(self, timeout: float = 10.0) -> bool:
        """Deliver what waits, for at most `timeout` seconds, and end; True if the thread has ended."""
        self._give_up = time.monotonic() + timeout
        return super().stop(timeout + 5.0)

    @property
    def state(self) -> ConnectionState:
        """How it is doing now."""
        with self._changed:
            return ConnectionState(
                self.name,
                self.running,
                self._problem,
                self._last_error,
                self._delivered,
                len(self._queue),
                self._refused,
                self._dropped,
            )

    def deliver_seconds(self) -> float:
        """How long one delivery may take now: less while stopping."""
        return max(0.1, min(10.0, self._give_up - time.monotonic()))

    @abstractmethod
    def _deliver(self, decision: Decision) -> None:
        """Deliver one decision; raises `UndeliveredError` or `RefusedDecisionError`, each with words for the user."""

    def _open(self) -> None:
        """Called in the thread before the first delivery, and again after an error nobody expected."""

    def _close(self) -> None:
        """Called in the thread at its end, also after a failed `_open`."""

    def _wake(self) -> None:
        with self._changed:
            self._changed.notify_all()

    def _run(self) -> None:
        try:
            self._open()
            while (decision := self._next()) is not None:
                try:
                    self._deliver(decision)
                except UndeliveredError as error:
                    self._trouble(str(error))
                    self._pause(self._backoff.next())
                    continue
                except RefusedDecisionError as error:
                    self._done(decision, refused=True)
                    self._trouble(str(error))
                    continue
                self._done(decision, refused=False)
                self._backoff.reset()
                self._fine()
        finally:
            self._close()

    def _next(self) -> Decision | None:
        """The oldest that waits, which stays in the queue until it is delivered; None at the end."""
        with self._changed:
            self._changed.wait_for(lambda: self._queue or self._stopping.is_set())
            ended = self._stopping.is_set() and (not self._queue or time.monotonic() >= self._give_up)
            return None if ended else self._queue[0]

    def _done(self, decision: Decision, *, refused: bool) -> None:
        with self._changed:
            if self._queue and self._queue[0] is decision:
                self._queue.popleft()
            else:  # it was dropped while it was being delivered
                self._dropped -= 1
            if refused:
                self._refused += 1
            else:
                self._delivered += 1

    def _pause(self, seconds: float) -> None:
        """Wait before the next try; `stop` cuts it short once, and while stopping the waits are short."""
        if self._stopping.is_set():
            time.sleep(min(seconds, 0.2))
        else:
            self._stopping.wait(seconds)


def payload(decision: Decision) -> dict[str, Any]:
    """What is sent of a decision: all of it but the places of its pictures on the station's disk."""
    table = decision.as_dict()
    return {key: value for key, value in table.items() if key not in ("picture", "map_picture")}
