"""Writing: greedy or beam search over a batch of sources, each position computed once, within the limits of syntax."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from components.modules.crossing import Written
from components.workloads.assertions.encode import EOS
from components.workloads.assertions.grammar import STARTS, Grammar, State
from components.workloads.assertions.model import AssertionWriter, Read, start

TRIED = 40  # pieces tried for each hypothesis, likeliest first, before the way out is taken
LENGTH_POWER = 0.6  # of the length that log-probabilities are divided by, else short texts win (Wu et al. 2016)


@dataclass(frozen=True)
class Text:
    """A written sequence: `pieces` without end mark, and the log-probability of all of it with the end mark."""

    pieces: tuple[int, ...]
    log_probability: float

    @property
    def score(self) -> float:
        return self.log_probability / (len(self.pieces) + 1) ** LENGTH_POWER


@dataclass(frozen=True)
class _Open:
    """A hypothesis under way: what is written, its log-probability, what may follow, and its row in the batch."""

    pieces: tuple[int, ...]
    log_probability: float
    state: State
    row: int


@dataclass(frozen=True)
class Leaning:
    """What somebody else holds of the kinds: `shares` of probability [B, K], in the order of STARTS, and the `weight`
    in [0, 1) that they have beside the model's own."""

    shares: Sequence[Sequence[float]]
    weight: float

    def mass(self, sample: int, option: _Open) -> float:
        """How likely the kinds are that an option leads to, by the mixture of both."""
        own, begun = math.exp(option.log_probability), option.state.start
        if begun is None:  # the bracket behind the kind, which nothing competes with
            return own
        shares = zip(STARTS, self.shares[sample], strict=True)
        others = sum(share for start, share in shares if start.startswith(begun))
        return (1 - self.weight) * own + self.weight * others


@torch.inference_mode()
def write(
    model: AssertionWriter,
    source: Tensor,
    segments: Tensor,
    grammar: Grammar | None,
    beams: int,
    most: int,
    leaning: Leaning | None = None,
) -> list[list[Text]]:
    """For each source [B, L] at most `beams` finished texts, best first.

    Args:
        grammar: what may follow what; None writes freely until the end mark.
        beams: hypotheses kept for each source; 1 is greedy.
        most: pieces at most, the end mark included.
        leaning: of the kind, where there is a grammar; None: the model's own distribution alone decides it.
    """
    read = model.read(source, segments)
    samples = len(source)
    found: list[list[Text]] = [[] for _ in range(samples)]
    front = [[_Open((), 0.0, State(), i)] for i in range(samples)]
    rows, written = torch.arange(samples, device=source.device), None
    recent = start(samples, source.device)
    for position in range(most):
        told, written = model.next(recent, position, read, written)
        grown = _grow(front, told, grammar, beams, most - position - 1, found, leaning)
        kept = [each for beam in grown for each in beam]
        if not kept:
            break
        rows = torch.tensor([each.row for each in kept], device=source.device)
        read, written = _follow(read, written, rows, changed=len(rows) != len(recent) or beams > 1)
        last = torch.tensor([each.pieces[-1] for each in kept], device=source.device)
        recent = torch.cat([recent[rows, 1:], last.unsqueeze(1)], dim=1)
        front = _numbered(grown)
    return [sorted(texts, key=lambda text: -text.score)[:beams] for texts in found]


def _grow(
    front: Sequence[Sequence[_Open]],
    told: Tensor,
    grammar: Grammar | None,
    beams: int,
    left: int,
    found: list[list[Text]],
    leaning: Leaning | None,
) -> list[list[_Open]]:
    """The best continuations of every sample's hypotheses; finished ones go to `found`, and a sample that has as many
    finished as beams, all better than what is still open, is done.

    The kind of assertion is decided alone, before there are several hypotheses: among whole texts those win whose kind
    leaves least to be said, which is not what makes a kind likely.
    """
    top, ids = (part.tolist() for part in told.topk(min(TRIED, told.shape[-1]), dim=-1))
    grown: list[list[_Open]] = []
    for sample, beam in enumerate(front):
        undecided = grammar is not None and any(each.state.start is not None for each in beam)
        if leaning is not None and grammar is not None and undecided:
            options = [option for each in beam for option in _openings(each, told, grammar, left)]
            options.sort(key=lambda option, sample=sample: -leaning.mass(sample, option))
        else:
            options = [
                option
                for each in beam
                for option in _options(each, top[each.row], ids[each.row], told, grammar, beams, left)
            ]
            options.sort(key=lambda option: -option.log_probability)
        open_ones: list[_Open] = []
        kept = 1 if undecided else beams
        for option in options[: 2 * kept]:
            if option.pieces[-1] == EOS:
                found[sample].append(Text(option.pieces[:-1], option.log_probability))
            elif len(open_ones) < kept:
                open_ones.append(option)
        if left == 0:  # only reached where nothing bounds the length but the length itself
            found[sample] += [Text(each.pieces, each.log_probability) for each in open_ones]
            open_ones = []
        grown.append([] if _settled(found[sample], open_ones, beams) else open_ones)
    return grown


def _openings(each: _Open, told: Tensor, grammar: Grammar, left: int) -> list[_Open]:
    """Every piece that may follow in a kind that is begun, whatever the model thinks of it."""
    pieces = grammar.openings(each.state.start or "")
    after = ((piece, grammar.after(each.state, piece, left)) for piece in pieces)
    return [
        _Open((*each.pieces, piece), each.log_probability + float(told[each.row, piece]), state, each.row)
        for piece, state in after
        if state is not None
    ]


def _options(
    each: _Open, top: Sequence[float], ids: Sequence[int], told: Tensor, grammar: Grammar | None, beams: int, left: int
) -> list[_Open]:
    """The likeliest pieces that may follow, at most one more than there are beams; the way out where none may."""
    options: list[_Open] = []
    for log_probability, piece in zip(top, ids, strict=True):
        state = each.state if grammar is None else grammar.after(each.state, piece, left)
        if state is not None:
            options.append(_Open((*each.pieces, piece), each.log_probability + log_probability, state, each.row))
            if len(options) > beams:
                break
    if not options and grammar is not None:
        piece = grammar.way_out(each.state)
        state = grammar.after(each.state, piece, left) or each.state
        options.append(
            _Open((*each.pieces, piece), each.log_probability + float(told[each.row, piece]), state, each.row)
        )
    return options


def _settled(texts: Sequence[Text], open_ones: Sequence[_Open], beams: int) -> bool:
    if not open_ones:
        return True
    if len(texts) < beams:
        return False
    worst = sorted((text.score for text in texts), reverse=True)[beams - 1]
    best = max(each.log_probability / (len(each.pieces) + 1) ** LENGTH_POWER for each in open_ones)
    return worst >= best


def _follow(read: Read, written: list[Written], rows: Tensor, changed: bool) -> tuple[Read, list[Written]]:
    """Read and cache of the rows that go on, in their order."""
    if not changed:
        return read, written
    return read.chosen(rows), [Written(cache.key[rows], cache.value[rows]) for cache in written]


def _numbered(grown: Sequence[Sequence[_Open]]) -> list[list[_Open]]:
    """The same hypotheses with the rows they have now."""
    numbered, row = [], 0
    for beam in grown:
        numbered.append([_Open(e.pieces, e.log_probability, e.state, row + i) for i, e in enumerate(beam)])
        row += len(beam)
    return numbered
