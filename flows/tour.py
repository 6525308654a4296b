"""`equipoise tour`, which `make run` calls: the life cycle of a model on the embedded data, and a page about it."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from components.config_edit import edit
from flows import provenance
from flows.cycle import run as retrain
from flows.judging import Outcome, decide
from flows.present import heads
from flows.promote import roll_back
from flows.registration import Desk, desk, register_folder
from flows.stages import bring_up_to_date
from flows.state import Place

WORKLOAD = "tool_calling"
WEIGHTS = "model.safetensors"
DAMAGED = "decision"  # parameters whose name says so are turned around
Say = Callable[[str], object]


def run(place: Place, say: Say) -> dict[str, Any]:
    """First champion, promotion, a twin, a damaged model, a rollback: {steps, page}."""
    began = time.monotonic()
    say("1/4 retrain: prepare, train, evaluate, first champion, gate")
    first = retrain(place, WORKLOAD, None, say)
    with desk(place, WORKLOAD, None, say) as at:
        say("2/4 a twin: the same recipe from another seed")
        twin = _judged(at, _twin(at), "a twin from another seed")
        say("3/4 a damaged model: the decision head turned around")
        damaged = _judged(at, (at, _damaged(at)), "its decision head was damaged on purpose")
        say("4/4 rollback")
        back = _rolled_back(place, at, say)
        digests = {
            "dataset": provenance.data_digest(place, WORKLOAD),
            "checkpoint": provenance.candidate_digest(place, WORKLOAD),
        }
        ledger = at.ledger.verify()
    steps = {"retrain": first, "twin": _document(twin), "damaged": _document(damaged), "rollback": back}
    facts = {"digests": digests, "events": ledger.events, "seconds": round(time.monotonic() - began, 1)}
    return {"steps": steps, **facts, "page": page(place, steps, facts)}


def _judged(at: Desk, made: tuple[Desk, Path], name: str) -> Outcome:
    maker, folder = made
    return decide(at, register_folder(maker, folder, name), reason=name)


def _twin(at: Desk) -> tuple[Desk, Path]:
    """Trains the same recipe with the next seed in a project of its own, on the same prepared data."""
    project = at.place.state / "tour" / "twin"
    _copy_project(at.place.project, project)
    edit(project / "params.yaml", WORKLOAD, [f"training.seed={at.section.training.seed + 1}"])
    where = Place(project, at.place.state)
    bring_up_to_date(where, WORKLOAD, "train", at.say)
    return replace(at, place=where, section=getattr(where.config(), WORKLOAD)), where.checkpoint(WORKLOAD)


def _copy_project(source: Path, target: Path) -> None:
    """What a project's stages need: parameters, stages and code; the prepared data comes along, not made again."""
    target.mkdir(parents=True, exist_ok=True)
    for name in ("params.yaml", "dvc.yaml", "dvc.lock", ".dvcignore"):
        shutil.copyfile(source / name, target / name)
    skip = shutil.ignore_patterns("__pycache__")
    for name in ("components", f"data/raw/{WORKLOAD}", f"data/prepared/{WORKLOAD}"):
        shutil.copytree(source / name, target / name, ignore=skip, dirs_exist_ok=True)


def _damaged(at: Desk) -> Path:
    """A copy of the checkpoint whose decision head says the opposite."""
    from safetensors.torch import load_file, save_file

    folder = at.place.state / "tour" / "damaged"
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(at.place.checkpoint(WORKLOAD), folder, ignore=shutil.ignore_patterns("resume", "curves.jsonl"))
    weights = load_file(folder / WEIGHTS)
    turned = {name: (-tensor if DAMAGED in name else tensor).contiguous() for name, tensor in weights.items()}
    save_file(turned, folder / WEIGHTS)
    return folder


def _rolled_back(place: Place, at: Desk, say: Say) -> dict[str, Any]:
    if at.ledger.state(WORKLOAD).previous is None:
        return {"champion": at.ledger.champion(WORKLOAD), "replaced": None}
    return roll_back(place, WORKLOAD, None, None, "shown by the tour", say)


def _document(outcome: Outcome) -> dict[str, Any]:
    return {"decision": outcome.decision, "version": outcome.version, "reason": outcome.reason, "heads": outcome.heads}


def page(place: Place, steps: dict[str, Any], facts: dict[str, Any]) -> str:
    """The closing page: what happened, in words a newcomer understands."""
    first, back, digests = steps["retrain"], steps["rollback"], facts["digests"]
    shown = place.state.name if place.state.parent == place.project else str(place.state)
    return "\n".join(
        [
            "",
            "Equipoise: the life of a model, from data to a served champion",
            "",
            f"dataset     {digests['dataset'][:16]}   data/prepared/{WORKLOAD}, made from the embedded dialogues",
            f"checkpoint  {digests['checkpoint'][:16]}   checkpoints/{WORKLOAD}, a tiny recursive model",
            "",
            "version 1 is the cheap baseline (TF-IDF and logistic regression). It serves until a model beats it.",
            "",
            *_verdict("the trained model", first),
            *_verdict("a twin from another seed", steps["twin"]),
            *_verdict("a model damaged on purpose", steps["damaged"]),
            *_rollback_lines(back),
            "",
            f"The ledger holds {facts['events']} events and is whole. All of it took {facts['seconds']:.0f} s.",
            "",
            f"pictures    evaluation/{WORKLOAD}/reliability.png, {shown}/gates/{WORKLOAD}/*.png",
            "pages       make ui   (MLflow on port 5000, Prefect on port 4200, this machine only)",
            f"next        .venv/bin/equipoise status, .venv/bin/equipoise history {WORKLOAD},",
            f"            .venv/bin/equipoise retrain {WORKLOAD} --data YOUR_DIALOGUES",
        ]
    )


def _verdict(name: str, outcome: dict[str, Any]) -> list[str]:
    title = f"{outcome['decision']:<10}  version {outcome['version']}: {name}"
    return [title, *(f"            {line}" for line in heads(outcome["heads"])), f"            {outcome['reason']}", ""]


def _rollback_lines(back: dict[str, Any]) -> list[str]:
    if back["replaced"] is None:
        return ["no rollback: the first champion still serves, so there is nothing to return to"]
    return [
        f"ROLLBACK    version {back['champion']} serves again, version {back['replaced']} was withdrawn;",
        "            automatic promotion now waits for newer data or `equipoise rollback --release`",
    ]
