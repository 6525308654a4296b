"""The loss terms of assertions: which outputs and labels each one reads, and how the health of a run is judged.

B samples, T target tokens with the end mark, V ids. Logits are the log-probabilities of a mixture of writing and
copying. The model has one supervision step, so every term is given once. What the specification calls Trident is
focal + jsd + semantic; `ast` is its measure of syntax, which has no gradient and is refused as a term.
"""

from __future__ import annotations

from typing import Any

from torch import Tensor

from components.losses import health
from components.losses.contract import Batch, Masked, Outputs, Term
from components.losses.cross_entropy import tokens_ce
from components.losses.distillation import focal_tokens, hidden_distance
from components.losses.distillation import jsd as divergence
from components.losses.distillation import kl as leibler
from components.losses.similarity import broken_syntax, semantic_distance, soft_pans, weighted_by_syntax

IGNORED = -1


def focal(outputs: Outputs, batch: Batch, settings: Any) -> Masked:
    """Focal cross-entropy of every token, values [B, T]."""
    found = focal_tokens(outputs["logits"], batch["target"], settings.gamma, settings.alpha, IGNORED)
    return _weighed(found, outputs, settings)


def ce(outputs: Outputs, batch: Batch, settings: Any) -> Masked:
    """Cross-entropy of every token, values [B, T]."""
    return _weighed(tokens_ce(outputs["logits"], batch["target"], IGNORED), outputs, settings)


def jsd(outputs: Outputs, batch: Batch, settings: Any) -> Masked:
    """Jensen-Shannon divergence to the teacher, over its likeliest pieces with all others as one outcome more,
    values [B, T]."""
    return divergence(outputs["student_logp"], outputs["teacher_logp"], _written(batch), settings.temperature)


def kl(outputs: Outputs, batch: Batch, settings: Any) -> Masked:
    """KL(teacher || student) over the same outcomes as `jsd`, values [B, T]."""
    return leibler(outputs["student_logp"], outputs["teacher_logp"], _written(batch), settings.temperature)


def semantic(outputs: Outputs, batch: Batch, settings: Any) -> Masked:
    """1 - cosine of expected and wanted embedding of the whole assertion, values [B]."""
    return semantic_distance(outputs["logits"], outputs["pieces"], batch["target"], IGNORED)


def pans(outputs: Outputs, batch: Batch, settings: Any) -> Masked:
    """1 - soft position-aware n-gram similarity, values [B]."""
    target = batch["target"]
    found, valid = soft_pans(outputs["logits"], target, _written(batch), settings.decay, settings.n_max, IGNORED)
    return Masked((1 - found).masked_fill(~valid, 0.0), valid)


def hidden(outputs: Outputs, batch: Batch, settings: Any) -> Masked:
    """Distance of the decoder's last states, projected, to the teacher's, values [B, T]."""
    return hidden_distance(outputs["projected"], outputs["teacher_states"], _written(batch))


def sequence(outputs: Outputs, batch: Batch, settings: Any) -> Masked:
    """Cross-entropy of every token of the text that the teacher wrote itself, values [B, T']."""
    return tokens_ce(outputs["sequence_logits"], batch["sequence"], IGNORED)


def on_policy(outputs: Outputs, batch: Batch, settings: Any) -> Masked:
    """Jensen-Shannon divergence to the teacher over text that the student wrote itself (GKD, Agarwal et al. 2024),
    as many tokens as the reference has, values [B, T]."""
    own, teacher = outputs["own_logits"], outputs["own_teacher"]
    return divergence(own, teacher, _written(batch), settings.temperature)


def ast(outputs: Outputs, batch: Batch, settings: Any) -> Masked:
    """Whether the likeliest tokens do not parse, values [B]: a measure."""
    return broken_syntax(outputs["parses"])


def _weighed(masked: Masked, outputs: Outputs, settings: Any) -> Masked:
    if not settings.syntax_penalty:
        return masked
    return weighted_by_syntax(masked, outputs["parses"], settings.syntax_penalty)


def _written(batch: Batch) -> Tensor:
    return batch["target"] != IGNORED


def _tokens(batch: Batch, settings: Any) -> Tensor:
    return _written(batch).sum()


def _samples(batch: Batch, settings: Any) -> Tensor:
    return _written(batch).any(-1).sum()


def _sequence_tokens(batch: Batch, settings: Any) -> Tensor:
    return (batch["sequence"] != IGNORED).sum() if "sequence" in batch else batch["target"].new_zeros(())


TERMS = {
    "focal": Term(focal, _tokens, every_step=False, needs=("logits",)),
    "jsd": Term(jsd, _tokens, every_step=False, needs=("student_logp", "teacher_logp")),
    "semantic": Term(semantic, _samples, every_step=False, needs=("logits", "pieces")),
    "ce": Term(ce, _tokens, every_step=False, needs=("logits",)),
    "kl": Term(kl, _tokens, every_step=False, needs=("student_logp", "teacher_logp")),
    "pans": Term(pans, _samples, every_step=False, needs=("logits",)),
    "hidden": Term(hidden, _tokens, every_step=False, needs=("projected", "teacher_states")),
    "sequence": Term(sequence, _sequence_tokens, every_step=False, needs=("sequence_logits",)),
    "on_policy": Term(on_policy, _tokens, every_step=False, needs=("own_logits", "own_teacher")),
}
TEACHER_TERMS = {name: TERMS[name] for name in ("focal", "ce")}
MEASURES = {"ast": Term(ast, _samples, every_step=False, has_gradient=False, needs=("parses",))}

HEALTH = (
    health.growing(
        reports=3,
        causes=("the learning rate is too high", "a weight rises faster than its term falls"),
        remedies=("lower training.learning_rate", "flatten the schedules", "lower training.clip_norm"),
    ),
    health.unlabelled(
        optional=("sequence", "hidden", "on_policy"),
        causes=("no assertion of the epoch has a token",),
        remedies=("look at the prepare report's counts",),
    ),
    health.gradient_share(
        low=0.001,
        high=0.999,  # focal alone is a sound recipe, and beside it a near student has little left to learn from jsd
        causes=("below .1%: the term cannot be felt", "above 99.9%: it drowns all others"),
        remedies=("raise the weight of the small term", "lower that of the large one"),
    ),
    health.not_decreasing(
        "focal",
        causes=("the model learns nothing from the labels", "the learning rate is too low or too high"),
        remedies=("look at training.learning_rate", "train longer"),
    ),
)
