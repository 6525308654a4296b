"""What a model may choose from, as words: tools, their parameters and slots, intents. Each is tokenised once."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from components.data.arrays import open_array, write_array
from components.data.tokenizer import TextTokenizer
from components.errors import bad_data, missing
from components.files import write_text
from components.workloads.tool_calling.dialogues import Parameter, Tool

TOOL, SLOT, INTENT = range(3)
KINDS = ("tool", "slot", "intent")
MAX_TOKENS = 64  # of an element's text; one endless description must not widen every batch
_WORDS = re.compile(r"[^\W_]+|[^\w\s]")
_HUMPS = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])|(?<=[A-Za-z])(?=[0-9])")

Vocabulary = Mapping[str, Sequence[str]]  # "tool", "slot", "intent" -> names seen in training, alphabetical


@dataclass(frozen=True)
class ElementArrays:
    """The table as arrays, E elements.

    Attributes:
        tokens: flat token ids of the texts; offsets: [E+1].
        kind: [E] uint8, TOOL, SLOT or INTENT.
        vocabulary: [E] class among the names seen in training, -1 for a name never seen there.
        tool_params: flat element ids of each tool's parameters, by name; tool_param_offsets: [E+1], none for others.
        tool_param_required: uint8 beside tool_params.
    """

    tokens: NDArray[np.int32]
    offsets: NDArray[np.int32]
    kind: NDArray[np.uint8]
    vocabulary: NDArray[np.int32]
    tool_params: NDArray[np.int32]
    tool_param_offsets: NDArray[np.int32]
    tool_param_required: NDArray[np.uint8]


def words_of(name: str) -> str:
    """`Restaurants_2.FindTable` -> `Restaurants 2 Find Table`: what a byte-level BPE has seen elsewhere."""
    return " ".join(_HUMPS.sub(" ", word) for word in _WORDS.findall(name) if word != ".")


def element_text(name: str, description: str, values: Sequence[str] = ()) -> str:
    """The text an element is encoded from: name in words, description, closed set of values."""
    text = words_of(name) + (f": {description}" if description else "")
    return f"{text} ({', '.join(values)})" if values else text


class ElementTable:
    """Gives every distinct element an id, in order of first sight; grows while data is read or served.

    Args:
        tokenizer: encodes the texts, once each.
        vocabulary: the names seen in training, which number the classes of `heads: ids`.
    """

    def __init__(self, tokenizer: TextTokenizer, vocabulary: Vocabulary) -> None:
        self.tokenizer = tokenizer
        self.vocabulary = {kind: tuple(vocabulary[kind]) for kind in KINDS}
        self._class = [{name: i for i, name in enumerate(self.vocabulary[kind])} for kind in KINDS]
        self._ids: dict[tuple, int] = {}
        self._facts: list[tuple[int, str, str, tuple[str, ...]]] = []
        self._params: list[tuple[tuple[int, bool], ...]] = []
        self._tokens: list[NDArray[np.int32]] = []

    def __len__(self) -> int:
        return len(self._facts)

    def slot(self, name: str, description: str, values: tuple[str, ...] = ()) -> int:
        """The id of a slot or parameter; the same name and description with other closed values is another one."""
        return self._add((SLOT, name, description, values), ())

    def intent(self, name: str, description: str) -> int:
        return self._add((INTENT, name, description, ()), ())

    def tool(self, tool: Tool) -> int:
        """The id of a tool; its parameters get theirs too."""
        parameters = sorted(tool.parameters, key=lambda p: p.name)
        ids = tuple((self.parameter(p), p.required) for p in parameters)
        return self._add((TOOL, tool.name, tool.description, ()), ids)

    def parameter(self, parameter: Parameter) -> int:
        return self.slot(parameter.name, parameter.description, parameter.values)

    def _add(self, fact: tuple[int, str, str, tuple[str, ...]], params: tuple[tuple[int, bool], ...]) -> int:
        key = (*fact, params)
        found = self._ids.get(key)
        if found is None:
            found = self._ids[key] = len(self._facts)
            self._facts.append(fact)
            self._params.append(params)
        return found

    def fact(self, element: int) -> tuple[int, str, str, tuple[str, ...]]:
        """(kind, name, description, closed values) of an element."""
        return self._facts[element]

    def params(self, element: int) -> tuple[tuple[int, bool], ...]:
        """(element id, required) of a tool's parameters, by name."""
        return self._params[element]

    def arrays(self) -> ElementArrays:
        """The table so far; texts added since the last call are tokenised now."""
        fresh = self._facts[len(self._tokens) :]
        encoded = self.tokenizer.encode([element_text(name, text, values) for _, name, text, values in fresh])
        self._tokens += [one.ids[:MAX_TOKENS] for one in encoded]
        params = [p for owned in self._params for p in owned]
        return ElementArrays(
            tokens=np.concatenate([np.zeros(0, np.int32), *self._tokens]),
            offsets=_offsets([len(t) for t in self._tokens]),
            kind=np.array([kind for kind, *_ in self._facts], dtype=np.uint8),
            vocabulary=np.array([self._class[kind].get(name, -1) for kind, name, *_ in self._facts], dtype=np.int32),
            tool_params=np.array([p for p, _ in params], dtype=np.int32),
            tool_param_offsets=_offsets([len(owned) for owned in self._params]),
            tool_param_required=np.array([required for _, required in params], dtype=np.uint8),
        )

    def save(self, folder: Path) -> None:
        """Writes the arrays, elements.json and vocabulary.json into `folder`."""
        folder.mkdir(parents=True)
        arrays = self.arrays()
        for name, values in vars(arrays).items():
            write_array(folder / f"{name}.npy", values)
        listed = [
            {
                "kind": kind,
                "name": name,
                "description": text,
                "values": list(values),
                "vocabulary": int(arrays.vocabulary[i]),
                "parameters": [[p, required] for p, required in self._params[i]],
            }
            for i, (kind, name, text, values) in enumerate(self._facts)
        ]
        write_text(folder / "elements.json", json.dumps(listed, ensure_ascii=True, indent=0) + "\n")
        write_text(folder / "vocabulary.json", json.dumps(self.vocabulary, ensure_ascii=True, indent=0) + "\n")


def load_table(folder: Path, tokenizer: TextTokenizer) -> ElementTable:
    """The table saved in `folder`; new elements can be added to it.

    Raises:
        EquipoiseError: E_MISSING (66) without it, E_DATA (65) when it is damaged.
    """
    path = folder / "elements.json"
    if not path.is_file():
        raise missing(str(path), "the element table must be there", got="no file", hint="Run prepare for this workload")
    try:
        listed = json.loads(path.read_text("utf-8"))
        table = ElementTable(tokenizer, json.loads((folder / "vocabulary.json").read_text("utf-8")))
        for e in listed:
            params = tuple((int(p), bool(required)) for p, required in e["parameters"])
            table._add((int(e["kind"]), e["name"], e["description"], tuple(e["values"])), params)
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise bad_data(str(path), "must be an element table", got=str(error), hint="Run prepare again") from error
    return table


def open_elements(folder: Path) -> ElementArrays:
    """The saved table's arrays, memory-mapped."""
    return ElementArrays(**{name: open_array(folder / f"{name}.npy") for name in ElementArrays.__dataclass_fields__})


def _offsets(counts: Sequence[int]) -> NDArray[np.int32]:
    return np.concatenate([[0], np.cumsum(counts, dtype=np.int64)]).astype(np.int32)
