"""Which split a row belongs to, and which rows must not be in two."""

from __future__ import annotations

import difflib
import hashlib
from collections.abc import Callable, Collection
from typing import Any

from components.config_assertions import AssertionsData
from components.data.splits import SPLITS, assign, stable_share
from components.errors import bad_data, misconfigured
from components.workloads.assertions.java_tokens import compact
from components.workloads.assertions.pairs import Pair

PLACE = "assertions.data"


def splitter(data: AssertionsData, projects: Collection[str]) -> Callable[[Pair], str]:
    """A pure function of a row, given the projects that the source holds.

    Raises:
        EquipoiseError: E_CONFIG (78) for a held-out project that is not there, E_DATA (65) with too few projects.
    """
    if data.split == "project":
        homes = _homes(data, projects)
        return lambda pair: homes[pair.project]
    shares = [("test", data.test_share), ("validation", data.validation_share), ("train", 1.0)]
    if data.split == "file":
        return lambda pair: assign(data.seed, file_of(pair), shares)
    return lambda pair: assign(data.seed, pair.id, shares)


def group_of(data: AssertionsData, pair: Pair, projects: int) -> str:
    """What a training row must not retrieve from, so that training looks like testing: its project, where whole
    projects are held out and there are several; its file; or its very test."""
    if data.split == "project" and projects > 1:
        return pair.project
    if data.split == "random":
        return pair.id
    return file_of(pair)


def file_of(pair: Pair) -> str:
    """Names the file of the test; where its path is unknown the class stands for it."""
    return f"{pair.project}/{pair.path or pair.test_class}"


def row_key(pair: Pair) -> bytes:
    """Equal for rows that differ in layout, comments and names of files only."""
    return _digest(pair.focal_code, pair.test_prefix, pair.assertion or "")


def input_key(pair: Pair) -> bytes:
    """Equal for rows whose inputs are: one of them in training gives the other away."""
    return _digest(pair.focal_code, pair.test_prefix)


def _digest(*texts: str) -> bytes:
    joined = "\0".join(compact(text) for text in texts)
    return hashlib.blake2b(joined.encode("utf-8", "surrogatepass"), digest_size=12).digest()


def _homes(data: AssertionsData, projects: Collection[str]) -> dict[str, str]:
    if len(projects) < len(SPLITS):
        raise bad_data(
            data.source,
            "must hold at least 3 projects to hold out whole ones",
            got=", ".join(sorted(projects)) or "none",
            hint="Give more projects, or set assertions.data.split to file",
        )
    homes = dict.fromkeys(sorted(projects), "train")
    named = {"test": data.test_projects, "validation": data.validation_projects}
    if not data.test_projects:
        order = sorted(projects, key=lambda project: stable_share(data.seed, project))
        test = _number(data.test_share, len(projects))
        named = {"test": order[:test], "validation": order[test : test + _number(data.validation_share, len(projects))]}
    for split, names in named.items():
        for name in names:
            if name not in homes:
                raise _unknown(f"{PLACE}.{split}_projects", name, projects)
            homes[name] = split
    if "train" not in homes.values():
        raise misconfigured(PLACE, "must leave a project to train on", got="none", hint="Hold out fewer projects")
    return homes


def _number(share: float, projects: int) -> int:
    return max(1, round(share * projects))


def _unknown(place: str, name: str, projects: Collection[str]) -> Any:
    near = difflib.get_close_matches(name, projects, n=1)
    hint = f"Did you mean `{near[0]}`?" if near else f"Projects of the source: {', '.join(sorted(projects)[:20])}"
    return misconfigured(place, "must name projects of the source", got=name, hint=hint)
