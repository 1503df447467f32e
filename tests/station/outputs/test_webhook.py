"""Webhooks, against a real HTTP server on the loopback."""

from __future__ import annotations

import hashlib
import hmac
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from onlygood.station.connections import Backoff
from onlygood.station.decisions import Decision
from onlygood.station.errors import StationError
from onlygood.station.outputs.webhook import WebhookOut
from onlygood.station.settings import Webhook


class Server:
    """Answers each request with the next of `answers` (200 when there is no more) and keeps what came."""

    def __init__(self, port: int = 0) -> None:
        self.answers: list[int] = []
        self.came: list[tuple[str, dict[str, str], bytes]] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                outer.came.append((self.path, {key.lower(): value for key, value in self.headers.items()}, body))
                self.send_response(outer.answers.pop(0) if outer.answers else 200)
                self.send_header("Location", "http://127.0.0.1:1/elsewhere")
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", port), Handler)
        self.port = self.http.server_address[1]
        threading.Thread(target=self.http.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()

    @property
    def ids(self) -> list[str]:
        return [headers["idempotency-key"] for _, headers, _ in self.came]

    def close(self) -> None:
        self.http.shutdown()
        self.http.server_close()


@pytest.fixture
def server():
    server = Server()
    yield server
    server.close()


@pytest.fixture
def hook():
    opened = []

    def make(url: str, **given) -> WebhookOut:
        output = WebhookOut(Webhook(url, **given))
        output._backoff = Backoff(0.02, 0.05)
        output.start()
        opened.append(output)
        return output

    yield make
    for output in opened:
        output.stop(0.2)


def test_the_whole_decision_arrives_as_json_with_its_id_as_key(server, hook, decide, eventually):
    output = hook(f"http://127.0.0.1:{server.port}/decisions")
    decision = decide(pixel_threshold=float("inf"), name="Teil ä.png")
    output.send(decision)
    eventually(lambda: output.state.count == 1)
    ((path, headers, body),) = server.came
    assert path == "/decisions"
    assert headers["idempotency-key"] == decision.id
    assert headers["content-type"] == "application/json"
    assert "onlygood-signature" not in headers
    sent = json.loads(body)
    assert Decision.from_dict({**sent, "picture": decision.picture}) == Decision.from_dict(decision.as_dict())
    assert "picture" not in sent


def test_a_signature_can_be_checked_and_a_token_is_sent(server, hook, decide, eventually, tmp_path):
    (tmp_path / "secret").write_text("the key\n")
    (tmp_path / "token").write_text("the token\n")
    output = hook(f"http://127.0.0.1:{server.port}/", secret_file=tmp_path / "secret", token_file=tmp_path / "token")
    output.send(decide())
    eventually(lambda: server.came)
    _, headers, body = server.came[0]
    signed = headers["onlygood-timestamp"].encode() + b"." + body
    assert headers["onlygood-signature"] == "sha256=" + hmac.new(b"the key", signed, hashlib.sha256).hexdigest()
    assert headers["authorization"] == "Bearer the token"


def test_errors_of_the_server_are_tried_again_with_the_same_key_and_in_order(server, hook, decide, eventually):
    server.answers = [500, 503, 429, 404, 301]
    output = hook(f"http://127.0.0.1:{server.port}/")
    first, second = decide(), decide()
    output.send(first)
    output.send(second)
    eventually(lambda: output.state.count == 2)
    assert server.ids == [first.id] * 6 + [second.id]
    assert "301" in output.state.last_error
    eventually(lambda: not output.state.problem)


def test_a_decision_that_the_server_refuses_does_not_hold_up_the_next(server, hook, decide, eventually):
    server.answers = [422]
    output = hook(f"http://127.0.0.1:{server.port}/")
    first, second = decide(), decide()
    output.send(first)
    output.send(second)
    eventually(lambda: output.state.count == 1)
    assert server.ids == [first.id, second.id]
    assert output.state.failed == 1


def test_a_server_that_is_gone_gets_everything_when_it_is_back(server, hook, decide, eventually):
    port = server.port
    output = hook(f"http://127.0.0.1:{port}/")
    output.send(decide())
    eventually(lambda: output.state.count == 1)
    server.close()
    sent = [decide() for _ in range(5)]
    for decision in sent:
        output.send(decision)
    eventually(lambda: "127.0.0.1" in output.state.problem)
    back = Server(port)
    try:
        eventually(lambda: output.state.waiting == 0)
        # the connection may have died with a request on its way: at least once, in order
        assert list(dict.fromkeys(back.ids)) == [decision.id for decision in sent]
    finally:
        back.close()


def test_keys_in_the_address_are_neither_logged_nor_shown(server, hook, decide, eventually, logged):
    server.answers = [500, 500]
    url = f"http://user:hush1@127.0.0.1:{server.port}/hush2?key=hush3"
    output = hook(url)
    output.send(decide())
    eventually(lambda: output.state.count == 1)
    dead = hook("http://user:hush1@127.0.0.1:1/hush2?key=hush3")
    dead.send(decide())
    eventually(lambda: dead.state.problem)
    said = "".join(logged) + str(output.state) + str(dead.state)
    assert "status 500" in said
    assert "hush" not in said


def test_a_secret_that_cannot_be_read_is_said_at_once(tmp_path):
    with pytest.raises(StationError, match="nothing-here"):
        WebhookOut(Webhook("http://plant/", secret_file=tmp_path / "nothing-here"))
    (tmp_path / "empty").write_text("\n")
    with pytest.raises(StationError, match="empty"):
        WebhookOut(Webhook("http://plant/", token_file=tmp_path / "empty"))
    (tmp_path / "token").write_text("tökén\n")
    with pytest.raises(StationError, match="ASCII"):
        WebhookOut(Webhook("http://plant/", token_file=tmp_path / "token"))
    (tmp_path / "no.pem").write_text("no certificate")
    with pytest.raises(StationError, match=r"no\.pem"):
        WebhookOut(Webhook("https://plant/", ca_file=tmp_path / "no.pem"))
