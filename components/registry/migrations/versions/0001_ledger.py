"""The ledger: one append-only table that the database itself keeps from being changed.

There is no way down: going back would throw away the record of who served when.
"""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

EVENTS = "'register', 'promote', 'hold', 'reject', 'rollback', 'release', 'repair'"

SQLITE_TRIGGERS = (
    "CREATE TRIGGER equipoise_ledger_no_update BEFORE UPDATE ON equipoise_ledger "
    "BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END",
    "CREATE TRIGGER equipoise_ledger_no_delete BEFORE DELETE ON equipoise_ledger "
    "BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END",
    # Also catches INSERT OR REPLACE, which deletes without calling delete triggers.
    "CREATE TRIGGER equipoise_ledger_next BEFORE INSERT ON equipoise_ledger "
    "WHEN NEW.sequence <> (SELECT COALESCE(MAX(sequence), 0) + 1 FROM equipoise_ledger) "
    "BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END",
)

POSTGRESQL_TRIGGERS = (
    "CREATE FUNCTION equipoise_ledger_refuse() RETURNS trigger LANGUAGE plpgsql AS "
    "$$ BEGIN RAISE EXCEPTION 'the ledger is append-only'; END $$",
    "CREATE FUNCTION equipoise_ledger_next() RETURNS trigger LANGUAGE plpgsql AS "
    "$$ BEGIN IF NEW.sequence <> (SELECT COALESCE(MAX(sequence), 0) + 1 FROM equipoise_ledger) THEN "
    "RAISE EXCEPTION 'the ledger is append-only'; END IF; RETURN NEW; END $$",
    "CREATE TRIGGER equipoise_ledger_no_change BEFORE UPDATE OR DELETE ON equipoise_ledger "
    "FOR EACH ROW EXECUTE FUNCTION equipoise_ledger_refuse()",
    "CREATE TRIGGER equipoise_ledger_no_truncate BEFORE TRUNCATE ON equipoise_ledger "
    "FOR EACH STATEMENT EXECUTE FUNCTION equipoise_ledger_refuse()",
    "CREATE TRIGGER equipoise_ledger_next BEFORE INSERT ON equipoise_ledger "
    "FOR EACH ROW EXECUTE FUNCTION equipoise_ledger_next()",
)


def upgrade() -> None:
    op.create_table(
        "equipoise_ledger",
        sa.Column("sequence", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("workload", sa.Text, nullable=False),
        sa.Column("event", sa.Text, nullable=False),
        sa.Column("version", sa.Integer),
        sa.Column("replaced", sa.Integer),
        sa.Column("evaluation_digest", sa.Text),
        sa.Column("report_sha256", sa.Text),
        sa.Column("decision_key", sa.Text, nullable=False),
        sa.Column("actor", sa.Text, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("details", sa.Text, nullable=False),
        sa.Column("time", sa.Text, nullable=False),
        sa.Column("generation", sa.Integer, nullable=False),
        sa.Column("previous_hash", sa.Text, nullable=False),
        sa.Column("hash", sa.Text, nullable=False),
        sa.CheckConstraint(f"event IN ({EVENTS})", name="equipoise_ledger_event"),
        sa.CheckConstraint("sequence >= 1 AND generation >= 0", name="equipoise_ledger_counts"),
        sa.UniqueConstraint("workload", "decision_key", name="equipoise_ledger_key"),
        sa.UniqueConstraint("hash", name="equipoise_ledger_hash"),
    )
    op.create_index("equipoise_ledger_workload", "equipoise_ledger", ["workload", "sequence"])
    op.create_index("equipoise_ledger_looks", "equipoise_ledger", ["workload", "evaluation_digest"])
    op.create_index("equipoise_ledger_version_of", "equipoise_ledger", ["workload", "version"])
    switch = sa.text("event IN ('promote', 'rollback')")
    op.create_index(
        "equipoise_ledger_one_champion",
        "equipoise_ledger",
        ["workload", "generation"],
        unique=True,
        sqlite_where=switch,
        postgresql_where=switch,
    )
    for statement in SQLITE_TRIGGERS if op.get_bind().dialect.name == "sqlite" else POSTGRESQL_TRIGGERS:
        op.execute(statement)
