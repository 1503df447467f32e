"""Rows can only be added, and the audit trail shows who does it otherwise."""

from __future__ import annotations

import hashlib
import json

import pytest
import sqlalchemy as sa
from record_making import MODEL, made

from onlygood.station.decisions import Thresholds
from onlygood.station.record import Record
from onlygood.station.record.tables import metadata


@pytest.fixture
def filled(record: Record, url: str) -> Record:
    """A record with a row in every table."""
    decision = made()
    record.add(decision)
    record.answer(decision.id, "OK", "eva")
    record.add_model(MODEL, "plate", "reb", "file")
    record.activate("plate", MODEL, Thresholds(3, 2), "eva", "first")
    record.add_golden("plate", "1" * 64, "1.png", "good", "eva")
    record.pictures_removed([decision.id])
    return record


def engine_of(url: str) -> sa.Engine:
    return sa.create_engine(url.replace("postgresql:", "postgresql+psycopg:"), poolclass=sa.NullPool)


def rows_of(url: str, table: str) -> list[tuple]:
    with engine_of(url).connect() as connection:
        return [tuple(map(repr, row)) for row in connection.execute(sa.text(f"SELECT * FROM {table} ORDER BY 1"))]


def test_no_row_of_any_table_can_be_changed_or_removed(filled: Record, url: str) -> None:
    for table in metadata.tables:
        before = rows_of(url, table)
        assert before
        statements = [f"UPDATE {table} SET time = time", f"DELETE FROM {table}"]
        if url.startswith("postgresql"):
            statements.append(f"TRUNCATE {table} CASCADE")
        for statement in statements:
            with pytest.raises(sa.exc.DBAPIError, match="append-only"), engine_of(url).begin() as connection:
                connection.execute(sa.text(statement))
        assert rows_of(url, table) == before


@pytest.mark.parametrize("url", ["sqlite"], indirect=True)
@pytest.mark.parametrize("table", sorted(metadata.tables))
def test_no_row_can_be_put_in_the_place_of_another(filled: Record, url: str, table: str) -> None:
    before = rows_of(url, table)
    names = metadata.tables[table].columns.keys()
    others = [name for name in names if name not in ("seq", "id", "sha256", "recipe")]
    changed = [f"'1999-01-01 00:00:00.000000' AS {name}" if name == "time" else name for name in names]
    assert "time" in others
    numbers = ["seq"] if "seq" in names else []
    without = [part for part, name in zip(changed, names) if name != "seq"]
    for columns, into in ((changed, names), (without, [name for name in names if name not in numbers])):
        if table == "audit" and len(columns) < len(names):
            continue  # its number is never given by the database
        statement = f"INSERT OR REPLACE INTO {table} ({', '.join(into)}) SELECT {', '.join(columns)} FROM {table}"
        try:
            with engine_of(url).begin() as connection:
                connection.execute(sa.text(statement))
        except sa.exc.DBAPIError:
            pass  # refused aloud, or passed over: both leave the rows
        assert rows_of(url, table) == before


def test_the_digests_are_what_the_documentation_says(filled: Record) -> None:
    previous = "0" * 64
    for entry in filled.audit_trail(500)[::-1]:
        rest = {name: entry[name] for name in ("seq", "time", "who", "action", "subject", "detail")}
        text = previous + json.dumps(rest, sort_keys=True, separators=(",", ":"))
        previous = hashlib.sha256(text.encode()).hexdigest()
        assert entry["digest"] == previous
    check = filled.verify_audit()
    assert (check.whole, check.broken_at, check.digest) == (True, None, previous)


def test_pages_of_the_trail(record: Record) -> None:
    for i in range(7):
        record.audit("test", f"entry {i}", {"i": i, "half": 0.5, "text": "ü\0", "none": None}, "eva")
    trail = record.audit_trail(500)
    assert [entry["seq"] for entry in trail] == list(range(len(trail), 0, -1))
    pages, before = [], None
    while page := record.audit_trail(3, before):
        pages += page
        before = page[-1]["seq"]
    assert pages == trail
    assert record.verify_audit().whole


FORGERIES = [
    ("UPDATE audit SET who = 'nobody' WHERE seq = 3", 3),
    ("UPDATE audit SET detail = '{}' WHERE seq = 2", 2),
    ("DELETE FROM audit WHERE seq = 3", 3),
    ("DELETE FROM audit WHERE seq = 1", 1),
    ("UPDATE audit SET time = (SELECT time FROM audit WHERE seq = 1) WHERE seq = 4", 4),
    ("UPDATE audit SET seq = 100 WHERE seq = 5", 5),
]


@pytest.mark.parametrize(("forgery", "place"), FORGERIES)
def test_a_forged_trail_is_found_where_it_was_forged(record: Record, url: str, forgery: str, place: int) -> None:
    for i in range(5):
        record.audit("threshold", "plate", {"from": i, "to": i + 0.5}, "eva")
    assert record.verify_audit().whole
    with engine_of(url).begin() as connection:
        if url.startswith("sqlite"):
            for trigger in ("audit_no_update", "audit_no_delete"):
                connection.execute(sa.text(f"DROP TRIGGER {trigger}"))
        else:
            connection.execute(sa.text("DROP TRIGGER audit_append_only ON audit"))
        connection.execute(sa.text(forgery))
    check = record.verify_audit()
    assert not check.whole and check.broken_at == place
