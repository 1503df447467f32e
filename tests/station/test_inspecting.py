"""The work itself: a bounded queue, nothing answered before it is recorded, nothing accepted is lost."""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from onlygood.errors import ImageError
from onlygood.station.decisions import Thresholds
from onlygood.station.errors import BusyError, NotRecordedError, StationError, UnknownRecipeError
from onlygood.station.inspecting import NAME_LENGTH, Inspecting, clean
from onlygood.station.logs import JsonLines
from onlygood.station.settings import Limits, Settings
from onlygood.station.telemetry import Telemetry


class Gate:
    """A record that takes decisions when it is told to."""

    def __init__(self) -> None:
        self.open = threading.Event()
        self.added: list[Any] = []
        self.error: Exception | None = None

    def add(self, decision: Any) -> str:
        self.open.wait()
        if self.error is not None:
            raise self.error
        self.added.append(decision)
        return "database"


class NoPictures:
    def keep(self, *_: Any) -> tuple[str, str]:
        return "", ""


@pytest.fixture
def gate() -> Iterator[Gate]:
    gate = Gate()
    yield gate
    gate.open.set()


@pytest.fixture
def make(station: Any, gate: Gate) -> Iterator[Callable[..., Inspecting]]:
    """Workers over the station's recipes and a record that can be held."""
    made = []

    def making(listeners: tuple[Any, ...] = (), **limits: Any) -> Inspecting:
        settings = replace(station.settings, limits=Limits(**limits))
        made.append(Inspecting(station.recipes, gate, NoPictures(), settings, Telemetry(), listeners))
        return made[-1]

    yield making
    gate.open.set()
    for one in made:
        one.close(10)


def test_nothing_is_answered_before_it_is_recorded(make: Callable[..., Inspecting], gate: Gate, good: bytes) -> None:
    told: list[Any] = []
    inspecting = make((told.append,))
    future = inspecting.submit(good, "a.png")
    with pytest.raises(TimeoutError):
        future.result(0.3)
    assert not told
    gate.open.set()
    answer = future.result(10)
    assert answer.recorded == "database" and answer.map is None and gate.added == [answer.decision]
    assert inspecting.drain(10) and told == [answer.decision]


def test_what_the_record_does_not_take_is_not_answered(
    make: Callable[..., Inspecting], gate: Gate, good: bytes
) -> None:
    told: list[Any] = []
    inspecting = make((told.append,))
    gate.open.set()
    gate.error = NotRecordedError("The disk is full.")
    with pytest.raises(NotRecordedError):
        inspecting.submit(good).result(10)
    gate.error = None
    assert inspecting.submit(good).result(10) and inspecting.drain(10) and len(told) == 1


def test_the_queue_is_bounded(make: Callable[..., Inspecting], gate: Gate, good: bytes) -> None:
    inspecting = make(queue=4)
    taken = []
    with pytest.raises(BusyError) as busy:
        for _ in range(100):
            taken.append(inspecting.submit(good))
            threading.Event().wait(0.005)
    assert busy.value.retry_after >= 1
    # the queue, what the recorders hold, what waits for them and what is in the workers' hands
    assert 4 <= len(taken) <= 4 + 8 + 8 + 1
    gate.open.set()
    assert len({future.result(20).decision.id for future in taken}) == len(taken) == len(gate.added)
    assert inspecting.submit(good).result(10)


def test_draining_answers_what_was_taken(make: Callable[..., Inspecting], gate: Gate, good: bytes) -> None:
    inspecting = make()
    taken = [inspecting.submit(good) for _ in range(12)]
    assert not inspecting.drain(0.05)
    with pytest.raises(BusyError, match="stopping"):
        inspecting.submit(good)
    gate.open.set()
    assert inspecting.close(20) and inspecting.depth == 0
    assert all(future.done() and future.result() for future in taken) and len(gate.added) == 12


def test_what_was_taken_cannot_be_called_off(make: Callable[..., Inspecting], gate: Gate, good: bytes) -> None:
    inspecting = make()
    futures = [inspecting.submit(good) for _ in range(5)]
    assert not any(future.cancel() for future in futures)
    gate.open.set()
    assert all(future.result(10) for future in futures) and len(gate.added) == 5


def test_a_listener_that_fails_stops_nothing(make: Callable[..., Inspecting], gate: Gate, good: bytes) -> None:
    def failing(_: Any) -> None:
        raise RuntimeError("an output's fault")

    told: list[Any] = []
    inspecting = make((failing, told.append))
    gate.open.set()
    assert inspecting.submit(good).result(10) and inspecting.submit(good).result(10)
    assert inspecting.drain(10) and len(told) == 2


def test_bad_images_do_not_disturb_others(make: Callable[..., Inspecting], gate: Gate, good: bytes) -> None:
    inspecting = make()
    gate.open.set()
    futures = [inspecting.submit(good if i % 2 else b"no image") for i in range(10)]
    for i, future in enumerate(futures):
        if i % 2:
            assert future.result(10)
        else:
            with pytest.raises(ImageError):
                future.result(10)
    assert inspecting.drain(10) and len(gate.added) == 5
    with pytest.raises(UnknownRecipeError):
        make().submit(good, recipe="other")


def test_a_score_that_is_no_number_is_no_decision(
    make: Callable[..., Inspecting], gate: Gate, station: Any, good: bytes, monkeypatch: Any
) -> None:
    gate.open.set()
    detector = station.recipes.get().detector
    monkeypatch.setattr(type(detector), "_image_score", lambda *_: float("nan"))
    with pytest.raises(StationError, match="no finite score"):
        make().submit(good).result(10)
    assert not gate.added


def test_several_workers_say_what_one_says(
    make_station: Callable[..., Any], settings: Settings, good: bytes, dented: bytes
) -> None:
    station = make_station(replace(settings, workers=3))
    images = [good, dented] * 8
    answers = [future.result(30) for future in [station.inspecting.submit(one) for one in images]]
    assert len({answer.decision.score for answer in answers[::2]}) == 1
    assert len({answer.decision.score for answer in answers[1::2]}) == 1
    assert len({answer.decision.id for answer in answers}) == 16


def test_numbers_for_prometheus(client: Any, station: Any, good: bytes) -> None:
    for _ in range(3):
        client.post("/inspect", content=good, headers={"Content-Type": "image/png"})
    client.post("/inspect", content=b"no image", headers={"Content-Type": "image/png"})
    client.post("/inspect?recipe=none", content=good, headers={"Content-Type": "image/png"})
    text = client.get("/metrics").text
    values = dict(line.rsplit(" ", 1) for line in text.splitlines() if not line.startswith("#"))
    decided = {key: float(value) for key, value in values.items() if key.startswith("onlygood_decisions_total")}
    assert sum(decided.values()) == 3 and all('recipe="plate"' in key for key in decided)
    assert values['onlygood_errors_total{code="bad_image"}'] == "1.0"
    assert values['onlygood_errors_total{code="unknown_recipe"}'] == "1.0"
    assert values['onlygood_inspect_seconds_count{recipe="plate"}'] == "3.0"
    assert values["onlygood_wait_seconds_count"] == "3.0" and values["onlygood_record_seconds_count"] == "3.0"
    assert values["onlygood_queue_depth"] == "0.0" and values["onlygood_journal_backlog"] == "0.0"
    assert values["onlygood_database_up"] == "1.0"
    model = station.recipes.get()
    assert values[f'onlygood_model_info{{method="knn",model="{model.model}",recipe="plate"}}'] == "1.0"
    station.recipes.set_thresholds("plate", Thresholds(9.0, 8.0), "anna")
    assert client.get("/metrics").text.count("onlygood_model_info{") == 1


def test_the_log_has_a_line_for_each_decision_and_problem(client: Any, good: bytes, caplog: Any) -> None:
    with caplog.at_level(logging.INFO, "onlygood.station"):
        answer = client.post("/inspect?name=a%0Ab", content=good, headers={"Content-Type": "image/png"}).json()
        client.post("/inspect", content=b"no image", headers={"Content-Type": "image/png"})
    lines = [JsonLines().format(record) for record in caplog.records]
    assert all("\n" not in line for line in lines)
    tables = [json.loads(line) for line in lines]
    decision = next(one for one in tables if one["event"] == "decision")
    assert decision["id"] == answer["id"] and decision["verdict"] == answer["verdict"] and decision["name"] == "a?b"
    assert any(one["level"] == "warning" and "image" in one.get("problem", "") for one in tables)


def test_numbers_that_json_lacks_are_null_in_the_log() -> None:
    record = logging.makeLogRecord(
        {"name": "x", "msg": "x", "values": {"ng": float("inf"), "at": [float("nan")], "of": object}}
    )
    table = json.loads(JsonLines().format(record))
    assert table["ng"] is None and table["at"] == [None] and isinstance(table["of"], str)


@given(st.text(st.characters(), max_size=400))
def test_names_can_be_held_anywhere(name: str) -> None:
    cleaned = clean(name)
    assert len(cleaned) <= NAME_LENGTH and cleaned.isprintable() and cleaned == clean(cleaned)
    assert cleaned.encode("utf-8").decode("utf-8") == cleaned
    if name.isprintable() and name.strip() == name and len(name) <= NAME_LENGTH:
        assert cleaned == name


def test_names_with_halves_of_characters() -> None:
    assert clean("a\udcff\ud800\0\nb") == "a????b"


def test_grey_and_deep_images(make: Callable[..., Inspecting], gate: Gate) -> None:
    import io

    from PIL import Image

    gate.open.set()
    inspecting = make()
    for array in (np.full((40, 50), 99, np.uint8), np.full((40, 50), 9999, np.uint16)):
        buffer = io.BytesIO()
        Image.fromarray(array).save(buffer, "TIFF")
        decision = inspecting.submit(buffer.getvalue()).result(10).decision
        assert (decision.width, decision.height) == (50, 40)


def test_a_database_that_is_gone_is_told_and_the_answers_go_on(client: Any, station: Any, good: bytes) -> None:
    headers = {"Content-Type": "image/png"}
    file = station.settings.data / "record.sqlite"
    first = client.post("/inspect", content=good, headers=headers).json()
    file.rename(file.with_name("away"))
    answers = [client.post("/inspect", content=good, headers=headers) for _ in range(3)]
    assert [answer.json()["recorded"] for answer in answers] == ["journal"] * 3
    ready = client.get("/ready")
    assert ready.status_code == 200 and ready.json()["problems"] and ready.json()["record"]["database"] == "gone"
    assert "onlygood_database_up 0.0" in client.get("/metrics").text
    # what needs the database says so, and changes nothing
    before = station.recipes.get()
    refused = client.put("/recipes/plate/thresholds", json={"ng": 9, "review": 8})
    assert refused.status_code == 503 and int(refused.headers["retry-after"]) >= 1
    assert station.recipes.get() is before
    file.with_name("away").rename(file)
    for _ in range(600):
        if station.record.state["database"] == "ok" and not station.record.state["journal"]:
            break
        threading.Event().wait(0.05)
    wanted = [first["id"], *(answer.json()["id"] for answer in answers)]
    assert [station.record.decision(one)["id"] for one in wanted] == wanted


def test_when_nothing_records_nothing_is_answered(client: Any, station: Any, good: bytes, monkeypatch: Any) -> None:
    def full(_: Any) -> str:
        raise NotRecordedError("The disk is full.", retry_after=7)

    monkeypatch.setattr(station.record, "add", full)
    refused = client.post("/inspect", content=good, headers={"Content-Type": "image/png"})
    assert refused.status_code == 503 and refused.headers["retry-after"] == "7"
    assert refused.json()["error"] == {"code": "not_recorded", "message": "The disk is full."}
    batch = client.post("/inspect/batch", files=[("images", good)]).json()["decisions"]
    assert batch[0]["error"]["code"] == "not_recorded"
