"""Decisions published to an MQTT broker, and whether the station is there."""

from __future__ import annotations

import contextlib
import json
import secrets
import ssl
import threading
from collections import deque
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from onlygood.errors import require
from onlygood.station.connections import Backoff
from onlygood.station.decisions import Decision
from onlygood.station.errors import StationError
from onlygood.station.outputs.base import Output, UndeliveredError, payload
from onlygood.station.secrets import read_secret
from onlygood.station.settings import Mqtt

if TYPE_CHECKING:
    from paho.mqtt.client import Client

#: Seconds without a word from the broker after which it counts as gone, and the broker gives the station up after half
#: as much again (MQTT 3.1.1, 3.1.2.10).
KEEP_ALIVE = 20


class MqttOut(Output):
    """Publishes each decision as JSON to `TOPIC/RECIPE`, quality of service 1 (at least once), not retained.

    `TOPIC/$status` is retained: `online`, `offline` after a stop, and `offline` as the last will, which the broker
    publishes itself when the station vanishes. The next decision is published when the broker has acknowledged the one
    before, so they arrive in order; without a broker they wait.

    Raises:
        StationError: A setting cannot be used, or a file cannot be read.
        MissingDependencyError: `paho-mqtt` is not installed.
    """

    def __init__(self, settings: Mqtt) -> None:
        require("paho", "station", "Publishing decisions by MQTT")
        super().__init__(f"mqtt:{settings.host}:{settings.port}", settings.queue, settings.verdicts, Backoff(0.2, 5.0))
        if not settings.topic or settings.topic.endswith("/") or any(sign in settings.topic for sign in "+#\0"):
            raise StationError(f"`topic` of MQTT is {settings.topic!r}; it needs a name without +, # and / at its end.")
        self._settings = settings
        self._status = f"{settings.topic}/$status"
        self._password: str | None = None
        if settings.password_file is not None:
            self._password = read_secret(settings.password_file, "the password of the MQTT broker")
        self._tls = _context(settings)
        self._client: Client | None = None
        self._why = ""  # why there is no connection, in words
        self._published: tuple[str, int] | None = None  # the decision under way and the number of its message
        self._acknowledging = threading.Condition()
        self._acknowledged: deque[int] = deque(maxlen=100)

    def _open(self) -> None:
        from paho.mqtt.client import Client
        from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion

        self._why, self._published = "it has not answered yet", None
        self._acknowledged.clear()
        client = Client(
            CallbackAPIVersion.VERSION2, f"onlygood-{secrets.token_hex(6)}", protocol=MQTTProtocolVersion.MQTTv311
        )
        if self._settings.username:
            client.username_pw_set(self._settings.username, self._password)
        if self._tls is not None:
            client.tls_set_context(self._tls)
        client.reconnect_delay_set(1, 15)
        client.will_set(self._status, "offline", qos=1, retain=True)
        client.on_connect = self._on_connect
        client.on_connect_fail = self._on_connect_fail
        client.on_disconnect = self._on_disconnect
        client.on_publish = self._on_publish
        client.connect_timeout = 5.0
        client.connect_async(self._settings.host, self._settings.port, KEEP_ALIVE)
        client.loop_start()
        self._client = client

    def _close(self) -> None:
        client, self._client = self._client, None
        if client is None:
            return
        if client.is_connected():
            with contextlib.suppress(RuntimeError, ValueError):  # if it breaks just now the last will says it
                client.publish(self._status, "offline", qos=1, retain=True).wait_for_publish(2.0)
        client.disconnect()
        client.loop_stop()

    def _deliver(self, decision: Decision) -> None:
        client = self._client
        assert client is not None
        if self._published is None or self._published[0] != decision.id:
            if not client.is_connected():
                raise UndeliveredError(self._unreachable())
            body = json.dumps(payload(decision), separators=(",", ":"))
            sent = client.publish(f"{self._settings.topic}/{topic_part(decision.recipe)}", body, qos=1)
            self._published = (decision.id, sent.mid)
        number = self._published[1]  # after a break the client itself publishes it again under this number
        with self._acknowledging:
            if not self._acknowledging.wait_for(lambda: number in self._acknowledged, self.deliver_seconds()):
                raise UndeliveredError(self._unreachable())
        self._published = None

    def _unreachable(self) -> str:
        why = self._why or "it does not acknowledge"
        return f"The MQTT broker {self._settings.host}:{self._settings.port} cannot be reached: {why}."

    def _on_connect(self, client: Client, _data: Any, _flags: Any, reason: Any, _properties: Any) -> None:
        if reason.is_failure:
            self._why = f"it refuses the connection ({reason})"
            self._trouble(self._unreachable())
            return
        self._why = ""
        client.publish(self._status, "online", qos=1, retain=True)
        self._fine()

    def _on_publish(self, _client: Client, _data: Any, number: int, *_: Any) -> None:
        with self._acknowledging:
            self._acknowledged.append(number)
            self._acknowledging.notify_all()

    def _on_connect_fail(self, *_: Any) -> None:
        self._why = "no connection"
        self._trouble(self._unreachable())

    def _on_disconnect(self, _client: Client, _data: Any, _flags: Any, reason: Any, _properties: Any) -> None:
        if self._stopping.is_set():
            return
        if not self._why.startswith("it refuses"):
            self._why = "the connection broke"
        self._trouble(self._unreachable())


def topic_part(recipe: str) -> str:
    """A recipe's name as one level of a topic: `/`, `+`, `#`, `%` and a leading `$` become `%2F` and so on."""
    safe = "".join(quote(sign, safe="") if sign in "/+#%\0" else sign for sign in recipe)
    return f"%24{safe[1:]}" if safe.startswith("$") else safe


def _context(settings: Mqtt) -> ssl.SSLContext | None:
    if not settings.tls:
        return None
    try:
        return ssl.create_default_context(cafile=None if settings.ca_file is None else str(settings.ca_file))
    except (OSError, ssl.SSLError) as error:
        raise StationError(
            f"{settings.ca_file}, the certificates of the MQTT broker, cannot be used: {error}. It must be a PEM file."
        ) from None
