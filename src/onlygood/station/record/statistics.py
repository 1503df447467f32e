"""Figures of the line: how many of which verdict, what operators said, how long a part takes."""

from __future__ import annotations

import datetime
import threading
from collections import Counter, OrderedDict
from typing import Any

import numpy as np
import sqlalchemy as sa

from onlygood.inspection import Verdict
from onlygood.station.decisions import now
from onlygood.station.record.tables import answers, decisions

_KEPT = 64


class Counts:
    """Decisions per verdict since a time, counted only once: rows never change, so only new ones need a look."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._known: OrderedDict[tuple[str, datetime.datetime | None], tuple[int, Counter[str]]] = OrderedDict()

    def __call__(self, connection: sa.Connection, recipe: str, since: datetime.datetime | None) -> Counter[str]:
        """Counts by verdict; of all recipes if `recipe` is empty."""
        key = (recipe, since)
        with self._lock:
            upto, known = self._known.get(key, (0, Counter()))
        c = decisions.c
        newest = connection.execute(sa.select(sa.func.max(c.seq))).scalar() or 0
        query = sa.select(c.verdict, sa.func.count()).where(c.seq > upto, c.seq <= newest).group_by(c.verdict)
        if recipe:
            query = query.where(c.recipe == recipe)
        if since is not None:
            query = query.where(c.time >= since)
        counts = known + Counter({row[0]: row[1] for row in connection.execute(query)})
        with self._lock:
            self._known[key] = (newest, counts)
            self._known.move_to_end(key)
            while len(self._known) > _KEPT:
                self._known.popitem(last=False)
        return Counter(counts)


def statistics(
    connection: sa.Connection, counts: Counts, recipe: str, since: datetime.datetime | None, last: int
) -> dict[str, Any]:
    """As `Record.statistics`."""
    by_verdict = counts(connection, recipe, since)
    said = _answers(connection, recipe, since)
    cycles = _cycles(connection, recipe, last)
    percentiles = np.percentile(cycles, (50, 95, 99)).tolist() if cycles else [None] * 3
    return {
        "recipe": recipe,
        "since": None if since is None else since.isoformat(timespec="milliseconds"),
        "total": sum(by_verdict.values()),
        "verdicts": {str(verdict): by_verdict[verdict] for verdict in Verdict},
        "answers": {str(verdict): said[verdict] for verdict in Verdict},
        "to_review": by_verdict[Verdict.REVIEW] - sum(said[Verdict.REVIEW].values()),
        "cycle_ms": {"parts": len(cycles), **dict(zip(("p50", "p95", "p99"), percentiles))},
        "parts_per_hour": _last_hour(connection, recipe),
    }


def _answers(connection: sa.Connection, recipe: str, since: datetime.datetime | None) -> dict[Verdict, dict[str, int]]:
    """How often operators said OK and NG, by the station's verdict. The latest answer to a decision counts."""
    newest = sa.select(sa.func.max(answers.c.seq)).group_by(answers.c.decision_id)
    query = (
        sa.select(decisions.c.verdict, answers.c.answer, sa.func.count())
        .join(decisions, decisions.c.id == answers.c.decision_id)
        .where(answers.c.seq.in_(newest))
        .group_by(decisions.c.verdict, answers.c.answer)
    )
    if recipe:
        query = query.where(decisions.c.recipe == recipe)
    if since is not None:
        query = query.where(decisions.c.time >= since)
    found = {verdict: {"OK": 0, "NG": 0} for verdict in Verdict}
    for verdict, answer, count in connection.execute(query):
        found[Verdict(verdict)][answer] = count
    return found


def _cycles(connection: sa.Connection, recipe: str, last: int) -> list[float]:
    """Milliseconds from arrival to verdict of the last decisions."""
    query = sa.select(decisions.c.wait_ms + decisions.c.inspect_ms).order_by(decisions.c.seq.desc()).limit(last)
    if recipe:
        query = query.where(decisions.c.recipe == recipe)
    return list(connection.execute(query).scalars())


def _last_hour(connection: sa.Connection, recipe: str) -> int:
    moment = now()
    c = decisions.c
    query = sa.select(sa.func.count()).where(c.time > moment - datetime.timedelta(hours=1), c.time <= moment)
    if recipe:
        query = query.where(c.recipe == recipe)
    return connection.execute(query).scalar_one()
