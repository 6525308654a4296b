"""Alembic's entry: migrates over the connection, and inside the transaction, that the ledger opened."""

from alembic import context

from components.registry.ledger_schema import METADATA, VERSION_TABLE

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=METADATA,
    version_table=VERSION_TABLE,
    transactional_ddl=True,  # SQLite can: a process killed half-way leaves the earlier schema
)
with context.begin_transaction():
    context.run_migrations()
