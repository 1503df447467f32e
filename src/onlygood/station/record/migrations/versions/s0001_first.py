"""The first tables, and the triggers that let rows only be added."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from onlygood.station.record.tables import UtcTime

revision = "0001"
down_revision = None

_BIG = sa.BigInteger().with_variant(sa.Integer, "sqlite")
_APPEND_ONLY = ("decisions", "answers", "activations", "models", "golden", "removed_pictures", "audit")
#: By which column SQLite finds the row that `INSERT OR REPLACE` would put another in the place of, past the triggers.
_UNIQUE = {"models": "sha256 = NEW.sha256 AND recipe", "audit": "seq", "removed_pictures": "id"}


def _text(name: str) -> sa.Column[str]:
    return sa.Column(name, sa.Text, nullable=False)


def _one_of(column: str, words: str) -> sa.CheckConstraint:
    quoted = ", ".join(f"'{word}'" for word in words.split())
    return sa.CheckConstraint(f"{column} IN ({quoted})", name=column)


def upgrade() -> None:
    """Make them."""
    op.create_table(
        "decisions",
        sa.Column("seq", _BIG, primary_key=True, autoincrement=True),
        sa.Column("id", sa.String(32), nullable=False, unique=True),
        sa.Column("time", UtcTime, nullable=False),
        _text("recipe"),
        sa.Column("model", sa.String(64), nullable=False),
        _text("source"),
        _text("name"),
        sa.Column("verdict", sa.String(6), nullable=False),
        sa.Column("score", sa.Double, nullable=False),
        sa.Column("p_value", sa.Double, nullable=False),
        sa.Column("ng_threshold", sa.Double),
        sa.Column("review_threshold", sa.Double),
        sa.Column("pixel_threshold", sa.Double),
        _text("reason"),
        sa.Column("regions", sa.JSON, nullable=False),
        sa.Column("width", sa.Integer, nullable=False),
        sa.Column("height", sa.Integer, nullable=False),
        sa.Column("digest", sa.String(64), nullable=False),
        sa.Column("wait_ms", sa.Double, nullable=False),
        sa.Column("inspect_ms", sa.Double, nullable=False),
        _text("picture"),
        _text("map_picture"),
        _one_of("verdict", "OK REVIEW NG"),
        sqlite_autoincrement=True,
    )
    for columns in (["recipe", "seq"], ["verdict", "seq"], ["recipe", "score"], ["time"]):
        op.create_index(f"ix_decisions_{'_'.join(columns)}", "decisions", columns)
    op.create_table(
        "answers",
        sa.Column("seq", _BIG, primary_key=True, autoincrement=True),
        sa.Column("id", sa.String(32), nullable=False, unique=True),
        sa.Column("decision_id", sa.String(32), sa.ForeignKey("decisions.id"), nullable=False),
        sa.Column("time", UtcTime, nullable=False),
        _text("who"),
        sa.Column("answer", sa.String(2), nullable=False),
        _text("comment"),
        _one_of("answer", "OK NG"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_answers_decision_id_seq", "answers", ["decision_id", "seq"])
    op.create_table(
        "activations",
        sa.Column("seq", _BIG, primary_key=True, autoincrement=True),
        sa.Column("id", sa.String(32), nullable=False, unique=True),
        sa.Column("time", UtcTime, nullable=False),
        _text("recipe"),
        sa.Column("model", sa.String(64), nullable=False),
        sa.Column("ng_threshold", sa.Double),
        sa.Column("review_threshold", sa.Double),
        _text("who"),
        _text("why"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_activations_recipe_seq", "activations", ["recipe", "seq"])
    op.create_table(
        "models",
        sa.Column("seq", _BIG, primary_key=True, autoincrement=True),
        sa.Column("sha256", sa.String(64), nullable=False),
        sa.Column("time", UtcTime, nullable=False),
        _text("recipe"),
        _text("method"),
        sa.Column("origin", sa.String(9), nullable=False),
        _text("parent"),
        sa.Column("info", sa.JSON, nullable=False),
        _one_of("origin", "file upload candidate"),
        sa.UniqueConstraint("recipe", "sha256"),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "golden",
        sa.Column("seq", _BIG, primary_key=True, autoincrement=True),
        sa.Column("id", sa.String(32), nullable=False, unique=True),
        _text("recipe"),
        sa.Column("time", UtcTime, nullable=False),
        _text("who"),
        sa.Column("action", sa.String(6), nullable=False),
        sa.Column("digest", sa.String(64), nullable=False),
        _text("picture"),
        sa.Column("truth", sa.String(6), nullable=False),
        _text("name"),
        _text("decision_id"),
        _one_of("action", "add remove"),
        _one_of("truth", "good defect"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_golden_recipe_digest_seq", "golden", ["recipe", "digest", "seq"])
    op.create_table(
        "removed_pictures",
        sa.Column("id", sa.String(32), primary_key=True),
        sa.Column("time", UtcTime, nullable=False),
    )
    op.create_table(
        "audit",
        sa.Column("seq", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("time", UtcTime, nullable=False),
        _text("who"),
        _text("action"),
        _text("subject"),
        sa.Column("detail", sa.JSON, nullable=False),
        sa.Column("previous", sa.String(64), nullable=False),
        sa.Column("digest", sa.String(64), nullable=False, unique=True),
    )
    _append_only()


def _append_only() -> None:
    if op.get_context().dialect.name == "postgresql":
        op.execute(
            "CREATE FUNCTION onlygood_append_only() RETURNS trigger LANGUAGE plpgsql AS "
            "$$ BEGIN RAISE EXCEPTION '% is append-only', TG_TABLE_NAME; END $$"
        )
        for table in _APPEND_ONLY:
            op.execute(
                f"CREATE TRIGGER {table}_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON {table} "
                "FOR EACH STATEMENT EXECUTE FUNCTION onlygood_append_only()"
            )
        return
    for table in _APPEND_ONLY:
        for change in ("UPDATE", "DELETE"):
            op.execute(
                f"CREATE TRIGGER {table}_no_{change.lower()} BEFORE {change} ON {table} "
                f"BEGIN SELECT RAISE(ABORT, '{table} is append-only'); END"
            )
        # INSERT OR REPLACE removes the row in its way without asking the triggers of DELETE.
        column = _UNIQUE.get(table, "id")
        last = column.rsplit(" ", 1)[-1]
        op.execute(
            f"CREATE TRIGGER {table}_no_replace BEFORE INSERT ON {table} "
            f"WHEN EXISTS (SELECT 1 FROM {table} WHERE {column} = NEW.{last}) BEGIN SELECT RAISE(IGNORE); END"
        )
        if table not in ("removed_pictures", "audit"):
            op.execute(
                f"CREATE TRIGGER {table}_no_replace_seq BEFORE INSERT ON {table} "
                f"WHEN NEW.seq > 0 AND EXISTS (SELECT 1 FROM {table} WHERE seq = NEW.seq) "
                f"BEGIN SELECT RAISE(ABORT, '{table} is append-only'); END"
            )
