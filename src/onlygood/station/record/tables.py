"""The tables of the record. Rows are only ever added: triggers (in the migrations) refuse to change or remove one."""

from __future__ import annotations

import datetime
from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    CheckConstraint,
    Column,
    DateTime,
    Dialect,
    Double,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
)
from sqlalchemy.types import TypeDecorator


class UtcTime(TypeDecorator[datetime.datetime]):
    """Times in UTC to the microsecond, in databases that keep the zone (PostgreSQL) and that do not (SQLite)."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime.datetime | None, dialect: Dialect) -> datetime.datetime | None:
        """Into the database."""
        if value is None:
            return None
        utc = value.astimezone(datetime.UTC)
        return utc.replace(tzinfo=None) if dialect.name == "sqlite" else utc

    def process_result_value(self, value: datetime.datetime | None, dialect: Dialect) -> datetime.datetime | None:
        """Out of it."""
        if value is None:
            return None
        return value.replace(tzinfo=datetime.UTC) if value.tzinfo is None else value.astimezone(datetime.UTC)


metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "pk": "pk_%(table_name)s",
    }
)


def _seq() -> Column[int]:
    """The order in which rows came in, whatever the clock said."""
    # SQLite numbers only a column of exactly this type by itself; its integers have 64 bits anyway.
    return Column("seq", BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=True)


def _text(name: str, **more: Any) -> Column[str]:
    return Column(name, Text, nullable=False, **more)


def _time() -> Column[datetime.datetime]:
    return Column("time", UtcTime, nullable=False)


def _one_of(column: str, *words: str) -> CheckConstraint:
    return CheckConstraint(f"{column} IN ({', '.join(repr(word) for word in words)})", name=column)


#: One row per inspected image. Thresholds are NULL where they are infinite.
decisions = Table(
    "decisions",
    metadata,
    _seq(),
    Column("id", String(32), nullable=False, unique=True),
    _time(),
    _text("recipe"),
    Column("model", String(64), nullable=False),
    _text("source"),
    _text("name"),
    Column("verdict", String(6), nullable=False),
    Column("score", Double, nullable=False),
    Column("p_value", Double, nullable=False),
    Column("ng_threshold", Double),
    Column("review_threshold", Double),
    Column("pixel_threshold", Double),
    _text("reason"),
    Column("regions", JSON, nullable=False),
    Column("width", Integer, nullable=False),
    Column("height", Integer, nullable=False),
    Column("digest", String(64), nullable=False),
    Column("wait_ms", Double, nullable=False),
    Column("inspect_ms", Double, nullable=False),
    _text("picture"),
    _text("map_picture"),
    _one_of("verdict", "OK", "REVIEW", "NG"),
    Index(None, "recipe", "seq"),
    Index(None, "verdict", "seq"),
    Index(None, "recipe", "score"),
    Index(None, "time"),
    sqlite_autoincrement=True,
)

#: What people said of a decision. The latest counts.
answers = Table(
    "answers",
    metadata,
    _seq(),
    Column("id", String(32), nullable=False, unique=True),
    Column("decision_id", String(32), ForeignKey("decisions.id"), nullable=False),
    _time(),
    _text("who"),
    Column("answer", String(2), nullable=False),
    _text("comment"),
    _one_of("answer", "OK", "NG"),
    Index(None, "decision_id", "seq"),
    sqlite_autoincrement=True,
)

#: Which model answers for a recipe with which thresholds. The latest of a recipe is on duty.
activations = Table(
    "activations",
    metadata,
    _seq(),
    Column("id", String(32), nullable=False, unique=True),
    _time(),
    _text("recipe"),
    Column("model", String(64), nullable=False),
    Column("ng_threshold", Double),
    Column("review_threshold", Double),
    _text("who"),
    _text("why"),
    Index(None, "recipe", "seq"),
    sqlite_autoincrement=True,
)

#: Model files that were taken in, once per recipe that uses them.
models = Table(
    "models",
    metadata,
    _seq(),
    Column("sha256", String(64), nullable=False),
    _time(),
    _text("recipe"),
    _text("method"),
    Column("origin", String(9), nullable=False),
    _text("parent"),
    Column("info", JSON, nullable=False),
    _one_of("origin", "file", "upload", "candidate"),
    UniqueConstraint("recipe", "sha256"),
    sqlite_autoincrement=True,
)

#: Images with known answers; the last row of an image's digest says whether it is in the set.
golden = Table(
    "golden",
    metadata,
    _seq(),
    Column("id", String(32), nullable=False, unique=True),
    _text("recipe"),
    _time(),
    _text("who"),
    Column("action", String(6), nullable=False),
    Column("digest", String(64), nullable=False),
    _text("picture"),
    Column("truth", String(6), nullable=False),
    _text("name"),
    _text("decision_id"),
    _one_of("action", "add", "remove"),
    _one_of("truth", "good", "defect"),
    Index(None, "recipe", "digest", "seq"),
    sqlite_autoincrement=True,
)

#: Decisions whose pictures had to go for the quota.
removed_pictures = Table(
    "removed_pictures",
    metadata,
    Column("id", String(32), primary_key=True),
    _time(),
)

#: Who changed what, each row chained to the one before by its digest (`audit.py`).
audit = Table(
    "audit",
    metadata,
    Column("seq", BigInteger, primary_key=True, autoincrement=False),
    _time(),
    _text("who"),
    _text("action"),
    _text("subject"),
    Column("detail", JSON, nullable=False),
    Column("previous", String(64), nullable=False),
    Column("digest", String(64), nullable=False, unique=True),
)
