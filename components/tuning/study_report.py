"""What a study says: a verdict a setting, one closing sentence, a table, a forest plot, all of it as JSON."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from components.files import write_atomically, write_json, write_text
from components.tuning.study import Study, described
from components.tuning.study_compare import Difference, adjusted, differences

NARROWEST = 1e-3  # span of an axis
DIGITS = 9  # kept of every number: beyond them a sum depends on the number of threads
COSTS = ("CPU s a run", "MB a batch")
COLOURS = {"better": "#1b7837", "worse": "#b2182b", "no difference shown": "#555555"}
RESAMPLED = (
    "{clusters} {cluster}s are drawn with replacement {resamples} times, the same for every setting, with the scores "
    "of {seeds} seeds averaged in each sample; seeds are not drawn, how far they spread counts beside; "
    "{confidence:.0%} intervals; Holm over {family} comparisons"
)


def conclude(study: Study) -> dict[str, Any]:
    """Compares every setting with the reference; writes report.md, forest.png and result.json in the study's folder.

    Returns:
        {"study", "workload", "split", "samples", "clusters", "cluster", "seeds", "epochs", "reference", "metrics",
        "resampled", "settings", "left_out", "sentence", "cpu_seconds", "runs", "files"}; see docs/study.md.

    Raises:
        EquipoiseError: E_STUDY_SCORES (65) for a metric that cannot be judged on this split; E_WRITE (73), E_IO (74).
    """
    found = compared(study)
    files = {name: study.folder / name for name in ("report.md", "forest.png", "result.json")}
    document = _document(study, found) | {"files": {name: str(path) for name, path in files.items()}}
    write_text(files["report.md"], "\n".join(report(document)) + "\n")
    draw(document, files["forest.png"])
    write_json(files["result.json"], document)
    return document


def compared(study: Study) -> dict[str, list[Difference]]:
    """Setting -> its differences to the reference, one a metric, adjusted over the whole family."""
    asked, settings = study.section.study, study.section.evaluation
    reference = study.scores[asked.reference]
    names = [each for each in study.scores if each != asked.reference]
    raw = [
        differences(
            study.scores[name], reference, asked.metrics, settings.resamples, settings.confidence, settings.seed
        )
        for name in names
    ]
    flat = adjusted([each for row in raw for each in row], settings.confidence, _lower(study))
    width = len(asked.metrics)
    return {name: flat[i * width : (i + 1) * width] for i, name in enumerate(names)}


def _lower(study: Study) -> frozenset[str]:
    """The metrics of which less is better, by what the gate says of them; of others more is better."""
    heads = study.section.gate.heads
    return frozenset(f"{head.head}/{head.metric}" for head in heads if head.direction == "lower")


def verdict_of(verdicts: Mapping[str, str]) -> str:
    """One word for a setting judged in several metrics: metric -> better, worse or no difference shown."""
    better = [metric for metric, each in verdicts.items() if each == "better"]
    worse = [metric for metric, each in verdicts.items() if each == "worse"]
    if better and worse:
        return f"better in {', '.join(better)}, worse in {', '.join(worse)}"
    return "better" if better else "worse" if worse else "no difference shown"


def sentence(reference: str, against: Mapping[str, Sequence[Difference]], lower: frozenset[str], split: str) -> str:
    """The study's answer: what is shown better than the reference, or by how much nothing is.

    Args:
        against: setting -> its adjusted differences.
    """
    every = [(name, each) for name, row in against.items() for each in row]
    better = [(name, each) for name, each in every if each.verdict == "better"]
    worse = list(dict.fromkeys(name for name, each in every if each.verdict == "worse"))
    closing = f"; shown worse: {', '.join(worse)}" if worse else ""
    closing += f"; judged on the {split} split" if split != "validation" else ""
    if not every:
        return f"nothing can be said: no setting but {reference} trained to its end{closing}"
    if better:
        shown = "; ".join(f"{name} in {each.metric} by {_interval(each)}" for name, each in better)
        return f"shown better than {reference}: {shown}{closing}"
    name, most = max(every, key=lambda pair: -pair[1].value if pair[1].metric in lower else pair[1].value)
    said = f"no setting is shown better than {reference}: largest difference {_interval(most)}, {name} in {most.metric}"
    return f"{said}{closing}"


def _interval(each: Difference) -> str:
    return f"{each.value:+.4f} [{each.low:+.4f}, {each.high:+.4f}]"


def _document(study: Study, found: Mapping[str, Sequence[Difference]]) -> dict[str, Any]:
    asked, settings = study.section.study, study.section.evaluation
    reference = study.scores[asked.reference]
    cluster = study.section.gate.cluster
    clusters = len(np.unique(reference.clusters))
    resampled = RESAMPLED.format(
        clusters=clusters, cluster=cluster, resamples=settings.resamples, seeds=len(asked.seeds),
        confidence=settings.confidence, family=sum(map(len, found.values())),
    )  # fmt: skip
    every = [run for runs in study.runs.values() for run in runs]
    return {
        "study": study.name,
        "workload": study.workload.name,
        "split": study.split,
        "samples": study.samples,
        "cluster": cluster,
        "clusters": clusters,
        "seeds": list(asked.seeds),
        "epochs": asked.epochs,
        "confidence": settings.confidence,
        "reference": asked.reference,
        "metrics": list(asked.metrics),
        "resampled": resampled,
        "settings": [_entry(study, each, found.get(each.name, ())) for each in study.family.settings],
        "left_out": dict(study.family.left_out),
        "sentence": sentence(asked.reference, found, _lower(study), study.split),
        "trials": len(study.family.settings) if study.workload.trial_ratio is not None else None,
        "cpu_seconds": round(sum(run.cpu_seconds for run in every), 1),
        "runs": [
            {"setting": r.setting, "seed": r.seed, "fingerprint": r.fingerprint, "steps": r.steps,
             "cpu_seconds": r.cpu_seconds, "failure": r.failure, "folder": str(r.folder)}
            for r in every
        ],
    }  # fmt: skip


def _entry(study: Study, setting: Any, row: Sequence[Difference]) -> dict[str, Any]:
    """A setting: what it changes, its values by metric, what it cost, how it compares (the reference: nothing)."""
    runs, asked = study.runs[setting.name], study.section.study
    failures = {str(run.seed): run.failure for run in runs if run.failure}
    scores = study.scores.get(setting.name)
    values = {} if scores is None else dict(zip(asked.metrics, scores.by_seed().T, strict=True))
    return {
        "name": setting.name,
        "changes": dict(setting.changes),
        "shown": described(setting),
        "generated": setting.generated,
        "failures": failures,
        "cpu_seconds": round(median(run.cpu_seconds for run in runs), 1),  # the first run also pays for starting up
        "activation_megabytes": round(median(run.activations for run in runs) / 1e6, 3),
        "steps": [run.steps for run in runs],
        "metrics": {
            metric: {
                "mean": round(float(np.mean(by_seed)), DIGITS),
                "seed_sd": round(float(np.std(by_seed, ddof=1)), DIGITS),
                "by_seed": [round(float(value), DIGITS) for value in by_seed],
            }
            for metric, by_seed in values.items()
        },
        "against": {each.metric: _plain(each) for each in row},
        "verdict": _verdict(setting.name == asked.reference, failures, row),
    }


def _verdict(is_reference: bool, failures: Mapping[str, Any], row: Sequence[Difference]) -> str:
    if is_reference:
        return "reference"
    if failures:
        return f"failed with seed {', '.join(failures)}"
    return verdict_of({each.metric: each.verdict for each in row})


def _plain(each: Difference) -> dict[str, Any]:
    numbers = {k: round(v, DIGITS) if math.isfinite(v) else None for k, v in vars(each).items() if type(v) is float}
    return {**numbers, "verdict": each.verdict}


def rows(document: Mapping[str, Any]) -> list[list[str]]:
    """The table: a row a setting and metric, below a head."""
    head = ["setting", "metric", "mean", "seed sd", "difference", "interval", "p (Holm)", "verdict", *COSTS]
    found = [head]
    for each in document["settings"]:
        first = [each["name"]]
        for metric in document["metrics"] if each["metrics"] else ():
            value, pair = each["metrics"][metric], each["against"].get(metric)
            cells = ["", "", "", "reference"]
            if pair is not None:
                interval = f"{pair['low']:+.4f} to {pair['high']:+.4f}"
                cells = [f"{pair['value']:+.4f}", interval, f"{pair['adjusted']:.4f}", pair["verdict"]]
            cost = _cost(each) if first != [""] else [""] * len(COSTS)
            found.append([*first, metric, f"{value['mean']:.4f}", f"{value['seed_sd']:.4f}", *cells, *cost])
            first = [""]
        if not each["metrics"]:
            found.append([each["name"], *[""] * 6, each["verdict"], *_cost(each)])
    return found


def _cost(each: Mapping[str, Any]) -> list[str]:
    return [f"{each['cpu_seconds']:.1f}", f"{each['activation_megabytes']:.1f}"]


def notes(document: Mapping[str, Any]) -> list[str]:
    """What has to be said beside the table."""
    said = [f"{document['split']} split, {document['samples']} samples; {document['resampled']}."]
    if document["split"] == "test":
        said.append("The test split was looked at: a model that is chosen by this study is no longer new to it.")
    if document["trials"]:
        said.append(f"{document['trials']} settings were tried: add them to evaluation.trials before one is chosen.")
    said += [f"{name} is left out: {why}." for name, why in document["left_out"].items()]
    for each in document["settings"]:
        said += [f"{each['name']}, seed {seed}: {why}" for seed, why in each["failures"].items()]
    whole = [each for each in document["settings"] if not each["failures"]]
    if len({tuple(each["steps"]) for each in whole}) > 1:  # by seed: another seed may pack its batches otherwise
        counts = ", ".join(f"{each['name']} {max(each['steps'])}" for each in whole)
        said.append(f"The settings did not take the same number of optimizer steps: {counts}.")
    return said


def report(document: Mapping[str, Any]) -> list[str]:
    """The lines of report.md: verdict, table, what each setting changes, what was resampled."""
    said, (head, *body) = document["sentence"], rows(document)
    lines = [f"# {document['study']}", "", f"{said[0].upper()}{said[1:]}.", ""]
    lines += [_row(head), _row(["---"] * len(head)), *map(_row, body), ""]
    lines += [f"- {each['name']}: {each['shown']}" for each in document["settings"]]
    lines += ["", *(f"{each}\n" for each in notes(document))]
    seeds = ", ".join(map(str, document["seeds"]))
    megabytes = "MB: what the first micro-batch keeps for its backward pass."
    total = f"{document['epochs']} epochs a run; {document['cpu_seconds']:.1f} CPU s in all."
    return [*lines, f"Seeds {seeds}; {total} {megabytes}"]


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def draw(document: Mapping[str, Any], path: Path) -> None:
    """PNG: a panel a metric; per setting the difference to the reference, its interval and, small, seed by seed.

    Raises:
        EquipoiseError: E_WRITE (73), E_IO (74).
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    shown = [each for each in document["settings"] if each["against"]]
    metrics = document["metrics"]
    size = (3.0 + 3.6 * len(metrics), 1.8 + 0.5 * max(len(shown), 1))
    figure = Figure(figsize=size, layout="constrained")
    FigureCanvasAgg(figure)
    own = next(each for each in document["settings"] if each["name"] == document["reference"])["metrics"]
    for axes, metric in zip(figure.subplots(1, len(metrics), squeeze=False, sharey=True)[0], metrics, strict=True):
        for row, each in enumerate(shown):
            _draw_row(axes, row, each["against"][metric], each["metrics"][metric], own[metric])
        axes.axvline(0, color="black", linewidth=0.8)
        axes.set_yticks(range(len(shown)), [each["name"] for each in shown])
        axes.set_ylim(len(shown) - 0.5, -0.6)
        axes.margins(x=0.12)
        axes.locator_params(axis="x", nbins=5)
        if np.ptp(axes.get_xlim()) < NARROWEST:
            axes.set_xlim(-NARROWEST, NARROWEST)  # nothing differs: a scale of rounding errors would say otherwise
        axes.set_title(metric, fontsize=10)
    figure.supxlabel(
        f"setting - {document['reference']}, {document['confidence']:.0%} interval; small: seed by seed; "
        f"{document['split']} split",
        fontsize=9,
    )
    write_atomically(path, lambda handle: figure.savefig(handle, format="png", dpi=120, metadata={"Software": None}))


def _draw_row(axes: Any, row: int, pair: Mapping[str, Any], values: Mapping[str, Any], own: Mapping[str, Any]) -> None:
    colour = COLOURS[pair["verdict"]]
    axes.hlines(row, pair["low"], pair["high"], color=colour, linewidth=3)
    axes.plot(pair["value"], row, "o", color=colour)
    apart = [a - b for a, b in zip(values["by_seed"], own["by_seed"], strict=True)]
    axes.plot(apart, [row + 0.2] * len(apart), "|", color=colour, markersize=5)
    axes.annotate(f"{pair['value']:+.4f}", (pair["value"], row), (0, 7), textcoords="offset points", ha="center",
                  fontsize=8)  # fmt: skip
