"""`equipoise tour`, which `make run` calls: the life cycle of a model on the embedded data, and a page about it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from components import threads
from components.config_edit import edit
from components.errors import EquipoiseError, Exit
from components.files import sha256_file, write_json
from flows import provenance
from flows.cycle import run as retrain
from flows.judging import Outcome, decide, show
from flows.orchestration import embedded
from flows.present import heads
from flows.promote import roll_back
from flows.registration import Desk, desk, register_folder
from flows.single import up_to
from flows.state import Place, make_state
from flows.warm import import_flow

WORKLOAD = "tool_calling"
WEIGHTS = "model.safetensors"
DAMAGED = "decision"  # parameters whose name says so are turned around
RECIPE = (  # smaller than what ships, so that two trainings fit into a minute on two cores
    "data.embedded_conversations=2800",  # many conversations few times: values and wishes repeat less than by heart
    "data.validation_share=0.03",
    "data.vocabulary=1500",
    "data.tool_call_tokens=2",
    "data.tool_response_tokens=1",
    "data.joined_share=0",
    "data.extra_offer_share=0",
    "model.width=64",
    "model.layers=2",
    "model.latent_updates=1",
    "model.dropout=0",
    "model.word_dropout=0",
    "loss.decision.weight=2",  # the hardest part of these dialogues: is anything still missing, was that a yes?
    "loss.decision.gamma=0",
    "training.batch_tokens=500",  # what it learns hangs on the number of steps more than on their size
    "training.learning_rate=2e-3",
    "training.warmup_share=0.15",  # small steps jump far: warmed up and clipped they do not have to be found again
    "training.clip_norm=0.5",
    "training.ema=0.98",
    "training.epochs=3",
    "training.patience=3",
    "training.checkpoint_every=500",
    "training.report_every=50",
    "training.compile=false",
    "training.threads=1",
    "gate.spending=none",  # three looks at one small hold-out are to be seen, each as if it were the only one
)
Say = Callable[[str], object]


def run(place: Place, say: Say) -> dict[str, Any]:
    """First champion, promotion, a twin, a damaged model, a rollback: {steps, digests, events, seconds, page}.

    Works in a project of its own in the state folder, made anew each time, and leaves the caller's project alone. Two
    cores are kept busy: stages run in processes of their own while this one imports, the two trainings run side by
    side, and so do the two last judgements.
    """
    began = time.monotonic()
    make_state(place)
    where = _fresh_project(place)
    say("1/4 retrain: prepare, train, evaluate, first champion, gate")
    _prepared(where, say)
    with _twin_in_training(where) as twin_folder:
        first = retrain(where, WORKLOAD, None, say)
        say("2/4 a twin: the same recipe from another seed; 3/4 a damaged model: the decision head turned around")
        twin, damaged = _others_judged(where, twin_folder(), say)
    say("4/4 rollback")
    with desk(where, WORKLOAD, None, say) as at:
        show(at)  # two judgements side by side may have shown their ends in the wrong order
        back = _rolled_back(where, at, say)
        digests = {
            "dataset": provenance.data_digest(where, WORKLOAD),
            "checkpoint": provenance.candidate_digest(where, WORKLOAD),
        }
        ledger = at.ledger.verify()
    steps = {"retrain": first, "twin": _document(twin), "damaged": _document(damaged), "rollback": back}
    facts = {"digests": digests, "events": ledger.events, "seconds": round(time.monotonic() - began, 1)}
    return {"steps": steps, **facts, "page": page(where, steps, facts)}


def _prepared(where: Place, say: Say) -> None:
    """Generates and prepares the data while this process imports what comes after."""
    import dvc.repo  # noqa: F401  both sides need it: imported before they part

    with ThreadPoolExecutor(max_workers=1) as aside, embedded(where, say):
        data = aside.submit(up_to, where, WORKLOAD, "prepare", say)
        import_flow(WORKLOAD)
        data.result()


def _fresh_project(place: Place) -> Place:
    folder = place.state / "tour"
    shutil.rmtree(folder, ignore_errors=True)
    _copy_project(place.project, folder, ("params.yaml", "dvc.yaml", ".dvcignore"), ("components",))
    edit(folder / "params.yaml", WORKLOAD, [f"data.source=data/raw/{WORKLOAD}", *RECIPE])
    place = Place(folder, folder / ".equipoise")
    threads.as_recorded(getattr(place.config(), WORKLOAD))
    return place


def _copy_project(source: Path, target: Path, files: tuple[str, ...], folders: tuple[str, ...]) -> None:
    """What a project's stages need: parameters, stages, code and, for a twin, the prepared data."""
    target.mkdir(parents=True, exist_ok=True)
    for name in files:
        shutil.copyfile(source / name, target / name)
    for name in folders:
        shutil.copytree(source / name, target / name, ignore=shutil.ignore_patterns("__pycache__"))


@contextmanager
def _twin_in_training(where: Place) -> Iterator[Callable[[], Place]]:
    """Trains the same recipe with the next seed beside the block, in a project of its own on the same prepared data.

    Yields a function that waits for the training and returns the twin's place.
    """
    project = where.state / "twin"
    data = (f"data/raw/{WORKLOAD}", f"data/prepared/{WORKLOAD}")
    _copy_project(where.project, project, ("params.yaml", "dvc.yaml", "dvc.lock", ".dvcignore"), ("components", *data))
    twin = Place(project, where.state)
    seed = getattr(twin.config(), WORKLOAD).training.seed + 1
    edit(twin.params, WORKLOAD, [f"training.seed={seed}"])
    command = [sys.executable, "-m", "components.stage", "train", WORKLOAD]
    child = subprocess.Popen(command, cwd=project, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)

    def trained() -> Place:
        _, errors = child.communicate()
        if child.returncode:
            last = (errors.strip().splitlines() or ["no message"])[-1]
            rule, hint = "must train to its end", "Run the same command again"
            raise EquipoiseError("TOUR", "twin", rule, got=last, hint=hint, exit_code=Exit.CONFIGURATION)
        return twin

    try:
        yield trained
    finally:
        if child.poll() is None:
            child.terminate()
            child.communicate()


def _others_judged(where: Place, twin: Place, say: Say) -> tuple[Outcome, Outcome]:
    """The verdicts on the twin and on the damaged model: registered one after the other, judged side by side."""
    names = ("a twin from another seed", "its decision head was damaged on purpose")
    with desk(where, WORKLOAD, None, say) as at:
        maker = replace(at, place=twin, section=getattr(twin.config(), WORKLOAD))
        made = ((maker, twin.checkpoint(WORKLOAD)), (at, _damaged(at)))
        versions = [register_folder(who, folder, name) for (who, folder), name in zip(made, names, strict=True)]
    with ThreadPoolExecutor(max_workers=2) as pool:
        both = pool.map(lambda version, name: _judged(where, version, name, say), versions, names)
        twin_outcome, damaged_outcome = both
    return twin_outcome, damaged_outcome


def _judged(where: Place, version: int, name: str, say: Say) -> Outcome:
    with desk(where, WORKLOAD, None, say) as at:
        return decide(at, version, reason=name)


def _damaged(at: Desk) -> Path:
    """A copy of the checkpoint whose decision head says the opposite."""
    from safetensors.torch import load_file, save_file

    folder = at.place.state / "damaged"
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(at.place.checkpoint(WORKLOAD), folder, ignore=shutil.ignore_patterns("resume", "curves.jsonl"))
    weights = load_file(folder / WEIGHTS)
    turned = {name: (-tensor if DAMAGED in name else tensor).contiguous() for name, tensor in weights.items()}
    save_file(turned, folder / WEIGHTS)
    card = json.loads((folder / "model.json").read_text("utf-8"))
    card["files"][WEIGHTS] = sha256_file(folder / WEIGHTS)
    write_json(folder / "model.json", card)
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
    shown = os.path.relpath(place.project)
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
            f"project     {shown}, with its own params.yaml: a smaller recipe than the one that ships",
            f"pictures    {shown}/evaluation/{WORKLOAD}/*.png, {shown}/.equipoise/gates/{WORKLOAD}/*.png",
            f"pages       make ui STATE={shown}/.equipoise   (MLflow on port 5000, Prefect on 4200)",
            f"next        .venv/bin/equipoise status --project {shown}",
            f"            .venv/bin/equipoise history {WORKLOAD} --project {shown}",
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
