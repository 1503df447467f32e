"""What may happen at the line to a station that runs: it goes on answering, or says clearly why not.

Slow clients, half requests and lying lengths: `web/test_serving.py`. Each part of the record by itself, PostgreSQL and
a full file system: `record/`.
"""

from __future__ import annotations

import datetime
import gzip
import http.client
import json
import random
import resource
import signal
import sqlite3
import struct
import threading
import time
import zlib
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from running_station import Running

from onlygood.station import decisions
from onlygood.station.record import Query, Record
from onlygood.station.settings import Limits, Settings

PNG = {"Content-Type": "image/png"}


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(width: int, height: int, pixels: bytes, *more: bytes) -> bytes:
    """A PNG file, grey, of a claimed size; `more` chunks stand before the pixels."""
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + b"".join(more) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")


def everything(data: Any) -> list[dict[str, Any]]:
    """The record of a station that does not run, oldest first."""
    record = Record.open("", data, Limits(), keep="all")
    try:
        found: list[dict[str, Any]] = []
        query = Query(order="oldest", limit=500)
        while page := record.decisions(query):
            found += page
            query = query.behind(page[-1]["seq"])
        assert record.verify_audit().whole
        return found
    finally:
        record.close()


def speaking(running: Running) -> httpx.Client:
    return httpx.Client(base_url=running.address, timeout=60)


def test_uploads_that_are_no_images_or_bombs(start: Callable[..., Running], good: bytes) -> None:
    running = start("[limits]\npixels = 1000000\nupload_bytes = 2000000")
    many = zlib.compress(bytes(2**26), 9)  # 64 MiB in 64 KiB
    bad = {
        "cut in half": good[: len(good) // 2],
        "cut by its last bytes": good[:-40],
        "not one byte": b"",
        "words": b"verdict: OK",
        "other things": b"PK\x03\x04" + bytes(5000),
        "a claim of 500 megapixels": png(25_000, 20_000, zlib.compress(bytes(100))),
        "a claim of all pixels there are": png(2**31 - 1, 2**31 - 1, zlib.compress(bytes(100))),
        "just too many pixels": png(1001, 1000, zlib.compress(bytes(1002 * 1000))),
        "a bomb of words": png(10, 10, zlib.compress(bytes(110)), *[chunk(b"zTXt", b"a\0\0" + many)] * 8),
        "a bomb of colours": png(10, 10, zlib.compress(bytes(110)), chunk(b"iCCP", b"a\0\0" + many)),
    }
    with speaking(running) as client:
        for what, data in bad.items():
            answer = client.post("/inspect", content=data, headers=PNG)
            if answer.status_code == 200:  # it may pass over words and colours, and look at the pixels
                assert "bomb" in what, what
            else:
                assert (answer.status_code, answer.json()["error"]["code"]) == (400, "bad_image"), (what, answer.text)
        packed = {**PNG, "Content-Encoding": "gzip"}  # nobody unpacks that: it is no image
        assert client.post("/inspect", content=gzip.compress(bytes(2**26)), headers=packed).status_code == 400
        assert client.post("/inspect", content=bytes(2_100_000), headers=PNG).status_code == 413
        for kind in ("text/html", "application/zip", "video/mp4"):
            assert client.post("/inspect", content=good, headers={"Content-Type": kind}).status_code == 415
        answer = client.post("/inspect", content=good, headers=PNG)
        assert answer.status_code == 200
    status, err = running.stop()
    assert status == 0 and '"fault"' not in err and "Traceback" not in err
    kept = [one for one in everything(running.data) if one["width"] > 10]
    assert [one["id"] for one in kept] == [answer.json()["id"]]


def test_a_database_that_is_locked_and_then_gone(
    start: Callable[..., Running], good: bytes, eventually: Callable[..., None]
) -> None:
    running = start("[limits]\njournal_bytes = 6000")
    file = running.data / "record.sqlite"
    answered: list[str] = []
    with speaking(running) as client:

        def inspect() -> Any:
            answer = client.post("/inspect", content=good, headers=PNG)
            if answer.status_code == 200:
                answered.append(answer.json()["id"])
            return answer

        def waiting() -> int:
            return int(client.get("/ready").json()["record"]["journal"])

        assert inspect().json()["recorded"] == "database"
        other = sqlite3.connect(file, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        assert inspect().json()["recorded"] == "journal"
        told = client.get("/ready")
        assert told.status_code == 200 and told.json()["record"]["database"] == "gone" and told.json()["problems"]
        assert "onlygood_database_up 0.0" in client.get("/metrics").text
        for _ in range(50):  # the journal has its bound
            if (answer := inspect()).status_code != 200:
                break
        assert answer.status_code == 503 and answer.json()["error"]["code"] == "not_recorded"
        assert int(answer.headers["retry-after"]) >= 1 and "journal" in answer.json()["error"]["message"]
        assert client.get("/health").status_code == 200
        other.execute("ROLLBACK")
        other.close()
        eventually(lambda: waiting() == 0)
        assert inspect().json()["recorded"] == "database"
        # moved away
        away = file.with_name("away.sqlite")
        file.rename(away)
        assert inspect().json()["recorded"] == "journal"
        away.rename(file)
        eventually(lambda: waiting() == 0)
        newest = client.get("/decisions", params={"limit": 100}).json()["decisions"]
        assert [one["id"] for one in reversed(newest)] == answered  # all of them, in the order of the line
    status, err = running.stop()
    assert status == 0 and '"fault"' not in err


def test_a_disk_that_takes_nothing_more(
    start: Callable[..., Running], good: bytes, dented: bytes, eventually: Callable[..., None]
) -> None:
    """No file of the station can grow; then there is room again."""
    running = start()
    answered: list[str] = []
    limits = resource.prlimit(running.process.pid, resource.RLIMIT_FSIZE)
    with speaking(running) as client:
        answered.append(client.post("/inspect", content=good, headers=PNG).json()["id"])
        resource.prlimit(running.process.pid, resource.RLIMIT_FSIZE, (0, limits[1]))
        refused = 0
        for _ in range(5):
            answer = client.post("/inspect", content=good, headers=PNG)
            if answer.status_code == 200:
                answered.append(answer.json()["id"])
                continue
            refused += 1
            assert answer.status_code == 503 and answer.json()["error"]["code"] == "not_recorded", answer.text
            assert int(answer.headers["retry-after"]) >= 1 and "room" in answer.json()["error"]["message"]
        assert refused == 5
        assert client.get("/health").status_code == 200 and client.get("/ready").json()["problems"]
        for method, path, kind in (
            ("PUT", "model", "application/octet-stream"),
            ("POST", "golden?truth=good", "image/png"),
        ):
            answer = client.request(method, f"/recipes/plate/{path}", content=dented, headers={"Content-Type": kind})
            assert answer.status_code == 503 and answer.headers["retry-after"], answer.text
        resource.prlimit(running.process.pid, resource.RLIMIT_FSIZE, limits)
        eventually(lambda: client.get("/ready").json()["record"]["database"] == "ok")
        for _ in range(3):
            answer = client.post("/inspect", content=good, headers=PNG)
            assert answer.status_code == 200 and answer.json()["picture"]
            answered.append(answer.json()["id"])
        eventually(lambda: not client.get("/ready").json()["problems"])
    status, err = running.stop()
    assert status == 0 and "Traceback" not in err, err
    assert [one["id"] for one in everything(running.data)] == answered


def test_a_model_file_replaced_by_garbage(
    start: Callable[..., Running], models: dict[str, Any], tmp_path: Any, good: bytes, eventually: Callable[..., None]
) -> None:
    given = tmp_path / "part.og"
    given.write_bytes(models["a"].read_bytes())
    running = start(model=given)
    with speaking(running) as client:
        first = client.post("/inspect", content=good, headers=PNG).json()
        for garbage in (b"\0" * given.stat().st_size, b""):
            given.write_bytes(garbage)  # in place: the same file, which others may have mapped
            answer = client.post("/inspect", content=good, headers=PNG).json()
            assert (answer["model"], answer["score"]) == (first["model"], first["score"])
        eventually(lambda: client.get("/ready").json()["problems"], 30)
        told = client.get("/ready")
        assert told.status_code == 200 and "part.og" in told.json()["recipes"][0]["problem"]
        refused = client.put(
            "/recipes/plate/model", content=b"\0" * 5000, headers={"Content-Type": "application/octet-stream"}
        )
        assert (refused.status_code, refused.json()["error"]["code"]) == (400, "bad_model")
        answer = client.post("/inspect", content=good, headers=PNG).json()
        assert (answer["model"], answer["score"]) == (first["model"], first["score"])
    assert running.stop()[0] == 0


def test_a_clock_that_jumps_back(
    client: Any, station: Any, settings: Settings, good: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    def inspect(count: int) -> list[str]:
        answers = [client.post("/inspect", content=good, headers=PNG) for _ in range(count)]
        assert {answer.status_code for answer in answers} == {200}
        return [answer.json()["id"] for answer in answers]

    def listed(**query: Any) -> list[str]:
        page = client.get("/decisions", params={"order": "oldest", **query}).json()
        return [one["id"] for one in page["decisions"]]

    answered = inspect(3)
    hour, true_ns = datetime.timedelta(hours=1), time.time_ns
    monkeypatch.setattr(decisions.time, "time_ns", lambda: true_ns() - 3600 * 10**9)
    monkeypatch.setattr("onlygood.station.inspecting.now", lambda: decisions.now() - hour)
    answered += inspect(3)
    assert answered == sorted(set(answered)) == listed()
    # started again before the clock has caught up: new ids are lower, and still no two are the same
    monkeypatch.setattr(decisions, "_last", 0)
    answered += inspect(3)
    assert len(set(answered)) == 9 and listed() == answered
    first = client.get("/decisions", params={"order": "oldest", "limit": 4}).json()
    rest = client.get("/decisions", params={"order": "oldest", "limit": 100, "after": first["next"]}).json()
    assert [one["id"] for one in first["decisions"] + rest["decisions"]] == answered
    figures = client.get("/statistics").json()
    assert sum(figures["verdicts"].values()) == 9
    for path in ("/recipes/plate/histogram", "/recipes/plate/drift", "/audit/verify", "/ready"):
        assert client.get(path).status_code == 200, path


KILLS = 4
CLIENTS = 4


def test_killed_at_any_moment_under_load_it_loses_nothing_that_was_answered(
    start: Callable[..., Running], good: bytes, dented: bytes
) -> None:
    draw = random.Random(6)
    answered: dict[str, dict[str, Any]] = {}
    other = 0
    for _ in range(KILLS):
        running = start()
        enough = threading.Event()

        def hammer(port: int, number: int, enough: threading.Event) -> None:
            nonlocal other
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
            try:
                while True:
                    connection.request("POST", "/inspect", dented if number % 2 else good, PNG)
                    response = connection.getresponse()
                    table = json.loads(response.read())
                    if response.status == 200:
                        answered[table["id"]] = table
                        enough.set()
                    else:
                        other += 1
            except (OSError, http.client.HTTPException, ValueError):
                return  # it was killed

        threads = [threading.Thread(target=hammer, args=(running.port, i, enough)) for i in range(CLIENTS)]
        for thread in threads:
            thread.start()
        assert enough.wait(60)
        time.sleep(draw.uniform(0, 0.4))
        running.process.send_signal(signal.SIGKILL)
        for thread in threads:
            thread.join()
        running.process.communicate()
    last = start()  # it comes up with what is there
    with speaking(last) as client:
        one = draw.choice(list(answered))
        assert client.get(f"/decisions/{one}").json()["score"] == answered[one]["score"]
        assert client.get(f"/decisions/{one}/image").content in (good, dented)
    assert last.stop()[0] == 0
    found = {one["id"]: one for one in everything(last.data)}
    assert other == 0 and len(answered) >= KILLS
    for key, table in answered.items():
        kept = found[key]
        assert all(kept[name] == table[name] for name in ("score", "verdict", "model", "digest", "time", "thresholds"))
        assert (last.data / "pictures" / table["picture"]).read_bytes() in (good, dented)
    # recorded and not answered any more: at most what was under way at each kill
    assert len(found) <= len(answered) + KILLS * CLIENTS
