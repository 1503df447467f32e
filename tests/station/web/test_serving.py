"""The program as it runs at the line: a process of its own, spoken to over sockets, stopped by signals."""

from __future__ import annotations

import contextlib
import datetime
import ipaddress
import json
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from running_station import Running

from onlygood.station.record import Record
from onlygood.station.settings import Settings

PNG = {"Content-Type": "image/png"}


def head(method: str = "POST", path: str = "/inspect", **headers: Any) -> bytes:
    """The beginning of a request."""
    lines = {"Host": "127.0.0.1", "Content-Type": "image/png", **headers}
    text = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in lines.items())
    return f"{method} {path} HTTP/1.1\r\n{text}\r\n".encode()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_stop_answers_what_was_accepted(start: Callable[..., Running], good: bytes, number: int) -> None:
    running = start()
    assert "127.0.0.1" in running.address and any("plate" in line and "knn" in line for line in running.lines)
    answers: list[Any] = []
    refused: list[Any] = []

    def hammer() -> None:
        with httpx.Client(base_url=running.address, timeout=60) as client:
            while True:
                try:
                    response = client.post("/inspect", content=good, headers=PNG)
                except httpx.ConnectError:
                    return  # it takes no new connection
                except httpx.HTTPError as error:
                    refused.append(error)
                    return
                answers.append(response)

    threads = [threading.Thread(target=hammer) for _ in range(6)]
    for thread in threads:
        thread.start()
    while len(answers) < 12:
        time.sleep(0.01)
    status, err = running.stop(number)
    for thread in threads:
        thread.join()
    assert status == 0, err
    assert {answer.status_code for answer in answers} <= {200, 503}
    ids = {answer.json()["id"] for answer in answers if answer.status_code == 200}
    assert len(ids) >= 12
    # a connection that was idle when it stopped may be found closed; of none is an answer begun and not ended
    assert all(isinstance(error, httpx.NetworkError | httpx.RemoteProtocolError) for error in refused)
    assert not any("incomplete" in str(error) or "peer closed connection without" in str(error) for error in refused)
    record = Record.open("", running.data)
    try:
        recorded = {one["id"] for one in record.decisions()}
        assert ids <= recorded and len(recorded) == record.statistics()["total"]
    finally:
        record.close()
    lines = [json.loads(line) for line in err.splitlines()]
    assert lines[-1]["event"] == "stopped" and lines[-1]["drained"] is True
    assert sum(line["event"] == "decision" for line in lines) == len(recorded)


def test_clients_that_are_slow_lie_or_go(start: Callable[..., Running], good: bytes) -> None:
    running = start("[limits]\nupload_seconds = 0.7\nupload_bytes = 100000")
    size = len(good)
    # half an image, and then nothing
    assert running.say(head(Content_Length=size) + good[:-10]).startswith(b"HTTP/1.1 408 ")
    chunk = b"%x\r\n%s\r\n" % (size, good)
    assert running.say(head(Transfer_Encoding="chunked") + chunk).startswith(b"HTTP/1.1 408 ")
    # half a header, and then nothing: closed without a word
    assert running.say(head()[:20]) == b"" and running.say(b"") == b""
    # a drop at a time
    with socket.create_connection(("127.0.0.1", running.port), timeout=20) as slow:
        slow.sendall(head(Content_Length=size))
        for at in range(5):
            slow.sendall(good[at : at + 1])
            time.sleep(0.1)
        assert slow.recv(65536).startswith(b"HTTP/1.1 408 ")
    # claims, and what comes
    assert running.say(head(Content_Length=10**12)).startswith(b"HTTP/1.1 413 ")
    assert running.say(head(Content_Length="-1")).startswith(b"HTTP/1.1 400 ")
    assert running.say(head(Content_Length=5, content_length=6)).startswith(b"HTTP/1.1 400 ")
    assert b" 400 " in running.say(head(Content_Length=size, Connection="close") + b"\0" * size)[:20]
    assert running.say(head(Content_Length=size // 2, Connection="close") + good).startswith(b"HTTP/1.1 400 ")
    many = b"10000\r\n" + b"x" * 65536 + b"\r\n"
    assert running.say(head(Transfer_Encoding="chunked") + many * 3).startswith(b"HTTP/1.1 413 ")
    whole = head(Transfer_Encoding="chunked", Connection="close") + chunk + b"0\r\n\r\n"
    assert running.say(whole).startswith(b"HTTP/1.1 200 ")
    # gone in the middle
    with socket.create_connection(("127.0.0.1", running.port)) as gone:
        gone.sendall(head(Content_Length=size) + good[:100])
    assert running.say(b"\x16\x03\x01 no HTTP\r\n\r\n").startswith(b"HTTP/1.1 400 ")
    with contextlib.suppress(ConnectionResetError):  # it is closed before all of that is sent
        assert running.say(head("GET", "/health", X="y" * 200_000)).startswith(b"HTTP/1.1 4")
    for _ in range(50):  # after all that it works
        answer = httpx.post(f"{running.address}inspect", content=good, headers=PNG, timeout=60)
        if answer.status_code == 200:
            break
    assert answer.status_code == 200
    status, err = running.stop()
    assert status == 0 and '"fault"' not in err and "Traceback" not in err


def test_a_full_queue_is_told(start: Callable[..., Running], good: bytes) -> None:
    running = start("[limits]\nqueue = 1")
    statuses: list[int] = []

    def ask() -> None:
        answer = httpx.post(f"{running.address}inspect", content=good, headers=PNG, timeout=60)
        statuses.append(answer.status_code)
        if answer.status_code == 503:
            assert int(answer.headers["retry-after"]) >= 1 and answer.json()["error"]["code"] == "busy"

    threads = [threading.Thread(target=ask) for _ in range(48)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(statuses) == 48 and set(statuses) <= {200, 503} and 200 in statuses and 503 in statuses
    assert httpx.get(f"{running.address}health", timeout=60).status_code == 200


def test_answers_do_not_wait_for_the_clients_acknowledgement(tmp_path: Path) -> None:
    """Head and body of an answer are two writes: without TCP_NODELAY the second waits for some 40 ms."""
    import uvicorn

    from onlygood.station.web.serving import listen, patient

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"0")]})
        await send({"type": "http.response.body", "body": b""})

    options: list[int] = []

    class Seen(patient(5.0)):  # type: ignore[misc]
        def connection_made(self, transport: Any) -> None:
            super().connection_made(transport)
            options.append(transport.get_extra_info("socket").getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))

    with listen(Settings(data=tmp_path, models={}, port=0)) as listening:
        server = uvicorn.Server(uvicorn.Config(app, http=Seen, ws="none", lifespan="off", log_config=None))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
        thread.start()
        assert httpx.get(f"http://127.0.0.1:{listening.getsockname()[1]}/").status_code == 200
        server.should_exit = True
        thread.join()
    assert options and all(options)


def test_https(start: Callable[..., Running], tmp_path: Path, good: bytes) -> None:
    certificate, key = self_signed(tmp_path)
    running = start(f'certificate = "{certificate}"\nkey = "{key}"')
    assert running.address.startswith("https://127.0.0.1:")
    trusted = ssl.create_default_context(cafile=certificate)
    with httpx.Client(base_url=running.address, verify=trusted, timeout=60) as client:
        assert client.post("/inspect", content=good, headers=PNG).status_code == 200


def self_signed(folder: Path) -> tuple[Path, Path]:
    """A certificate for 127.0.0.1 and its key."""
    x509 = pytest.importorskip("cryptography.x509", reason="making a certificate needs cryptography")
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "station")])
    now = datetime.datetime.now(datetime.UTC)
    address = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    builder = builder.serial_number(1).not_valid_before(now - datetime.timedelta(1))
    builder = builder.not_valid_after(now + datetime.timedelta(1)).add_extension(address, critical=False)
    plain = serialization.NoEncryption()
    pem, form = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    (folder / "station.pem").write_bytes(builder.sign(key, hashes.SHA256()).public_bytes(pem))
    (folder / "station.key").write_bytes(key.private_bytes(pem, form, plain))
    return folder / "station.pem", folder / "station.key"


def test_what_cannot_start_is_one_error(models: dict[str, Path], tmp_path: Path) -> None:
    def run(*words: object) -> tuple[int, str]:
        command = [sys.executable, "-m", "onlygood", "station", "--data", tmp_path / "data", *words]
        done = subprocess.run([str(word) for word in command], capture_output=True, text=True, timeout=120)
        errors = [line for line in done.stderr.splitlines() if not line.startswith("{")]
        return done.returncode, "\n".join(errors)

    with socket.create_server(("127.0.0.1", 0)) as taken:
        cases = [
            (["--model", models["a"], "--host", "0.0.0.0"], "without tokens"),
            (["--model", tmp_path / "none.og", "--port", 0], "no model file"),
            (["--model", models["a"], "--port", taken.getsockname()[1]], "cannot listen"),
            ([], "needs a model"),
        ]
        for words, expected in cases:
            status, err = run(*words)
            assert status == 2 and expected in err and err.startswith("Error: "), err
            assert err.count("\n") == 0 and "Traceback" not in err
