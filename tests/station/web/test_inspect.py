"""Images over HTTP: the answer, and what is answered to what is no image, too large, or of a wrong type."""

from __future__ import annotations

import base64
import io
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import onlygood
from onlygood.station.settings import Limits, Settings

PNG = {"Content-Type": "image/png"}


def code(response: Any) -> tuple[int, str]:
    """Status and code of an error."""
    table = response.json()
    assert set(table) == {"error"} and set(table["error"]) == {"code", "message"} and table["error"]["message"]
    return response.status_code, table["error"]["code"]


def test_the_answer_is_the_detectors_and_is_recorded(client, station, good: bytes, dented: bytes, models) -> None:
    detector = onlygood.load(models["a"])
    for name, data in (("good.png", good), ("dented.png", dented)):
        response = client.post("/inspect", content=data, headers=PNG, params={"name": name, "map": True})
        assert response.status_code == 200, response.text
        answer = response.json()
        expected = detector.inspect(data)[0]
        assert answer["score"] == expected.score and answer["p_value"] == expected.p_value
        assert answer["regions"] == [region.as_dict() for region in expected.regions]
        found = np.frombuffer(base64.b64decode(answer["map"]["data"]), "<f4")
        np.testing.assert_array_equal(found.reshape(answer["map"]["height"], answer["map"]["width"]), expected.map)
        assert answer["recorded"] == "database"
        kept = station.record.decision(answer["id"])
        assert kept["score"] == expected.score and kept["name"] == name and kept["source"] == "rest"
        assert kept["model"] == station.recipes.get().model


def test_verdicts_follow_the_recipes_thresholds(client, good: bytes) -> None:
    score = client.post("/inspect", content=good, headers=PNG).json()["score"]
    for ng, review, verdict in ((score, score, "OK"), (score, score - 1e-6, "REVIEW"), (score - 1e-6, 0, "NG")):
        moved = client.put("/recipes/plate/thresholds", json={"ng": ng, "review": review, "why": "a test"})
        assert moved.status_code == 200, moved.text
        assert client.post("/inspect", content=good, headers=PNG).json()["verdict"] == verdict


def test_a_form_says_the_same(client, good: bytes) -> None:
    plain = client.post("/inspect", content=good, headers=PNG).json()
    form = client.post("/inspect", files={"image": ("part 7.png", good)}).json()
    assert form["score"] == plain["score"] and form["name"] == "part 7.png" and "map" not in form


def test_a_batch_answers_each_image(client, good: bytes, dented: bytes) -> None:
    files = [("images", (name, data)) for name, data in (("a.png", good), ("b.png", b"no image"), ("c.png", dented))]
    items = client.post("/inspect/batch", files=files).json()["decisions"]
    assert [item["name"] for item in items] == ["a.png", "b.png", "c.png"]
    assert items[0]["decision"]["verdict"] in ("OK", "REVIEW") and items[2]["decision"]["verdict"] == "NG"
    assert items[1]["error"]["code"] == "bad_image" and "decision" not in items[1]


def test_a_batch_larger_than_the_queue_is_answered_in_full(make_station, settings: Settings, good: bytes) -> None:
    from dataclasses import replace

    client = client_of(make_station(replace(settings, limits=Limits(queue=2))))
    items = client.post("/inspect/batch", files=[("images", ("a.png", good))] * 9).json()["decisions"]
    assert len(items) == 9 and all("decision" in item for item in items)


def huge_png(width: int, height: int) -> bytes:
    """A PNG that claims a size and holds next to nothing."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0" * 100)) + chunk(b"IEND", b"")
    )


def bomb() -> bytes:
    """A small file that unpacks to 115 megapixels of nothing, still under the limit of the reader."""
    buffer = io.BytesIO()
    Image.new("1", (12_000, 9_600)).save(buffer, "PNG", optimize=True)
    return buffer.getvalue()


def test_what_is_no_image_is_refused_and_not_recorded(client, station, good: bytes) -> None:
    bad = [
        b"",
        b"no image at all",
        good[: len(good) // 2],
        b"\x89PNG\r\n\x1a\n",
        huge_png(25_000, 20_000),
        huge_png(2**31 - 1, 2**31 - 1),
        b"GIF89a" + b"\0" * 100,
        b"PK\x03\x04" + b"\0" * 1000,
    ]
    for data in bad:
        assert code(client.post("/inspect", content=data, headers=PNG)) == (400, "bad_image")
    assert station.record.decisions() == []
    assert client.post("/inspect", content=good, headers=PNG).status_code == 200


def test_pixels_are_counted_before_they_are_decoded(make_station, settings: Settings) -> None:
    from dataclasses import replace

    client = client_of(make_station(replace(settings, limits=Limits(pixels=64 * 64))))
    assert code(client.post("/inspect", content=bomb(), headers=PNG)) == (400, "bad_image")
    exact, above = Image.new("L", (64, 64)), Image.new("L", (65, 64))
    for image, status in ((exact, 200), (above, 400)):
        buffer = io.BytesIO()
        image.save(buffer, "PNG")
        assert client.post("/inspect", content=buffer.getvalue(), headers=PNG).status_code == status


def test_what_cannot_be_asked(client, good: bytes) -> None:
    assert code(client.post("/inspect?recipe=other", content=good, headers=PNG)) == (404, "unknown_recipe")
    for kind in ("text/plain", "application/x-www-form-urlencoded", "application/json", ""):
        assert code(client.post("/inspect", content=good, headers={"Content-Type": kind})) == (415, "wrong_type")
    assert code(client.post("/inspect?map=perhaps", content=good, headers=PNG)) == (422, "invalid")
    assert code(client.post("/inspect?recipe=" + "x" * 65, content=good, headers=PNG)) == (422, "invalid")
    assert code(client.get("/inspect")) == (405, "method_not_allowed")
    assert code(client.get("/nowhere")) == (404, "not_found")
    form = {"Content-Type": "multipart/form-data; boundary=x"}
    for body in (b"", b"--x", b"--x\r\nContent-Disposition: form-data\r\n\r\n", b"--y\r\n\r\n--y--"):
        response = client.post("/inspect", content=body, headers=form)
        assert response.status_code in (400, 422), response.text
    assert code(client.post("/inspect", content=b"", headers={"Content-Type": "multipart/form-data"}))[0] in (400, 422)
    assert code(client.post("/inspect", files={"picture": good})) == (422, "invalid")
    assert code(client.post("/inspect/batch", content=good, headers=PNG)) == (415, "wrong_type")


def test_uploads_are_limited(make_station, settings: Settings, good: bytes) -> None:
    from dataclasses import replace

    client = client_of(make_station(replace(settings, limits=Limits(upload_bytes=len(good)))))
    assert client.post("/inspect", content=good, headers=PNG).status_code == 200
    assert code(client.post("/inspect", content=good + b"\0", headers=PNG)) == (413, "too_large")
    assert code(client.post("/inspect", content=good * 1000, headers=PNG)) == (413, "too_large")
    pieces = iter([good] * 1000)  # sent without a length
    assert code(client.post("/inspect", content=pieces, headers=PNG)) == (413, "too_large")
    assert code(client.post("/inspect", files={"image": good * 1000})) == (413, "too_large")
    assert code(client.post("/login", content=b"x" * 2**21)) == (413, "too_large")
    items = client.post("/inspect/batch", files=[("images", good), ("images", good + b"\0")]).json()["decisions"]
    assert "decision" in items[0] and items[1]["error"]["code"] == "bad_image"


@pytest.mark.parametrize(
    "name", ["../../etc/passwd", "/etc/passwd", "a\0b", "\ud800", "..\\..\\x", "%2e%2e%2f", "x" * 900]
)
def test_names_are_words_and_no_paths(client, station, good: bytes, name: str, tmp_path: Path) -> None:
    before = {path for path in tmp_path.rglob("*") if path.suffix in (".png", ".jpg") and "pictures" not in path.parts}
    params = {"name": name.encode("utf-8", "surrogatepass").decode("utf-8", "replace")}
    response = client.post("/inspect", content=good, headers=PNG, params=params)
    assert response.status_code == 200
    answer = response.json()
    assert len(answer["name"]) <= 200 and answer["name"].isprintable()
    assert answer["id"] in answer["picture"] or not answer["picture"]
    after = {path for path in tmp_path.rglob("*") if path.suffix in (".png", ".jpg") and "pictures" not in path.parts}
    assert after == before
    assert client.get(f"/recipes/{name.replace(chr(0), '')[:60].encode('utf-8', 'replace').decode()}").status_code in (
        404,
        405,
    )


def client_of(station: Any) -> Any:
    """Talks to a station."""
    from starlette.testclient import TestClient

    from onlygood.station.web.app import create_app

    return TestClient(create_app(station), base_url="http://127.0.0.1", raise_server_exceptions=False)
