"""P12: token-level span labels of dialogues: prepare's way against the TRM specification's per-sample data set.

Both take decisions with their histories and labelled values, and give the tokens of every decision's history and the
first and last token of every value. The specification computes them in `__getitem__`, so in every epoch and for every
sample: encode each message of the history with offsets, fold its text with an index map, search the value, scan the
offsets for its tokens. Prepare encodes and folds each message once, however many decisions look back at it, places all
spans by one binary search, and does so once for all epochs, which then read arrays.

`ratio` compares a single pass, where the tokenizer, which both sides share, bounds what can be gained; `training`
compares a training of the default recipe (`epochs` of params.yaml), which pays our side once. Real dialogues are taken
where they lie beside the project, else generated ones, whose conversations are shorter.

    python -m benchmarks.p12_span_labels [--turns N] [--fast]
"""

from __future__ import annotations

import argparse
import os
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path
from types import SimpleNamespace

os.environ["TOKENIZERS_PARALLELISM"] = "false"

import numpy as np

from benchmarks.harness import Result, alternate, report
from components.config import load_config
from components.data.tokenizer import TextTokenizer, train_tokenizer
from components.workloads.tool_calling.dialogues import TOOL_CALL, Labels, Sample
from components.workloads.tool_calling.elements import KINDS, ElementTable
from components.workloads.tool_calling.encode import encode_rows
from components.workloads.tool_calling.generator import write_dialogues
from components.workloads.tool_calling.sgd import is_sgd, read_sgd
from components.workloads.tool_calling.trm_jsonl import read_intent_map, read_jsonl
from components.workloads.tool_calling.trm_lines import locate

GOAL = 20.0
REAL = Path("../shared/data/toolcall")
CHUNK = 256
WHOLE = SimpleNamespace(window=1 << 20, tool_call_tokens=1 << 20, tool_response_tokens=1 << 20)  # nothing is cut off
Spans = list[dict[tuple[str, str], tuple[int, int]]]  # per sample: (kind, name) -> tokens, inclusive


def dialogues(turns: int) -> tuple[list[Sample], int]:
    """Decisions of conversations that have at least `turns` messages together."""
    if is_sgd(REAL):
        return _take((sample for _, sample in read_sgd(REAL)), turns)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_dialogues(3, max(20, turns // 4), folder)
        intents = read_intent_map(folder / "intend.json")
        return _take((sample for _, sample in read_jsonl(folder, intents)), turns)


def _take(stream: Iterable[Sample], turns: int) -> tuple[list[Sample], int]:
    samples: list[Sample] = []
    longest: dict[str, int] = {}
    for sample in stream:
        if sample.conversation not in longest and sum(longest.values()) >= turns:
            break
        samples.append(sample)
        longest[sample.conversation] = len(sample.history)
    return samples, sum(longest.values())


# --- the specification's formulation ----------------------------------------------------------------------------------


def plain_find(text: str, value: str) -> tuple[int, int] | None:
    folded, origin = [], []
    for index, character in enumerate(text):
        for piece in character.lower():
            folded.append(piece)
            origin.append(index)
    origin.append(len(text))
    hay, needle = "".join(folded), value.strip().lower()
    at = hay.find(needle)
    while needle and at >= 0:
        end = at + len(needle)
        before = at == 0 or not (hay[at - 1].isalnum() and needle[0].isalnum())
        after = end == len(hay) or not (hay[end].isalnum() and needle[-1].isalnum())
        if before and after:
            return origin[at], origin[end]
        at = hay.find(needle, at + 1)
    return None


def plain_token_span(offsets: Sequence[tuple[int, int]], start: int, end: int) -> tuple[int, int]:
    first = last = -1
    for index, (token_start, token_end) in enumerate(offsets):
        if token_end > start and token_start < end:
            first = index if first < 0 else first
            last = index
    return first, last


def theirs(samples: Sequence[Sample], tokenizer: TextTokenizer) -> Spans:
    return [plain_item(sample, tokenizer) for sample in samples]


def plain_item(sample: Sample, tokenizer: TextTokenizer) -> dict[tuple[str, str], tuple[int, int]]:
    tokens, begins, offsets = [1], [], []
    for message in sample.history:
        encoded = tokenizer.inner.encode(message.content, add_special_tokens=False)
        spaces = [_lead(message.content, start, end) for start, end in encoded.offsets]
        begins.append(len(tokens))
        offsets.append([(s + lead, e) for (s, e), lead in zip(encoded.offsets, spaces, strict=True)])
        tokens += [*encoded.ids, 2]
    found = {}
    assert sample.labels is not None
    for kind, values in (("slot", sample.labels.slots), ("arg", sample.labels.arguments)):
        for name, value in values.items():
            for turn, message in enumerate(sample.history):
                span = plain_find(message.content, value) if message.role != TOOL_CALL else None
                if span is not None:
                    first, last = plain_token_span(offsets[turn], *span)
                    found[kind, name] = (begins[turn] + first, begins[turn] + last)
                    break
    return found


def _lead(text: str, start: int, end: int) -> int:
    """Blanks glued to the front of a word do not count as part of it."""
    word = text[start:end].lstrip(" ")
    return end - start - len(word) if word else 0


# --- prepare's way ----------------------------------------------------------------------------------------------------


def ours(samples: Sequence[Sample], tokenizer: TextTokenizer) -> list:
    table = ElementTable(tokenizer, dict.fromkeys(KINDS, ()))
    chunks = []
    for begin in range(0, len(samples), CHUNK):
        located = []
        for sample in samples[begin : begin + CHUNK]:
            labels = sample.labels
            assert labels is not None
            arguments, slots = locate(labels.arguments, sample.history), locate(labels.slots, sample.history)
            found = Labels(
                labels.decision, labels.tool, labels.intent, labels.arguments, arguments, labels.slots, slots
            )
            offer = (sample.tools, sample.history, sample.slots, sample.intents, sample.service)
            located.append(Sample(sample.id, sample.conversation, *offer, found))
        chunks.append((located, encode_rows(located, table, WHOLE)))
    return chunks


def reread(chunks: list) -> int:
    """What an epoch does instead of labelling: takes the columns of every chunk out of the arrays."""
    columns = ("tokens", "slot_start", "slot_end", "arg_start", "arg_end")
    return sum(np.array(getattr(rows, name)).nbytes for _, rows in chunks for name in columns)


def our_spans(chunks: list) -> Spans:
    """The columns of `ours` in the form of the other side, for the comparison only."""
    spans: Spans = []
    for located, rows in chunks:
        base = len(spans)
        spans += [{} for _ in located]
        for kind in ("slot", "arg"):
            columns = (getattr(rows, f"{kind}_{name}") for name in ("sample", "start", "end"))
            seen: dict[int, int] = {}
            for sample, start, end in zip(*columns, strict=True):
                query = seen[sample] = seen.get(sample, -1) + 1
                names = _names(located[sample], kind)
                if start > 0:
                    spans[base + sample][kind, names[query]] = (int(start), int(end))
    return spans


def _names(sample: Sample, kind: str) -> list[str]:
    if kind == "slot":
        return sorted(sample.slots)
    tool = next(tool for tool in sample.tools if sample.labels and tool.name == sample.labels.tool)
    return sorted(parameter.name for parameter in tool.parameters)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--turns", type=int, default=6000, help="messages in the conversations; the claim says 50000")
    parser.add_argument("--fast", action="store_true", help="a quarter of the turns")
    arguments = parser.parse_args()
    samples, turns = dialogues(arguments.turns // 4 if arguments.fast else arguments.turns)
    tokenizer = train_tokenizer((message.content for sample in samples for message in sample.history[-2:]), 4096)
    expected, got = theirs(samples, tokenizer), our_spans(ours(samples, tokenizer))
    assert got == expected, next((a, b, s) for a, b, s in zip(got, expected, samples, strict=True) if a != b)
    chunks = ours(samples, tokenizer)
    fast, slow, again = alternate(
        lambda: ours(samples, tokenizer), lambda: theirs(samples, tokenizer), lambda: reread(chunks), rounds=5
    )
    epochs = load_config(Path("params.yaml")).tool_calling.training.epochs
    mine, plain = fast.median + epochs * again.median, epochs * slow.median
    spans = sum(len(found) for found in expected)
    data = "real" if is_sgd(REAL) else "generated"
    report(
        Result(
            name="P12 span labels",
            ratio=slow.median / fast.median,
            goal=f">= {GOAL:g}x",
            passed=slow.median / fast.median >= GOAL,
            ours=fast.median,
            theirs=slow.median,
            unit="s CPU",
            note=f"{epochs} epochs, {turns} turns ({data}), {len(samples)} decisions, {spans} spans, all equal",
            extra={"training": plain / mine},
        )
    )


if __name__ == "__main__":
    main()
