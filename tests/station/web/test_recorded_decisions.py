"""From the image that is sent to the operator's answer: what the record says of it over HTTP."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
from PIL import Image


def test_an_inspected_part_is_found_seen_and_answered(client: Any, good: bytes, dented: bytes) -> None:
    head = {"Content-Type": "image/png"}
    said = [
        client.post("/inspect", content=data, headers=head, params={"name": name}).json()
        for data, name in ((good, "good.png"), (dented, "dented.png"))
    ]
    assert [one["recorded"] for one in said] == ["database"] * 2
    found = client.get("/decisions", params={"order": "score", "limit": 1}).json()["decisions"][0]
    shared = set(said[1]) & set(found)
    assert {"id", "verdict", "score", "p_value", "regions", "digest", "thresholds"} <= shared
    assert {name: found[name] for name in shared} == {name: said[1][name] for name in shared}
    where = f"/decisions/{found['id']}"
    assert client.get(f"{where}/image").content == dented
    with Image.open(io.BytesIO(client.get(f"{where}/overlay.png").content)) as overlay:
        alpha = np.asarray(overlay)[..., 3]
    assert overlay.size == (found["width"], found["height"])
    left, top, right, bottom = found["regions"][0]["box"]
    marked = alpha > 0
    assert marked[top:bottom, left:right].mean() > 0.5  # the overlay marks what the regions say
    assert client.get(f"{where}/thumbnail.jpg").headers["content-type"] == "image/jpeg"
    client.post(f"{where}/answer", json={"answer": "NG"})
    figures = client.get("/statistics", params={"recipe": "plate"}).json()
    assert figures["total"] == 2 and figures["answers"][found["verdict"]]["NG"] == 1
    assert [one["name"] for one in client.get("/decisions", params={"answered": "false"}).json()["decisions"]] == [
        "good.png"
    ]
    assert client.get("/audit/verify").json()["whole"]
    assert "activate" in {one["action"] for one in client.get("/audit").json()["entries"]}
