"""How much of a request is read, and for how long."""

from __future__ import annotations

import asyncio
import re

from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from onlygood.station.settings import Limits

#: Of a request that is neither image nor model, bytes.
SMALL = 2**20

#: Around the images of a form, bytes of each.
FORM = 4096

#: A body that is too large is read on for so long before that is said, seconds.
LINGER = 2.0

_MODEL = re.compile(r"/recipes/[^/]+/model/?")
_BATCH = re.compile(r"/inspect/batch/?")
_IMAGE = re.compile(r"/inspect/?|/recipes/[^/]+/golden/?")


class Bodies:
    """ASGI middleware: a body may be so large and take so long; else 413 or 408.

    What `Content-Length` says is only believed where it says too much: what arrives is counted.

    Args:
        app: What comes after.
        limits: `upload_bytes`, `batch_bytes`, `upload_seconds`, `model_bytes` and `model_seconds` count.
    """

    def __init__(self, app: ASGIApp, limits: Limits) -> None:
        self._app = app
        self._limits = limits

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        most, seconds = self.of(scope["path"])
        deadline = asyncio.get_running_loop().time() + seconds
        # a request without a body is read before it begins
        headers = Headers(scope=scope)
        claimed = headers.get("content-length", "")
        scope["onlygood.read"] = not claimed.strip("0") and "transfer-encoding" not in headers
        got = 0

        async def counted() -> Message:
            nonlocal got
            if scope["onlygood.read"]:
                return await receive()  # only the end of the connection is still to come
            if claimed.isascii() and claimed.isdecimal() and int(claimed[:20]) > most:
                if "expect" not in headers:  # a client that asks first has sent nothing yet
                    await _discard(receive, most)
                raise HTTPException(413, f"{claimed[:20]} bytes are too many; the limit is {most}.")
            try:
                async with asyncio.timeout_at(deadline):
                    message = await receive()
            except TimeoutError:
                raise HTTPException(408, f"The request did not arrive within {seconds:g} seconds.") from None
            if message["type"] == "http.request":
                got += len(message.get("body", b""))
                scope["onlygood.read"] = not message.get("more_body", False)
                if got > most:
                    await _discard(receive, most)
                    raise HTTPException(413, f"More than {most} bytes, the limit, arrived.")
            return message

        await self._app(scope, counted, send)

    def of(self, path: str) -> tuple[int, float]:
        """Bytes and seconds that a request to this path may have."""
        limits = self._limits
        if _MODEL.fullmatch(path):
            return limits.model_bytes, limits.model_seconds
        if _BATCH.fullmatch(path):
            return limits.batch_bytes + limits.batch * FORM, limits.upload_seconds
        if _IMAGE.fullmatch(path):
            return limits.upload_bytes + FORM, limits.upload_seconds
        return SMALL, limits.upload_seconds


async def _discard(receive: Receive, most: int) -> None:
    """Read on for a moment: many clients look for an answer only when they have sent all, and else find a reset."""
    try:
        async with asyncio.timeout(LINGER):
            while most > 0:
                message = await receive()
                most -= len(message.get("body", b""))
                if not message.get("more_body", False):
                    return
    except TimeoutError:
        return
