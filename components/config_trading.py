"""The trading section of params.yaml."""

from __future__ import annotations

from datetime import date, datetime
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, model_validator

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
    StudyConfig,
    TermConfig,
    TrainingConfig,
    TuningConfig,
    Whole,
)

Symbol = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._^=-]{0,15}$")]


def _day(value: Any) -> Any:
    """YAML reads an unquoted day as a date; kept as text, it is written back, hashed and compared as it was typed."""
    if isinstance(value, date) and not isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, str):
        return date.fromisoformat(value).isoformat()
    raise ValueError("must be a day, YYYY-MM-DD")


Day = Annotated[str, BeforeValidator(_day)]
ClassWeights = Literal["auto"] | Annotated[tuple[NonNegative, ...], Field(min_length=2)] | None


class TradingData(Section):
    """Bars, strategies and how time is cut.

    `exogenous`: name -> trading days until a day's value is known (a yield is published on the next day: 1).
    `volume`: whether traded volume is a feature. `longest_gap`: calendar days without a bar; `largest_move`: a day's
    return beyond which, up or down, a split is suspected. `strategies`: name -> share of the wealth in each symbol;
    what is left earns nothing. `cost`: basis points a unit of turnover. `dead_band`: strategies whose return is this
    close to the best's count as equally good, and the one named first is the label. `label_from`, `holdout_from`: first
    days to be labelled and held out (ISO). `embedded`: market: S&P 500 closes with generated bonds; planted: generated
    throughout, with an information ratio of `embedded_edge` a day to be found.
    """

    source: Annotated[str, Field(min_length=1)]
    format: Literal["auto", "csv", "parquet", "lean", "etf"]
    symbols: Annotated[tuple[Symbol, ...], Field(min_length=1)]
    exogenous: dict[Symbol, Whole]
    volume: bool
    longest_gap: Count
    largest_move: Positive
    strategies: Annotated[dict[str, dict[str, NonNegative]], Field(min_length=2)]
    trade_log: str | None
    horizon: Count
    cost: NonNegative
    dead_band: NonNegative
    window: Annotated[int, Field(ge=2, le=500)]
    folds: Annotated[int, Field(ge=3)]
    purge: Whole
    embargo: Whole
    label_from: Day | None
    holdout_from: Day
    seed: Whole
    embedded: Literal["market", "planted"]
    embedded_days: Annotated[int, Field(ge=600, le=50_000)]
    embedded_edge: Annotated[float, Field(ge=0, lt=1)]

    @model_validator(mode="after")
    def _consistent(self) -> TradingData:
        if len(set(self.symbols)) < len(self.symbols):
            raise ValueError("symbols must stand once each")
        if both := sorted(set(self.symbols) & set(self.exogenous)):
            raise ValueError(f"{both[0]} must not stand among symbols and exogenous")
        for name, shares in self.strategies.items():
            if unknown := sorted(set(shares) - set(self.symbols)):
                raise ValueError(f"strategies.{name}: {unknown[0]} must be one of symbols")
            if sum(shares.values()) > 1 + 1e-9:
                raise ValueError(f"strategies.{name}: shares must not sum to more than 1")
        for name in ("purge", "embargo"):
            if getattr(self, name) < self.horizon:
                raise ValueError(f"{name} must be at least the horizon, whose labels overlap")
        if self.label_from is not None and self.label_from >= self.holdout_from:
            raise ValueError("label_from must be before holdout_from")
        return self


class TradingModel(RecursiveModelConfig):
    """The recursive model as it is; its inputs follow from the data."""


class TaskTerm(TermConfig):
    """`class_weights`: null, `auto` (balanced by the training split) or a weight a strategy; none above the limit."""

    class_weights: ClassWeights
    class_weight_limit: Positive


class ProfitTerm(TaskTerm):
    """`pnl_scale`: the PnL at which the weight has fallen to 1 - tanh 1; `w_min`: below which it never falls."""

    pnl_scale: Positive
    w_min: Annotated[float, Field(ge=0, le=1)]


class HaltTerm(TermConfig):
    """`confidence_threshold`: how sure a step must be of the right strategy to be one to halt at."""

    confidence_threshold: Annotated[float, Field(gt=0, lt=1)]


class TradingLoss(LossConfig):
    """The module's three terms, of which profit or task must count."""

    profit: ProfitTerm
    halt: HaltTerm
    task: TaskTerm

    @model_validator(mode="after")
    def _an_answer_to_halt_on(self) -> TradingLoss:
        if self.profit.weight == 0 and self.task.weight == 0:
            raise ValueError("profit or task must have a weight: halt alone teaches no strategy")
        return self


class TradingTraining(TrainingConfig):
    """`walk_forward`: whether a model is trained for every block of the walk-forward too, and judged on it."""

    walk_forward: bool


class TradingBaselineConfig(Section):
    """The cheap baseline. `strength`: inverse of the L2 regularisation of the softmax regression."""

    strength: Positive


class TradingEvaluation(EvaluationConfig):
    """`trials`: candidates that were tried to find the evaluated one, which the deflated Sharpe ratio takes off.

    `trial_ratios`: daily Sharpe ratios of their timing on validation, as far as known, by whose variance it takes them
    off; with fewer than two, the variance of ratios without skill.

    `parts`: stretches of days that the probability of backtest overfitting halves in every way. `cash`: the symbol
    whose return Sharpe ratios take off; null: nothing. `benchmarks`: name -> shares, to compare with. `momentum_days`:
    by whose return the momentum baseline chooses. `leakage_margin`: how far the accuracy may be above always the most
    frequent strategy before it is an alarm.
    """

    trials: Count
    trial_ratios: tuple[Annotated[float, Field(allow_inf_nan=False)], ...]
    parts: Annotated[int, Field(ge=4, le=20, multiple_of=2)]
    cash: Symbol | None
    benchmarks: dict[str, dict[str, NonNegative]]
    momentum_days: Count
    leakage_margin: Annotated[float, Field(ge=0, lt=1)]
    baseline: TradingBaselineConfig

    @model_validator(mode="after")
    def _a_ratio_a_trial(self) -> TradingEvaluation:
        if len(self.trial_ratios) > self.trials:
            raise ValueError("trial_ratios must not be more than trials")
        return self


class TradingConfig(Section):
    """Everything of `trading` in params.yaml."""

    data: TradingData
    model: TradingModel
    loss: TradingLoss
    training: TradingTraining
    evaluation: TradingEvaluation
    gate: GateConfig
    tuning: TuningConfig
    study: StudyConfig
    schedule: ScheduleConfig
    shadow: ShadowConfig = ShadowConfig()

    @model_validator(mode="after")
    def _benchmarks_can_be_held(self) -> TradingConfig:
        held = [
            *self.evaluation.benchmarks.items(),
            *([("cash", {self.evaluation.cash: 1.0})] if self.evaluation.cash else []),
        ]
        for name, shares in held:
            if unknown := sorted(set(shares) - set(self.data.symbols)):
                raise ValueError(f"evaluation: {name} holds {unknown[0]}, which must be one of data.symbols")
            if sum(shares.values()) > 1 + 1e-9:
                raise ValueError(f"evaluation: the shares of {name} must not sum to more than 1")
        return self

    @model_validator(mode="after")
    def _a_weight_a_strategy(self) -> TradingConfig:
        for name in ("profit", "task"):
            weights = getattr(self.loss, name).class_weights
            if isinstance(weights, tuple) and len(weights) != len(self.data.strategies):
                raise ValueError(f"loss.{name}.class_weights must hold a weight for each of data.strategies")
        return self
