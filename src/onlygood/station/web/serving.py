"""The HTTP server: one process, patient with slow inspections and not with slow clients, stopped without losing any."""

from __future__ import annotations

import asyncio
import signal
import socket
import threading
from types import FrameType
from typing import Any

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from onlygood.station.errors import StationError
from onlygood.station.running import Station
from onlygood.station.settings import Settings
from onlygood.station.web.app import create_app

#: Connections at the same time; one more is answered 503.
CONNECTIONS = 1024

#: An idle connection is kept open for so long, seconds.
KEEP_ALIVE = 30


def listen(settings: Settings) -> socket.socket:
    """A socket on the address of the settings.

    Raises:
        StationError: It is taken, or no address of this machine.
    """
    try:
        family = socket.getaddrinfo(settings.host, settings.port, type=socket.SOCK_STREAM)[0][0]
        listening = socket.create_server((settings.host, settings.port), family=family, backlog=CONNECTIONS)
        # what it accepts inherits that: without it each answer on a kept connection waits 40 ms for an acknowledgement
        listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return listening
    except (OSError, UnicodeError) as error:
        reason = getattr(error, "strerror", None) or error
        raise StationError(
            f"The station cannot listen on {settings.host} port {settings.port}: {reason}. "
            "Stop what does, or name another one: --port 0 takes a free one."
        ) from error


def address(settings: Settings, listening: socket.socket) -> str:
    """What to open in a browser."""
    host = {"0.0.0.0": socket.gethostname(), "::": socket.gethostname()}.get(settings.host, settings.host)
    scheme = "https" if settings.certificate else "http"
    return f"{scheme}://{f'[{host}]' if ':' in host else host}:{listening.getsockname()[1]}/"


def serve(station: Station, listening: socket.socket) -> None:
    """Answer until SIGTERM or SIGINT; what was begun by then is answered first. Call it in the main thread."""
    settings = station.settings
    config = uvicorn.Config(
        create_app(station),
        http=patient(settings.limits.upload_seconds),
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,  # anybody can claim an address there, and the rate is counted by it
        limit_concurrency=CONNECTIONS,
        timeout_keep_alive=KEEP_ALIVE,
        timeout_graceful_shutdown=max(1, round(settings.stop_seconds)),
        ssl_certfile=settings.certificate,
        ssl_keyfile=settings.key,
    )
    # the server calls these again when it is done, in place of the usual sudden end
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: None)
    Server(config, station).run(sockets=[listening])


class Server(uvicorn.Server):
    """Tells the station first when it shall stop, so that streams to browsers end, which nobody would wait for."""

    def __init__(self, config: uvicorn.Config, station: Station) -> None:
        super().__init__(config)
        self._station = station

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """A signal has come; what waits for a lock must not run in its handler."""
        threading.Thread(target=self._station.begin_to_stop, daemon=True).start()
        super().handle_exit(sig, frame)


def patient(seconds: float) -> type[H11Protocol]:
    """The server's protocol, which closes a connection whose request has not begun for so long.

    Bodies have a time of their own (`limits.Bodies`); the server itself would wait for headers for ever.
    """

    class Patient(H11Protocol):
        _timer: asyncio.TimerHandle | None = None

        def connection_made(self, transport: Any) -> None:
            super().connection_made(transport)
            # asyncio does it only where the listening socket names the protocol; without, an answer's body waits for
            # the client's delayed acknowledgement of its head: 40 ms
            transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._arm()

        def handle_events(self) -> None:
            super().handle_events()
            if self.cycle is not None and not self.cycle.response_complete:
                self._disarm()

        def on_response_complete(self) -> None:
            self._arm()
            super().on_response_complete()

        def connection_lost(self, exc: Exception | None) -> None:
            self._disarm()
            super().connection_lost(exc)

        def _arm(self) -> None:
            self._disarm()
            self._timer = self.loop.call_later(seconds, self.transport.close)

        def _disarm(self) -> None:
            if self._timer is not None:
                self._timer.cancel()
                self._timer = None

    return Patient
