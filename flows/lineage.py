"""`equipoise lineage` and `diff`: what a version was made of, by whom it was judged, and what differs between two."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from components.data import strict_json
from components.errors import misconfigured
from components.files import sha256_file, sha256_tree
from components.registry import aliases, artefacts, packaging
from components.registry.tracking import flatten
from flows.registration import Desk, desk
from flows.state import Place

RESULT = "result.json"  # of a campaign
JUDGEMENTS = ("promote", "hold", "reject", "rollback")
TRAINED = ("steps", "best_epoch", "parameters", "threads", "numerics", "torch", "fingerprint", "alarms")
OPENED = ("data", "code", "training", "parameters", "validation", "files")  # compared by `diff`, in this order

Say = Callable[[str], object]


def lineage(place: Place, workload: str, version: int | None, say: Say) -> dict[str, Any]:
    """What a version (None: the champion) was made of, from records whose digests were checked now.

    Returns:
        {workload, version, kind, standing, registered, artefact, data, code, training, losses, parameters, validation,
        files, campaign, parents, judgements}. A baseline has no training, losses or parameters of its own.

    Raises:
        EquipoiseError: E_NO_CHAMPION (78); E_MODEL_VERSION (66), E_ARTEFACT (65) and what else the registry says.
    """
    with desk(place, workload, None, say) as at:
        return made_of(at, version if version is not None else champion_of(at))


def difference(place: Place, workload: str, version: int, other: int, say: Say) -> dict[str, Any]:
    """What differs between two versions: {workload, versions, equal, data, code, training, parameters, ...}.

    Each part maps a key to [value of `version`, value of `other`], None where one of them has no such key; of
    `validation` a third entry is the difference.
    """
    with desk(place, workload, None, say) as at:
        parts = [made_of(at, number) for number in (version, other)]
    sides = [{name: flatten(part[name]) for name in OPENED} for part in parts]
    found = {name: changed(sides[0][name], sides[1][name]) for name in OPENED}
    for pair in found["validation"].values():
        if all(isinstance(value, (int, float)) for value in pair):
            pair.append(pair[0] - pair[1])
    equal = parts[0]["artefact"]["model_digest"] == parts[1]["artefact"]["model_digest"]
    return {"workload": workload, "versions": [version, other], "equal": equal, **found}


def champion_of(at: Desk) -> int:
    """The version that serves; E_NO_CHAMPION (78) where none does."""
    if (champion := at.ledger.champion(at.name)) is None:
        hint = "Name a version, or retrain first"
        raise misconfigured(at.name, "there must be a champion", got="none", hint=hint, code="NO_CHAMPION")
    return champion


def made_of(at: Desk, version: int) -> dict[str, Any]:
    """`lineage` of a version at an open desk."""
    found = aliases.find(at.store, at.name, version)
    folder = aliases.resolve(at.store, at.name, version, at.artefact_digest(version))
    model = json.loads((folder / packaging.MODEL / "model.json").read_text(encoding="utf-8"))
    events = [event.document() for event in at.ledger.history(at.name)]
    own = [event for event in events if event["version"] == version]
    section = model.get("section", {})
    return {
        "workload": at.name,
        "version": version,
        "kind": model["kind"],
        "standing": _standing(at, version),
        "registered": _registered(own),
        "artefact": {
            "digest": artefacts.verify(folder),
            "model_digest": found.tags.get(packaging.MODEL_DIGEST),
            "bytes": sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()),
            "run_id": found.run_id,
        },
        "data": {
            "digest": found.tags.get("data_digest"),
            "source": section.get("data", {}).get("source"),
            "dvc_lock": found.tags.get("dvc_lock_digest"),
        },
        "code": {
            "commit": found.tags.get("git_commit"),
            "digest": _tree_digest(folder / packaging.SOURCES),
            "packages": _packages(folder),
        },
        "training": {k: model[k] for k in TRAINED if k in model} | _seed(section),
        "losses": flatten(section.get("loss", {})),
        "parameters": {part: section[part] for part in ("data", "model", "loss", "training") if part in section},
        "validation": model.get("validation", {}),
        "files": model.get("files", {}),
        "campaign": _campaign(at, section),
        "parents": {"beside": at.ledger.registered(at.name, version).get("beside", {}),
                    "replaced": next((e["replaced"] for e in own if e["event"] == "promote"), None)},
        "judgements": [_judgement(at, event) for event in own if event["event"] in JUDGEMENTS],
    }  # fmt: skip


def _registered(own: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    return next(({k: e[k] for k in ("time", "actor", "reason")} for e in own if e["event"] == "register"), {})


def _seed(section: Mapping[str, Any]) -> dict[str, Any]:
    return {"seed": section["training"]["seed"]} if "training" in section else {}


def _standing(at: Desk, version: int) -> str:
    state = at.ledger.state(at.name)
    named = {state.previous: "previous champion", state.champion: "champion"}
    return named.get(version, "registered")


def _judgement(at: Desk, event: Mapping[str, Any]) -> dict[str, Any]:
    """An event about the version, with the heads of its gate report where that is still there."""
    kept = {k: event[k] for k in ("event", "time", "actor", "reason", "replaced", "evaluation_digest", "report_sha256")}
    path = at.place.gate_report(at.name, event["report_sha256"] or "none")
    if not path.is_file():
        return kept | {"report": None, "heads": []}
    return kept | {"report": str(path), "heads": strict_json.read(path)["heads"]}


def _tree_digest(folder: Path) -> str | None:
    """SHA-256 over the package's own source as it is kept with the version."""
    return sha256_tree(folder) if folder.is_dir() else None


def _packages(folder: Path) -> dict[str, str]:
    """Package -> exact version, as the version's requirements have them."""
    lines = (folder / "requirements.txt").read_text(encoding="utf-8").splitlines()
    pairs = (line.partition("==") for line in lines if "==" in line)
    return {name: version for name, _, version in pairs}


def _campaign(at: Desk, section: Mapping[str, Any]) -> dict[str, Any] | None:
    """The campaign of this state folder whose candidate has exactly these numbers in its loss; None where none has.

    Candidate 0 has the weights that ship, so that it is no sign of a campaign.
    """
    losses = flatten(section.get("loss", {}))
    for path in sorted((at.place.state / "campaigns").glob(f"*/{at.name}/*/{RESULT}")):
        document = strict_json.read(path)
        for each in (document["best"], *document["front"]):
            weights = each["weights"]
            if each["number"] and weights and all(losses.get(key) == value for key, value in weights.items()):
                return {"study": document["study"], "candidate": each["number"], "verdict": document["verdict"],
                        "result": str(path), "sha256": sha256_file(path)}  # fmt: skip
    return None


def changed(one: Mapping[str, Any], other: Mapping[str, Any]) -> dict[str, list[Any]]:
    """Key -> [value of `one`, value of `other`] where they differ, None for a key that one of them lacks."""
    names = sorted(one.keys() | other.keys())
    return {name: [one.get(name), other.get(name)] for name in names if one.get(name) != other.get(name)}
