"""The ledger's one table. Its names carry the product's: it may share a database with MLflow, Optuna and Prefect."""

from __future__ import annotations

from sqlalchemy import CheckConstraint, Column, Index, Integer, MetaData, Table, Text, UniqueConstraint, text

HEAD = "0001"  # the newest migration; a ledger at HEAD is opened without importing Alembic
VERSION_TABLE = "equipoise_ledger_version"

EVENTS = ("register", "promote", "hold", "reject", "rollback", "release", "repair")
SWITCHES = ("promote", "rollback")  # what changes the champion, and nothing else does
JUDGEMENTS = ("promote", "hold", "reject")  # each is one look at its evaluation set

METADATA = MetaData()

LEDGER = Table(
    "equipoise_ledger",
    METADATA,
    Column("sequence", Integer, primary_key=True, autoincrement=False),  # 1, 2, 3, ... over all workloads, no gaps
    Column("workload", Text, nullable=False),
    Column("event", Text, nullable=False),
    Column("version", Integer),
    Column("replaced", Integer),  # the champion this event took the place of
    Column("evaluation_digest", Text),
    Column("report_sha256", Text),  # of the gate report
    Column("decision_key", Text, nullable=False),
    Column("actor", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("details", Text, nullable=False),  # canonical JSON object
    Column("time", Text, nullable=False),  # UTC, fixed width: text order is time order
    Column("generation", Integer, nullable=False),  # of the workload, after this event
    Column("previous_hash", Text, nullable=False),
    Column("hash", Text, nullable=False),
    CheckConstraint(f"event IN ({', '.join(repr(e) for e in EVENTS)})", name="equipoise_ledger_event"),
    CheckConstraint("sequence >= 1 AND generation >= 0", name="equipoise_ledger_counts"),
    UniqueConstraint("workload", "decision_key", name="equipoise_ledger_key"),
    UniqueConstraint("hash", name="equipoise_ledger_hash"),
)

Index("equipoise_ledger_workload", LEDGER.c.workload, LEDGER.c.sequence)
Index("equipoise_ledger_looks", LEDGER.c.workload, LEDGER.c.evaluation_digest)
Index("equipoise_ledger_version_of", LEDGER.c.workload, LEDGER.c.version)
# The database itself refuses a second champion of one generation, whatever code writes.
_SWITCH = text("event IN ('promote', 'rollback')")
Index(
    "equipoise_ledger_one_champion",
    LEDGER.c.workload,
    LEDGER.c.generation,
    unique=True,
    sqlite_where=_SWITCH,
    postgresql_where=_SWITCH,
)
