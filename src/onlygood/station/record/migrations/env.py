"""What Alembic calls: runs the steps on the connection that `migrating.py` hands over, in its transaction."""

from __future__ import annotations

from alembic import context

from onlygood.station.record.migrating import VERSION_TABLE
from onlygood.station.record.tables import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    version_table=VERSION_TABLE,
    transactional_ddl=True,
)
with context.begin_transaction():
    context.run_migrations()
