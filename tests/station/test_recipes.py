"""Models on duty: swapped under load without losing a request, refused when bad, watched, rolled back, resumed."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import onlygood
from onlygood.errors import ModelFileError, ParameterError
from onlygood.modelfile import read_parts, write_parts
from onlygood.station.decisions import Thresholds
from onlygood.station.errors import NotFoundError, RefusedError, UnknownRecipeError
from onlygood.station.settings import Settings

PNG = {"Content-Type": "image/png"}


def scores_of(models: dict[str, Path], image: bytes) -> dict[str, float]:
    """What each model says of an image."""
    return {name: onlygood.load(path, threads=1).inspect(image)[0].score for name, path in models.items()}


def looked_twice(station: Any) -> None:
    """A file counts once it is at rest."""
    station.recipes.look()
    station.recipes.look()


def actions(station: Any) -> list[tuple[str, str]]:
    """Of the audit trail, the oldest first: what, and by whom."""
    return [(one["action"], one["who"]) for one in reversed(station.record.audit_trail(100))]


def test_swapping_under_load_loses_no_request(client: Any, station: Any, models: dict[str, Path], good: bytes) -> None:
    expected = scores_of(models, good)
    hashes = {name: station.recipes.files.take_in(path.open("rb")) for name, path in models.items()}
    assert expected["a"] != expected["b"]
    by_hash = {hashes[name]: score for name, score in expected.items()}
    answers: list[Any] = []
    over = threading.Event()

    def hammer() -> None:
        while not over.is_set():
            answers.append(client.post("/inspect", content=good, headers=PNG))

    threads = [threading.Thread(target=hammer) for _ in range(8)]
    for thread in threads:
        thread.start()
    for turn in range(20):
        before = len(answers)
        changed = client.put("/recipes/plate/model", content=models["ba"[turn % 2]].read_bytes())
        assert changed.status_code == 200, changed.text
        while len(answers) < before + 4:
            over.wait(0.002)
    over.set()
    for thread in threads:
        thread.join()
    assert [answer.status_code for answer in answers] == [200] * len(answers)
    tables = [answer.json() for answer in answers]
    assert {table["model"] for table in tables} == set(by_hash)
    assert all(table["score"] == by_hash[table["model"]] for table in tables)
    assert len({table["id"] for table in tables}) == len(tables)
    assert station.record.statistics("plate")["total"] == len(tables)


def test_thresholds_swap_with_their_model(client: Any, station: Any, models: dict[str, Path], good: bytes) -> None:
    for name in "bab":
        client.put("/recipes/plate/model", content=models[name].read_bytes())
        own = onlygood.load(models[name]).calibration_
        answer = client.post("/inspect", content=good, headers=PNG).json()
        assert answer["thresholds"] == {"ng": own.ng_threshold, "review": own.review_threshold}
        assert answer["pixel_threshold"] == own.pixel_threshold


def damaged(path: Path, folder: Path) -> list[bytes]:
    """Files that are no model, in several ways."""
    whole = path.read_bytes()
    flipped = bytearray(whole)
    flipped[len(whole) // 2] ^= 255
    parts = read_parts(path)
    other = folder / "other.og"
    blobs = {**parts.blobs, "features.onnx": parts.blobs["features.onnx"][:100]}
    write_parts(other, replace(parts, blobs=blobs))  # every hash agrees, and the graph is none
    return [b"garbage", b"PK\x03\x04", whole[: len(whole) // 2], whole[:-1], bytes(flipped), other.read_bytes()]


def test_a_bad_model_is_refused_and_the_old_one_stays(
    client: Any, station: Any, models: dict[str, Path], good: bytes, tmp_path: Path
) -> None:
    before = client.post("/inspect", content=good, headers=PNG).json()
    files = set((station.settings.data / "models").iterdir())
    for data in (b"", *damaged(models["b"], tmp_path)):
        refused = client.put("/recipes/plate/model", content=data)
        assert refused.status_code == 400 and refused.json()["error"]["code"] == "bad_model", refused.text
        after = client.post("/inspect", content=good, headers=PNG).json()
        assert (after["model"], after["score"]) == (before["model"], before["score"])
    assert set((station.settings.data / "models").iterdir()) == files  # nothing is left of them
    assert ("refuse_model", "local") in actions(station)
    assert len(station.record.activations("plate")) == 1
    assert client.put("/recipes/other/model", content=b"x").status_code == 404
    wrong = client.put("/recipes/plate/model", content=b"x", headers={"Content-Type": "text/plain"})
    assert wrong.status_code == 415


def test_a_watched_file_that_goes_bad_changes_nothing(
    client: Any, station: Any, models: dict[str, Path], good: bytes, tmp_path: Path
) -> None:
    given = station.settings.models["plate"]
    before = client.post("/inspect", content=good, headers=PNG).json()

    def truncate() -> None:
        with given.open("r+b") as file:
            file.truncate(1000)

    for spoil in (lambda: given.write_bytes(b"garbage"), truncate, given.unlink, lambda: given.mkdir()):
        spoil()
        looked_twice(station)
        after = client.post("/inspect", content=good, headers=PNG).json()
        assert (after["model"], after["score"]) == (before["model"], before["score"])
        assert str(given) in client.get("/recipes/plate").json()["problem"]
        ready = client.get("/ready")
        assert ready.status_code == 200 and any(str(given) in one for one in ready.json()["problems"])
    assert actions(station).count(("refuse_file", "station")) == 4
    given.rmdir()
    shutil.copyfile(models["b"], given)
    looked_twice(station)
    after = client.post("/inspect", content=good, headers=PNG).json()
    assert after["model"] != before["model"] and after["score"] == scores_of(models, good)["b"]
    assert client.get("/recipes/plate").json()["problem"] == "" and client.get("/ready").json()["problems"] == []


def test_the_mapped_file_may_be_overwritten_in_place(
    client: Any, station: Any, models: dict[str, Path], good: bytes
) -> None:
    """The given file is not the one that is mapped: writing into it must not reach the detector."""
    score = client.post("/inspect", content=good, headers=PNG).json()["score"]
    given = station.settings.models["plate"]
    with given.open("r+b") as file:
        file.write(b"\0" * given.stat().st_size)
    assert client.post("/inspect", content=good, headers=PNG).json()["score"] == score


def test_a_file_still_being_written_is_left_alone(station: Any, models: dict[str, Path]) -> None:
    given, data = station.settings.models["plate"], models["b"].read_bytes()
    before = station.recipes.get().model
    with given.open("wb") as file:
        for start in range(0, len(data), len(data) // 3):
            file.write(data[start : start + len(data) // 3])
            file.flush()
            station.recipes.look()
            assert station.recipes.get().model == before and not station.recipes.problems
    looked_twice(station)
    assert station.recipes.get().model != before and not station.recipes.problems


def test_the_watch_runs_by_itself(
    make_station: Callable[..., Any], settings: Settings, models: dict[str, Path]
) -> None:
    station = make_station(settings, poll=0.02)
    before = station.recipes.get().model
    station.recipes.watch()
    shutil.copyfile(models["b"], settings.models["plate"])
    for _ in range(2000):
        if station.recipes.get().model != before:
            break
        threading.Event().wait(0.01)
    assert station.recipes.get().model != before


def test_roll_back_goes_to_what_was_before(client: Any, station: Any, models: dict[str, Path]) -> None:
    first = station.recipes.get()
    assert client.post("/recipes/plate/rollback").status_code == 409
    assert client.put("/recipes/plate/thresholds", json={"ng": 9, "review": 8, "why": "x"}).status_code == 200
    client.put("/recipes/plate/model", content=models["b"].read_bytes())
    other = station.recipes.get()
    back = client.post("/recipes/plate/rollback").json()
    assert back["model"] == first.model and back["thresholds"] == {"ng": 9, "review": 8}
    forth = client.post("/recipes/plate/rollback").json()
    assert forth["model"] == other.model and forth["thresholds"]["ng"] == other.thresholds.ng
    listed = client.get("/recipes/plate/activations").json()["activations"]
    assert [one["model"] for one in listed] == [other.model, first.model, other.model, first.model, first.model]
    assert "roll-back" in listed[0]["why"] and listed[0]["who"] == "local"
    assert {one["sha256"] for one in client.get("/recipes/plate/models").json()["models"]} == {first.model, other.model}


def test_a_restart_resumes_what_was_on_duty(
    make_station: Callable[..., Any], settings: Settings, models: dict[str, Path]
) -> None:
    station = make_station(settings)
    sent = station.recipes.files.take_in(models["b"].open("rb"))
    station.recipes.replace("plate", sent, "anna", "a better one")
    station.recipes.set_thresholds("plate", Thresholds(9.0, 8.0), "anna")
    station.close()
    station = make_station(settings)
    assert (station.recipes.get().model, station.recipes.get().thresholds) == (sent, Thresholds(9.0, 8.0))
    assert len(station.record.activations("plate")) == 3  # a restart is none
    station.close()
    # a file that was changed while the station was down is a new one
    parts = read_parts(settings.models["plate"])
    write_parts(settings.models["plate"], replace(parts, manifest={**parts.manifest, "version": "x"}))
    station = make_station(settings)
    assert station.recipes.get().model not in (sent, "") and station.recipes.get().thresholds.ng != 9.0
    station.close()
    # one that is gone or bad is told, and what was on duty resumes
    settings.models["plate"].write_bytes(b"garbage")
    on_duty = station.recipes.get().model
    station = make_station(settings)
    assert station.recipes.get().model == on_duty and "plate" in station.recipes.problems
    station.close()
    # so it is without the station's own note of what was given
    (settings.data / "models" / "given.json").write_text("[")
    assert make_station(settings).recipes.get().model == on_duty


def test_a_lost_copy_is_made_good_by_the_given_file(
    make_station: Callable[..., Any], settings: Settings, models: dict[str, Path]
) -> None:
    station = make_station(settings)
    given, sent = station.recipes.get().model, station.recipes.files.take_in(models["b"].open("rb"))
    station.recipes.replace("plate", sent, "anna", "")
    station.close()
    station.recipes.files.path(sent).unlink()
    assert make_station(settings).recipes.get().model == given


def test_several_recipes(
    make_station: Callable[..., Any], settings: Settings, models: dict[str, Path], good: bytes
) -> None:
    from starlette.testclient import TestClient

    from onlygood.station.web.app import create_app

    station = make_station(replace(settings, models={"one": models["a"], "two": models["b"]}))
    client = TestClient(create_app(station), base_url="http://127.0.0.1")
    expected = scores_of(models, good)
    for recipe, name in (("one", "a"), ("two", "b")):
        answer = client.post("/inspect", params={"recipe": recipe}, content=good, headers=PNG).json()
        assert (answer["recipe"], answer["score"]) == (recipe, expected[name])
    unnamed = client.post("/inspect", content=good, headers=PNG)
    assert unnamed.status_code == 404 and "one, two" in unnamed.json()["error"]["message"]
    table = client.get("/recipes").json()
    assert [one["name"] for one in table["recipes"]] == ["one", "two"] and table["default"] is None
    with pytest.raises(UnknownRecipeError):
        station.recipes.activate("three", "0" * 64)


def test_what_cannot_be_asked(station: Any, models: dict[str, Path]) -> None:
    recipes = station.recipes
    for hash_ in ("0" * 64, "../given", "", "x"):
        with pytest.raises(NotFoundError):
            recipes.activate("plate", hash_)
    for ng, review in ((1.0, 2.0), (float("nan"), 0.0), (float("inf"), 0.0), (1.0, float("-inf"))):
        with pytest.raises(ParameterError):
            recipes.set_thresholds("plate", Thresholds(ng, review), "anna")
    with pytest.raises(RefusedError):
        recipes.roll_back("plate", "anna")
    assert len(station.record.activations("plate")) == 1


def test_what_cannot_start(make_station: Callable[..., Any], settings: Settings, tmp_path: Path) -> None:
    with pytest.raises(ParameterError, match="needs a model"):
        make_station(replace(settings, models={}))
    with pytest.raises(ParameterError, match="cannot be the name"):
        make_station(replace(settings, models={"a/b": settings.models["plate"]}))
    missing = tmp_path / "none.og"
    with pytest.raises(ModelFileError, match=str(missing)):
        make_station(replace(settings, models={"plate": missing}))
    make_station(settings)  # the failed starts have let go of the folder
