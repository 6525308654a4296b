"""What a campaign asks of its surroundings: further processes on this machine, and the champion's weights."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from components.data import strict_json
from components.registry import tracking
from components.registry.packaging import MODEL
from components.stage import die_with_parent
from components.tuning.space import Knob, numbers
from flows.state import Place

GRACE_SECONDS = 30  # a stopped helper saves its candidate's state first


@contextmanager
def processes(place: Place, name: str, campaign: str | None, count: int) -> Iterator[None]:
    """So many further processes that help the campaign while the block runs, started anew rather than forked.

    They end by themselves when nothing is left to help with; a block that ends otherwise stops them at a safe point.
    """
    command = [sys.executable, "-m", "flows.cli", "tune", name, "--worker", "--project", str(place.project),
               "--state", str(place.state), *(["--campaign", campaign] if campaign else [])]  # fmt: skip
    started: list[subprocess.Popen[bytes]] = []
    try:
        for _ in range(count):
            child = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                start_new_session=True,
                preexec_fn=die_with_parent,
            )
            started.append(child)
        yield
    except BaseException:
        for child in started:
            child.send_signal(signal.SIGINT)
        raise
    finally:
        for child in started:
            _end(child)


def _end(child: subprocess.Popen[bytes]) -> None:
    """Waits for its end: it has saved its state by then, or found that nothing is left to do."""
    try:
        child.wait(GRACE_SECONDS)
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait()


def champion_weights(place: Place, name: str, section: Any, space: Sequence[Knob]) -> dict[str, float] | None:
    """The numbers of the space that the champion was trained with; None where there is no champion, where it is a
    baseline, or where its loss differs in anything else, or lies beyond an end of the space.

    Raises:
        EquipoiseError: E_ARTEFACT (65) for a champion whose files were changed, E_TRACKING (69).
    """
    if not place.ledger_exists():
        return None
    from components.registry.aliases import resolve
    from components.registry.ledger import open_ledger

    with open_ledger(place.ledger) as ledger:
        version = ledger.champion(name)
        if version is None:
            return None
        digest = ledger.registered(name, version).get("artefact_digest")
    folder = resolve(tracking.open_store(place.state, place.config().project), name, version, digest)
    recipe = strict_json.read(folder / MODEL / "model.json").get("section") or {}
    return weights_in(recipe.get("loss"), section.loss.model_dump(mode="json"), space)


def weights_in(
    loss: Mapping[str, Any] | None, present: Mapping[str, Any], space: Sequence[Knob]
) -> dict[str, float] | None:
    """The numbers of the space in a model's loss section, as plain values; None where the rest of it is another."""
    if loss is None:
        return None
    theirs, ours, keys = numbers(loss), numbers(present), {knob.key for knob in space}
    same = all(theirs.get(key) == value for key, value in ours.items() if key not in keys)
    if not same or theirs.keys() != ours.keys():
        return None
    inside = all(knob.low <= theirs[knob.key] <= knob.high for knob in space)
    return {knob.key: theirs[knob.key] for knob in space} if inside else None
