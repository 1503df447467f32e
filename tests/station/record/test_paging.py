"""Questions about decisions, against a plain filter over a list."""

from __future__ import annotations

import datetime
import itertools
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from record_making import made

from onlygood.errors import ParameterError
from onlygood.inspection import Verdict
from onlygood.station.record import Query, Record

NOON = datetime.datetime(2026, 3, 1, 12, tzinfo=datetime.UTC)
RECIPES, SOURCES, MODELS = ("plate", "disc"), ("rest", "folder:in"), ("a" * 64, "b" * 64)
NAMES = ("A_1.png", "b%2.PNG", "Ärger.png", "x[1].jpg", "a\\b.png", "")
SCORES = (0.5, 1.0, 1.0, 2.5, -3.0)
MINUTES = (0, 1, 5, 5, 90)


def fill(record: Record) -> list[dict[str, Any]]:
    """60 decisions of all kinds, some answered, some more than once; as they are to come out, oldest first."""
    kinds = itertools.cycle(itertools.product(Verdict, NAMES))
    for i, (verdict, name) in zip(range(60), kinds):
        decision = made(
            recipe=RECIPES[i % 7 > 4],
            source=SOURCES[i % 3 == 0],
            model=MODELS[i % 5 == 0],
            name=name,
            verdict=verdict,
            score=SCORES[i * 7 % 5],
            time=NOON + datetime.timedelta(minutes=MINUTES[i * 3 % 5]),
        )
        record.add(decision)
        for answer in (("OK",), ("NG",), ("OK", "NG"), (), ("NG", "OK"), ())[i % 6]:
            record.answer(decision.id, answer, "eva")
    everything = record.decisions(Query(order="oldest", limit=500))
    assert len(everything) == 60
    return everything


maybe = st.none() | st.sampled_from(sorted(set(SCORES)))
times = st.none() | st.sampled_from([NOON + datetime.timedelta(minutes=m) for m in (0, 1, 2, 90)])
queries = st.fixed_dictionaries(
    {
        "recipe": st.sampled_from(("", *RECIPES, "none")),
        "verdicts": st.lists(st.sampled_from(list(Verdict)), max_size=2),
        "source": st.sampled_from(("", *SOURCES)),
        "answered": st.sampled_from((None, True, False)),
        "answer": st.sampled_from(("", "OK", "NG")),
        "since": times,
        "until": times,
        "min_score": maybe,
        "max_score": maybe,
        "name": st.sampled_from(("", "A", "png", "%", "_", "ä", "Ä", "[1]", "\\", "B%")),
        "model": st.sampled_from(("", *MODELS)),
        "order": st.sampled_from(("newest", "oldest", "score")),
    }
)


def fits(one: dict[str, Any], q: dict[str, Any]) -> bool:
    def low(text: str) -> str:
        return "".join(chr(ord(c) + 32) if "A" <= c <= "Z" else c for c in text)

    time = datetime.datetime.fromisoformat(one["time"])
    answer = one["answer"]["answer"] if one["answer"] else None
    return all(
        (
            not q["recipe"] or one["recipe"] == q["recipe"],
            not q["verdicts"] or one["verdict"] in q["verdicts"],
            not q["source"] or one["source"] == q["source"],
            q["answered"] is None or (answer is not None) == q["answered"],
            not q["answer"] or answer == q["answer"],
            q["since"] is None or time >= q["since"],
            q["until"] is None or time < q["until"],
            q["min_score"] is None or one["score"] >= q["min_score"],
            q["max_score"] is None or one["score"] <= q["max_score"],
            low(q["name"]) in low(one["name"]),
            not q["model"] or one["model"] == q["model"],
        )
    )


def test_all_pages_together_are_what_a_plain_filter_gives(record: Record) -> None:
    everything = fill(record)

    @settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow], derandomize=True)
    @given(queries, st.sampled_from((1, 2, 7, 100)))
    def holds(q: dict[str, Any], limit: int) -> None:
        expected = [one for one in everything if fits(one, q)]
        if q["order"] == "newest":
            expected = expected[::-1]
        elif q["order"] == "score":
            expected = sorted(expected, key=lambda one: (-one["score"], -one["seq"]))
        found: list[dict[str, Any]] = []
        cursor: dict[str, int] = {}
        for _ in range(200):
            page = record.decisions(Query(**q, **cursor, limit=limit))
            assert len(page) <= limit
            if not page:
                break
            found += page
            cursor = {"before" if q["order"] == "newest" else "after": page[-1]["seq"]}
        assert found == expected

    holds()


def test_what_is_newer_than_the_last_seen(record: Record) -> None:
    everything = fill(record)
    seen = everything[40]["seq"]
    assert record.decisions(Query(after=seen)) == everything[41:][::-1]
    assert record.decisions(Query(order="oldest", before=seen)) == everything[:40]
    assert record.decisions(Query(order="oldest", after=everything[9]["seq"], before=seen)) == everything[10:40]


@pytest.mark.parametrize(
    "wrong",
    [
        {"limit": 0},
        {"limit": 501},
        {"order": "random"},
        {"answer": "MAYBE"},
        {"before": -1},
        {"after": 2**63},
        {"since": datetime.datetime.max.replace(tzinfo=datetime.timezone(datetime.timedelta(hours=-5)))},
    ],
)
def test_questions_that_make_no_sense_are_errors(wrong: dict[str, Any]) -> None:
    with pytest.raises(ParameterError):
        Query(**wrong)


def test_a_page_behind_a_decision_that_is_none(record: Record) -> None:
    with pytest.raises(ParameterError, match="no decision of that number"):
        record.decisions(Query(order="score", after=10**9))


def test_every_answer_of_one_page_is_asked_for_at_once(record: Record) -> None:
    """500 decisions of a page are one question more, not 500."""
    import sqlalchemy as sa

    for _ in range(20):
        record.add(made())
    asked: list[str] = []
    engine = record._store.engine
    sa.event.listen(engine, "before_cursor_execute", lambda *args: asked.append(args[2]))
    record.decisions(Query(limit=20))
    assert sum(statement.startswith("SELECT") for statement in asked) == 2


def test_pages_of_all_lengths_are_asked_for_with_few_statements(record: Record) -> None:
    """The database's driver keeps each statement that it was given, so every length must not make its own."""
    import sqlalchemy as sa

    everything = fill(record)
    asked: set[str] = set()
    engine = record._store.engine
    sa.event.listen(engine, "before_cursor_execute", lambda *args: asked.add(args[2]))
    for length in range(1, 61):
        assert record.decisions(Query(order="oldest", limit=length)) == everything[:length]
        ids = [one["id"] for one in everything[-length:]]
        assert record.unanswered(ids) == {one["id"] for one in everything[-length:] if one["answer"] is None}
    assert record.unanswered([]) == set()
    of_answers = {statement for statement in asked if "FROM answers" in statement}
    assert 1 < len(of_answers) <= 2 * 7 + 1  # of each question those of 1, 2, 4, ... 64 ids, and one of none


def test_scores_are_of_the_last_decisions_oldest_first(record: Record) -> None:
    everything = fill(record)
    for model in ("", MODELS[1]):
        mine = [one for one in everything if one["recipe"] == "plate" and model in ("", one["model"])]
        expected = [(o["seq"], o["score"], o["verdict"], o["answer"] and o["answer"]["answer"]) for o in mine]
        assert record.scores("plate", model, 500) == expected
        assert record.scores("plate", model, 3) == expected[-3:]
