"""Figures of the line against plain counting."""

from __future__ import annotations

import datetime
from collections import Counter

import numpy as np
from record_making import made

from onlygood.inspection import Verdict
from onlygood.station.decisions import now
from onlygood.station.record import Record


def test_an_empty_record_has_no_figures(record: Record) -> None:
    found = record.statistics("plate")
    assert found["total"] == 0 and found["verdicts"] == {"OK": 0, "REVIEW": 0, "NG": 0}
    assert found["cycle_ms"] == {"parts": 0, "p50": None, "p95": None, "p99": None}
    assert found["parts_per_hour"] == 0 and found["to_review"] == 0


def test_counts_and_cycle_times_are_those_of_a_plain_count(record: Record, rng: np.random.Generator) -> None:
    start = now()
    decisions = []
    for i in range(80):
        decision = made(
            recipe=("plate", "disc")[i % 3 == 0],
            verdict=list(Verdict)[int(rng.integers(3))],
            time=start - datetime.timedelta(minutes=int(rng.integers(0, 120))),
            wait_ms=float(rng.exponential(3)),
            inspect_ms=float(rng.exponential(20)),
        )
        record.add(decision)
        decisions.append(decision)
        for answer in (("OK",), ("OK", "NG"), (), ())[i % 4]:
            record.answer(decision.id, answer, "eva")
        if i in (30, 79):  # the second time most of it is remembered
            for recipe in ("plate", "disc", ""):
                for since in (None, start - datetime.timedelta(minutes=45)):
                    compare(record, decisions, recipe, since)


def compare(record: Record, decisions: list, recipe: str, since: datetime.datetime | None) -> None:
    found = record.statistics(recipe, since, last=17)
    mine = [(i, one) for i, one in enumerate(decisions) if recipe in ("", one.recipe)]
    counted = [(i, one) for i, one in mine if since is None or one.time >= since]
    verdicts = Counter(str(one.verdict) for _, one in counted)
    assert found["verdicts"] == {name: verdicts[name] for name in ("OK", "REVIEW", "NG")}
    assert found["total"] == len(counted)
    answers = {name: {"OK": 0, "NG": 0} for name in ("OK", "REVIEW", "NG")}
    for i, one in counted:
        if i % 4 < 2:
            answers[str(one.verdict)][("OK", "NG")[i % 4]] += 1
    assert found["answers"] == answers
    assert found["to_review"] == sum(one.verdict is Verdict.REVIEW and i % 4 > 1 for i, one in counted)
    cycles = [one.wait_ms + one.inspect_ms for _, one in mine][-17:]
    assert found["cycle_ms"]["parts"] == len(cycles)
    np.testing.assert_allclose(
        [found["cycle_ms"][name] for name in ("p50", "p95", "p99")], np.percentile(cycles, (50, 95, 99)), rtol=1e-12
    )
    hour = now() - datetime.timedelta(hours=1)
    # a decision within a moment of the full hour may fall on either side
    assert abs(found["parts_per_hour"] - sum(one.time > hour for _, one in mine)) <= sum(
        abs((one.time - hour).total_seconds()) < 30 for _, one in mine
    )
