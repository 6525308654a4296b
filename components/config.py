"""params.yaml as strict, frozen values: one owner a field, unknown keys refused with the nearest right key."""

from __future__ import annotations

import difflib
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import Field, ValidationError, model_validator

from components.config_assertions import AssertionsConfig
from components.config_keyboard import KeyboardConfig
from components.config_parts import (
    Count,
    EvaluationConfig,
    GateConfig,
    LossConfig,
    NonNegative,
    Positive,
    RecursiveModelConfig,
    ScheduleConfig,
    Section,
    ShadowConfig,
    Share,
    StudyConfig,
    TermConfig,
    TrainingConfig,
    TuningConfig,
    Whole,
    leaves,
)
from components.config_trading import TradingConfig
from components.errors import EquipoiseError, Exit, misconfigured, missing


class DecisionTerm(TermConfig):
    """Weighted focal cross-entropy of call or answer. `alpha`: weight of calls, `auto` balances by share, null is 1."""

    alpha: Annotated[float, Field(ge=0, le=1)] | Literal["auto"] | None
    gamma: NonNegative


class IntentTerm(TermConfig):
    """Focal cross-entropy over a dialogue's intents; `gamma` 0 is plain cross-entropy."""

    gamma: NonNegative


class HaltingTerm(TermConfig):
    """`target`: what must be right for a step to count as one to halt at."""

    target: Literal["decision", "decision_and_tool"]


class ToolCallingLoss(LossConfig):
    """The TRM's terms, over heads and spans; `content` is the text of a direct answer."""

    decision: DecisionTerm
    tool: TermConfig
    intent: IntentTerm
    q: HaltingTerm
    slot_span: TermConfig
    arg_span: TermConfig
    content: TermConfig


class ToolCallingData(Section):
    """Where dialogues come from, how they are split, and how much of a history a sample sees, in tokens."""

    source: Annotated[str, Field(min_length=1)]
    format: Literal["auto", "jsonl", "sgd"]
    intent_map: str | None
    seed: Whole
    embedded_conversations: Annotated[int, Field(ge=20)]
    validation_share: Annotated[float, Field(gt=0, lt=0.5)]
    vocabulary: Annotated[int, Field(ge=300, le=32_000)]
    window: Annotated[int, Field(ge=64, le=8192)]
    tool_call_tokens: Whole
    tool_response_tokens: Whole
    max_tool_args: Count
    absent_slot_share: Annotated[float, Field(ge=0, le=1)]
    joined_share: Annotated[float, Field(ge=0, le=1)]
    extra_offer_share: Annotated[float, Field(ge=0, le=1)]


class ToolCallingModel(RecursiveModelConfig):
    """The recursive model with heads over offered schemas (`schema`) or over the ids of those trained on (`ids`)."""

    heads: Literal["schema", "ids"]
    word_dropout: Share
    max_span_tokens: Count
    spans: Literal["heads", "gliner2"]
    gliner2_folder: Annotated[str, Field(min_length=1)] | None

    @model_validator(mode="after")
    def _has_its_weights(self) -> ToolCallingModel:
        if self.spans == "gliner2" and self.gliner2_folder is None:
            raise ValueError("spans: gliner2 needs gliner2_folder, the folder of its weights")
        return self


class LinearBaselineConfig(Section):
    """TF-IDF with logistic regression.

    `minimum`: samples a term must occur in; `strength`: inverse of the L2 regularisation; `passes`: over the training
    data at most, for tools and intents.
    """

    minimum: Count
    strength: Positive
    passes: Count


class ToolCallingEvaluation(EvaluationConfig):
    """How metrics are estimated, and the baseline beside them."""

    baseline: LinearBaselineConfig


class ToolCallingConfig(Section):
    """Everything of `tool_calling` in params.yaml."""

    data: ToolCallingData
    model: ToolCallingModel
    loss: ToolCallingLoss
    training: TrainingConfig
    evaluation: ToolCallingEvaluation
    gate: GateConfig
    tuning: TuningConfig
    study: StudyConfig
    schedule: ScheduleConfig
    shadow: ShadowConfig = ShadowConfig()


class Config(Section):
    """The whole of params.yaml."""

    project: Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]{0,40}$")]
    tool_calling: ToolCallingConfig
    trading: TradingConfig
    assertions: AssertionsConfig
    keyboard: KeyboardConfig


MAX_BYTES = 1_000_000


class SafeLoader(yaml.SafeLoader):
    """Plain data only: no tags beyond YAML's own, no aliases (bombs), no duplicate keys."""

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.AliasEvent):
            event = self.peek_event()
            raise yaml.MarkedYAMLError(problem="aliases are not allowed", problem_mark=event.start_mark)
        return super().compose_node(parent, index)

    def construct_mapping(self, node: Any, deep: bool = False) -> Any:
        seen = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            if not isinstance(key, str):
                raise yaml.MarkedYAMLError(problem=f"key {key!r} must be text", problem_mark=key_node.start_mark)
            if key in seen:
                raise yaml.MarkedYAMLError(problem=f"key {key!r} stands twice", problem_mark=key_node.start_mark)
            seen.add(key)
        return super().construct_mapping(node, deep)


def read_yaml(path: Path) -> Any:
    """One YAML document of plain values.

    Raises:
        EquipoiseError: E_MISSING (66) without the file, E_CONFIG (78) for anything that is not plain YAML.
    """
    if not path.is_file():
        raise missing(
            str(path),
            "params.yaml must be a readable file",
            got="nothing there" if not path.exists() else "a folder",
            hint="Run the command in the project's folder or name it with --project",
        )
    try:
        raw = path.read_bytes()
        if len(raw) > MAX_BYTES:
            raise misconfigured(
                str(path), f"must be below {MAX_BYTES} bytes", got=len(raw), hint="Keep data out of params.yaml"
            )
        return yaml.load(raw.decode("utf-8"), Loader=SafeLoader)
    except UnicodeDecodeError as error:
        raise misconfigured(
            str(path), "must be UTF-8 text", got=f"byte {error.start}", hint="Save the file as UTF-8"
        ) from error
    except (yaml.YAMLError, RecursionError) as error:
        mark = getattr(error, "problem_mark", None)
        line = f"{path.name}:{mark.line + 1}" if mark else str(path)
        problem = getattr(error, "problem", None) or "nested too deeply"
        raise misconfigured(
            line, "must be plain YAML", got=problem, hint="Mend that line; compare with the file in version control"
        ) from error


def load_config(path: Path) -> Config:
    """Reads and checks params.yaml once; everything else receives its values."""
    return parse_config(read_yaml(path), place=path.name)


def parse_config(values: Any, place: str = "params.yaml") -> Config:
    """The same of values that were read already.

    Raises:
        EquipoiseError: E_CONFIG, E_CONFIG_KEY (78) with the path of the value below `place`.
    """
    if not isinstance(values, dict):
        raise misconfigured(
            place,
            "must be a mapping of sections",
            got=type(values).__name__,
            hint="Restore the file from version control",
        )
    try:
        return Config.model_validate(values)
    except ValidationError as error:
        raise _first_problem(error, place) from error


def _first_problem(error: ValidationError, place: str) -> EquipoiseError:
    found = error.errors()
    unknown = [each for each in found if each["type"] == "extra_forbidden"]
    problem = (unknown or found)[0]  # a misspelled key is missing as well: say what was written
    path = ".".join(str(part) for part in problem["loc"])
    where = f"{place}: {path}" if path else place
    if problem["type"] == "extra_forbidden":
        owner = _section_at(problem["loc"][:-1])
        nearest = difflib.get_close_matches(str(problem["loc"][-1]), owner, n=1, cutoff=0.4)
        hint = (
            f"Did you mean `{nearest[0]}`? Known keys: {', '.join(sorted(owner))}"
            if nearest
            else f"Known keys: {', '.join(sorted(owner))}"
        )
        return EquipoiseError(
            "CONFIG_KEY", where, "no such key", got=str(problem["loc"][-1]), hint=hint, exit_code=Exit.CONFIGURATION
        )
    if problem["type"] == "missing":
        return misconfigured(
            where, "must be present", got="nothing", hint="Add the key; the file in version control shows its default"
        )
    message = problem["msg"].removeprefix("Value error, ")
    rule = message[0].lower() + message[1:]
    got = problem.get("ctx", {}).get("value") if problem["type"] == "boolean" else problem.get("input")
    return misconfigured(where, rule, got=got, hint="Give a value of that kind")


def _section_at(location: tuple[Any, ...]) -> list[str]:
    section: Any = Config
    for part in location:
        if isinstance(part, int):
            continue
        field = section.model_fields.get(part) if isinstance(section, type) and issubclass(section, Section) else None
        if field is None:
            return []
        candidates = [a for a in leaves(field.annotation) if isinstance(a, type) and issubclass(a, Section)]
        if not candidates:
            return []
        section = candidates[0]
    return list(section.model_fields)
