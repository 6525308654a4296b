"""The model and loss parts of the keyboard section of params.yaml."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, model_validator

from components.config_parts import LossConfig, Positive, Section, Share, TermConfig

Part = Annotated[float, Field(ge=0, le=1)]  # of a whole, all of it too


class KeyboardMixture(Section):
    """What speaks beside the network; each number best chosen on validation, as evaluation reports it. `use`: whether
    anything does. `counts`: share of the n-gram in the next word. `own`: how many of the user's own words, of those
    behind the same word, and of those behind the same two, weigh as much as all the rest. `layout`: share of the
    suggested words' own layouts in the next layout. `emoji_share`: of the linear model of signs (`data.emoji_signs`) in
    the choice of an emoji. `emoji`: power of how common an emoji is that its probability is divided by (Menon et al.
    2021): 0 ranks by chance of being right, more by being right of every emoji.
    """

    use: bool
    counts: Part
    own: tuple[Positive, Positive, Positive]
    layout: Part
    emoji_share: Part = 0.0
    emoji: Part


class KeyboardModel(Section):
    """Sizes.

    `width`: of the table of pieces, which writes as it reads, and of the text's states; `layers`: of its recurrence.
    `bag_width`: of the bag of a message's pieces and pairs, which fall into `bag_pairs` buckets.
    `typed_width`: of the reader of the word being typed; `screen_width`: channels of the screen's map; `features`: of
    the vectors that are compared. `experts_used`: those with a weight for one event; all five: soft routing.
    `image`: false builds no reader of screens. `screen_dropout`: of the screens while training, which are then missing.
    `word_dropout`: of the pieces that the text encoder reads while training. `correct_above`: probability of an error
    from which on a keyboard corrects. `mixture`: the counts beside the network.
    """

    width: Annotated[int, Field(ge=8, le=1024)]
    layers: Annotated[int, Field(ge=1, le=4)]
    bag_width: Annotated[int, Field(ge=1, le=512)]
    bag_pairs: Annotated[int, Field(ge=1, le=1 << 20)]
    typed_width: Annotated[int, Field(ge=4, le=512)]
    screen_width: Annotated[int, Field(ge=4, le=512)]
    features: Annotated[int, Field(ge=4, le=1024)]
    expert_width: Annotated[int, Field(ge=4, le=1024)]
    experts_used: Annotated[int, Field(ge=1, le=5)]
    image: bool
    correct_above: Share
    dropout: Share
    word_dropout: Share
    screen_dropout: Share
    mixture: KeyboardMixture


class ComparingTerm(TermConfig):
    """`within_micro_batch`: compares the samples of each micro-batch alone, however many a step has."""

    within_micro_batch: bool


class InfoNceTerm(ComparingTerm):
    """`tau`: temperature. `symmetric`: both directions, else from the screen to the text alone."""

    tau: Positive
    symmetric: bool


class EncoderLoss(TermConfig):
    """The encoder composite: screens against their text, and against one another."""

    align: InfoNceTerm
    contrastive: InfoNceTerm


class DecoderLoss(TermConfig):
    """The decoder composite: text, task, layout, the same answer after a change of words, all experts in use."""

    text: TermConfig
    task: TermConfig
    layout: TermConfig
    consistency: TermConfig
    load: ComparingTerm


class KeyboardLoss(LossConfig):
    """The specification's encoder and decoder composites; each weight is multiplied by that of its composite."""

    encoder: EncoderLoss
    decoder: DecoderLoss

    @model_validator(mode="after")
    def _labels_to_learn(self) -> KeyboardLoss:
        decoder = self.decoder
        terms = (decoder.text, decoder.task, decoder.layout)
        if decoder.weight == 0 or not any(term.weight > 0 for term in terms):
            raise ValueError("decoder.text, task or layout must have a weight: the others teach no answer")
        return self
