"""What inputs and outputs share: a thread that goes on after errors, and a state that says how it is doing."""

from __future__ import annotations

import random
import threading
from abc import ABC, abstractmethod
from dataclasses import asdict, dataclass
from typing import Any

from onlygood.station.logs import log


@dataclass(frozen=True)
class ConnectionState:
    """How an input or output is doing.

    Attributes:
        name: `folder:NAME`, `camera:NAME`, `webhook:HOST`, `mqtt:HOST`, `sorted`, `opcua`.
        running: Whether its thread runs; a camera that reads a file ends with the file.
        problem: What is wrong now, in words; empty while all is well.
        last_error: The last thing that went wrong, also when it is over; empty if nothing ever did.
        count: Images inspected by an input, decisions delivered by an output.
        waiting: Decisions that an output has yet to deliver; files of a folder that are seen and not yet inspected.
        failed: Images that could not be read, or decisions that the other side refused.
        dropped: Decisions that an output gave up because too many waited.
    """

    name: str
    running: bool
    problem: str = ""
    last_error: str = ""
    count: int = 0
    waiting: int = 0
    failed: int = 0
    dropped: int = 0

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON types."""
        return asdict(self)


class Backoff:
    """How long to wait before the next try: doubled each time, up to a bound, shortened by chance by up to a half.

    The chance keeps several stations from coming back to one server all at the same moment.
    """

    def __init__(self, first: float = 0.5, most: float = 30.0) -> None:
        self.first, self.most = first, most
        self._tries = 0

    def next(self) -> float:
        """Seconds until the next try."""
        longest = min(self.most, self.first * 2.0 ** min(self._tries, 30))
        self._tries += 1
        return longest * random.uniform(0.5, 1.0)

    def reset(self) -> None:
        """It worked: begin with short waits again."""
        self._tries = 0


class Connection(ABC):
    """An input or output, with a thread of its own. An error it did not expect is told, and it is started again."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None
        self._problem = ""
        self._last_error = ""

    def start(self) -> None:
        """Begin; does nothing if it has begun."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._supervised, name=self.name, daemon=True)
            self._thread.start()

    def stop(self, timeout: float = 10.0) -> bool:
        """Ask it to end and wait for that, `timeout` seconds at most; True if it has ended."""
        self._stopping.set()
        self._wake()
        if self._thread is not None:
            self._thread.join(timeout)
        return not self.running

    @property
    def running(self) -> bool:
        """Whether its thread runs."""
        return self._thread is not None and self._thread.is_alive()

    @property
    @abstractmethod
    def state(self) -> ConnectionState:
        """How it is doing now."""

    @abstractmethod
    def _run(self) -> None:
        """The work, until `_stopping` is set or there is no more."""

    def _wake(self) -> None:  # noqa: B027
        """Called after `_stopping` is set, for parts that wait for something else."""

    def _trouble(self, problem: str) -> None:
        """Something is wrong; it is logged once, however often it is said."""
        if problem != self._problem:
            log("connection_problem", level="warning", connection=self.name, problem=problem)
        self._problem = self._last_error = problem

    def _mention(self, error: str) -> None:
        """Something went wrong and is over: it is logged and remembered, and no problem now."""
        log("connection_failure", level="warning", connection=self.name, problem=error)
        self._last_error = error

    def _fine(self) -> None:
        """All is well again."""
        if self._problem:
            log("connection_goes_on", connection=self.name)
        self._problem = ""

    def _supervised(self) -> None:
        backoff = Backoff(1.0)
        while not self._stopping.is_set():
            try:
                self._run()
                return
            except Exception as error:  # whatever it is, the line must not stand still for good
                self._trouble(f"{type(error).__name__}: {error}. It is tried again.")
                log("fault", level="error", error=error, connection=self.name)
                self._stopping.wait(backoff.next())
