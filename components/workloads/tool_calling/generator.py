"""The embedded data set: seeded dialogues between a user with a goal and an assistant with tools, written as the TRM
agent's JSONL.

What makes them hard: a search is called as soon as its last required value is known, so the last utterance alone does
not tell; an order is called only after a go-ahead, and "no" is a go-ahead after "anything to change?"; values are
repeated, corrected, handed on from results or never said; requests are refused when no offered tool fits; other tools
distract; some tools occur in the test split only.
"""

from __future__ import annotations

import json
import random
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from components.files import write_json, write_text
from components.workloads.tool_calling.generator_dialogue import converse
from components.workloads.tool_calling.generator_domains import INTENTS, SERVICES, Service

TEST_SHARE = 0.15
ORDER_SHARE = 0.6  # of the goals: something is ordered, so that a go-ahead decides
UNSEEN_SHARE = 0.25  # of the test conversations: about a tool that training never showed


def generate(section: Any, folder: Path) -> None:
    """Writes train.jsonl, dev.jsonl (the test split) and intend.json for a `tool_calling` section."""
    write_dialogues(section.data.seed, section.data.embedded_conversations, folder)


def write_dialogues(seed: int, conversations: int, folder: Path) -> None:
    """The same seed and number give the same bytes.

    Args:
        seed: of everything random.
        conversations: in both splits together, at least 20; 15% are test conversations.
        folder: where the three files are written, each whole or not at all.

    Raises:
        EquipoiseError: E_WRITE (73) or E_IO (74).
    """
    tests = round(conversations * TEST_SHARE)
    for name, count in (("train", conversations - tests), ("dev", tests)):
        lines: list[str] = []
        for index in range(count):
            chance = random.Random(f"{seed}/{name}/{index}")
            lines += _lines(chance, f"{name}-{index:05d}", name == "dev")
        write_text(folder / f"{name}.jsonl", "".join(lines))
    write_json(folder / "intend.json", INTENTS)


def _lines(chance: random.Random, conversation: str, test: bool) -> list[str]:
    seen = [service for service in SERVICES if not service.test_only]
    unseen = [service for service in SERVICES if service.test_only]
    unseen_goal = test and chance.random() < UNSEEN_SHARE
    orders = chance.random() < ORDER_SHARE
    goal = chance.choice([s for s in (unseen if unseen_goal else seen) if s.transactional == orders])
    offered = _offered(goal, [*seen, *unseen] if test else seen, chance)
    shown = [_tool(service) for service in offered]
    return [
        json.dumps({"conversation": conversation, "tools": shown, **decision}, ensure_ascii=False) + "\n"
        for decision in converse(goal, offered, chance)
    ]


def _offered(goal: Service, pool: list[Service], chance: random.Random) -> list[Service]:
    """The goal's tool among two to five others, most of which do the same to another thing or something else to it."""
    others = [s for s in pool if s is not goal]
    near = [s for s in others if s.thing == goal.thing] + chance.sample(
        [s for s in others if s.action == goal.action], 2
    )
    far = chance.sample([s for s in others if s not in near], 5)
    chosen = (chance.sample(near, len(near)) + far)[: chance.randint(2, 5)]
    return chance.sample([goal, *chosen], len(chosen) + 1)


def _tool(service: Service) -> Mapping[str, Any]:
    parameters: dict[str, Any] = {}
    for slot in service.slots:
        if slot.required and not slot.values:
            parameters[slot.name] = slot.description
        else:
            closed = {"values": list(slot.values)} if slot.values else {}
            parameters[slot.name] = {"description": slot.description, "required": slot.required, **closed}
    return {"name": service.name, "description": service.description, "parameters": parameters}
