"""Puts right the two files that DVC rewrites in place, where a kill cut a write off.

DVC empties `dvc.lock` and `.dvc/tmp/rwlock` before it writes them, and refuses both ever after when the write did not
end. Of dvc.lock the last whole content is kept, and put back: a stage that ended since then is stale once more and ends
at once from what it left. In rwlock only processes that live have a say.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from components.files import write_atomically

if TYPE_CHECKING:
    from dvc.repo import Repo

KEPT = "equipoise-dvc.lock"  # in .dvc/tmp, which no version of a project holds


def mend(repo: Repo) -> None:
    """Leaves dvc.lock and rwlock as a DVC that was never killed would; nothing is written where nothing is wrong.

    Raises:
        dvc.lock.LockError: while another DVC writes one of them.
    """
    from dvc.lock import make_lock
    from dvc.rwlock import RWLOCK_FILE, RWLOCK_LOCK

    folder, linked = Path(str(repo.tmp_dir)), repo.config["core"].get("hardlink_lock", False)
    with repo.lock:  # type: ignore[attr-defined]
        _mend_stages(Path(repo.root_dir) / "dvc.lock", folder / KEPT)
        with make_lock(str(folder / RWLOCK_LOCK), tmp_dir=str(folder), hardlink_lock=linked):  # type: ignore[attr-defined]
            _mend_holders(folder / RWLOCK_FILE)


def _mend_stages(lock: Path, kept: Path) -> None:
    """Keeps a whole dvc.lock and puts the kept one in place of a damaged one; a deleted one stays deleted."""
    if not lock.is_file():
        return
    found, known = lock.read_bytes(), kept.read_bytes() if kept.is_file() else None
    if found == known:
        return
    if _is_whole(found):
        write_atomically(kept, lambda handle: handle.write(found))
    elif known is not None:
        write_atomically(lock, lambda handle: handle.write(known))


def _is_whole(content: bytes) -> bool:
    """Whether it reads as DVC's lock file: a mapping with a schema."""
    from dvc.utils.serialize import ParseError, parse_yaml

    try:
        values = parse_yaml(content.decode("utf-8"), "dvc.lock")
    except (ParseError, UnicodeDecodeError):
        return False
    return isinstance(values, dict) and "schema" in values


def _mend_holders(path: Path) -> None:
    """Drops holders whose process is gone from rwlock; a file that cannot be read names nobody."""
    if not path.is_file():
        return
    from dvc.rwlock import SCHEMA
    from voluptuous import Invalid  # DVC's own, as psutil below

    try:
        found: Any = SCHEMA(json.loads(path.read_bytes()))
        left = _living(found)
    except (ValueError, Invalid):  # cut off
        found, left = None, {}
    if left != found:
        write_atomically(path, lambda handle: handle.write(json.dumps(left).encode("utf-8")))


def _living(found: dict[str, Any]) -> dict[str, Any]:
    """DVC's {"write": {path: holder}, "read": {path: [holders]}} without holders that are gone."""
    from psutil import pid_exists

    write = {path: holder for path, holder in found.get("write", {}).items() if pid_exists(holder["pid"])}
    read = {path: [one for one in each if pid_exists(one["pid"])] for path, each in found.get("read", {}).items()}
    return {"write": write, "read": {path: each for path, each in read.items() if each}}
