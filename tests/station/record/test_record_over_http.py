"""Decisions, pictures, answers, figures and the audit trail over HTTP, on a real record and the real application."""

from __future__ import annotations

import csv
import hashlib
import io
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image
from record_making import MODEL, made

from onlygood.inspection import Verdict
from onlygood.station.decisions import Decision, Thresholds, new_id
from onlygood.station.record import Query, Record
from onlygood.station.record.pictures import Pictures
from onlygood.station.settings import Settings

pytest.importorskip("fastapi", reason="the routes need the extra 'station' (FastAPI)")


@pytest.fixture
def pictures(record: Record, tmp_path: Path) -> Pictures:
    return Pictures(tmp_path / "data", "all", 10**8, record)


@pytest.fixture
def client(record: Record, pictures: Pictures, tmp_path: Path) -> Iterator[Any]:
    """The application over a station that is a record and pictures; the caller is an engineer."""
    from starlette.testclient import TestClient

    from onlygood.station.telemetry import Telemetry
    from onlygood.station.web.app import create_app

    settings = Settings(data=tmp_path / "data", models={})
    station = SimpleNamespace(settings=settings, record=record, pictures=pictures, telemetry=Telemetry(), events=None)
    with TestClient(create_app(station), base_url="http://127.0.0.1", raise_server_exceptions=False) as client:
        yield client


def image(width: int = 40, height: int = 30, kind: str = "PNG") -> bytes:
    file = io.BytesIO()
    Image.fromarray(np.full((height, width, 3), 90, np.uint8)).save(file, kind)
    return file.getvalue()


Filled = list[dict[str, Any]]


@pytest.fixture
def filled(record: Record) -> Filled:
    """25 decisions, some answered; as the record gives them, newest first."""
    for i in range(25):
        decision = made(
            name=f"part {i}.png", verdict=list(Verdict)[i % 3], score=i / 4, recipe=("plate", "disc")[i % 2]
        )
        record.add(decision)
        if i % 4 == 0:
            record.answer(decision.id, ("OK", "NG")[i % 8 == 0], "eva", "=1+1" if i == 0 else "")
    return record.decisions(Query(limit=500))


FILTERS: list[tuple[dict[str, Any], Callable[[dict[str, Any]], bool]]] = [
    ({}, lambda one: True),
    ({"verdict": ["NG", "REVIEW"]}, lambda one: one["verdict"] != "OK"),
    ({"recipe": "disc", "min_score": "2.5"}, lambda one: one["recipe"] == "disc" and one["score"] >= 2.5),
    ({"answered": "false", "verdict": "REVIEW"}, lambda one: not one["answer"] and one["verdict"] == "REVIEW"),
    ({"answer": "NG"}, lambda one: bool(one["answer"]) and one["answer"]["answer"] == "NG"),
    ({"name": "PART 1"}, lambda one: one["name"].startswith("part 1")),
    ({"model": "b" * 64}, lambda one: False),
    ({"since": "2020-01-01T00:00:00", "until": "2020-01-01T00:00:00Z"}, lambda one: False),
]


@pytest.mark.parametrize("order", ["newest", "oldest", "score"])
def test_following_next_gives_all_that_the_filters_let_through(client: Any, filled: Filled, order: str) -> None:
    for parameters, wanted in FILTERS:
        expected = [one for one in filled if wanted(one)]
        if order == "oldest":
            expected = expected[::-1]
        elif order == "score":
            expected = sorted(expected, key=lambda one: -one["score"])
        found, cursor = [], {}
        for _ in range(30):
            answer = client.get("/decisions", params={**parameters, **cursor, "order": order, "limit": 4})
            assert answer.status_code == 200, answer.text
            found += answer.json()["decisions"]
            if answer.json()["next"] is None:
                break
            cursor = {"cursor": answer.json()["next"]}
        assert found == expected, parameters


NONSENSE: list[dict[str, Any]] = [
    {"limit": 0},
    {"limit": 501},
    {"order": "random"},
    {"verdict": "MAYBE"},
    {"min_score": "nan"},
    {"since": "yesterday"},
    {"since": "0001-01-01T00:00:00+14:00"},
    {"cursor": -1},
    {"cursor": 2**63},
    {"order": "score", "cursor": 10**9},
    {"answer": "REVIEW"},
    {"recipe": "x" * 1000},
]


def test_filters_that_make_no_sense_are_told(client: Any, filled: Filled) -> None:
    for parameters in NONSENSE:
        answer = client.get("/decisions", params=parameters)
        assert answer.status_code == 422 and answer.json()["error"]["code"] == "invalid", parameters


def test_odd_names_find_nothing_and_break_nothing(client: Any, filled: Filled) -> None:
    for name in ("\0", "%00", "'; DROP TABLE decisions; --", "\ud83d", "%_", "ü"):
        for field in ("name", "recipe", "source", "model"):
            answer = client.get("/decisions", params={field: name.encode("utf-8", "surrogatepass")})
            assert answer.status_code in (200, 422) and not answer.json().get("decisions"), (field, name)


def test_one_decision_and_the_operators_answer(client: Any, record: Record) -> None:
    from onlygood.station.web.decisions import WithAnswersShape

    decision = made(verdict=Verdict.REVIEW, thresholds=Thresholds(float("inf"), float("-inf")))
    record.add(decision)
    where = f"/decisions/{decision.id}"
    assert client.get(where).json() == record.decision(decision.id)
    first = client.post(f"{where}/answer", json={"answer": "NG"})
    second = client.post(f"{where}/answer", json={"answer": "OK", "comment": "only dust"})
    assert first.status_code == second.status_code == 200
    assert second.json() == record.decision(decision.id)
    WithAnswersShape.model_validate(second.json())  # what the OpenAPI document says
    assert [(one["answer"], one["who"]) for one in second.json()["answers"]] == [("NG", "local"), ("OK", "local")]
    assert second.json()["answer"]["comment"] == "only dust"


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        (f"/decisions/{new_id()}/answer", {"answer": "OK"}, 404),
        ("/decisions/1/answer", {"answer": "OK"}, 422),
        ("/decisions/{id}/answer", {"answer": "REVIEW"}, 422),
        ("/decisions/{id}/answer", {"answer": "OK", "who": "somebody else"}, 422),
        ("/decisions/{id}/answer", {"answer": "OK", "comment": "x" * 5000}, 422),
        ("/decisions/{id}/answer", [], 422),
    ],
)
def test_answers_that_are_none_are_refused(client: Any, record: Record, path: str, body: Any, status: int) -> None:
    decision = made()
    record.add(decision)
    assert client.post(path.format(id=decision.id), json=body).status_code == status
    assert record.decision(decision.id)["answers"] == []


def kept(record: Record, pictures: Pictures, data: bytes, kind: str) -> Decision:
    one = new_id()
    values = np.zeros((6, 8), np.float32)
    values[2:4, 2:4] = 5
    picture, map_picture = pictures.keep(one, Verdict.NG, data, kind, values, 2.0)
    decision = made(id=one, verdict=Verdict.NG, picture=picture, map_picture=map_picture, width=40, height=30)
    record.add(decision)
    return decision


def test_pictures_of_a_decision(client: Any, record: Record, pictures: Pictures) -> None:
    decision = kept(record, pictures, image(), "png")
    answer = client.get(f"/decisions/{decision.id}/image")
    assert (answer.content, answer.headers["content-type"]) == (image(), "image/png")
    assert decision.id in answer.headers["content-disposition"]
    assert answer.headers["x-content-type-options"] == "nosniff"
    overlay = client.get(f"/decisions/{decision.id}/overlay.png")
    with Image.open(io.BytesIO(overlay.content)) as picture:
        assert (overlay.headers["content-type"], picture.mode, picture.size) == ("image/png", "RGBA", (40, 30))
    small = client.get(f"/decisions/{decision.id}/thumbnail.jpg")
    with Image.open(io.BytesIO(small.content)) as picture:
        assert (small.headers["content-type"], picture.format) == ("image/jpeg", "JPEG")


def test_a_picture_of_a_format_that_browsers_do_not_show(client: Any, record: Record, pictures: Pictures) -> None:
    decision = kept(record, pictures, image(kind="TIFF"), "tif")
    where = f"/decisions/{decision.id}/image"
    assert client.get(where).headers["content-type"] == "image/tiff"
    assert client.get(where, params={"display": "true"}).headers["content-type"] == "image/png"


def test_pictures_that_were_not_kept_or_had_to_go_are_not_found(
    client: Any, record: Record, pictures: Pictures
) -> None:
    without, gone = made(), kept(record, pictures, image(), "png")
    record.add(without)
    record.pictures_removed([gone.id])
    for one in (without.id, gone.id, new_id()):
        for picture in ("image", "overlay.png", "thumbnail.jpg"):
            answer = client.get(f"/decisions/{one}/{picture}")
            assert answer.status_code == 404 and answer.json()["error"]["code"] == "not_found"
    found = client.get(f"/decisions/{gone.id}").json()
    assert found["picture"] == found["map_picture"] == "" and found["picture_removed"]


def test_the_quota_and_the_record_agree_about_what_is_left(client: Any, record: Record, tmp_path: Path) -> None:
    pictures = Pictures(tmp_path / "data", "all", 5 * len(image()) + 10, record)
    for i in range(9):
        one = new_id()
        picture, _ = pictures.keep(one, Verdict.OK, image(), "png")
        record.add(made(id=one, picture=picture, name=str(i)))
    for one in record.decisions():
        held = client.get(f"/decisions/{one['id']}/image").status_code == 200
        assert held == bool(one["picture"]) == (one["picture_removed"] is None)
    assert 3 <= sum(bool(one["picture"]) for one in record.decisions()) <= 5


def test_csv_has_a_row_of_every_decision_and_no_formula(client: Any, filled: Filled, record: Record) -> None:
    record.add(made(name='=HYPERLINK("http://evil")', score=-1.5))
    answer = client.get("/decisions.csv", params={"order": "oldest"})
    assert (
        answer.headers["content-type"].startswith("text/csv") and "attachment" in answer.headers["content-disposition"]
    )
    rows = list(csv.DictReader(io.StringIO(answer.text)))
    expected = record.decisions(Query(order="oldest", limit=500))
    assert [row["id"] for row in rows] == [one["id"] for one in expected]
    assert [float(row["score"]) for row in rows] == [one["score"] for one in expected]
    assert [row["answer"] for row in rows] == [(one["answer"] or {"answer": ""})["answer"] for one in expected]
    assert rows[-1]["name"] == '\'=HYPERLINK("http://evil")' and rows[0]["comment"] == "'=1+1"
    some = client.get("/decisions.csv", params={"verdict": "NG"}).text
    assert len(list(csv.reader(io.StringIO(some)))) - 1 == sum(one["verdict"] == "NG" for one in filled)
    assert client.get("/decisions.csv", params={"order": "random"}).status_code == 422


def test_csv_of_more_than_one_page(client: Any, record: Record, monkeypatch: pytest.MonkeyPatch) -> None:
    from onlygood.station.web import decisions

    monkeypatch.setattr(decisions, "CSV_BLOCK", 4)
    for i in range(9):
        record.add(made(score=i % 3))
    for order in ("newest", "oldest", "score"):
        rows = list(csv.DictReader(io.StringIO(client.get("/decisions.csv", params={"order": order}).text)))
        assert len(rows) == len({row["id"] for row in rows}) == 9


def test_statistics_are_those_of_the_record(client: Any, filled: Filled, record: Record) -> None:
    for parameters in ({}, {"recipe": "disc", "last": "3"}, {"since": "2020-01-01"}, {"recipe": "none"}):
        answer = client.get("/statistics", params=parameters)
        assert answer.status_code == 200
        recipe, last = parameters.get("recipe", ""), int(parameters.get("last", 1000))
        expected = record.statistics(recipe, None, last)
        assert {**answer.json(), "since": None} == expected
    for wrong in ({"last": 0}, {"last": 10**7}, {"since": "0001-01-01T00:00:00+14:00"}):
        assert client.get("/statistics", params=wrong).status_code == 422


def test_the_audit_trail_page_by_page(client: Any, record: Record) -> None:
    from onlygood.station.web.audit import EntryShape

    for i in range(5):
        record.activate("plate", MODEL, Thresholds(i + 1, i), "eva", f"step {i}")
    found, cursor = [], {}
    while True:
        page = client.get("/audit", params={"limit": 2, **cursor}).json()
        found += page["entries"]
        if page["next"] is None:
            break
        cursor = {"before": page["next"]}
    previous = "0" * 64
    for one in found[::-1]:  # the chain can be followed by whoever reads it
        rest = {name: one[name] for name in ("seq", "time", "who", "action", "subject", "detail")}
        text = previous + json.dumps(rest, sort_keys=True, separators=(",", ":"))
        previous = hashlib.sha256(text.encode()).hexdigest()
        assert one["digest"] == previous
    assert len(found) == len(record.audit_trail(500))
    EntryShape.model_validate(found[0])
    assert found[0]["detail"]["to"]["thresholds"] == {"ng": 5, "review": 4}
    record.activate("disc", MODEL, Thresholds(1, 0), "eva", "another")
    of_one = client.get("/audit", params={"recipe": "plate", "limit": 5}).json()
    assert of_one["entries"] == [one for one in found if one["subject"] == "plate"]
    rest = client.get("/audit", params={"recipe": "plate", "before": of_one["next"]}).json()
    assert rest == {"entries": [], "next": None}
    found = client.get("/audit").json()["entries"]
    check = client.get("/audit/verify").json()
    assert check == {"whole": True, "entries": len(found), "broken_at": None, "digest": found[0]["digest"]}


@pytest.mark.parametrize("url", ["sqlite"], indirect=True)
def test_each_role_may_do_what_it_should(client: Any, record: Record, tmp_path: Path) -> None:
    from onlygood.station.web import tokens

    secret = {role: tokens.add(tmp_path / "data", str(role), role) for role in tokens.Role}
    client.app.state.tokens = tokens.Tokens(tmp_path / "data")
    decision = made()
    record.add(decision)
    may = {
        "/decisions": ("view", "operate", "engineer"),
        "/decisions.csv": ("view", "operate", "engineer"),
        f"/decisions/{decision.id}": ("view", "operate", "engineer"),
        "/statistics": ("view", "operate", "engineer"),
        "/audit": ("engineer",),
        "/audit/verify": ("engineer",),
    }
    for path, roles in may.items():
        assert client.get(path).status_code == 401
        for role in tokens.Role:
            answer = client.get(path, headers={"Authorization": f"Bearer {secret[role]}"})
            assert answer.status_code == (200 if str(role) in roles else 403)
    for role in tokens.Role:
        where, head = f"/decisions/{decision.id}/answer", {"Authorization": f"Bearer {secret[role]}"}
        status = client.post(where, json={"answer": "OK"}, headers=head).status_code
        assert status == (403 if str(role) == "view" else 200)
    assert [one["who"] for one in record.decision(decision.id)["answers"]] == ["operate", "engineer"]


@pytest.mark.parametrize("url", ["sqlite"], indirect=True)
def test_a_database_that_is_gone_is_told_with_503(client: Any, record: Record, monkeypatch: pytest.MonkeyPatch) -> None:
    import sqlalchemy as sa

    def fails(*_: Any) -> None:
        raise sa.exc.OperationalError("SELECT", {}, Exception("server closed the connection"))

    decision = made()
    record.add(decision)
    sa.event.listen(record._store.engine, "before_cursor_execute", fails)
    for path in ("/decisions", "/decisions.csv", f"/decisions/{decision.id}", "/statistics", "/audit"):
        answer = client.get(path)
        assert answer.status_code == 503 and answer.headers["retry-after"]
        assert "server closed the connection" in answer.json()["error"]["message"]
    answer = client.post(f"/decisions/{decision.id}/answer", json={"answer": "OK"})
    assert answer.status_code == 503
    sa.event.remove(record._store.engine, "before_cursor_execute", fails)
