"""The audit trail: who changed what, when. Each entry is chained to the one before, so that a change shows.

The digest of an entry is SHA-256 over the digest before it and the entry itself as JSON (sorted keys, no spaces). Who
changes, removes or inserts an entry must make all later digests anew. Entries cut off at the end leave no trace in the
chain itself: note the last digest elsewhere from time to time.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import sqlalchemy as sa

from onlygood.station.decisions import now
from onlygood.station.record.rows import storable
from onlygood.station.record.tables import audit

#: What stands before the first entry.
FIRST = "0" * 64


class Action(StrEnum):
    """What was done, as an entry has it; the page has a sentence for each, in each of its languages."""

    ACTIVATE = "activate"
    ADD_MODEL = "add model"
    BUILD_CANDIDATE = "build candidate"
    DRIFT_ALARM = "drift alarm"
    GOLDEN_ADD = "golden add"
    GOLDEN_REMOVE = "golden remove"
    KEEP_IMAGES = "keep images"
    REFUSE_FILE = "refuse_file"
    REFUSE_MODEL = "refuse_model"
    REMOVE_MODEL = "remove model"
    RESTART_DRIFT = "restart drift"


@dataclass(frozen=True)
class AuditCheck:
    """Whether the trail is whole.

    Attributes:
        whole: No entry was changed, removed or put in.
        entries: How many there are.
        broken_at: Number (`seq`) of the first that does not fit; None if all do.
        digest: Of the last entry that fits. Who notes it elsewhere can tell later that nothing before was cut off.
    """

    whole: bool
    entries: int
    broken_at: int | None
    digest: str

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON types."""
        return dict(vars(self))


def append(
    connection: sa.Connection, who: str, action: Action, subject: str, detail: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """Add an entry in the transaction of what it tells of; gives the entry."""
    if connection.dialect.name == "postgresql":  # the chain has one end; SQLite has one writer anyway
        connection.execute(sa.text("LOCK TABLE audit IN SHARE ROW EXCLUSIVE MODE"))
    last = connection.execute(sa.select(audit.c.seq, audit.c.digest).order_by(audit.c.seq.desc()).limit(1)).first()
    entry: dict[str, Any] = {
        "seq": last.seq + 1 if last else 1,
        "time": now(),
        "who": storable(who),
        "action": str(action),
        "subject": storable(subject),
        "detail": json.loads(storable(json.dumps(dict(detail or {}), allow_nan=False, ensure_ascii=False))),
    }
    previous = last.digest if last else FIRST
    row = {**entry, "previous": previous, "digest": _digest(previous, entry)}
    connection.execute(sa.insert(audit).values(row))
    return as_dict(row)


def trail(connection: sa.Connection, limit: int, before: int | None, subject: str) -> list[dict[str, Any]]:
    """Entries, newest first; those before the entry `before`, and of that subject alone unless it is empty."""
    query = sa.select(audit).order_by(audit.c.seq.desc()).limit(limit)
    if before is not None:
        query = query.where(audit.c.seq < before)
    if subject:
        query = query.where(audit.c.subject == storable(subject))
    return [as_dict(row) for row in connection.execute(query).mappings()]


def last_of(connection: sa.Connection, action: Action) -> dict[str, Any] | None:
    """The newest entry of an action."""
    query = sa.select(audit).where(audit.c.action == str(action)).order_by(audit.c.seq.desc()).limit(1)
    row = connection.execute(query).mappings().first()
    return None if row is None else as_dict(row)


def verify(connection: sa.Connection) -> AuditCheck:
    """Follow the chain from its first entry."""
    digest, expected = FIRST, 1
    rows = connection.execution_options(yield_per=1000).execute(sa.select(audit).order_by(audit.c.seq))
    for row in rows.mappings():
        entry = {name: row[name] for name in ("seq", "time", "who", "action", "subject", "detail")}
        fits = row["seq"] == expected and row["previous"] == digest and row["digest"] == _digest(digest, entry)
        if not fits:
            rows.close()
            count = connection.execute(sa.select(sa.func.count()).select_from(audit)).scalar_one()
            return AuditCheck(False, count, min(row["seq"], expected), digest)
        digest, expected = row["digest"], expected + 1
    return AuditCheck(True, expected - 1, None, digest)


def as_dict(row: Mapping[Any, Any]) -> dict[str, Any]:
    """An entry in plain JSON types."""
    return {**row, "time": row["time"].isoformat(timespec="microseconds")}


def _digest(previous: str, entry: Mapping[str, Any]) -> str:
    text = json.dumps(as_dict(entry), sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(f"{previous}{text}".encode()).hexdigest()
