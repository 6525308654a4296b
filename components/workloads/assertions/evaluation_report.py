"""The page people read about written assertions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from components.config_parts import EvaluationConfig
from components.evaluation.statistics import Interval

if TYPE_CHECKING:
    from components.workloads.assertions.evaluate import Findings

TITLES = {
    "exact_match/all": "exact match",
    "exact_match/copyable": "exact match, where every token can be copied",
    "exact_match/unseen": "exact match, assertion not in training",
    "exact_match/with_prior": "exact match, with an earlier assertion",
    "exact_match/without_prior": "exact match, without one",
    "type/accuracy": "kind of assertion",
    "similarity/tokens": "token similarity",
    "similarity/token_f1": "token F1",
    "similarity/pans": "PANS",
    "similarity/edit": "edit similarity",
    "similarity/semantic": "likeness in meaning",
    "syntax/valid": "parses as a statement",
}
IN_SLICES = ("exact_match/all", "type/accuracy", "similarity/tokens")
HELD_OUT = {
    "project": "Whole projects are held out.",
    "file": "Files of tests are held out within their projects, as a team would use it. Other tests of the same "
    "methods stand in training: compare with this split only.",
    "random": "Rows are held out at random, which **leaks**: near copies of a test row stand in training, and what is "
    "measured is memory. On the public rows retrieval alone reaches an exact match of 15.7% so, and .05% where whole "
    "projects are held out. Published figures are of such splits (exact match in %, ATLAS data, old / new): ATLAS "
    "31.42 / 21.66, Jaccard retrieval 36.25 / 37.85, RAadapt-H 40.97 / 39.64, RAadapt-NN 43.63 / 40.42, Integration "
    "46.54 / 42.05, EditAS 53.46 / 44.36, AG-RAG - / 56.33, RetriGen 64.09 / -.",
}
RULES = {
    "teacher": "its teacher",
    "retrieval": "nearest training row",
    "copy_last": "last earlier assertion",
    "svm": "linear machine for the kind",
    "majority": "most frequent",
}


def render(found: Findings, settings: EvaluationConfig) -> str:
    """The report as Markdown."""
    first = next(iter(found.metrics["model"]), "test/").split("/")[0]
    parts = [_head(found, settings), _table(found, first), _differences(found, first), _slices(found)]
    return "\n".join(line for part in parts for line in part) + "\n"


def _head(found: Findings, settings: EvaluationConfig) -> list[str]:
    frame = found.frames["model"]
    lines = [
        "# assertions on held-out tests",
        "",
        f"{frame.height} assertions of {frame['conversation'].n_unique()} files in {frame['project'].n_unique()} "
        f"projects; {frame['copyable'].to_numpy().mean():.1%} can be copied from the input. Intervals: "
        f"{settings.confidence:.0%}, drawn by file. Both sides are compared in one spacing.",
        "",
        HELD_OUT[found.held_out],
        "",
    ]
    if not any(name.endswith("similarity/semantic") for name in found.metrics["model"]):
        lines += ["Likeness in meaning was not measured: the extra `semantic` (all-MiniLM-L6-v2) is not installed.", ""]
    if found.kept:
        shares = ", ".join(f"{share:.1%} of its {TITLES[head]}" for head, share in found.kept.items())
        size = found.parameters["model"] / found.parameters["teacher"]
        lines += [f"The model has {size:.1%} of its teacher's parameters and keeps {shares}.", ""]
    return lines


def _table(found: Findings, split: str) -> list[str]:
    names = list(found.metrics)
    lines = [
        f"| | model | {' | '.join(RULES.get(name, name) for name in names[1:])} |",
        f"| --- | --- |{' --- |' * (len(names) - 1)}",
    ]
    for head, title in TITLES.items():
        cells = [_cell(found.metrics[name].get(f"{split}/{head}")) for name in names]
        lines.append(f"| {title} | {' | '.join(cells)} |")
    return [*lines, ""]


def _differences(found: Findings, split: str) -> list[str]:
    lines = ["## Model less each other, on the same assertions", ""]
    lines += [f"| | {' | '.join(RULES.get(n, n) for n in found.against)} |", f"| --- |{' --- |' * len(found.against)}"]
    for head, title in TITLES.items():
        cells = [_cell(of.get(f"{split}/{head}"), signed=True) for of in found.against.values()]
        lines.append(f"| {title} | {' | '.join(cells)} |")
    return [*lines, ""]


def _slices(found: Findings) -> list[str]:
    columns = " | ".join(TITLES[head] for head in IN_SLICES)
    lines = [
        "## By kind, project and earlier assertions",
        "",
        f"Each cell: the model / {RULES['copy_last']} / {RULES['retrieval']}.",
        "",
        f"| slice | rows | {columns} |",
        f"| --- | --- |{' --- |' * len(IN_SLICES)}",
    ]
    for row in found.slices:
        others = row["others"]
        trios = (
            [_plain(of.get(head)) for of in (row["metrics"], others["copy_last"], others["retrieval"])]
            for head in IN_SLICES
        )
        cells = " | ".join(" / ".join(trio) for trio in trios)
        lines.append(f"| {_text(row['slice'])} {_text(row['value'])} | {row['n']} | {cells} |")
    return [*lines, ""]


def _cell(value: Interval | None, signed: bool = False) -> str:
    if value is None:
        return "-"
    sign = "+" if signed else ""
    return f"{value.value:{sign}.3f} [{value.low:{sign}.3f}, {value.high:{sign}.3f}]"


def _plain(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


def _text(value: Any) -> str:
    """A name from the data as text that cannot become markup."""
    return "".join(c if c.isalnum() or c in "._-/() " else "?" for c in str(value))
