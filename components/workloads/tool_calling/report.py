"""What prepare found: counts, class shares, how many values can be pointed at, and what doing nothing clever scores."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from components.data.buckets import in_order
from components.data.splits import SPLITS
from components.workloads.tool_calling.dialogues import DECISIONS, Sample
from components.workloads.tool_calling.rows import Rows

LENGTH_BIN = 64  # tokens
NOMINAL_BATCH = 6000  # tokens a micro-batch, for the padding the report quotes


@dataclass
class Tally:
    """Running counts of one split; small whatever the split's size, but for one length a row."""

    counts: Counter[str] = field(default_factory=Counter)
    tools: Counter[str] = field(default_factory=Counter)
    intents: Counter[str] = field(default_factory=Counter)
    offered: set[str] = field(default_factory=set)
    lengths: Counter[int] = field(default_factory=Counter)

    def add(self, samples: Sequence[Sample], rows: Rows) -> None:
        """Counts a chunk of samples and their rows."""
        counts = self.counts
        counts["samples"] += len(samples)
        counts["rows"] += rows.count
        counts["tokens"] += len(rows.tokens)
        counts["truncated"] += int((rows.row_first[rows.sample_row] > 0).sum())
        counts["slot_queries"] += len(rows.slot_start)
        counts["slot_cut"] += int((rows.slot_start < 0).sum())
        counts["argument_queries"] += len(rows.arg_start)
        counts["argument_cut"] += int((rows.arg_start < 0).sum())
        self.lengths.update(rows.lengths.tolist())
        for sample in samples:
            labels = sample.labels
            if labels is None:
                continue
            counts[DECISIONS[labels.decision]] += 1
            counts["slots"] += len(labels.slots)
            counts["slots_found"] += sum(name in labels.slot_spans for name in labels.slots)
            counts["arguments"] += len(labels.arguments)
            counts["arguments_found"] += sum(name in labels.argument_spans for name in labels.arguments)
            if labels.tool is not None:
                self.tools[labels.tool] += 1
            if labels.intent is not None:
                self.intents[labels.intent] += 1
            self.offered.update(tool.name for tool in sample.tools)

    def sizes(self) -> dict[str, int]:
        return {name: self.counts[name] for name in ("samples", "rows", "tokens")}


def build_report(
    tallies: Mapping[str, Tally], conversations: Mapping[str, int], vocabulary: Mapping[str, Sequence[str]], tokens: int
) -> dict[str, Any]:
    """The report as plain values: shares are fractions of 1, None where nothing was there to count."""
    train = tallies["train"]
    known = set(vocabulary["tool"])
    return {
        "workload": "tool_calling",
        "vocabulary": {"tokens": tokens, **{kind: len(names) for kind, names in vocabulary.items()}},
        "class_shares": {
            "decision": {name: _share(train.counts[name], train.counts["samples"]) for name in DECISIONS},
            "tool": _shares(train.tools),
            "intent": _shares(train.intents),
        },
        "splits": {
            split: {"conversations": conversations[split], **_split_report(tallies[split], train, known)}
            for split in SPLITS
        },
    }


def _split_report(tally: Tally, train: Tally, known: set[str]) -> dict[str, Any]:
    counts = tally.counts
    calls = sum(tally.tools.values())
    unseen = {name for name in tally.tools if name not in known}
    return {
        **tally.sizes(),
        "tool_call_share": _share(counts["tool_call"], counts["samples"]),
        "calls": calls,
        "arguments": counts["arguments"],
        "arguments_found_share": _share(counts["arguments_found"], counts["arguments"]),
        "slots": counts["slots"],
        "slots_found_share": _share(counts["slots_found"], counts["slots"]),
        "samples_left_out": counts["left_out"],
        "queries_without_a_place": counts["slot_cut"] + counts["argument_cut"],
        "truncated_histories": counts["truncated"],
        "tools_called": len(tally.tools),
        "unseen_tools_called": sorted(unseen),
        "calls_of_unseen_tools_share": _share(sum(tally.tools[name] for name in unseen), calls),
        "majority": {
            "decision": _share(counts[_commonest(train.counts, DECISIONS)], counts["samples"]),
            "tool": _share(tally.tools[_commonest(train.tools, train.tools)], calls) if train.tools else None,
            "intent": _share(tally.intents[_commonest(train.intents, train.intents)], sum(tally.intents.values()))
            if train.intents
            else None,
        },
        "padding_share": padding_share(tally.lengths),
        "row_tokens": _histogram(tally.lengths),
    }


def padding_share(lengths: Mapping[int, int], budget: int = NOMINAL_BATCH) -> float | None:
    """Share of padding in batches by length, each of at most `budget` tokens (or one row, if that is longer)."""
    if not lengths:
        return None
    found = np.sort(np.repeat(np.array(list(lengths), dtype=np.int64), list(lengths.values())))
    batches = in_order(found, max(budget, int(found[-1])))
    padded = sum(len(rows) * int(found[rows].max()) for rows in batches)
    return round(1 - int(found.sum()) / padded, 6)


def _histogram(lengths: Mapping[int, int]) -> dict[str, int]:
    bins: Counter[int] = Counter()
    for length, count in lengths.items():
        bins[length // LENGTH_BIN] += count
    return {f"{b * LENGTH_BIN}-{(b + 1) * LENGTH_BIN - 1}": bins[b] for b in sorted(bins)}


def _commonest(counts: Mapping[str, int], names: Any) -> str:
    """The name with the highest count; among equals the alphabetically first."""
    return min(names, key=lambda name: (-counts[name], name))


def _shares(counts: Counter[str]) -> dict[str, float | None]:
    total = sum(counts.values())
    return {name: _share(counts[name], total) for name in sorted(counts)}


def _share(part: int, whole: int) -> float | None:
    return round(part / whole, 6) if whole else None


def render_report(report: Mapping[str, Any]) -> str:
    """The report as Markdown."""
    splits = report["splits"]
    lines = ["# tool_calling: prepared data", "", f"| | {' | '.join(SPLITS)} |", "| --- | --- | --- | --- |"]
    for title, key in (
        ("conversations", "conversations"),
        ("samples", "samples"),
        ("samples left out: an earlier split has their conversation", "samples_left_out"),
        ("rows", "rows"),
        ("tokens", "tokens"),
        ("share of tool calls", "tool_call_share"),
        ("arguments", "arguments"),
        ("... whose value stands in the history", "arguments_found_share"),
        ("slots", "slots"),
        ("... whose value stands in the history", "slots_found_share"),
        ("span queries without a place to point at", "queries_without_a_place"),
        ("samples with a cut history", "truncated_histories"),
        ("tools called", "tools_called"),
        ("calls of tools not offered in training", "calls_of_unseen_tools_share"),
        ("padding in batches by length", "padding_share"),
    ):
        lines.append(f"| {title} | {' | '.join(_cell(splits[split][key]) for split in SPLITS)} |")
    for head in ("decision", "tool", "intent"):
        cells = " | ".join(_cell(splits[split]["majority"][head]) for split in SPLITS)
        lines.append(f"| accuracy of always the commonest {head} of training | {cells} |")
    lines += ["", "## Tokens a row", ""]
    for split in SPLITS:
        widest = max(splits[split]["row_tokens"].values(), default=1)
        lines += [f"{split}:", "", "```"]
        lines += [
            f"{bin_name:>11} {count:>8} {'#' * round(40 * count / widest)}".rstrip()
            for bin_name, count in splits[split]["row_tokens"].items()
        ]
        lines += ["```", ""]
    names = ", ".join(f"`{_plain(name)}`" for name in splits["test"]["unseen_tools_called"])
    lines += ["## Tools called in test that training never offered", "", names or "none", ""]
    return "\n".join(lines)


def _plain(name: str) -> str:
    """A name from the data as text that cannot become markup."""
    return "".join(c if c.isalnum() or c in "._- " else "?" for c in name)


def _cell(value: Any) -> str:
    if value is None:
        return "-"
    return f"{value:.1%}" if isinstance(value, float) else f"{value:,}"
