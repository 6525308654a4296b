"""The keyboard section of params.yaml."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from components.config_keyboard_evaluation import KeyboardEvaluation
from components.config_keyboard_model import KeyboardLoss, KeyboardModel
from components.config_parts import (
    Count,
    GateConfig,
    Positive,
    ScheduleConfig,
    Section,
    ShadowConfig,
    Share,
    StudyConfig,
    TrainingConfig,
    TuningConfig,
    Whole,
)

HoldOut = Annotated[float, Field(gt=0, lt=0.5)]
Part = Literal["nus_en", "nus_zh", "crosswoz", "tweeteval", "cldr", "sighan", "spelling"]


class KeyboardData(Section):
    """Messages, how typing them is imitated, and how much of each a model sees.

    `format`: lines: JSON lines of messages; published: a folder of the public originals. `parts`: of the originals that
    are read; one that is absent is refused. `codespell`: whether their dictionary gives the misspellings. Users are
    held out whole, about so many as the shares say. `completion_share`, `error_share`, `clean_share`: of the words,
    those caught half typed, mistyped, and whole and right. `history_tokens`: pieces of earlier messages before a
    message, of at most `history_messages`; `message_tokens`: words, characters and marks of a message, a longer one
    becomes several. `emoji_signs`: buckets of the linear model that tells how likely each emoji is; 0: none.
    `emoji_strength`: inverse of its L2 regularisation. `screens`: drawn for a split, about. `processes`: that draw.
    `fonts`: font files to draw with before the system's. `missing_glyphs`: block: what no font has is drawn as a filled
    block and reported; refuse: it ends prepare.
    """

    source: Annotated[str, Field(min_length=1)]
    format: Literal["auto", "lines", "published"]
    parts: Annotated[tuple[Part, ...], Field(min_length=1)]
    codespell: bool
    validation_share: HoldOut
    test_share: HoldOut
    seed: Whole
    embedded_users: Annotated[int, Field(ge=10, le=10_000)]
    embedded_messages: Annotated[int, Field(ge=100, le=1_000_000)]
    completion_share: Share
    error_share: Share
    clean_share: Share
    vocabulary: Annotated[int, Field(ge=300, le=32_000)]
    history_messages: Annotated[int, Field(ge=0, le=8)]
    history_tokens: Whole
    message_tokens: Annotated[int, Field(ge=8, le=1024)]
    emoji_signs: Annotated[int, Field(ge=0, le=1 << 20)] = 0
    emoji_strength: Positive = 0.05
    screens: Whole
    processes: Count
    fonts: tuple[str, ...]
    missing_glyphs: Literal["block", "refuse"]

    @model_validator(mode="after")
    def _consistent(self) -> KeyboardData:
        if len(set(self.parts)) != len(self.parts):
            raise ValueError("parts must name each original once")
        return self


class KeyboardConfig(Section):
    """Everything of `keyboard` in params.yaml."""

    data: KeyboardData
    model: KeyboardModel
    loss: KeyboardLoss
    training: TrainingConfig
    evaluation: KeyboardEvaluation
    gate: GateConfig
    tuning: TuningConfig
    study: StudyConfig
    schedule: ScheduleConfig
    shadow: ShadowConfig = ShadowConfig()

    @model_validator(mode="after")
    def _signs_to_mix(self) -> KeyboardConfig:
        if self.model.mixture.emoji_share > 0 and not self.data.emoji_signs:
            raise ValueError("data.emoji_signs must be 1 or more where model.mixture.emoji_share is not 0")
        return self

    @model_validator(mode="after")
    def _something_to_align(self) -> KeyboardConfig:
        encoder = self.loss.encoder
        if not self.model.image and encoder.weight * (encoder.align.weight + encoder.contrastive.weight) > 0:
            raise ValueError("model.image: false needs loss.encoder.weight 0: without screens nothing is aligned")
        return self
