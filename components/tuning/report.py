"""What a campaign leaves for people: a table, a picture, and the difference to params.yaml that may be applied."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from components.files import write_json, write_text
from components.tuning import panel
from components.tuning.campaign import Campaign
from components.tuning.closing import Judgement
from components.tuning.pareto import best, draw, front, importances
from components.tuning.scale_free import references
from components.tuning.scale_free import weights as scale_free
from components.tuning.trial import Candidate
from components.workload import Workload

DIGITS = 6  # of a ratio
SPLIT = "validation"


def conclude(
    workload: Workload, section: Any, prepared: Path, campaign: Campaign, closing: Judgement, tuned: Path
) -> dict[str, Any]:
    """Writes report.md, pareto.png and result.json in the campaign's folder, and `tuned`.

    Args:
        tuned: YAML file for the values of params.yaml that the candidate of the verdict changes; none when the defaults
            are kept.

    Returns:
        {"study", "candidates", "failed", "best", "default", "verdict", "closing", "front", "stopped", "agreement",
        "importances", "reference", "cpu_seconds", "pruned", "files"}.
    """
    judged = campaign.judged
    default, verdict = judged[0], closing.sentence
    chosen = next(each for each in judged if each.number == closing.chosen)
    shown = chosen if closing.chosen else best(judged)
    reference = _reference(campaign, default)
    files = {"report": campaign.folder / "report.md", "picture": campaign.folder / "pareto.png", "tuned": tuned}
    document = {
        "study": campaign.name,
        "candidates": len(campaign.candidates),
        "failed": [each.number for each in campaign.candidates if each.failure],
        "best": _entry(shown, reference),
        "default": _entry(default, reference),
        "verdict": verdict,
        "closing": {
            "seeds": list(closing.seeds),
            "failed": [number for number in closing.contestants if number not in closing.rows],
            "rows": {str(number): [asdict(each) for each in row] for number, row in closing.rows.items()},
        },
        "front": [_entry(each, reference) for each in _front(campaign)],
        "stopped": [{"number": each.number, **(each.stopped or {})} for each in campaign.stopped],
        "agreement": asdict(campaign.agreement) if campaign.agreement else None,
        "importances": importances(campaign),
        "reference": reference,
        "cpu_seconds": round(campaign.cpu_seconds + closing.cpu_seconds, 1),
        "pruned": len(campaign.stopped),
        "files": {name: str(path) for name, path in files.items()},
    }
    losses = campaign.folder / "losses.png"
    if panel.draw({str(each.number): each.terms for each in campaign.complete}, losses):
        document["files"]["losses"] = str(losses)
    write_text(files["report"], "\n".join(table(campaign, document, closing)) + "\n")
    draw(campaign, shown, files["picture"])
    tried = tried_by_now(workload, section, prepared, campaign)
    write_text(tuned, difference_text(workload.name, campaign, chosen, default, document, tried))
    write_json(campaign.folder / "result.json", document)
    return document


def tried_by_now(workload: Workload, section: Any, prepared: Path, campaign: Campaign) -> tuple[int, list[float]]:
    """How many candidates were tried, those of earlier campaigns included, and the ratios of all that are known.

    Returns:
        (0, []) for a workload whose evidence counts no trials.
    """
    if workload.trial_ratio is None:
        return 0, []
    settings, done, samples = section.evaluation, campaign.complete, list(workload.samples(prepared, SPLIT))
    longest, ratios = {each.number: each for each in campaign.judged}, []
    for each in done:
        folder = campaign.model(longest.get(each.number, each))
        if (folder / "model.json").is_file():  # one that was stopped may have none
            frame = workload.score(samples, workload.load(folder).predict(samples))
            ratios.append(round(workload.trial_ratio(section, prepared, frame), DIGITS))
    known = settings.trial_ratios
    fresh = ratios[1:] if known else ratios  # the default was counted before
    return settings.trials + len(done) - 1, [*known, *fresh]


def _reference(campaign: Campaign, default: Candidate) -> dict[str, float]:
    """Reference values of the terms; by the last report alone where the default was trained in another folder."""
    path = campaign.model(default) / "curves.jsonl"
    if not path.is_file():
        return references([{"terms": default.terms, "epoch": 0}])
    with path.open(encoding="utf-8") as lines:
        return references(map(json.loads, lines))


def _front(campaign: Campaign) -> list[Candidate]:
    """The judged candidates that the gate could promote and that no other of them dominates."""
    kept = [each for each in campaign.judged if each.feasible]
    return [kept[i] for i in front([list(each.objectives.values()) for each in kept])]


def _entry(each: Candidate, reference: Mapping[str, float]) -> dict[str, Any]:
    free = scale_free(each.weights, reference)
    return {"number": each.number, "weights": dict(each.weights), "objectives": dict(each.objectives),
            "scale_free": free}  # fmt: skip


def table(campaign: Campaign, document: Mapping[str, Any], closing: Judgement) -> list[str]:
    """The lines of report.md: verdict, all candidates, the stages' agreement, the closing, the rank correlations."""
    names = campaign.objectives
    lines = [f"# {campaign.name}", "", f"{document['verdict'][0].upper()}{document['verdict'][1:]}.", ""]
    kept = {each["number"] for each in document["front"]}
    if campaign.full is None:
        lines += _candidates(campaign, campaign.candidates, kept)
    else:
        lines += [f"{len(campaign.full)} candidates at full length:", "", *_candidates(campaign, campaign.full, kept)]
        lines += ["", "All of them as the screen trained them, shorter and smaller:", ""]
        lines += _candidates(campaign, campaign.candidates, set())
    if campaign.agreement:
        lines += ["", f"{campaign.agreement.sentence[0].upper()}{campaign.agreement.sentence[1:]}."]
    if closing.rows:
        seeds = ", ".join(map(str, closing.seeds))
        lines += ["", f"Candidates less the default on validation, each trained with the fresh seeds {seeds}:", ""]
        lines += _rows(["candidate", "objective", "difference", "interval", "p (Holm)", ""])
        for number, row in closing.rows.items():
            lines += [_row([str(number), d.metric, f"{d.value:+.4f}", f"{d.low:+.4f} to {d.high:+.4f}",
                            f"{d.adjusted:.3g}", d.verdict]) for d in row]  # fmt: skip
    lines += ["", "Rank correlation (Spearman) of each weight with each objective, a hint at this many candidates:", ""]
    lines += _rows(["weight", *names])
    lines += [_row([key, *(_number(row[name]) for name in names)]) for key, row in document["importances"].items()]
    return lines


def _candidates(campaign: Campaign, candidates: Sequence[Candidate], kept: set[int]) -> list[str]:
    keys, names = [knob.key for knob in campaign.space], campaign.objectives
    lines = _rows(["candidate", *keys, *names, "CPU s", ""])
    for each in candidates:
        notes = ["default"] if each.number == 0 else []
        notes += ["failed"] if each.failure else ["front"] if each.number in kept else []
        notes += [stopped_note(each)] if each.stopped else ["below the champion"] if not each.feasible else []
        weights = (f"{each.weights[key]:g}" for key in keys)
        scores = (_number(each.objectives.get(name)) for name in names)
        lines.append(_row([str(each.number), *weights, *scores, f"{each.cpu_seconds:.1f}", ", ".join(notes)]))
    return lines


def stopped_note(each: Candidate) -> str:
    """After which epoch a candidate was stopped, and because of whom."""
    found = each.stopped or {}
    return f"stopped after epoch {found['rung']} by {', '.join(map(str, found['dominators']))}"


def difference_text(
    workload: str,
    campaign: Campaign,
    chosen: Candidate,
    default: Candidate,
    document: Mapping[str, Any],
    tried: tuple[int, Sequence[float]] = (0, ()),
) -> str:
    """YAML of the values of params.yaml that the candidate changes and no others; `{}` when it is the default.

    Comments tell the verdict, the objectives, and the weights free of their losses' scale, from `document`.

    `tried`: how many candidates by now and their ratios, which the evaluation of the chosen one takes off; 0: it takes
    off nothing.
    """
    lines = [
        f"# Campaign {campaign.name}: candidate {chosen.number} of {len(campaign.candidates)}.",
        f"# Verdict: {document['verdict']}.",
        f"# {'validation':<28} {'this':>8} {'default':>8}",
        *(f"# {n:<28} {chosen.objectives[n]:8.4f} {default.objectives[n]:8.4f}" for n in campaign.objectives),
        f"# Apply it with: equipoise retrain {workload} --set-file tuned/{workload}.yaml",
    ]
    changed = [knob for knob in campaign.space if chosen.weights[knob.key] != knob.default]
    if not changed:
        return "\n".join([*lines, "{}", ""])
    lines += [f"# {'weight x raw loss of the term':<28} {'this':>8} {'default':>8}"]
    free, usual = (scale_free(each.weights, document["reference"]) for each in (chosen, default))
    lines += [f"# {key:<28} {free[key]:8.4g} {usual[key]:8.4g}" for key in free]
    lines += [f"{workload}:", "  loss:"]
    for term in dict.fromkeys(knob.key.partition(".")[0] for knob in changed):
        lines.append(f"    {term}:")
        for knob in changed:
            owner, _, key = knob.key.partition(".")
            if owner == term:
                lines.append(f"      {key}: {chosen.weights[knob.key]!r}  # default {knob.default:g}")
    trials, ratios = tried
    if trials:
        lines += ["  evaluation:", f"    trials: {trials}  # what the best of so many deflates its Sharpe ratio by"]
        lines += [f"    trial_ratios: [{', '.join(f'{ratio:g}' for ratio in ratios)}]"]
    return "\n".join([*lines, ""])


def _rows(head: Sequence[str]) -> list[str]:
    return [_row(head), _row(["---"] * len(head))]


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.4f}"
