"""From start and end logits to spans of the original text.

A span is scored by the sum of its start and end log-probabilities (the pointer decoding of BERT's SQuAD head, Devlin et
al. 2019, section 4.2), over the pairs that make sense: start <= end, at most `max_tokens` long, inside one message, and
only over positions the query may point at. Position 0 means "not present": it wins when it outweighs all spans
together, so that a value which is surely there but whose ends are in doubt is still found.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from components.errors import EquipoiseError, Exit
from components.workloads.tool_calling.dialogues import FoundSpan, Message

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

CELLS = 1 << 18  # queries x tokens decoded at a time: small enough to stay in a core's cache, memory stays bounded


def decode_spans(
    start_logits: NDArray[np.floating],
    end_logits: NDArray[np.floating],
    turns: NDArray[np.integer],
    max_tokens: int,
) -> tuple[Ints, Ints, Floats]:
    """The best span of each query, or (0, 0) for "not present".

    Args:
        start_logits: [Q, L], -inf where the query may not point.
        end_logits: [Q, L], -inf likewise.
        turns: [Q, L] or [L], the message each token belongs to.
        max_tokens: the longest span, in tokens.

    Returns:
        start [Q], end [Q] (inclusive token positions) and confidence [Q]: the probability of the chosen outcome among
        all allowed outcomes, "not present" included. Equal weight goes to "not present", equal spans to the earliest
        start, then to the earliest end. A query without a single allowed position is "not present" with confidence 1.

    Raises:
        EquipoiseError: E_SPAN_LOGITS (65) on NaN or +inf, which have no best span.
    """
    queries, length = start_logits.shape
    starts, ends = np.zeros(queries, np.int64), np.zeros(queries, np.int64)
    confidence = np.ones(queries, np.float64)
    if not queries or not length:
        return starts, ends, confidence
    turns = np.broadcast_to(turns, (queries, length))
    block = max(1, CELLS // length)
    for low in range(0, queries, block):
        part = slice(low, low + block)
        starts[part], ends[part], confidence[part] = _decode_block(
            _log_probabilities(start_logits[part]), _log_probabilities(end_logits[part]), turns[part], max_tokens
        )
    return starts, ends, confidence


def to_found_span(
    start: int,
    end: int,
    confidence: float,
    tokens: Sequence[Sequence[int] | NDArray[np.integer]],
    history: Sequence[Message],
    first_message: int = 0,
) -> FoundSpan | None:
    """The text behind a decoded span, cut from the original message; None for "not present" or white space alone.

    Args:
        start, end: inclusive token positions as `decode_spans` gives them.
        confidence: of the span.
        tokens: (turns, starts, ends) of the row's tokens: the message of each token counted from the row's first one,
            and the characters [start, end) it covers there. A token that is part of a character covers all of it.
        history: the sample's messages.
        first_message: index in `history` of the row's first message, above 0 when the window cut the beginning off.
    """
    if start == 0:
        return None
    turns, starts, ends = tokens
    turn = int(turns[start]) + first_message
    text = history[turn].content
    low, high = whole_words(text, *trim(text, int(starts[start]), int(ends[end])))
    return FoundSpan(text[low:high], turn, low, high, float(confidence)) if low < high else None


def trim(text: str, start: int, end: int) -> tuple[int, int]:
    """Moves character offsets [start, end) inwards over white space, as tokens carry the blank before a word."""
    start, end = max(start, 0), min(max(end, 0), len(text))
    while start < end and text[start].isspace():
        start += 1
    while end > start and text[end - 1].isspace():
        end -= 1
    return start, end


def whole_words(text: str, start: int, end: int) -> tuple[int, int]:
    """Moves character offsets [start, end) outwards to the ends of words: a token may be a part of one, a value is not.

    Only in scripts that put blanks between words.
    """
    while 0 < start < end and _one_word(text[start - 1 : start + 1]):
        start -= 1
    while start < end < len(text) and _one_word(text[end - 1 : end + 1]):
        end += 1
    return start, end


def _one_word(pair: str) -> bool:
    return pair.isalnum() and max(pair) < "\u0e00"  # Thai; beyond it scripts run words together


def _log_probabilities(logits: NDArray[np.floating]) -> Floats:
    """log softmax over the last axis in float64; rows without an allowed position stay -inf."""
    values = np.asarray(logits, dtype=np.float64)
    top = values.max(axis=1, keepdims=True)
    if np.isnan(top).any() or (top == np.inf).any():
        raise EquipoiseError(
            "SPAN_LOGITS",
            "span decoder",
            "logits must be finite or -inf",
            got="NaN" if np.isnan(top).any() else "+inf",
            hint="The model's weights are damaged or it overflowed: load another version",
            exit_code=Exit.BAD_DATA,
        )
    shifted = values - np.where(np.isfinite(top), top, 0.0)
    with np.errstate(divide="ignore"):
        return shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True).clip(min=np.finfo(np.float64).tiny))


def _decode_block(start: Floats, end: Floats, turns: NDArray[np.integer], max_tokens: int) -> tuple[Ints, Ints, Floats]:
    rows = np.arange(len(start))
    absent = start[:, 0] + end[:, 0]
    start, end = start.copy(), end.copy()
    start[:, 0] = end[:, 0] = -np.inf
    pieces = _pieces(start, end, turns)
    scores = start + _over_windows(end, pieces, max_tokens, np.maximum, -np.inf)
    best_start = scores.argmax(axis=1)
    best = scores[rows, best_start]
    best_end = _first_equal(end, pieces, best_start, max_tokens)
    total = _log_total(start, end, pieces, max_tokens)
    present = total > absent
    with np.errstate(invalid="ignore"):
        share = np.exp(np.where(present, best, absent) - np.logaddexp(total, absent))
    confidence = np.where(np.isfinite(np.maximum(total, absent)), np.minimum(share, 1.0), 1.0)
    return np.where(present, best_start, 0), np.where(present, best_end, 0), confidence


def _pieces(start: Floats, end: Floats, turns: NDArray[np.integer]) -> NDArray[np.int32]:
    """[Q, L] number of the unbroken run each position is in: runs end with a message and at a forbidden position."""
    allowed = np.isfinite(start) | np.isfinite(end)
    breaks = np.zeros(start.shape, np.int32)
    breaks[:, 1:] = (turns[:, 1:] != turns[:, :-1]) | ~(allowed[:, 1:] & allowed[:, :-1])
    return breaks.cumsum(axis=1, dtype=np.int32)


def _over_windows(
    values: Floats, pieces: NDArray[np.int32], width: int, combine: Callable[..., Floats], empty: float
) -> Floats:
    """[Q, L]: `combine` of values[s .. s + width - 1] inside the run of s, in log2(width) steps.

    A window of `width` is put together from windows of 1, 2, 4, ... positions, one for each bit of `width`, so it works
    for sums as for maxima and nothing is ever subtracted.
    """
    result, done, size, power = np.full_like(values, empty), 0, 1, values
    while size <= width:
        if width & size:
            result = combine(result, _shifted(power, pieces, done, empty))
            done += size
        if 2 * size <= width:
            power = combine(power, _shifted(power, pieces, size, empty))
        size *= 2
    return result


def _shifted(values: Floats, pieces: NDArray[np.int32], by: int, empty: float) -> Floats:
    """values[s + by] where that position is in the run of s, else `empty`."""
    if by == 0:
        return values
    moved = np.full_like(values, empty)
    if by < values.shape[1]:
        same = pieces[:, by:] == pieces[:, :-by]
        moved[:, :-by] = np.where(same, values[:, by:], empty)
    return moved


def _first_equal(end: Floats, pieces: NDArray[np.int32], start: Ints, width: int) -> Ints:
    """The earliest best end of each query, given its start."""
    rows = np.arange(len(end))[:, None]
    ahead = start[:, None] + np.arange(min(width, end.shape[1]))
    inside = ahead < end.shape[1]
    ahead = np.where(inside, ahead, 0)
    inside &= pieces[rows, ahead] == pieces[rows, start[:, None]]
    return start + np.where(inside, end[rows, ahead], -np.inf).argmax(axis=1)


def _log_total(start: Floats, end: Floats, pieces: NDArray[np.int32], max_tokens: int) -> Floats:
    """[Q] log of the summed exp(score) of all spans, -inf where there is none.

    Computed in probabilities first; the few queries whose every span underflows are computed in logarithms.
    """
    with np.errstate(divide="ignore"):
        mass = (np.exp(start) * _over_windows(np.exp(end), pieces, max_tokens, np.add, 0.0)).sum(axis=1)
        total = np.log(mass)
        tiny = mass < 1e-250
        if tiny.any():
            scores = start[tiny] + _over_windows(end[tiny], pieces[tiny], max_tokens, np.logaddexp, -np.inf)
            total[tiny] = np.logaddexp.reduce(scores, axis=1)
    return total
