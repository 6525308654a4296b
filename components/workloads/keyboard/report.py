"""What prepare says of a keyboard data set: sizes, shares, what was left out and what could not be drawn."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

from components.config_keyboard import KeyboardData
from components.workloads.keyboard.drawing import Drawn
from components.workloads.keyboard.encode import Codec
from components.workloads.keyboard.events import Layout, Task
from components.workloads.keyboard.rows import Tally


def build_report(
    tallies: Mapping[str, Tally],
    read: Counter[str],
    left_out: Counter[str],
    drawn: Drawn,
    codec: Codec,
    data: KeyboardData,
) -> dict[str, Any]:
    """Plain values for report.json; `class_shares` are those of the training split."""
    train = tallies["train"]
    events = train.events.total()
    tasks: Counter[Task] = Counter()
    for (_, task), n in train.events.items():
        tasks[task] += n
    return {
        "source": data.source,
        "messages": dict(sorted(read.items())),
        "left_out": dict(sorted(left_out.items())),
        "vocabulary": {"pieces": codec.size, "whole": int(codec.whole.sum())},
        "class_shares": {
            "task": {task.name: tasks[task] / events for task in Task},
            "next_layout": {layout.name: train.layouts[layout] / events for layout in Layout},
        },
        "splits": {split: _split(tally) for split, tally in tallies.items()},
        "screens": dict(drawn.counts),
        "fonts": drawn.fonts,
        "missing_glyphs": {"characters": len(drawn.missing), "advice": drawn.advice},
    }


def _split(tally: Tally) -> dict[str, Any]:
    sources = sorted({source for source, _ in tally.events})
    return {
        "rows": tally.rows,
        "users": len(tally.users),
        "pieces": tally.pieces,
        "unknown_share": tally.unknown / max(tally.pieces, 1),
        "events": {
            source: {task.name: tally.events[source, task] for task in Task if tally.events[source, task]}
            for source in sources
        },
        "next_layout": {layout.name: tally.layouts[layout] for layout in Layout},
        "switches": tally.switches,
        "without_target": tally.without_target,
    }


def render_report(report: Mapping[str, Any]) -> str:
    """The report as Markdown."""
    lines = [
        "# Prepared data: keyboard",
        "",
        f"Read from `{report['source']}`: "
        + ", ".join(f"{n:,} messages of {name}" for name, n in report["messages"].items())
        + f". Vocabulary: {report['vocabulary']['pieces']:,} pieces, {report['vocabulary']['whole']:,} of them whole.",
        "",
        "| split | users | rows | events | switches | without a target | unknown pieces | screens |",
        "| --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for split, facts in report["splits"].items():
        events = sum(n for tasks in facts["events"].values() for n in tasks.values())
        lines.append(
            f"| {split} | {facts['users']:,} | {facts['rows']:,} | {events:,} | {facts['switches']:,} | "
            f"{facts['without_target']:,} | {facts['unknown_share']:.2%} | {report['screens'][split]:,} |"
        )
    lines += ["", "| split | source | " + " | ".join(task.name for task in Task) + " |", "| --- |" + " --- |" * 4]
    for split, facts in report["splits"].items():
        for source, tasks in facts["events"].items():
            counts = " | ".join(f"{tasks.get(task.name, 0):,}" for task in Task)
            lines.append(f"| {split} | {source} | {counts} |")
    lines += ["", "Shares in training: " + _shares(report["class_shares"]["next_layout"]) + ".", ""]
    if report["left_out"]:
        lines += ["Left out: " + ", ".join(f"{n:,} {what}" for what, n in report["left_out"].items()) + ".", ""]
    if report["missing_glyphs"]["advice"]:
        lines += [f"**Fonts**: {report['missing_glyphs']['advice']}. They are drawn as filled blocks.", ""]
    lines += ["Fonts used: " + ", ".join(font["name"] for font in report["fonts"]) + ".", ""]
    lines += ["![Screens of each layout](contact_sheet.png)", ""]
    return "\n".join(lines)


def _shares(shares: Mapping[str, float]) -> str:
    return ", ".join(f"{name} {share:.1%}" for name, share in shares.items())
