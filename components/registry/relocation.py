"""A state folder that was moved or copied: the embedded MLflow database is told where its artefacts lie now.

MLflow makes every artefact address absolute before it stores it, so there is nothing relative to keep. What is stored
is put right instead, in one transaction, when the database is opened at another place than last time.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from urllib.parse import unquote, urlsplit

ADDRESSES = (  # of MLflow's tables, the columns that hold an artefact address
    ("experiments", "artifact_location"),
    ("runs", "artifact_uri"),
    ("logged_models", "artifact_location"),
    ("model_versions", "source"),
    ("model_versions", "storage_location"),
)


def rebase(database: Path, artefacts: Path, experiments: tuple[str, ...]) -> int:
    """Makes addresses below an earlier artefact folder those below `artefacts`; the same call again changes nothing.

    Args:
        experiments: last parts of our experiments' names, which are also the folders of their artefacts.

    Returns:
        How many addresses were changed.

    Raises:
        sqlite3.Error: when the database cannot be read or written.
    """
    with closing(sqlite3.connect(database, timeout=30.0, isolation_level=None)) as connection:
        if not _earlier(connection, artefacts, experiments):
            return 0
        connection.execute("BEGIN IMMEDIATE")
        changed, new = 0, artefacts.as_uri()
        for old in _earlier(connection, artefacts, experiments):
            for table, column in ADDRESSES:
                found = connection.execute(
                    f"UPDATE {table} SET {column} = ? || substr({column}, ?) WHERE substr({column}, 1, ?) = ?",
                    (new, len(old) + 1, len(old) + 1, f"{old}/"),
                )
                changed += found.rowcount
        connection.execute("COMMIT")
    return changed


def local_path(address: str) -> Path | None:
    """The folder a stored address names, None for one that is not of this machine's files."""
    parts = urlsplit(address)
    if parts.scheme not in ("", "file"):
        return None
    return Path(unquote(parts.path) if parts.scheme else address)


def is_folder(address: str, folder: Path) -> bool:
    """Whether an address names that folder, links followed."""
    path = local_path(address)
    return path is not None and path.resolve() == folder.resolve()


def _earlier(connection: sqlite3.Connection, artefacts: Path, experiments: tuple[str, ...]) -> set[str]:
    """The addresses of artefact folders, as they are stored, that are not `artefacts`."""
    rows = connection.execute("SELECT name, artifact_location FROM experiments").fetchall()
    folders = {
        folder
        for name, location in rows
        for folder, _, last in [location.rpartition("/")]
        if last in experiments and name.rpartition("/")[2] == last and local_path(location) is not None
    }
    return {folder for folder in folders if not is_folder(folder, artefacts)}
