"""The parts of params.yaml that every workload has, and the kinds of number that stand in them."""

from __future__ import annotations

import difflib
import math
import typing
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator
from pydantic_core import PydanticCustomError


def _finite(value: float) -> float:
    if not math.isfinite(value):
        raise ValueError("must be finite")
    return value


Finite = Annotated[float, AfterValidator(_finite)]
Positive = Annotated[float, Field(gt=0), AfterValidator(_finite)]
NonNegative = Annotated[float, Field(ge=0), AfterValidator(_finite)]
Share = Annotated[float, Field(ge=0, lt=1)]
Count = Annotated[int, Field(ge=1)]
Whole = Annotated[int, Field(ge=0)]


class Section(BaseModel):
    """A part of params.yaml: immutable, nothing unknown, no defaults hidden in code."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    @model_validator(mode="before")
    @classmethod
    def _no_booleans_as_numbers(cls, values: Any) -> Any:
        if isinstance(values, dict):
            for name, value in values.items():
                field = cls.model_fields.get(name)
                if isinstance(value, bool) and field is not None and bool not in leaves(field.annotation):
                    facts = {"name": name, "value": value}
                    raise PydanticCustomError("boolean", "{name} must not be true or false", facts)
        return values


def leaves(annotation: Any) -> set[Any]:
    """The types that an annotation is put together of."""
    arguments = typing.get_args(annotation)
    return {annotation} if not arguments else set().union(*(leaves(a) for a in arguments))


SchedulePoints = Annotated[tuple[tuple[Finite, NonNegative], ...], Field(min_length=1)]


class TermConfig(Section):
    """One loss term: weight is what tuning changes, schedule is (progress, factor) points, linear between."""

    weight: NonNegative
    schedule: SchedulePoints

    @model_validator(mode="after")
    def _ordered(self) -> TermConfig:
        progress = [p for p, _ in self.schedule]
        if progress != sorted(set(progress)) or progress[0] < 0 or progress[-1] > 1:
            raise ValueError("schedule points must rise in progress within [0, 1]")
        return self


class LossConfig(Section):
    """A workload's terms by name; a loss without any weight could learn nothing."""

    @model_validator(mode="after")
    def _something_to_learn(self) -> LossConfig:
        terms = [value for value in vars(self).values() if isinstance(value, TermConfig)]
        if not any(term.weight > 0 for term in terms):
            raise ValueError("at least one weight must be above 0")
        return self


class RecursiveModelConfig(Section):
    """The Tiny Recursive Model's sizes, whatever it reads (names of arXiv 2510.04871: n, T, N_sup)."""

    width: Annotated[int, Field(ge=8, le=2048)]
    layers: Count
    attention_heads: Count
    latent_updates: Count
    recursions: Count
    supervision_steps: Count
    no_gradient_steps: Whole
    dropout: Share
    halt_threshold: Annotated[float, Field(gt=0, lt=1)]

    @model_validator(mode="after")
    def _consistent(self) -> RecursiveModelConfig:
        if self.no_gradient_steps >= self.supervision_steps:
            raise ValueError("no_gradient_steps must be below supervision_steps")
        if self.width % (2 * self.attention_heads):
            raise ValueError("width must be a multiple of twice attention_heads")
        return self


class BalancerConfig(Section):
    """Who says at each step how much every weighted term counts: `static` are the loss section's weights.

    `temperature`: of dwa. `smoothing`: of chebyshev. `logit_rate`, `logit_decay`: the optimizer of famo's weights.
    `radius`: of cagrad. Each is read by its method alone.
    """

    method: Literal[
        "static", "equal", "random", "uncertainty", "dwa", "famo", "chebyshev", "upgrad", "mgda", "pcgrad", "cagrad"
    ]
    temperature: Positive
    smoothing: Positive
    logit_rate: Positive
    logit_decay: NonNegative
    radius: NonNegative


class TrainingConfig(Section):
    """The recipe every workload's training loop reads."""

    seed: Whole
    epochs: Count
    batch_tokens: Count
    accumulate: Count
    learning_rate: Positive
    warmup_share: Share
    weight_decay: NonNegative
    clip_norm: Positive
    ema: Annotated[float, Field(ge=0, lt=1)]
    precision: Literal["auto", "fp32", "bf16"]
    compile: bool
    checkpoint_every: Count
    report_every: Count
    patience: Count
    threads: Count
    balancer: BalancerConfig


class EvaluationConfig(Section):
    """The bootstrap of all metrics; slices with fewer than `minimum_slice` samples are not shown."""

    resamples: Count
    confidence: Annotated[float, Field(gt=0.5, lt=1)]
    seed: Whole
    calibration_bins: Count
    minimum_slice: Count


class GateHead(Section):
    """One judged metric: a primary head may win a promotion, a guard may only prevent one."""

    head: str
    metric: str
    role: Literal["primary", "guard"]
    margin: Positive
    direction: Literal["higher", "lower"]


class GateSlice(Section):
    """Every primary head also guards each value of a column, of the table of scores, that `minimum` clusters have."""

    column: str
    minimum: Annotated[int, Field(ge=2)]
    margin: Positive


class GateBudgets(Section):
    """What a candidate may cost, whatever the champion costs: milliseconds of one request alone, MB of its files."""

    latency: Positive | None = None
    size: Positive | None = None


class GateConfig(Section):
    """The gate's rule. `alpha`: of all looks at one hold-out together; `spending`: what each look takes of it.

    `resamples`: of a look that can be decided with so many; a later one, which asks for stronger evidence, draws more.
    `calibration_bins`: of heads whose metric is `ece`. `alarms`: rules of health alarms with which no training is
    promoted.
    """

    policy: Literal["improve", "refresh"]
    alpha: Annotated[float, Field(gt=0, lt=0.5)]
    spending: Literal["harmonic", "none"] = "harmonic"
    resamples: Annotated[int, Field(ge=200)]
    seed: Whole
    cluster: str
    heads: Annotated[tuple[GateHead, ...], Field(min_length=1)]
    slices: tuple[GateSlice, ...] = ()
    budgets: GateBudgets = GateBudgets()
    calibration_bins: Count = 15
    alarms: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _has_a_primary(self) -> GateConfig:
        if not any(h.role == "primary" for h in self.heads):
            raise ValueError("at least one head must be primary")
        return self


class ScreenConfig(Section):
    """How a campaign trains all its candidates before the best go on at full length.

    `changes`: of the recipe, by dotted key (`model.width`). `rungs`: epochs after which a candidate stops that another
    beats by `margin` in every objective. `full`: how many go on beside the default; twice as many where the rank
    correlation between both lengths is below `agreement`.
    """

    epochs: Count
    changes: dict[str, Any]
    rungs: tuple[Count, ...]
    margin: NonNegative
    full: Count
    agreement: Annotated[float, Field(ge=-1, le=1)]

    @model_validator(mode="after")
    def _rising(self) -> ScreenConfig:
        if list(self.rungs) != sorted(set(self.rungs)) or any(rung >= self.epochs for rung in self.rungs):
            raise ValueError("rungs must rise and lie below epochs")
        return self


class ClosingConfig(Section):
    """The best `candidates` and the default are trained with so many fresh seeds each before the verdict."""

    candidates: Count
    seeds: Annotated[int, Field(ge=3)]


class TuningConfig(Section):
    """A campaign. `epochs`: of a candidate at full length. `wave`: candidates that train at once, by a stacked model
    (batched) or by processes of this machine. Without a `screen` every candidate trains at full length."""

    candidates: Count
    epochs: Count
    seed: Whole
    sampler: Literal["tpe", "nsga2"]
    engine: Literal["auto", "batched", "processes"]
    wave: Count | Literal["auto"]
    screen: ScreenConfig | None
    closing: ClosingConfig
    objectives: Annotated[tuple[str, ...], Field(min_length=1)]
    space: dict[str, tuple[Positive, Positive]]

    @model_validator(mode="after")
    def _ranges(self) -> TuningConfig:
        for name, (low, high) in self.space.items():
            if low >= high:
                raise ValueError(f"space.{name}: the lower end must be below the upper end")
        return self


class StudyConfig(Section):
    """Settings to compare, each a mapping of dotted keys (`loss.decision.weight`) to the values that it changes.

    `epochs`: of every run, none stops early. `leave_one_out`: also the reference without each of its weighted terms.
    `metrics`: `head/metric` of the table of scores.
    """

    seeds: Annotated[tuple[Whole, ...], Field(min_length=3)]
    epochs: Count
    reference: str
    leave_one_out: bool
    metrics: Annotated[tuple[str, ...], Field(min_length=1)]
    settings: dict[Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9 ._-]{0,39}$")], dict[str, Any]]

    @model_validator(mode="after")
    def _consistent(self) -> StudyConfig:
        for name, values in (("seeds", self.seeds), ("metrics", self.metrics)):
            if len(set(values)) < len(values):
                raise ValueError(f"{name} must stand once each")
        if self.reference not in self.settings:
            nearest = difflib.get_close_matches(self.reference, self.settings, n=1, cutoff=0.4)
            known = f"did you mean {nearest[0]}?" if nearest else f"known: {', '.join(self.settings)}"
            raise ValueError(f"reference {self.reference} must be one of settings; {known}")
        if len(self.settings) < 2 and not self.leave_one_out:
            raise ValueError("settings must name another one to compare with the reference")
        return self


class DriftConfig(Section):
    """When inputs or predictions count as drifted: shown at `alpha` over all columns, and by `effect` in [0, 1]."""

    alpha: Annotated[float, Field(gt=0, lt=0.5)]
    effect: Share


class ScheduleConfig(Section):
    """When retraining is asked about (`cron`, UTC), and what has to be true then (`policy`) for it to do something.

    `age_days`: of the newest trained version, for `policy: age`.
    """

    cron: str
    actor: str
    policy: Literal["always", "new_data", "drift", "age"]
    age_days: Positive
    drift: DriftConfig


class ShadowConfig(Section):
    """How a champion is watched beside the one it replaced.

    `alpha`: probability of ever demoting a champion that is no worse than its margins. `input`: a file or folder of
    labelled samples, in the project, that grows; a scheduled run looks at what is new in it. None: it looks at nothing.
    """

    alpha: Annotated[float, Field(gt=0, lt=0.5)] = 0.05
    input: Annotated[str, Field(min_length=1)] | None = None
