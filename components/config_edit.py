"""Edits of params.yaml from the command line: comments stay, nothing is written that would not be read back."""

from __future__ import annotations

import difflib
import io
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel
from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap, CommentedSeq
from ruamel.yaml.scalarfloat import ScalarFloat

from components.config import Config, SafeLoader, load_config, parse_config, read_yaml
from components.errors import EquipoiseError, Exit, misconfigured, missing, shorten
from components.files import write_text

PLACE = "--set"


@dataclass(frozen=True)
class Edit:
    """One value of params.yaml that a command changed: dotted key, value before, value after."""

    key: str
    before: Any
    after: Any

    def line(self) -> str:
        """How the change is told to a person: key, value before, value after."""
        return f"params.yaml: {self.key} {_shown(self.before)} -> {_shown(self.after)}"


def edit(path: Path, workload: str, assignments: Sequence[str]) -> list[Edit]:
    """Writes `key=value` assignments into params.yaml at `path`, all of them or none.

    Keys are dotted and belong to the workload's section, whose name may stand in front. Values are read as YAML and
    stored in the type the configuration gives them, so `3e-3` becomes a number.

    Returns:
        the edits that changed a value; an empty list writes nothing.

    Raises:
        EquipoiseError: E_USAGE (2) for an assignment without `=`; E_CONFIG_KEY (78) for a key that is not there, with
            the nearest that is; E_CONFIG (78) for a value the configuration refuses. The file is then untouched.
    """
    current = load_config(path)
    if not assignments:
        return []
    document = _round_trip(path)
    keys = []
    for assignment in assignments:
        key, value = _split(assignment)
        steps = _steps(key, workload, current)
        _put(document, steps, _parse(key, value))
        keys.append(steps)
    accepted = parse_config(_plain(document), place=PLACE)
    edits = {}
    for steps in keys:
        before, after = _value(current, steps), _value(accepted, steps)
        _put(document, steps, _stored(after))
        if before != after:
            edits[steps] = Edit(".".join(steps), _stored(before), _stored(after))
    if edits:
        write_text(path, _text(document))
    return list(edits.values())


def assignments_in(path: Path) -> list[str]:
    """The values of a YAML file laid out like params.yaml, as the assignments `edit` takes; `{}` gives none.

    Raises:
        EquipoiseError: E_MISSING (66) without the file, E_CONFIG (78) when it is no mapping of plain YAML.
    """
    if not path.is_file():
        hint = "Run `equipoise tune` first, or name another file"
        raise missing("--set-file", "must name a YAML file", got=str(path), hint=hint)
    values = read_yaml(path)
    if not isinstance(values, Mapping):
        hint = "Lay it out like params.yaml"
        raise misconfigured(str(path), "must be a mapping of sections", got=type(values).__name__, hint=hint)
    return _assignments(values, "")


def _assignments(values: Mapping[str, Any], above: str) -> list[str]:
    found = []
    for key, value in values.items():
        if isinstance(value, Mapping):
            found += _assignments(value, f"{above}{key}.")
        else:
            found.append(f"{above}{key}={json.dumps(value, ensure_ascii=False, default=str)}")
    return found


def relative_source(project: Path, data: str) -> str:
    """What `data.source` should hold for a path typed on the command line: relative to the project if typed so.

    Raises:
        EquipoiseError: E_MISSING (66) when nothing is there.
    """
    path = Path(data).expanduser()
    if not path.exists():
        raise missing(
            "--data",
            "must name a folder or an archive that exists",
            got=data,
            hint="Check the path; it is read from the folder you are in",
        )
    if path.is_absolute():
        return str(path)
    return Path(os.path.relpath(path.resolve(), project.resolve())).as_posix()


def _split(assignment: str) -> tuple[str, str]:
    key, equals, value = assignment.partition("=")
    if not equals or not key.strip():
        raise EquipoiseError(
            "USAGE",
            PLACE,
            "must look like key=value",
            got=assignment,
            hint="For example --set training.epochs=3",
            exit_code=Exit.USAGE,
        )
    return key.strip(), value.strip()


def _steps(key: str, workload: str, config: Config) -> tuple[str, ...]:
    """The path of a key, checked against the configuration that stands in the file."""
    parts = tuple(key.split("."))
    steps = parts if parts[0] in type(config).model_fields else (workload, *parts)
    here: Any = config
    for depth, step in enumerate(steps):
        names = _names(here)
        if step not in names and not (isinstance(here, Mapping) and depth == len(steps) - 1):
            rest = ".".join(steps[depth:])
            if isinstance(here, Mapping) and rest in here:  # keys of a mapping may hold dots (tuning.space)
                return (*steps[:depth], rest)
            raise _unknown(key, step, steps[:depth], names)
        here = here[step] if isinstance(here, Mapping) else getattr(here, step)
    if isinstance(here, BaseModel):
        inside = ", ".join(sorted(_names(here)))
        raise misconfigured(PLACE, "must name a value, not a section", got=key, hint=f"Name one of its keys: {inside}")
    return steps


def _unknown(key: str, step: str, above: tuple[str, ...], names: list[str]) -> EquipoiseError:
    nearest = difflib.get_close_matches(step, names, n=1, cutoff=0.4)
    section = ".".join(above) or "params.yaml"
    hint = (
        f"The nearest is `{'.'.join((*above, nearest[0]))}`"
        if nearest
        else f"Known keys of {section}: {', '.join(sorted(names))}"
    )
    return EquipoiseError("CONFIG_KEY", PLACE, "no such key", got=key, hint=hint, exit_code=Exit.CONFIGURATION)


def _names(here: Any) -> list[str]:
    if isinstance(here, BaseModel):
        return list(type(here).model_fields)
    return list(here) if isinstance(here, Mapping) else []


def _parse(key: str, value: str) -> Any:
    try:
        return yaml.load(value, Loader=SafeLoader)
    except (yaml.YAMLError, RecursionError) as error:
        problem = getattr(error, "problem", None) or "nested too deeply"
        raise misconfigured(
            f"{PLACE} {key}", "must be a plain YAML value", got=value, hint=f"YAML says: {problem}"
        ) from error


def _value(config: Any, steps: tuple[str, ...]) -> Any:
    for step in steps:
        config = config[step] if isinstance(config, Mapping) else getattr(config, step)
    return config


def _stored(value: Any) -> Any:
    """A configuration value as plain YAML data."""
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json")
    if isinstance(value, (tuple, list)):
        return [_stored(v) for v in value]
    return {k: _stored(v) for k, v in value.items()} if isinstance(value, Mapping) else value


def _put(document: CommentedMap, steps: tuple[str, ...], value: Any) -> None:
    for step in steps[:-1]:
        document = document[step]
    old = document.get(steps[-1])
    if _same(old, value):
        return
    if isinstance(value, list):
        sequence = CommentedSeq(value)
        sequence.fa.set_flow_style()
        value = sequence
    document[steps[-1]] = value


def _same(old: Any, new: Any) -> bool:
    """Whether the text in the file already says the new value: 2.0e-3 stays as it was typed."""
    return (float(old) if isinstance(old, ScalarFloat) else old) == new and isinstance(old, bool) == isinstance(
        new, bool
    )


def _plain(value: Any) -> Any:
    """The round-trip document as the safe reader will see it."""
    return yaml.load(_text(value), Loader=SafeLoader)


def _round_trip(path: Path) -> CommentedMap:
    return _writer().load(path.read_text("utf-8"))


def _text(document: CommentedMap) -> str:
    stream = io.StringIO()
    _writer().dump(document, stream)
    return stream.getvalue()


def _writer() -> YAML:
    writer = YAML(typ="rt")
    writer.preserve_quotes = True
    writer.width = 4096
    writer.indent(mapping=2, sequence=4, offset=2)
    writer.representer.add_representer(type(None), lambda r, _: r.represent_scalar("tag:yaml.org,2002:null", "null"))
    return writer


def _shown(value: Any) -> str:
    return shorten("null" if value is None else str(value), 60)
