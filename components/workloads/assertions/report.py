"""What prepare found: sizes, kinds of assertion, what can be copied, what was cut, and what copying alone reaches."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from components.config_assertions import AssertionsData
from components.data.splits import SPLITS
from components.workloads.assertions.compare import same, token_similarity
from components.workloads.assertions.encode import SEGMENTS, Source
from components.workloads.assertions.java_syntax import is_method, statements
from components.workloads.assertions.java_tokens import canonical, tokens
from components.workloads.assertions.pairs import ASSERT_TYPES, Pair, assert_type
from components.workloads.assertions.retrieval import Found

PARTS = SEGMENTS[1:]


@dataclass
class Tally:
    """Counts of one split, and of the answers that need no model: the retrieved assertion and the last earlier one."""

    counts: Counter[str] = field(default_factory=Counter)
    types: Counter[str] = field(default_factory=Counter)
    projects: Counter[str] = field(default_factory=Counter)
    assertions: Counter[str] = field(default_factory=Counter)
    cut: Counter[str] = field(default_factory=Counter)
    sizes_of: dict[str, list[int]] = field(default_factory=lambda: {name: [] for name in ("focal", "prefix", "answer")})
    answers: dict[str, dict[str, float]] = field(
        default_factory=lambda: {name: {"rows": 0, "exact": 0, "type": 0, "similarity": 0.0} for name in RULES}
    )

    def add(
        self,
        pairs: Sequence[Pair],
        sources: Sequence[Source],
        targets: Sequence[NDArray[np.int32]],
        found: Sequence[Found],
        can_copy: Sequence[bool],
    ) -> None:
        for pair, source, target, near, copied in zip(pairs, sources, targets, found, can_copy, strict=True):
            label = str(pair.assertion)
            self.counts["rows"] += 1
            self.counts["copyable"] += copied
            self.counts["without an earlier assertion"] += pair.n_prior_asserts == 0
            self.counts["source_pieces"] += len(source.ids)
            self.counts["target_pieces"] += len(target)
            self.counts["focal parses"] += is_method(pair.focal_code)
            self.counts["prefix parses"] += statements(pair.test_prefix) is not None
            self.types[str(pair.assert_type)] += 1
            self.projects[pair.project] += 1
            self.assertions[canonical(label)] += 1
            self.cut.update(source.cut)
            for name, text in zip(self.sizes_of, (pair.focal_code, pair.test_prefix, label), strict=True):
                self.sizes_of[name].append(len(tokens(text)))
            self._answer("retrieved", near.assertion, pair)
            if pair.prior is not None:
                self._answer("prior", pair.prior, pair)
            self._answer("prior, else retrieved", pair.prior or near.assertion, pair)

    def _answer(self, rule: str, answer: str | None, pair: Pair) -> None:
        sums = self.answers[rule]
        label = str(pair.assertion)
        sums["rows"] += 1
        sums["exact"] += answer is not None and same(answer, label)
        sums["type"] += answer is not None and assert_type(answer) == pair.assert_type
        sums["similarity"] += 0.0 if answer is None else token_similarity(answer, label)

    def sizes(self) -> dict[str, int]:
        return {
            "samples": self.counts["rows"],
            "source_pieces": self.counts["source_pieces"],
            "target_pieces": self.counts["target_pieces"],
        }


RULES = ("retrieved", "prior", "prior, else retrieved")


def build_report(
    tallies: Mapping[str, Tally],
    left_out: Mapping[str, int],
    extraction: Mapping[str, int],
    vocabulary: int,
    indexed: int,
    data: AssertionsData,
) -> dict[str, Any]:
    """The report as plain values; shares and rates are fractions."""
    train = tallies["train"]
    kind = train.types.most_common(1)[0][0]
    commonest = min(train.assertions, key=lambda text: (-train.assertions[text], text))
    return {
        "split": data.split,
        "vocabulary": vocabulary,
        "indexed": indexed,
        "left_out": dict(sorted(left_out.items())),
        "extraction": dict(sorted(extraction.items())),
        "class_shares": {"assert_type": _shares(train.types, train.counts["rows"])},
        "majority": {"assert_type": kind, "assertion": commonest},
        "splits": {split: _facts(tallies[split], train, kind, commonest) for split in SPLITS},
    }


def _facts(tally: Tally, train: Tally, kind: str, commonest: str) -> dict[str, Any]:
    rows = tally.counts["rows"]
    known = sum(count for text, count in tally.assertions.items() if text in train.assertions)
    return {
        "rows": rows,
        "projects": dict(sorted(tally.projects.items())),
        "types": _shares(tally.types, rows),
        "copyable": tally.counts["copyable"] / rows,
        "without_prior": tally.counts["without an earlier assertion"] / rows,
        "assertion_in_train": known / rows,
        "parses": {part: tally.counts[f"{part} parses"] / rows for part in ("focal", "prefix")},
        "truncated": {part: tally.cut[part] / rows for part in PARTS},
        "tokens": {
            name: {"median": float(np.median(sizes)), "p95": float(np.percentile(sizes, 95))}
            for name, sizes in tally.sizes_of.items()
        },
        "source_pieces": tally.counts["source_pieces"] / rows,
        "target_pieces": tally.counts["target_pieces"] / rows,
        "majority": {"type": tally.types[kind] / rows, "exact": tally.assertions[commonest] / rows},
        "answers": {
            rule: {
                "rows": int(sums["rows"]),
                **{name: sums[name] / max(1, sums["rows"]) for name in ("exact", "type", "similarity")},
            }
            for rule, sums in tally.answers.items()
        },
    }


def _shares(counts: Mapping[str, int], total: int) -> dict[str, float]:
    return {name: counts.get(name, 0) / max(1, total) for name in ASSERT_TYPES}


def render_report(report: Mapping[str, Any]) -> str:
    """The report as Markdown."""
    splits = report["splits"]
    lines = [
        "# Prepared data: assertions",
        "",
        f"Split by {report['split']}; {report['vocabulary']:,} pieces; {report['indexed']:,} rows to retrieve from.",
        *[f"{n:,} {what}." for what, n in report["extraction"].items()],
        "Left out: " + (", ".join(f"{n:,} {what}" for what, n in report["left_out"].items()) or "nothing") + ".",
        "",
        f"| | {' | '.join(SPLITS)} |",
        "| --- | --- | --- | --- |",
    ]

    def row(title: str, cells: Sequence[Any]) -> None:
        lines.append(f"| {title} | {' | '.join(map(_cell, cells))} |")

    row("rows", [splits[s]["rows"] for s in SPLITS])
    row("projects", [len(splits[s]["projects"]) for s in SPLITS])
    row("can be copied from the input", [splits[s]["copyable"] for s in SPLITS])
    row("without an earlier assertion", [splits[s]["without_prior"] for s in SPLITS])
    row("assertion stands in train", [splits[s]["assertion_in_train"] for s in SPLITS])
    for part in ("focal", "prefix"):
        row(f"{part} parses", [splits[s]["parses"][part] for s in SPLITS])
    for name in ("focal", "prefix", "answer"):
        row(f"Java tokens of {name}, median", [int(splits[s]["tokens"][name]["median"]) for s in SPLITS])
    for part in PARTS:
        row(f"{part} cut", [splits[s]["truncated"][part] for s in SPLITS])
    lines += ["", "## Without a model", "", f"| | {' | '.join(SPLITS)} |", "| --- | --- | --- | --- |"]
    row(f"type: always {report['majority']['assert_type']}", [splits[s]["majority"]["type"] for s in SPLITS])
    row("exact: always the most frequent", [splits[s]["majority"]["exact"] for s in SPLITS])
    for rule in RULES:
        for name, title in (("exact", "exact match"), ("type", "type"), ("similarity", "token similarity")):
            row(f"{rule}: {title}", [splits[s]["answers"][rule][name] for s in SPLITS])
    lines += ["", "## Kinds", "", f"| | {' | '.join(SPLITS)} |", "| --- | --- | --- | --- |"]
    for kind in ASSERT_TYPES:
        row(kind, [splits[s]["types"][kind] for s in SPLITS])
    lines += ["", "## Projects", "", "| project | split | rows |", "| --- | --- | --- |"]
    for split in SPLITS:
        lines += [f"| {_plain(name)} | {split} | {n:,} |" for name, n in splits[split]["projects"].items()]
    return "\n".join([*lines, ""])


def _plain(name: str) -> str:
    """A name from the data as text that cannot become markup."""
    return "".join(c if c.isalnum() or c in "._-/ " else "?" for c in name)


def _cell(value: Any) -> str:
    return f"{value:.1%}" if isinstance(value, float) else f"{value:,}"
