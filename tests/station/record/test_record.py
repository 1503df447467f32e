"""What goes in comes out again, in order, in both databases."""

from __future__ import annotations

import datetime
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from record_making import MODEL, made, open_record

from onlygood.errors import ParameterError
from onlygood.inspection import Verdict
from onlygood.station.decisions import Decision, Thresholds, new_id
from onlygood.station.errors import NotFoundError, NotRecordedError, StationError
from onlygood.station.record import Query, Record

INFINITE = float("inf")
ADDED = ("seq", "answer", "answers", "picture_removed")


def as_recorded(table: dict) -> dict:
    return {name: value for name, value in table.items() if name not in ADDED}


def test_a_decision_comes_out_as_it_went_in(record: Record) -> None:
    for decision in (
        made(name="Gehäuse 7 — 部品.png", verdict=Verdict.NG, reason="logical", picture="ng/x.png", score=1 / 3),
        made(thresholds=Thresholds(INFINITE, -INFINITE), pixel_threshold=INFINITE, regions=(), name=""),
    ):
        assert record.add(decision) == "database"
        found = record.decision(decision.id)
        assert as_recorded(found) == decision.as_dict()
        assert found["answers"] == [] and found["answer"] is None and found["picture_removed"] is None
        assert Decision.from_dict(as_recorded(found)).thresholds == decision.thresholds
    assert record.state == {"database": "ok", "journal": 0, "message": ""}


def test_it_is_all_there_after_closing_and_opening(opening, url: str, tmp_path: Path) -> None:
    decision = made()
    first = opening()
    first.add(decision)
    before = first.decision(decision.id)
    first.close()
    assert opening().decision(decision.id) == before


def test_the_same_decision_twice_is_one(record: Record) -> None:
    decision = made()
    assert [record.add(decision) for _ in range(3)] == ["database"] * 3
    assert len(record.decisions()) == 1


def test_what_many_threads_add_at_once_is_all_there_once(record: Record) -> None:
    decisions = [made(name=f"{i}.png") for i in range(120)]
    barrier = threading.Barrier(8)

    def work(part: list[Decision]) -> list[str]:
        barrier.wait()
        return [record.add(decision) for decision in part]

    with ThreadPoolExecutor(8) as pool:
        said = list(pool.map(work, [decisions[i::8] for i in range(8)]))
    assert {word for words in said for word in words} == {"database"}
    found = record.decisions(Query(order="oldest", limit=500))
    assert sorted(one["id"] for one in found) == sorted(one.id for one in decisions)
    for i in range(8):  # each thread's own order is kept
        mine = {one.id for one in decisions[i::8]}
        assert [one["id"] for one in found if one["id"] in mine] == [one.id for one in decisions[i::8]]


def test_a_clock_that_jumps_back_does_not_change_the_order(record: Record) -> None:
    noon = datetime.datetime(2026, 10, 25, 12, tzinfo=datetime.UTC)
    times = [noon, noon + datetime.timedelta(seconds=1), noon - datetime.timedelta(hours=1), noon]
    decisions = [made(time=time, name=f"{i}.png") for i, time in enumerate(times)]
    for decision in decisions:
        record.add(decision)
    assert [one["name"] for one in record.decisions(Query(order="oldest"))] == [f"{i}.png" for i in range(4)]
    assert [one["name"] for one in record.decisions()] == [f"{i}.png" for i in range(4)][::-1]
    assert [one["time"] for one in record.decisions(Query(order="oldest"))] == [
        one.as_dict()["time"] for one in decisions
    ]
    assert [one[0] for one in record.scores("plate")] == sorted(one["seq"] for one in record.decisions())


def test_names_that_no_database_takes_are_kept_readable(record: Record) -> None:
    decision = made(name="a\0b\ud800c.png")
    assert record.add(decision) == "database"
    assert record.decision(decision.id)["name"] == "a\ufffdb\ufffdc.png"


@pytest.mark.parametrize(
    "wrong",
    [{"score": float("nan")}, {"p_value": INFINITE}, {"wait_ms": INFINITE}, {"regions": ({"peak": float("nan")},)}],
)
def test_what_is_no_number_is_refused_and_the_others_are_not_kept_out(record: Record, wrong: dict) -> None:
    with pytest.raises(StationError):
        record.add(made(**wrong))
    assert record.add(made()) == "database"


def test_one_that_the_database_refuses_does_not_keep_out_its_neighbours(record: Record) -> None:
    good = [made() for _ in range(30)]
    bad = [made(verdict="MAYBE") for _ in range(3)]
    outcomes: dict[str, str] = {}

    def add(decision: Decision) -> None:
        try:
            outcomes[decision.id] = record.add(decision)
        except StationError:
            outcomes[decision.id] = "refused"

    with ThreadPoolExecutor(11) as pool:
        list(pool.map(add, good[:10] + bad + good[10:]))
    assert all(outcomes[one.id] == "database" for one in good)
    assert all(outcomes[one.id] == "refused" for one in bad)
    assert {one["id"] for one in record.decisions()} == {one.id for one in good}


def test_the_latest_answer_counts_and_all_are_kept(record: Record) -> None:
    decision = made(verdict=Verdict.REVIEW)
    record.add(decision)
    record.answer(decision.id, "NG", "anna")
    last = record.answer(decision.id, "OK", "ben", "only dust")
    found = record.decision(decision.id)
    assert [(one["who"], one["answer"], one["comment"]) for one in found["answers"]] == [
        ("anna", "NG", ""),
        ("ben", "OK", "only dust"),
    ]
    assert found["answer"] == last == record.decisions()[0]["answer"]
    assert record.scores("plate")[0].answer == "OK"


def test_answers_to_nothing_or_with_other_words_are_errors(record: Record) -> None:
    decision = made()
    record.add(decision)
    for unknown in (new_id(), "../../etc/passwd", "", "ABC", "\0" * 32):
        with pytest.raises(NotFoundError):
            record.answer(unknown, "OK", "anna")
        with pytest.raises(NotFoundError):
            record.decision(unknown)
    with pytest.raises(ParameterError, match="OK or NG"):
        record.answer(decision.id, "REVIEW", "anna")
    assert record.decision(decision.id)["answers"] == []


def test_an_activation_is_audited_with_what_was_before(record: Record) -> None:
    record.activate("plate", MODEL, Thresholds(INFINITE, -INFINITE), "station", "first start")
    record.activate("disc", "c" * 64, Thresholds(9, 8), "station", "first start")
    done = record.activate("plate", "b" * 64, Thresholds(4.5, 3.5), "eva", "new light")
    newest, first = record.activations("plate")
    assert newest == done and (done["model"], done["who"], done["why"]) == ("b" * 64, "eva", "new light")
    assert done["thresholds"] == {"ng": 4.5, "review": 3.5} and first["thresholds"] == {"ng": None, "review": None}
    assert record.activations("plate", limit=1) == [newest] and record.activations("other") == []
    entry = record.audit_trail(1)[0]
    assert (entry["who"], entry["action"], entry["subject"]) == ("eva", "activate", "plate")
    assert entry["detail"] == {
        "from": {"model": MODEL, "thresholds": {"ng": None, "review": None}},
        "to": {"model": "b" * 64, "thresholds": {"ng": 4.5, "review": 3.5}},
        "why": "new light",
    }


def test_models_are_noted_once_per_recipe(record: Record) -> None:
    record.add_model(MODEL, "plate", "reb", "file", info={"size": 256})
    again = record.add_model(MODEL, "plate", "knn", "upload")
    record.add_model("b" * 64, "plate", "reb", "candidate", parent=MODEL, who="eva")
    record.add_model(MODEL, "disc", "reb", "file")
    assert [one["sha256"] for one in record.models("plate")] == ["b" * 64, MODEL]
    assert (again["method"], again["origin"], again["info"]) == ("reb", "file", {"size": 256})
    assert record.models("plate")[0]["parent"] == MODEL and len(record.models("disc")) == 1
    with pytest.raises(ParameterError, match="origin"):
        record.add_model(MODEL, "plate", "reb", "gift")


def test_the_golden_set_is_what_was_put_in_and_not_taken_out(record: Record) -> None:
    record.add_golden("plate", "1" * 64, "1.png", "good", "eva", name="first")
    record.add_golden("plate", "2" * 64, "2.png", "good", "eva")
    record.add_golden("disc", "2" * 64, "2.png", "defect", "eva")
    record.add_golden("plate", "2" * 64, "2.png", "defect", "eva")
    assert [(one["digest"][0], one["truth"]) for one in record.golden("plate")] == [("1", "good"), ("2", "defect")]
    record.remove_golden("plate", "1" * 64, "ben")
    assert [one["digest"][0] for one in record.golden("plate")] == ["2"]
    assert [one["truth"] for one in record.golden("disc")] == ["defect"]
    with pytest.raises(NotFoundError):
        record.remove_golden("plate", "1" * 64, "ben")
    with pytest.raises(ParameterError, match="truth"):
        record.add_golden("plate", "3" * 64, "", "perhaps", "eva")
    record.add_golden("plate", "1" * 64, "1.png", "good", "eva")
    assert [one["digest"][0] for one in record.golden("plate")] == ["2", "1"]
    assert [one["action"] for one in record.audit_trail(2)] == ["golden add", "golden remove"]


def test_one_folder_has_one_station(record: Record, url: str, tmp_path: Path) -> None:
    with pytest.raises(StationError, match="Another station is using the folder"):
        open_record(url, tmp_path / "data")
    record.close()
    open_record(url, tmp_path / "data").close()


def test_after_closing_nothing_is_taken(opening) -> None:
    record = opening()
    record.close()
    with pytest.raises(NotRecordedError):
        record.add(made())


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("mysql://root@localhost/record", "cannot be kept in"),
        ("no address", "address of the database"),
        ("sqlite://", "cannot be kept in"),
        ("sqlite:////nowhere/record.sqlite", "cannot be used"),
        ("postgresql://eva:secret@127.0.0.1:1/record", "cannot be used"),
    ],
)
def test_addresses_that_are_no_use_are_one_error_without_the_password(url: str, expected: str, tmp_path: Path) -> None:
    if url.startswith("postgresql"):
        pytest.importorskip("psycopg", reason="needs the extra 'postgresql'")
    with pytest.raises(StationError, match=expected) as error:
        open_record(url, tmp_path / "data")
    assert "secret" not in str(error.value)


def test_a_file_that_is_no_database_is_one_error_and_stays_as_it_is(tmp_path: Path) -> None:
    file = tmp_path / "letter.txt"
    file.write_text("Dear Eva, " * 100)
    with pytest.raises(StationError, match=r"letter\.txt cannot be used"):
        open_record(f"sqlite:///{file}", tmp_path / "data")
    assert file.read_text() == "Dear Eva, " * 100
