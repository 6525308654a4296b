"""The loss terms of the keyboard: which outputs and labels each one reads, and how the health of a run is judged.

S events, of which some show a screen; up to C pieces of a target each. The specification's total is the composite of
`encoder` (align, contrastive) and `decoder` (text, task, layout, consistency, load) with those weights. Cross-entropies
take logits: over softmax outputs, as the specification sketches them, they could not fall below .5514 (task), .9048.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from components.losses import health
from components.losses.contract import Batch, Masked, Outputs, Term
from components.losses.contrastive import info_nce
from components.losses.cross_entropy import class_ce
from components.losses.load_balance import load_balance
from components.losses.tokens import projected_ce

IGNORED = -1


def align(outputs: Outputs, batch: Batch, settings: Any) -> Masked:
    """InfoNCE of screen and text, values [S], of events with a screen."""
    return _info_nce(outputs["screen_feature"], outputs, batch, settings)


def contrastive(outputs: Outputs, batch: Batch, settings: Any) -> Masked:
    """InfoNCE of the mean of the screen's regions and the text, values [S], of events with a screen."""
    return _info_nce(outputs["region_features"].mean(-2), outputs, batch, settings)


def text(outputs: Outputs, batch: Batch, settings: Any) -> Masked:
    """Cross-entropy of every piece of the target given those before it, values [S, C]."""
    valid = batch["target"] != IGNORED
    values = projected_ce(outputs["written"], outputs["table"], batch["target"][valid], IGNORED).values
    return Masked(values.new_zeros(valid.shape).index_put((valid,), values), valid)


def task(outputs: Outputs, batch: Batch, settings: Any) -> Masked:
    """Cross-entropy of what the user did next, values [S]."""
    return class_ce(outputs["task_logits"], batch["task"])


def layout(outputs: Outputs, batch: Batch, settings: Any) -> Masked:
    """Cross-entropy of the layout that comes next, values [S]."""
    return class_ce(outputs["layout_logits"], batch["next_layout"])


def consistency(outputs: Outputs, batch: Batch, settings: Any) -> Masked:
    """Cross-entropy of the layout of the target's language, values [S], where it has one."""
    return class_ce(outputs["layout_logits"], batch["target_language"])


def load(outputs: Outputs, batch: Batch, settings: Any) -> Masked:
    """How unequally the experts are used, values [S]; their mean is the sum of (f_i - 1/5)^2."""
    return load_balance(outputs["gate_logits"].float().softmax(-1), settings.within_micro_batch)


def _info_nce(shown: Tensor, outputs: Outputs, batch: Batch, settings: Any) -> Masked:
    written, seen = outputs["text_feature"], batch["screen"] >= 0
    return info_nce(shown, written, seen, settings.tau, settings.symmetric, settings.within_micro_batch)


def _screens(batch: Batch, settings: Any) -> Tensor:
    return (batch["screen"] >= 0).sum()


def _labelled(name: str) -> Any:
    return lambda batch, settings: (batch[name] != IGNORED).sum()


def _events(batch: Batch, settings: Any) -> Tensor:
    return torch.tensor(len(batch["task"]), device=batch["task"].device)


_TEXT = Term(text, _labelled("target"), every_step=False, needs=("written", "table"))
TERMS = {
    "encoder": {
        "align": Term(
            align, _screens, every_step=False, compares_samples=True, needs=("screen_feature", "text_feature")
        ),
        "contrastive": Term(
            contrastive, _screens, every_step=False, compares_samples=True, needs=("region_features", "text_feature")
        ),
    },
    "decoder": {
        "text": _TEXT,
        "task": Term(task, _labelled("task"), every_step=False, needs=("task_logits",)),
        "layout": Term(layout, _labelled("next_layout"), every_step=False, needs=("layout_logits",)),
        "consistency": Term(consistency, _labelled("target_language"), every_step=False, needs=("layout_logits",)),
        "load": Term(load, _events, every_step=False, compares_samples=True, needs=("gate_logits",)),
    },
}

HEALTH = (
    health.above(
        "encoder/align",
        5.0,
        after=1,  # picking among 150 or more at random costs 5, and that is where a run begins
        causes=("poor alignment of screen and text",),
        remedies=("check how images are read", "check how text is encoded", "lower loss.encoder.align.tau"),
    ),
    health.at_chance(
        "encoder/align",
        0.98,
        causes=("screen and text say nothing of each other",),
        remedies=("look at the contact sheet of screens", "raise loss.encoder.weight", "train longer"),
    ),
    health.above(
        "decoder/text",
        10.0,
        causes=("poor writing: a vocabulary of 8,192 pieces at random costs 9",),
        remedies=("check the vocabulary", "look at the target pieces", "lower training.learning_rate"),
    ),
    health.above(
        "decoder/load",
        0.5,
        causes=("nearly all events go to one expert",),
        remedies=("raise loss.decoder.load.weight", "look at the routing", "look at the experts' start"),
    ),
    health.metric_below(
        "experts/least",
        0.02,
        causes=("an expert is never used",),
        remedies=("raise loss.decoder.load.weight", "raise model.experts_used"),
    ),
    health.growing(
        reports=3,
        causes=("the learning rate is too high", "labels do not match"),
        remedies=("lower training.learning_rate", "lower training.clip_norm"),
    ),
    health.not_decreasing(
        "decoder/text",
        causes=("the data arrive wrongly", "no gradient flows", "labels do not match"),
        remedies=("look at the prepare report", "look at the gradient panel", "change training.learning_rate"),
    ),
    health.unlabelled(
        causes=("no event of the epoch has a label of that kind", "no screen was drawn"),
        remedies=("look at the prepare report's counts", "raise data.screens or set loss.encoder.weight to 0"),
    ),
    health.gradient_share(
        low=0.00001,  # load has a hundredth of the others' weight by design, and is near 0 when all is well
        high=0.999,
        causes=("below .001%: the term cannot be felt", "above 99.9%: it drowns all others"),
        remedies=("raise the weight of the small term", "lower that of the large one"),
    ),
)
