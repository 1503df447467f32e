"""What holds for every request, before any route sees it: whose Host and Origin, how many, how large, how slow."""

from __future__ import annotations

import ipaddress
import time
from collections import OrderedDict
from collections.abc import Callable
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from onlygood.station.settings import Settings
from onlygood.station.telemetry import Telemetry
from onlygood.station.web import errors
from onlygood.station.web.codes import Code
from onlygood.station.web.headers import HEADERS

SAFE = frozenset({"GET", "HEAD", "OPTIONS"})

#: Addresses whose rate is remembered at most.
REMEMBERED = 10_000


class Security:
    """ASGI middleware: refuses foreign hosts and origins and too many requests, and sets the security headers.

    Args:
        app: What comes after.
        settings: `host`, `hosts` and `limits.rate` count.
        telemetry: Counts what is refused.
    """

    def __init__(self, app: ASGIApp, settings: Settings, telemetry: Telemetry) -> None:
        self._app = app
        self._telemetry = telemetry
        self._hosts = {name.lower() for name in ("localhost", settings.host, *settings.hosts)}
        self._rate = Rate(settings.limits.rate)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def dressed(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        refusal = self._refusal(scope)
        if refusal is None:
            await self._app(scope, receive, dressed)
            return
        status, code, message = refusal
        self._telemetry.refused(code)
        errors.log_refusal(scope, status, code, message)
        # the body is not read, so the connection cannot carry another request
        more = {"Connection": "close", **({"Retry-After": "1"} if status == 429 else {})}
        await errors.response(status, code, message, more)(scope, receive, dressed)

    def _refusal(self, scope: Scope) -> tuple[int, Code, str] | None:
        headers = Headers(scope=scope)
        host = headers.get("host", "")
        if not self._ours(host):
            return (
                421,
                Code.FOREIGN_HOST,
                f"This station does not go by the name {_short(host)!r}. If it should, add that to `hosts` of its "
                "settings.",
            )
        if scope["method"] not in SAFE and self._foreign(headers, host):
            return 403, Code.FOREIGN_ORIGIN, "A page of another origin may not change anything here."
        client = scope.get("client")
        if scope["path"] != "/health" and not self._rate.allows(client[0] if client else ""):
            return 429, Code.TOO_MANY, f"More than {self._rate.per_second:g} requests a second from one address."
        return None

    def _ours(self, host: str) -> bool:
        """Whether a browser may know the station by this name. An address is no name, so it cannot be rebound."""
        name = _hostname(host)
        return name is not None and (name in self._hosts or _is_address(name))

    @staticmethod
    def _foreign(headers: Headers, host: str) -> bool:
        """Whether another site's page sends this. Programs send no Origin."""
        origin = headers.get("origin")
        if origin is None:
            return headers.get("sec-fetch-site", "none") not in ("same-origin", "none")
        try:
            return urlsplit(origin).netloc.lower() != host.lower()
        except ValueError:
            return True


class Rate:
    """Requests per second of each address, with a burst of one second.

    Args:
        per_second: 0 for no limit.
        clock: Seconds.
    """

    def __init__(self, per_second: float, clock: Callable[[], float] = time.monotonic) -> None:
        self.per_second = per_second
        self._clock = clock
        self._left: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def allows(self, address: str) -> bool:
        """Count one request, unless it is too many."""
        if self.per_second <= 0:
            return True
        now, most = self._clock(), max(1.0, self.per_second)
        left, then = self._left.pop(address, (most, now))
        left = min(most, left + (now - then) * self.per_second)
        allowed = left >= 1
        self._left[address] = (left - 1 if allowed else left), now
        if len(self._left) > REMEMBERED:
            self._left.popitem(last=False)
        return allowed


def _hostname(host: str) -> str | None:
    try:
        return urlsplit(f"//{host}").hostname
    except ValueError:
        return None


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def _short(text: str) -> str:
    return text if len(text) <= 80 else f"{text[:80]}..."
