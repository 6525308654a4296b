"""The page people read about a keyboard, and the picture of who does what in it."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl

from components.config_keyboard_evaluation import KeyboardEvaluation
from components.evaluation.statistics import Interval
from components.files import write_atomically
from components.workloads.keyboard.events import Layout
from components.workloads.keyboard.metrics import EMOJI, EXPERTS, MACRO

if TYPE_CHECKING:
    from components.workloads.keyboard.evaluate import Findings

TITLES = {
    "next_word/top1": "next word, first candidate",
    "next_word/top3": "next word, among three",
    "completion/top1": "completion, first candidate",
    "completion/top3": "completion, among three",
    "correction/seen": "slips seen",
    "correction/accuracy": "slips seen and corrected",
    "correction/candidate": "slips whose first correction is right",
    "correction/kept": "right words left alone",
    "task/accuracy": "what is asked for",
    "layout/accuracy": "next layout",
    "layout/switch": "next layout, where it is another one",
    "layout/consistency": "layout is that of the target's language",
    "layout/agreement": "layout is that of the own first candidate",
    "emoji/accuracy": "emoji, first of its ranking",
    "emoji/top3": "emoji, among three",
    MACRO: "emoji, macro-F1",
}
TYPED = {"top1": "first candidate", "top3": "among three", "keys_saved": "keys saved"}
BY_SOURCE = {
    "correction/seen": "seen",
    "correction/accuracy": "corrected",
    "correction/candidate": "first correction right",
    "correction/kept": "right words left alone",
    "at_threshold/accuracy": "corrected at the threshold",
    "at_threshold/false_corrections": "right words spoiled there",
}
IN_SLICES = ("next_word/top3", "completion/top3", "correction/accuracy", "layout/accuracy")
NAMES = {"ngram": "4-gram, speller, machines", "frequent": "commonest words, layout stays"}
LANGUAGES = {"en": "English", "zh": "Chinese"}


def render(found: Findings, settings: KeyboardEvaluation) -> str:
    """The report as Markdown."""
    first = next(iter(found.metrics["model"]), "test/").split("/")[0]
    parts = [
        _head(found, settings),
        _typed(found),
        _parts(found),
        _table(found, first),
        _differences(found, first),
        _corrections(found, settings),
        _sources(found),
        _eyes(found, first),
        _routing(found),
        _slices(found),
    ]
    return "\n".join(line for part in parts for line in part) + "\n"


def _head(found: Findings, settings: KeyboardEvaluation) -> list[str]:
    frame = found.frames["model"]
    return [
        "# keyboard on users it never saw",
        "",
        f"{frame.height:,} events of {frame['conversation'].n_unique():,} users; at {frame['switch'].sum():,} of them "
        f"the next layout is another one, {frame['screen'].sum():,} have a screen. Intervals: {settings.confidence:.0%}"
        ", drawn by user. Words are compared in small letters.",
        "",
    ]


def _typed(found: Findings) -> list[str]:
    others = list(found.typed_against)
    lines = [
        "## Typed key by key",
        "",
        f"{found.words:,} words at every place of a message, Chinese characters unbegun. A word picked after k letters "
        "takes k + 1 keys, else its letters and a blank.",
        "",
        f"| | model | {' | '.join(NAMES[n] for n in others)} | {' | '.join(f'less {NAMES[n]}' for n in others)} |",
        f"| --- | --- |{' --- |' * (2 * len(others))}",
    ]
    for key in found.typed["model"]:
        language, metric = key.split("/")
        cells = [_cell(found.typed[name].get(key)) for name in ("model", *others)]
        cells += [_cell(found.typed_against[name].get(key), signed=True) for name in others]
        lines.append(f"| {LANGUAGES[language]}: {TYPED[metric]} | {' | '.join(cells)} |")
    return [*lines, ""]


def _parts(found: Findings) -> list[str]:
    """What each part of the mixture brings, and the shares that validation would choose."""
    if not found.parts:
        return []
    own = found.typed["model"]
    lines = ["## What speaks beside the network", "", f"| | {' | '.join(found.parts)} | all |"]
    lines.append(f"| --- |{' --- |' * (1 + len(found.parts))}")
    for key in own:
        language, metric = key.split("/")
        cells = [_cell(of.get(key)) for of in (*found.parts.values(), own)]
        lines.append(f"| {LANGUAGES[language]}: {TYPED[metric]} | {' | '.join(cells)} |")
    if found.pictures:
        lines += ["", f"| emoji | {' | '.join(found.pictures)} |", f"| --- |{' --- |' * len(found.pictures)}"]
        for key in EMOJI:
            cells = [_cell(of[key]) for of in found.pictures.values()]
            lines.append(f"| {TITLES[key]} | {' | '.join(cells)} |")
        lines += [
            "",
            "Of emoji, words: network, counts and the user's own; signs: the linear model of what stands before.",
        ]
    if found.mixture:
        named = ("counts", "own", "layout", "emoji_share", "emoji")
        chosen = ", ".join(f"{name} {found.mixture[name]}" for name in named)
        lines += ["", f"On validation `model.mixture` is best with {chosen}."]
    return [*lines, ""]


def _table(found: Findings, split: str) -> list[str]:
    names = list(found.metrics)
    lines = [
        "## Event by event",
        "",
        f"| | model | {' | '.join(NAMES[name] for name in names[1:])} |",
        f"| --- | --- |{' --- |' * (len(names) - 1)}",
    ]
    for head, title in TITLES.items():
        lines.append(f"| {title} | {' | '.join(_cell(found.metrics[n].get(f'{split}/{head}')) for n in names)} |")
    return [*lines, ""]


def _differences(found: Findings, split: str) -> list[str]:
    lines = ["## Model less each other, on the same events", ""]
    lines += [f"| | {' | '.join(NAMES[n] for n in found.against)} |", f"| --- |{' --- |' * len(found.against)}"]
    for head, title in TITLES.items():
        if head != MACRO:
            cells = [_cell(of.get(f"{split}/{head}"), signed=True) for of in found.against.values()]
            lines.append(f"| {title} | {' | '.join(cells)} |")
    return [*lines, ""]


def _corrections(found: Findings, settings: KeyboardEvaluation) -> list[str]:
    lines = [
        f"## Corrections, at most {settings.false_corrections:.1%} of right words spoiled",
        "",
        "The threshold is chosen on validation, what it does is measured here.",
        "",
        "| | threshold | slips corrected | right words spoiled |",
        "| --- | --- | --- | --- |",
    ]
    for name, of in found.corrections.items():
        least = f"{of['threshold']:.3g}" if "threshold" in of else "-"
        cells = [least, *(_plain(of.get(key)) for key in ("accuracy", "false_corrections"))]
        lines.append(f"| {NAMES.get(name, name)} | {' | '.join(cells)} |")
    return [*lines, ""]


def _sources(found: Findings) -> list[str]:
    """What each correction does where the slips come from."""
    lines = [
        "## Corrections by source",
        "",
        f"Each cell: {' / '.join(NAMES.get(name, name) for name in found.sources)}. First as they answer, then at the "
        "thresholds above.",
        "",
        f"| source | slips | {' | '.join(BY_SOURCE.values())} | right words |",
        f"| --- | --- |{' --- |' * (len(BY_SOURCE) + 1)}",
    ]
    for source, of in found.sources["model"].items():
        rows = [each.get(source, {}) for each in found.sources.values()]
        cells = [" / ".join(_plain(row.get(key)) for row in rows) for key in BY_SOURCE]
        lines.append(f"| {_text(source)} | {of['slips']:,.0f} | {' | '.join(cells)} | {of['right']:,.0f} |")
    return [*lines, ""]


def _eyes(found: Findings, split: str) -> list[str]:
    lines = ["## The screen", ""]
    if found.retrieval is not None:
        of = found.retrieval
        lines += [
            f"Of {of.events:,} screens, {_cell(of.to_text)} find their own text and {_cell(of.to_screen)} of the texts "
            f"their own screen among {round(1 / of.chance)}; chance is {of.chance:.3f}.",
            "",
        ]
    if not found.eyes:
        return [*lines, "The model sees no screens, or no event has one.", ""]
    lines += ["| on the events that have one | with the screen less without |", "| --- | --- |"]
    for head, title in TITLES.items():
        if f"{split}/{head}" in found.eyes:
            lines.append(f"| {title} | {_cell(found.eyes[f'{split}/{head}'], signed=True)} |")
    return [*lines, ""]


def _routing(found: Findings) -> list[str]:
    if not found.routing:
        return []
    of = found.routing
    return [
        "## Experts",
        "",
        f"The least used has {of['least']:.1%} of the weight, the most used {of['most']:.1%}. Entropy of the mean "
        f"{of['entropy']:.3f}, of an event {of['entropy_each']:.3f} of ln 5.",
        "",
        "![Share of each expert by needed layout](routing.png)",
        "",
    ]


def _slices(found: Findings) -> list[str]:
    columns = " | ".join(TITLES[head] for head in IN_SLICES)
    lines = [
        "## By language, source, task, layout, switch and screen",
        "",
        f"Each cell: the model / {NAMES['ngram']}.",
        "",
        f"| slice | events | {columns} |",
        f"| --- | --- |{' --- |' * len(IN_SLICES)}",
    ]
    for row in found.slices:
        pairs = ([_plain(of.get(head)) for of in (row["metrics"], row["others"]["ngram"])] for head in IN_SLICES)
        cells = " | ".join(" / ".join(pair) for pair in pairs)
        lines.append(f"| {_text(row['slice'])} {_text(row['value'])} | {row['n']:,} | {cells} |")
    return [*lines, ""]


def draw_routing(path: Path, table: pl.DataFrame) -> None:
    """Share of each expert, a bar per needed layout, as PNG.

    Args:
        table: of `metrics.routing_table`.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(5.6, 3.4), dpi=120, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    names = table["layout_label"].to_list()
    left = [0.0] * len(names)
    for expert, layout in zip(EXPERTS, Layout, strict=True):
        shares = table[expert].to_list()
        axes.barh(names, shares, left=left, label=layout.name)
        left = [start + share for start, share in zip(left, shares, strict=True)]
    axes.set(xlabel="share of the experts", ylabel="layout needed next", xlim=(0, 1))
    axes.legend(title="expert", loc="center left", bbox_to_anchor=(1.0, 0.5), fontsize="small")
    write_atomically(path, lambda handle: figure.savefig(handle, format="png", metadata={"Software": None}))


def _cell(value: Interval | None, signed: bool = False) -> str:
    if value is None:
        return "-"
    sign = "+" if signed else ""
    if not (math.isfinite(value.low) and math.isfinite(value.high)):  # one user: nothing to draw from
        return f"{value.value:{sign}.3f}"
    return f"{value.value:{sign}.3f} [{value.low:{sign}.3f}, {value.high:{sign}.3f}]"


def _plain(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


def _text(value: Any) -> str:
    """A name from the data as text that cannot become markup."""
    return "".join(c if c.isalnum() or c in "._-/() " else "?" for c in str(value))
