"""What a tool-calling sample is, whichever file it came from: both readers, the generator, the encoder, the metrics and
the served model speak in these records."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

USER, ASSISTANT, TOOL_CALL, TOOL_RESPONSE = range(4)
ROLES = ("user", "assistant", "tool_call", "tool_response")
ROLE_NAMES = dict(zip(ROLES, range(len(ROLES)), strict=True)) | {"system": ASSISTANT}
DECISIONS = ("direct_answer", "tool_call")


@dataclass(frozen=True)
class Parameter:
    """One argument a tool takes. `values` is its closed set, empty when open."""

    name: str
    description: str
    required: bool = True
    values: tuple[str, ...] = ()


@dataclass(frozen=True)
class Tool:
    """What may be called: name, what it does, parameters."""

    name: str
    description: str
    parameters: tuple[Parameter, ...]


@dataclass(frozen=True)
class Message:
    """One turn: `role` is USER, ASSISTANT, TOOL_CALL or TOOL_RESPONSE."""

    role: int
    content: str


@dataclass(frozen=True)
class Span:
    """Characters [start, end) of the message with index `turn` in the sample's history."""

    turn: int
    start: int
    end: int


@dataclass(frozen=True)
class Labels:
    """What is to be predicted. Values are canonical strings; a value without a span could not be found in the history.

    `spellings` holds, per argument, every surface form that counts as the same value.
    """

    decision: int
    tool: str | None = None
    intent: str | None = None
    arguments: Mapping[str, str] = field(default_factory=dict)
    argument_spans: Mapping[str, Span] = field(default_factory=dict)
    slots: Mapping[str, str] = field(default_factory=dict)
    slot_spans: Mapping[str, Span] = field(default_factory=dict)
    spellings: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


@dataclass(frozen=True)
class Sample:
    """One decision: everything said before it, the tools on offer, and (outside serving) the labels.

    `slots` are the slot names that could be filled here with their descriptions; `intents` the candidate intents with
    theirs. `service` is the slice a report uses (SGD: the service of the answer; JSONL: the tool's name prefix or "").
    `given_tool` is an offered tool whose arguments a request wants whatever the model chooses.
    """

    id: str
    conversation: str
    tools: tuple[Tool, ...]
    history: tuple[Message, ...]
    slots: Mapping[str, str] = field(default_factory=dict)
    intents: Mapping[str, str] = field(default_factory=dict)
    service: str = ""
    labels: Labels | None = None
    given_tool: str | None = None


@dataclass(frozen=True)
class FoundSpan:
    """A decoded span: text from the original string by offsets, in characters of message `turn`."""

    text: str
    turn: int
    start: int
    end: int
    confidence: float


@dataclass(frozen=True)
class Prediction:
    """What a model says of one sample.

    `tool` is the best offered tool whatever the decision (None only when none is offered). `arguments` belong to
    `tool`; `given_arguments` to `given_tool`, which the caller named (evaluation names the labelled one), else equal
    `arguments`.
    Rendering for users hides tool and arguments when the decision is direct_answer.
    """

    decision_probability: float  # of tool_call
    tool: str | None
    tool_confidence: float
    intent: str | None
    intent_confidence: float
    arguments: Mapping[str, FoundSpan]
    given_arguments: Mapping[str, FoundSpan]
    slots: Mapping[str, FoundSpan]
    steps: int
    given_tool: str | None = None
