"""Decisions posted as JSON to an address."""

from __future__ import annotations

import hashlib
import hmac
import json
import logging
import ssl
import time
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from onlygood.errors import require
from onlygood.station.decisions import Decision
from onlygood.station.errors import StationError
from onlygood.station.outputs.base import Output, RefusedDecisionError, UndeliveredError, payload
from onlygood.station.secrets import read_secret
from onlygood.station.settings import Webhook

if TYPE_CHECKING:
    import httpx

#: Answers that say this very decision will not do; with any other the address or the server is at fault, and the
#: decision is kept and tried again.
REFUSALS = frozenset({400, 406, 409, 410, 413, 415, 422})


class WebhookOut(Output):
    """Posts each decision, one after the other.

    Any answer of 200 to 299 delivers it. A decision may arrive more than once (when the answer is lost on its way),
    each time with its id as `Idempotency-Key`. With a secret the header `Onlygood-Signature` is `sha256=` and the
    hexadecimal HMAC-SHA256 (RFC 2104) of these: the header `Onlygood-Timestamp` (seconds since 1970), a full stop, the
    body.

    Neither the path nor the query of the address are ever logged or shown: they often hold a key.

    Raises:
        StationError: The address is none, or a file with a secret cannot be read.
        MissingDependencyError: `httpx` is not installed.
    """

    def __init__(self, settings: Webhook) -> None:
        require("httpx", "station", "Sending decisions to a webhook")
        self._host = _host(settings.url)
        super().__init__(f"webhook:{self._host}", settings.queue, settings.verdicts)
        self._settings = settings
        self._key = b""
        if settings.secret_file is not None:
            self._key = read_secret(settings.secret_file, f"the secret of the webhook of {self._host}").encode()
        self._headers = {"Content-Type": "application/json", "User-Agent": "onlygood"}
        if settings.token_file is not None:
            token = read_secret(settings.token_file, f"the token of the webhook of {self._host}")
            if not token.isascii():
                raise StationError(f"{settings.token_file}, the token of the webhook of {self._host}, must be ASCII.")
            self._headers["Authorization"] = f"Bearer {token}"
        self._verify = _certificates(settings)
        self._client: httpx.Client | None = None

    def _open(self) -> None:
        import httpx

        logging.getLogger("httpx").setLevel(logging.WARNING)  # it would log the whole address of every request
        # no proxy from the environment: the address is one of the plant, and the decision is for it alone
        self._client = httpx.Client(headers=self._headers, verify=self._verify, trust_env=False)

    def _close(self) -> None:
        if self._client is not None:
            self._client.close()
            self._client = None

    def _deliver(self, decision: Decision) -> None:
        import httpx

        assert self._client is not None
        body = json.dumps(payload(decision), separators=(",", ":")).encode()
        headers = {"Idempotency-Key": decision.id, **self._signature(body)}
        seconds = min(self._settings.timeout_seconds, self.deliver_seconds())
        try:
            # streamed, so that an endless answer is not read
            with self._client.stream(
                "POST", self._settings.url, content=body, headers=headers, timeout=seconds
            ) as answer:
                status = answer.status_code
        except httpx.TimeoutException:
            raise UndeliveredError(f"{self._host} did not answer within {seconds:g} seconds.") from None
        except httpx.HTTPError as error:
            raise UndeliveredError(f"{self._host} cannot be reached: {self._words(error)}.") from None
        if 200 <= status < 300:
            return
        if status in REFUSALS:
            raise RefusedDecisionError(f"{self._host} refused decision {decision.id} with status {status}.")
        if 300 <= status < 400:
            raise UndeliveredError(
                f"{self._host} redirects (status {status}), which is not followed. Give the new address."
            )
        raise UndeliveredError(f"{self._host} answers with status {status}.")

    def _signature(self, body: bytes) -> dict[str, str]:
        if not self._key:
            return {}
        moment = str(int(time.time()))
        signed = hmac.new(self._key, moment.encode() + b"." + body, hashlib.sha256).hexdigest()
        return {"Onlygood-Timestamp": moment, "Onlygood-Signature": f"sha256={signed}"}

    def _words(self, error: Exception) -> str:
        """What the error says, unless it says the address."""
        said = str(error).rstrip(".") or type(error).__name__
        path = urlsplit(self._settings.url).path
        return type(error).__name__ if self._settings.url in said or (len(path) > 1 and path in said) else said


def _host(url: str) -> str:
    """Host and port of an address."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        host, port = None, None
    if host is None or parts.scheme not in ("http", "https"):
        raise StationError("The address of a webhook must be like http://host:port/path or https://... Mend `url`.")
    return f"{host}:{port}" if port else host


def _certificates(settings: Webhook) -> ssl.SSLContext | bool:
    """What httpx checks the server's certificate with."""
    if settings.ca_file is None:
        return True
    try:
        return ssl.create_default_context(cafile=str(settings.ca_file))
    except (OSError, ssl.SSLError) as error:
        raise StationError(
            f"{settings.ca_file}, the certificates of a webhook, cannot be used: {error}. It must be a PEM file."
        ) from None
