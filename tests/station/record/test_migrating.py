"""A database is brought to this version's tables when it is opened, or refused."""

from __future__ import annotations

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from record_making import made, open_record

from onlygood.station.errors import StationError
from onlygood.station.record.migrating import VERSION_TABLE, config
from onlygood.station.record.tables import metadata


def engine_of(url: str) -> sa.Engine:
    return sa.create_engine(url.replace("postgresql:", "postgresql+psycopg:"), poolclass=sa.NullPool)


def test_the_steps_lead_from_nothing_to_the_tables(opening, url: str) -> None:
    opening()
    with engine_of(url).connect() as connection:
        options = {"version_table": VERSION_TABLE, "compare_type": True}
        context = MigrationContext.configure(connection, opts=options)
        assert compare_metadata(context, metadata) == []
        assert context.get_current_revision() == ScriptDirectory.from_config(config()).get_current_head()
        inspector = sa.inspect(connection)
        for name, table in metadata.tables.items():
            # what Alembic does not compare
            assert len(inspector.get_check_constraints(name)) == sum(
                isinstance(constraint, sa.CheckConstraint) for constraint in table.constraints
            )
            assert inspector.get_pk_constraint(name)["constrained_columns"] == table.primary_key.columns.keys()


def test_there_is_one_line_of_steps() -> None:
    assert len(ScriptDirectory.from_config(config()).get_heads()) == 1


def test_opening_again_changes_nothing(opening, url: str) -> None:
    decision = made()
    for _ in range(3):
        record = opening()
        record.add(decision)
        entries = record.audit_trail(500)
        record.close()
    assert len(entries) == 1  # whose images are kept


def test_a_change_of_what_is_kept_is_in_the_trail(url: str, tmp_path) -> None:
    from onlygood.station.record import Record

    for keep in ("all", "none", "none", "all"):
        record = Record.open(url, tmp_path / "data", keep=keep)
        trail = record.audit_trail()
        record.close()
    assert [entry["subject"] for entry in trail] == ["all", "none", "all"]


def test_a_database_of_a_newer_version_is_refused_and_left_alone(opening, url: str, tmp_path) -> None:
    record = opening()
    record.add(made())
    record.close()
    with engine_of(url).begin() as connection:
        connection.execute(sa.text(f"UPDATE {VERSION_TABLE} SET version_num = '9999'"))
    with pytest.raises(StationError, match=r"written by a newer version of onlygood .*Update onlygood"):
        open_record(url, tmp_path / "data")
    with engine_of(url).begin() as connection:
        assert connection.execute(sa.text("SELECT count(*) FROM decisions")).scalar() == 1
        connection.execute(sa.text(f"UPDATE {VERSION_TABLE} SET version_num = '0001'"))
    assert len(opening().decisions()) == 1


def test_tables_of_something_else_are_left_alone(url: str, tmp_path) -> None:
    with engine_of(url).begin() as connection:
        connection.execute(sa.text("CREATE TABLE models (name TEXT)"))
        connection.execute(sa.text("INSERT INTO models VALUES ('T')"))
    with pytest.raises(StationError, match="tables of something else"):
        open_record(url, tmp_path / "data")
    with engine_of(url).connect() as connection:
        assert sa.inspect(connection).get_table_names() == ["models"]
