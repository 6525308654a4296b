"""Model, teacher and loss of the assertions section of params.yaml."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from components.config_parts import (
    Count,
    LossConfig,
    NonNegative,
    Positive,
    Section,
    Share,
    TermConfig,
    TrainingConfig,
)


class AssertionsModel(Section):
    """Sizes of an encoder-decoder and limits of what it writes.

    `copy_width`: of the vectors by which the decoder finds what to copy. `beams`: hypotheses kept in the search, 1 is
    greedy. `max_tokens`: of a written assertion. `kind_share`: of the prepared linear model in the choice of the
    kind, the rest is the network's own.
    """

    width: Annotated[int, Field(ge=8, le=2048)]
    encoder_layers: Count
    decoder_layers: Count
    attention_heads: Count
    copy_width: Annotated[int, Field(ge=4, le=1024)]
    dropout: Share
    beams: Annotated[int, Field(ge=1, le=32)]
    max_tokens: Annotated[int, Field(ge=24, le=512)]
    kind_share: Share = 0.0

    @model_validator(mode="after")
    def _consistent(self) -> AssertionsModel:
        if self.width % (2 * self.attention_heads):
            raise ValueError("width must be a multiple of twice attention_heads")
        return self


class TokenTerm(TermConfig):
    """`syntax_penalty`: samples whose written text does not parse weigh 1 + penalty, a number without gradient."""

    syntax_penalty: NonNegative


class FocalTokenTerm(TokenTerm):
    """Focal cross-entropy of tokens. `alpha`: factor of the term, null for 1; `gamma`: how much sure tokens fade."""

    alpha: Annotated[float, Field(gt=0, le=1)] | None
    gamma: NonNegative


class SoftTerm(TermConfig):
    """`temperature`: of both distributions; the term is multiplied by its square, so gradients keep their size."""

    temperature: Positive


class SemanticTerm(TermConfig):
    """`pieces`: where the vocabulary's frozen embeddings come from; `cooccurrence` is computed from the training split,
    `minilm` needs the extra `semantic`. `width`: of the computed ones."""

    pieces: Literal["cooccurrence", "minilm"]
    width: Annotated[int, Field(ge=2, le=1024)]


class PansTerm(TermConfig):
    """N-grams of 1 to `n_max` tokens; a match i places off counts exp(-`decay` i)."""

    decay: NonNegative
    n_max: Annotated[int, Field(ge=1, le=8)]


class AssertionsLoss(LossConfig):
    """Trident's components and what goes beyond it.

    `normalise`: weights are divided by their sum at every moment. `online`: the teacher's distributions are computed
    anew beside the student instead of read from what was kept.
    """

    normalise: bool
    online: bool
    focal: FocalTokenTerm
    jsd: SoftTerm
    semantic: SemanticTerm
    ce: TokenTerm
    kl: SoftTerm
    pans: PansTerm
    hidden: TermConfig
    sequence: TermConfig
    on_policy: SoftTerm

    @property
    def asks_teacher(self) -> bool:
        """Whether a term compares with the distributions that the teacher left."""
        return not self.online and self._compares

    @property
    def asks_teacher_online(self) -> bool:
        """Whether a term needs the teacher itself beside the student."""
        return self.hidden.weight > 0 or self.on_policy.weight > 0 or (self.online and self._compares)

    @property
    def _compares(self) -> bool:
        return self.jsd.weight > 0 or self.kl.weight > 0


class TeacherLoss(LossConfig):
    """A teacher learns from the labels alone."""

    focal: FocalTokenTerm
    ce: TokenTerm


class TeacherConfig(Section):
    """The model that a student learns from, and what of its answers is kept.

    `top`: tokens of each distribution that are kept by themselves, all others as one sum. `sequences`: beams of the
    assertions that it writes for the training split, the references of sequence-level distillation; 0 writes none.
    `external`: a folder of a `transformers` model that writes them in its place; null: itself.
    """

    top: Annotated[int, Field(ge=1, le=256)]
    sequences: Annotated[int, Field(ge=0, le=32)]
    external: Annotated[str, Field(min_length=1)] | None = None
    model: AssertionsModel
    loss: TeacherLoss
    training: TrainingConfig

    @model_validator(mode="after")
    def _consistent(self) -> TeacherConfig:
        if self.external and not self.sequences:
            raise ValueError("sequences must be 1 or more for an external teacher: texts are all that it gives")
        return self
