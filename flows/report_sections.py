"""Chapters of a report about the model itself: training, losses, calibration, metrics, slices, cost."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from components.evaluation.loss_picture import draw_losses
from components.evaluation.slices import OTHER
from components.evaluation.training_picture import draw_training
from flows.report_parts import (
    NONE,
    Alarm,
    Cell,
    Facts,
    Part,
    Section,
    Table,
    Text,
    Told,
    between,
    measured,
    name,
    number,
    picture,
    signed,
)
from flows.report_records import Records

CALIBRATED = ("ece", "brier", "nll", "log_loss")  # metrics of how well a probability is meant
APART = ("losses", "reliability")  # pictures that stand in chapters of their own
NUMBER_CELL = r"(?<=</td>\n)<td>(?=[-+−\d.,%/ \[\]e]+</td>)"  # any but the first of a row
LINES = 400  # of the evaluation's text
ROW = ("slice", "value", "n", "judged", "metrics", "others")  # of slices.json; what else a row has is another model
COLUMNS = 5  # metrics of a slice that are shown where the gate judges none of them
COSTS = {
    "cpu_s_per_1000": "CPU s per 1 000",
    "ms_alone": "ms for one alone",
    "weights_mb": "weights, MB",
    "megabytes": "weights, MB",
    "ms_key_median": "ms a key, median",
    "ms_key_p95": "ms a key, 95th percentile",
    "cpu_ms_key_median": "CPU ms a key, median",
    "cpu_ms_key_p95": "CPU ms a key, 95th percentile",
}
UNKNOWN = "No evaluation of this version is kept here."


def training(records: Records, scratch: Path) -> Section:
    """Curves, figures and alarms of the training."""
    parts: list[Part] = []
    path = scratch / "training.svg"
    if draw_training(records.lines, list(records.heads), path):
        parts.append(picture(path, "Loss and learning rate by step; validation metrics after each epoch"))
    told = records.made["training"] if records.made else {}
    rows = [(key.replace("_", " "), _plain(value)) for key, value in told.items() if key not in ("alarms", "numerics")]
    numerics = told.get("numerics") or {}
    rows += [(key, _plain(value)) for key, value in numerics.items()]
    parts += [Facts(rows)] if rows else []
    parts += [
        Alarm(f"{row['rule']}, step {row['step']}: {row['message']}", row["causes"], row["remedies"])
        for row in records.alarms
    ]
    if rows and not records.alarms:
        parts.append(Text("Its health rules raised no alarm.", "quiet"))
    kind = f" It is a {records.made['kind']}, which has no epochs." if records.made and not rows else ""
    return Section("training", "Training", parts, f"No training is recorded with this version.{kind}")


def losses(records: Records, scratch: Path) -> Section:
    """The loss truth panel: what each term weighs, how hard it pulls, and against which others."""
    reported = [line for line in records.lines if "terms" in line]
    if not reported:
        return Section("losses", "Loss truth panel", (), "No report of loss terms is kept with this version.")
    path = scratch / "losses.svg"
    draw_losses(records.lines, path)
    panels = [line for line in reported if line.get("gradients")]
    panel = panels[-1] if panels else {}
    parts: list[Part] = [picture(path, "Mean of each term, share of loss and of gradient, cosines between gradients")]
    parts += [_terms(reported[-1], panel), Text(_pull(panel))]
    if idle := sorted(term for term, row in reported[-1]["terms"].items() if not row["weight"]):
        parts.append(Text(f"Measured, but of weight 0: {', '.join(idle)}.", "quiet"))
    return Section("losses", "Loss truth panel", parts)


def _terms(last: Mapping[str, Any], panel: Mapping[str, Any]) -> Table:
    terms, gradients = last["terms"], panel.get("gradients", {})
    whole = sum(abs(row["share"]) for row in terms.values()) or 1.0
    rows = [
        [
            Cell(term),
            Cell(number(float(row["weight"]))),
            Cell(number(float(row["raw"])) if row["n_valid"] else NONE),
            Cell(number(float(row["share"])), f"{abs(row['share']) / whole:.1%}"),
            Cell(number(gradients[term]["norm"]) if term in gradients else NONE),
            Cell(f"{gradients[term]['share']:.1%}" if term in gradients else NONE),
            Cell(number(row["n_valid"])),
        ]
        for term, row in sorted(terms.items(), key=lambda pair: -abs(pair[1]["share"]))
        if row["weight"]
    ]
    head = ("term", "weight", "mean", "weight × mean", "gradient norm", "of the gradient", "valid")
    at = f"At step {last['step']}" + (f"; gradients at step {panel['step']}." if panel else ".")
    return Table(head, rows, caption=at)


def _pull(panel: Mapping[str, Any]) -> str:
    if not panel:
        return "This training measured no gradients of its terms."
    counted = f"{panel['effective_terms']:.2f} of " if "effective_terms" in panel else ""
    said = f"Effective terms: {counted}{len(panel['gradients'])}. "
    pairs = [(value, one, other) for one, row in panel.get("cosines", {}).items() for other, value in row.items()]
    if not pairs:
        return said.strip()
    value, one, other = min(pairs)
    if value >= 0:
        return said + "No two terms pull against each other."
    return said + f"Most opposed: {one} and {other}, cosine {signed(value)}."


def calibration(records: Records) -> Section:
    """Does a probability mean what it says."""
    parts: list[Part] = []
    if (drawn := records.pictures.get("reliability")) is not None:
        parts.append(picture(drawn, "Share of hits by stated probability; samples in each bin below"))
    if (document := records.evaluation.get("report")) is not None:
        found = [key for key in document["metrics"] if key.rpartition("/")[2] in CALIBRATED]
        parts += [_beside(document, found)] if found else []
    return Section("calibration", "Calibration", parts, UNKNOWN)


def metrics(records: Records) -> Section:
    """Every metric with its interval beside the baselines', what differs on the same samples, the evaluation's text."""
    document = records.evaluation.get("report")
    if document is None:
        return Section("metrics", "Metrics", (), UNKNOWN)
    parts: list[Part] = [Text(document["sentence"], "said")] if "sentence" in document else []
    opening = f"{number(document['n'])} samples of the {document['split']} split"
    parts.append(Text(f"{opening}; {document['confidence']:.0%} intervals beneath the values.", "quiet"))
    first = [key for each in records.heads if (key := f"{document['split']}/{each}") in document["metrics"]]
    keys, against = list(dict.fromkeys([*first, *document["metrics"]])), _against(document)
    parts.append(_beside(document, keys, against if len(against) == 1 else {}))
    if len(against) > 1:
        rows = [
            [Cell(name(key)), *(_difference(row.get(key)) for row in against.values())]
            for key in keys
            if any(key in row for row in against.values())
        ]
        caption = "The model less each other, on the same samples"
        parts.append(Table(("metric", *map(name, against)), rows, caption=caption))
    parts += [picture(path, name(each)) for each, path in records.pictures.items() if each not in APART]
    if records.text:
        parts.append(Told("All that the evaluation says", markdown(records.text)))
    return Section("metrics", "Metrics", parts)


def _beside(
    document: Mapping[str, Any], keys: Sequence[str], against: Mapping[str, Mapping[str, Any]] | None = None
) -> Table:
    """The model and the baselines that have most of the metrics (those with a few figures stand in the text), then the
    differences `against` others."""
    less = against or {}
    known = {each: row for each, row in document["baselines"].items() if 2 * len(row) >= len(document["metrics"])}
    rows = [
        [Cell(name(key)), measured(document["metrics"][key]), *(measured(row.get(key)) for row in known.values()),
         *(_difference(row.get(key)) for row in less.values())]
        for key in keys
    ]  # fmt: skip
    return Table(("metric", "model", *map(name, known), *(f"model less {name(each)}" for each in less)), rows)


def _against(document: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """Name -> differences of the model from it: workloads hold one such table, or one for each other model."""
    single = {key.removeprefix("model_minus_"): row for key, row in document.items() if key.startswith("model_minus_")}
    return single | dict(document.get("model_minus", {}))


def _difference(value: Mapping[str, Any] | None) -> Cell:
    if value is None:
        return Cell(NONE)
    sure = value["low"] > 0 or value["high"] < 0
    return Cell(signed(value["value"]), between(value["low"], value["high"], signed), "sure" if sure else "")


def slices(records: Records) -> Section:
    """The smallest slices first: the model's metrics, and beneath them the best of the others'."""
    rows = records.evaluation.get("slices")
    if not rows:
        empty = UNKNOWN if rows is None else "This workload's evaluation names no slices."
        return Section("slices", "Slices", (), empty)
    rows = sorted(rows, key=lambda row: (row["n"], row["slice"], row["value"]))
    present = dict.fromkeys(key for row in rows for key in row["metrics"])
    keys = [key for key in records.heads if key in present] or list(present)[:COLUMNS]
    cells = [
        [Cell(str(row["slice"])), Cell(str(row["value"])), Cell(number(row["n"])),
         *(_sliced(row, key, records.heads.get(key)) for key in keys)]
        for row in rows
    ]  # fmt: skip
    few = sum(not row["judged"] for row in rows)
    said = "Smallest first. Beneath the model's value the best of the others on the same samples."
    if few:
        said += f" {few} of {len(rows)} hold too few samples to be judged; {OTHER} are several small ones together."
    head = ("slice", "value", "samples", *map(name, keys))
    return Section("slices", "Slices", (Text(said, "quiet"), Table(head, cells, frozenset({0, 1}))))


def _sliced(row: Mapping[str, Any], key: str, direction: str | None) -> Cell:
    if (value := row["metrics"].get(key)) is None:
        return Cell(NONE)
    others = row.get("others") or {each: row[each] for each in row if each not in ROW}
    known = [(found[key], each) for each, found in others.items() if found.get(key) is not None]
    if not known or direction is None:
        return Cell(number(value))
    best, each = (max if direction == "higher" else min)(known)
    return Cell(number(value), f"{number(best)} {name(each)}")


def cost(records: Records) -> Section:
    """What it takes to answer, as evaluate measured it, and how large the model is."""
    parts: list[Part] = []
    if (document := records.evaluation.get("cost")) is not None:
        keys = list(dict.fromkeys(key for row in document.values() for key in row))
        models = sorted(document.items(), key=lambda pair: pair[0] != "model")
        rows = [[Cell(name(each)), *(Cell(number(row.get(key))) for key in keys)] for each, row in models]
        parts.append(Table(("", *(COSTS.get(key, name(key)) for key in keys)), rows))
        parts.append(Text("Times are those of the machine that evaluated.", "quiet"))
    if records.made:
        facts = [("size of the registered artefact", f"{records.made['artefact']['bytes'] / 1e6:.2f} MB")]
        if "parameters" in records.made["training"]:
            facts.append(("parameters", number(records.made["training"]["parameters"])))
        parts.append(Facts(facts))
    return Section("cost", "Cost", parts, UNKNOWN)


def markdown(text: str) -> str:
    """The evaluation's Markdown as HTML: markup in it is escaped, its pictures stand elsewhere, numbers are marked."""
    from markdown_it import MarkdownIt

    lines = [line for line in text.splitlines() if not line.startswith("![")]
    cut = f"\n\nCut after {LINES} of {len(lines)} lines; the rest stands in report.md." if len(lines) > LINES else ""
    reader = MarkdownIt("commonmark", {"html": False}).enable("table").disable(["image", "link", "autolink"])
    html = reader.render("\n".join(lines[:LINES]) + cut)
    html = html.replace("<table>", '<div class="wide"><table>').replace("</table>", "</table></div>")
    return re.sub(NUMBER_CELL, '<td class="n">', html)


def _plain(value: Any) -> str:
    if isinstance(value, list | tuple):
        return ", ".join(map(_plain, value)) or NONE
    return str(value) if isinstance(value, str) else number(value)
