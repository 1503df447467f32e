"""Server-sent events: every decision as it is made, to every browser that looks, without waiting for any of them."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections import deque
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from fastapi import APIRouter
from starlette.responses import Response

from onlygood.station.decisions import Decision
from onlygood.station.errors import BusyError
from onlygood.station.web.access import TheStation, Viewer

#: Messages that may wait for one browser. One further behind is cut off; it calls again and reads the record.
WAITING = 64
#: Browsers that may listen at the same time.
LISTENERS = 64
#: Seconds between two reports of the station's state, and after which a browser that takes nothing is cut off.
STATUS_SECONDS = 5.0
SEND_SECONDS = 20.0

Message = MutableMapping[str, Any]


class Listener:
    """What waits for one browser. Made in the event loop that sends it; filled from any thread."""

    def __init__(self, limit: int) -> None:
        self._loop = asyncio.get_running_loop()
        self._news = asyncio.Event()
        self._waiting: deque[bytes] = deque()
        self._limit = limit
        self.over = False

    def put(self, message: bytes) -> None:
        """Hand a message over, or end it all if too many wait."""
        if self.over:
            return
        if len(self._waiting) >= self._limit:
            self.end()
            return
        self._waiting.append(message)
        self._wake()

    def end(self) -> None:
        """Nothing more is sent, nor what still waits."""
        self.over = True
        self._waiting.clear()
        self._wake()

    def _wake(self) -> None:
        try:
            self._loop.call_soon_threadsafe(self._news.set)
        except RuntimeError:  # the loop is closed, and with it the browser's connection
            self.over = True

    async def take(self, seconds: float) -> bytes | None:
        """The next message; empty after that many seconds without one, None at the end."""
        try:
            async with asyncio.timeout(seconds):
                while not self._waiting and not self.over:
                    self._news.clear()
                    # What came between the check and clear() is seen here.
                    if not self._waiting and not self.over:
                        await self._news.wait()
        except TimeoutError:
            return b""
        return None if self.over else self._waiting.popleft()


class Events:
    """Decisions on their way to the browsers.

    Args:
        status: Gives the state of the station as plain JSON types; called in a thread of its own.
        limit: Messages that may wait for one browser.
        listeners: Browsers at the same time.
    """

    def __init__(
        self, status: Callable[[], dict[str, Any]], *, limit: int = WAITING, listeners: int = LISTENERS
    ) -> None:
        self._status = status
        self._limit = limit
        self._most = listeners
        self._listeners: list[Listener] = []
        self._lock = threading.Lock()
        self._closed = False
        self._last: tuple[float, bytes] = (float("-inf"), b"")
        self._asking = threading.Lock()

    @property
    def listening(self) -> int:
        """Browsers that listen now."""
        with self._lock:
            return len(self._listeners)

    def decision(self, decision: Decision) -> None:
        """Tell every browser of a decision; from any thread, without waiting."""
        with self._lock:
            if not self._listeners:
                return
            message = event("decision", decision.as_dict())
            for listener in self._listeners:
                listener.put(message)
            self._listeners = [listener for listener in self._listeners if not listener.over]

    def status(self) -> bytes:
        """The state of the station as a message, asked for at most once in `STATUS_SECONDS` for all browsers."""
        with self._asking:
            at, message = self._last
            if time.monotonic() - at >= 0.9 * STATUS_SECONDS:
                message = event("status", self._status())
                self._last = (time.monotonic(), message)
            return message

    def listen(self) -> Listener:
        """A new browser; in the event loop. Raises BusyError if too many listen or the station is stopping."""
        with self._lock:
            if self._closed:
                raise BusyError("the station is stopping")
            if len(self._listeners) >= self._most:
                raise BusyError(f"{self._most} browsers listen already; close one", retry_after=10)
            listener = Listener(self._limit)
            self._listeners.append(listener)
            return listener

    def forget(self, listener: Listener) -> None:
        """The browser has gone."""
        with self._lock:
            listener.over = True
            self._listeners = [other for other in self._listeners if other is not listener]

    def close(self) -> None:
        """End every stream and take no new one. Call it before the server waits for its connections to end."""
        with self._lock:
            self._closed = True
            for listener in self._listeners:
                listener.end()
            self._listeners = []


def event(name: str, data: object) -> bytes:
    """One message of the event stream format (WHATWG HTML, section 9.2)."""
    return f"event: {name}\ndata: {json.dumps(data, ensure_ascii=False, allow_nan=False)}\n\n".encode()


class EventStream(Response):
    """Sends one listener's messages until the browser goes, lags too far behind, or the station stops."""

    media_type = "text/event-stream"

    def __init__(self, events: Events) -> None:
        super().__init__(headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"})
        del self.headers["content-length"]  # an answer without a known end
        self._events = events
        self._listener = events.listen()

    async def __call__(
        self,
        scope: MutableMapping[str, Any],
        receive: Callable[[], Awaitable[Message]],
        send: Callable[[Message], Awaitable[None]],
    ) -> None:
        """Answer one request."""
        sending = asyncio.ensure_future(self._send(send))
        leaving = asyncio.ensure_future(_left(receive))
        try:
            await asyncio.wait({sending, leaving}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._events.forget(self._listener)
            for task in (sending, leaving):
                task.cancel()
            ended = await asyncio.gather(sending, leaving, return_exceptions=True)
        for failure in ended:
            if isinstance(failure, Exception):
                raise failure

    async def _send(self, send: Callable[[Message], Awaitable[None]]) -> None:
        async def body(data: bytes, more: bool = True) -> None:
            async with asyncio.timeout(SEND_SECONDS):
                await send({"type": "http.response.body", "body": data, "more_body": more})

        try:
            await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
            # The browser's own wait before it calls again, and its first state.
            await body(b"retry: 2000\n\n")
            due = time.monotonic()
            while not self._listener.over:
                left = due - time.monotonic()
                if left <= 0:
                    due = time.monotonic() + STATUS_SECONDS
                    await body(await asyncio.to_thread(self._events.status))
                    continue
                message = await self._listener.take(left)
                if message:
                    await body(message)
            await body(b"", more=False)
        except (TimeoutError, OSError):
            return  # it takes nothing any more: the connection is closed


async def _left(receive: Callable[[], Awaitable[Message]]) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


router = APIRouter(tags=["page"])


@router.get(
    "/events",
    summary="Decisions as they are made",
    response_class=Response,
    responses={200: {"content": {"text/event-stream": {}}, "description": "`decision` and `status` events."}},
)
async def events(station: TheStation, user: Viewer) -> Response:
    """As server-sent events, and the state of the station every five seconds."""
    return EventStream(station.events)
