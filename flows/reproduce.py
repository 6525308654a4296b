"""`equipoise reproduce`: makes a version again, by the code and the parameters kept with it, and compares the bytes."""

from __future__ import annotations

import json
import os
import shutil
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from components.config import read_yaml
from components.errors import EquipoiseError, Exit, misconfigured, missing
from components.files import sha256_file, write_text
from components.registry import aliases, packaging
from components.training.fingerprint import RECIPE_PARTS
from flows import children, provenance
from flows.lineage import champion_of
from flows.registration import Desk, desk
from flows.stages import EMBEDDED
from flows.state import Place, exclusive

FOLDER = "reproduced"  # in the state folder
WORDS = {"threads": "number of threads", "numerics": "device or precision", "torch": "torch",
         "fingerprint": "what the training is known by (data, recipe, code, torch)"}  # fmt: skip

Say = Callable[[str], object]


@dataclass(frozen=True)
class Kept:
    """What a version keeps of how it was made: its artefact's folder, its model.json, its params.yaml."""

    version: int
    folder: Path
    card: Mapping[str, Any]
    params: Mapping[str, Any]


def reproduce(place: Place, workload: str, version: int | None, say: Say) -> dict[str, Any]:
    """Prepares and trains a version (None: the champion) again in a folder of the state, from its own code.

    A second call goes on where a first was stopped. The project's own prepared data are taken where they have the
    digest that the version's had.

    Returns:
        {workload, version, equal, files: {name: {registered, made}}, differs, folder, seconds}; `differs` says what was
        not as it was then, which is where to look when `equal` is false.

    Raises:
        EquipoiseError: E_REPRODUCE (66) for a version that no training made or that keeps no parameters; what the
            stages report.
        KeyboardInterrupt: on ctrl-C, with the training's state saved.
    """
    began = time.monotonic()
    with desk(place, workload, None, say) as at:
        kept = _kept(at, version if version is not None else champion_of(at))
        tags = aliases.find(at.store, workload, kept.version).tags
    with exclusive(place, f"{workload}-reproduce"):
        root = place.state / FOLDER / f"{workload}-{kept.version}"
        project = _project(root, place, workload, kept)
        for stage in _stages(place, project, workload, kept, tags.get("data_digest"), say):
            _run(stage, workload, project, kept, say)
    made = Place(project, place.state)
    files, differs = _compared(made, workload, kept, tags)
    return {
        "workload": workload,
        "version": kept.version,
        "equal": all(pair["registered"] == pair["made"] for pair in files.values()),
        "files": files,
        "differs": differs,
        "folder": str(made.checkpoint(workload)),
        "seconds": round(time.monotonic() - began, 1),
    }


def _kept(at: Desk, version: int) -> Kept:
    folder = aliases.resolve(at.store, at.name, version, at.artefact_digest(version))
    card = json.loads((folder / packaging.MODEL / "model.json").read_text(encoding="utf-8"))
    name, hint = f"{at.name} version {version}", "Name a version that `equipoise retrain` made"
    if "section" not in card:
        raise missing(name, "must be a trained model", got=f"a {card['kind']}", hint=hint, code="REPRODUCE")
    if not (folder / packaging.PARAMS).is_file():
        raise missing(name, "must keep its params.yaml", got="none", hint=hint, code="REPRODUCE")
    params = read_yaml(folder / packaging.PARAMS)
    for part in RECIPE_PARTS:  # registered with another params.yaml than it was trained with: the model's own counts
        if part in card["section"]:
            params[at.name][part] = _ordered(card["section"][part], params[at.name].get(part))
    return Kept(version, folder, card, params)


def _ordered(values: Any, like: Any) -> Any:
    """The values with their keys in the order of `like`, as far as it has them: a model.json has its keys sorted, and
    what a class stands for may go by their order."""
    if not isinstance(values, Mapping) or not isinstance(like, Mapping):
        return values
    known = [key for key in like if key in values]
    return {key: _ordered(values[key], like.get(key)) for key in [*known, *(k for k in values if k not in like)]}


def _project(root: Path, place: Place, workload: str, kept: Kept) -> Path:
    """The folder in which the stages run: the version's parameters, and its raw data where they were seen from it."""
    source = os.path.normpath(kept.params[workload]["data"]["source"])
    above = source.split(os.sep).count("..")
    project = root.joinpath(*["below"] * above, "project")
    write_text(project / "params.yaml", yaml.safe_dump(kept.params, sort_keys=False, allow_unicode=True))
    if not os.path.isabs(source) and not _embedded(workload, kept):
        seen = Path(os.path.normpath(project / source))
        seen.parent.mkdir(parents=True, exist_ok=True)
        seen.unlink(missing_ok=True)
        seen.symlink_to(os.path.normpath(place.project / source))
    return project


def _stages(place: Place, project: Path, workload: str, kept: Kept, digest: str | None, say: Say) -> list[str]:
    """The stages that have to run, after the prepared data were taken over where they are those of the version."""
    taught = ["teacher"] if "teacher" in kept.params[workload] else []
    target = project / "data" / "prepared" / workload
    if (target / "manifest.json").is_file() and sha256_file(target / "manifest.json") == digest:
        return [*taught, "train"]
    own = place.prepared(workload)
    if (own / "manifest.json").is_file() and provenance.data_digest(place, workload) == digest:
        say("the project's prepared data are those of the version")
        shutil.rmtree(target, ignore_errors=True)
        shutil.copytree(own, target)
        return [*taught, "train"]
    return [*(["generate"] if _embedded(workload, kept) else []), "prepare", *taught, "train"]


def _embedded(workload: str, kept: Kept) -> bool:
    """As `stages.needed` asks it, but of parameters that today's configuration may not know."""
    return os.path.normpath(kept.params[workload]["data"]["source"]) == f"{EMBEDDED}/{workload}"


def _run(stage: str, workload: str, project: Path, kept: Kept, say: Say) -> None:
    """One stage by the version's own code.

    Raises:
        EquipoiseError: what the stage reported, or E_STAGE (78) with its last line.
    """
    say(f"{stage} {workload} by the code of version {kept.version}")
    command = [sys.executable, "-m", "components.stage", stage, workload]
    environment = packaging.served_environment() | {"PYTHONPATH": str(kept.folder / packaging.SOURCES)}
    if kept.card["numerics"]["device"] == "cpu":
        environment["EQUIPOISE_DEVICE"] = "cpu"
    lines, status = children.run(command, project, environment, say)
    if status:
        if error := children.reported(lines, status):
            raise error
        last, hint = lines[-1] if lines else "no output", f"Look at {project}"
        raise EquipoiseError("STAGE", f"{stage}@{workload}", "must run to its end", got=last, hint=hint,
                             exit_code=Exit.CONFIGURATION)  # fmt: skip


def _compared(
    made: Place, workload: str, kept: Kept, tags: Mapping[str, str]
) -> tuple[dict[str, dict[str, str | None]], list[str]]:
    """Digests of the files that are served, registered and made, and in words what was otherwise this time."""
    folder, registered = made.checkpoint(workload), kept.folder / packaging.MODEL
    card = json.loads((folder / "model.json").read_text(encoding="utf-8"))
    names = sorted(card.get("files", {}).keys() | kept.card.get("files", {}).keys())
    files = {
        name: {"registered": _digest(registered / name), "made": _digest(folder / name)}
        for name in [*names, "model.json"]
    }
    differs = []
    if (digest := provenance.data_digest(made, workload)) != tags.get("data_digest"):
        differs.append(f"prepared data: {digest[:12]}, then {str(tags.get('data_digest'))[:12]}")
    for key, words in WORDS.items():
        if card[key] != kept.card[key]:
            differs.append(f"{words}: {_shown(card[key])}, then {_shown(kept.card[key])}")
    return files, differs


def _shown(value: Any) -> str:
    return ", ".join(f"{k} {v}" for k, v in value.items()) if isinstance(value, Mapping) else str(value)[:24]


def _digest(path: Path) -> str | None:
    return sha256_file(path) if path.is_file() else None


def not_equal(document: Mapping[str, Any]) -> EquipoiseError:
    """E_REPRODUCED (78): the files that are not the registered ones."""
    other = [name for name, pair in document["files"].items() if pair["registered"] != pair["made"]]
    because = "; ".join(document["differs"]) or "nothing that is recorded: look for hardware"
    place = f"{document['workload']} version {document['version']}"
    return misconfigured(place, "must come out byte for byte", got=f"other {', '.join(other)}",
                         hint=f"What was otherwise: {because}", code="REPRODUCED")  # fmt: skip
