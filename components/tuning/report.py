"""What a campaign leaves for people: a table, a picture, and the difference to params.yaml that may be applied."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from components.files import write_json, write_text
from components.tuning.campaign import Campaign
from components.tuning.pareto import best, draw, front, importances
from components.tuning.trial import Candidate
from components.tuning.verdict import SPLIT, Compared, compare, sentence
from components.workload import Workload

DIGITS = 6  # of a ratio
PRUNED = 0  # candidates are not stopped early in this form of a campaign


def conclude(workload: Workload, section: Any, prepared: Path, campaign: Campaign, tuned: Path) -> dict[str, Any]:
    """Judges the best candidate and writes report.md, pareto.png and result.json in the campaign's folder, and `tuned`.

    Args:
        tuned: YAML file for the values of params.yaml that the best candidate changes.

    Returns:
        {"study", "candidates", "failed", "best", "default", "verdict", "compared", "front", "importances",
        "cpu_seconds", "pruned", "files"}.
    """
    done = campaign.complete
    default, chosen = done[0], best(done)
    compared = compare(workload, section, prepared, campaign.folder, chosen, default, campaign.objectives)
    verdict = sentence(compared, chosen, len(done))
    points = [[each.objectives[name] for name in campaign.objectives] for each in done]
    files = {"report": campaign.folder / "report.md", "picture": campaign.folder / "pareto.png", "tuned": tuned}
    document = {
        "study": campaign.name,
        "candidates": len(campaign.candidates),
        "failed": [each.number for each in campaign.candidates if each.failure],
        "best": _entry(chosen),
        "default": _entry(default),
        "verdict": verdict,
        "compared": {each.objective: {"difference": each.difference, "half": each.half} for each in compared},
        "front": [_entry(done[i]) for i in front(points)],
        "importances": importances(campaign),
        "cpu_seconds": round(sum(each.cpu_seconds for each in campaign.candidates), 1),
        "pruned": PRUNED,
        "files": {name: str(path) for name, path in files.items()},
    }
    write_text(files["report"], "\n".join(table(campaign, document, compared)) + "\n")
    draw(campaign, chosen, files["picture"])
    tried = tried_by_now(workload, section, prepared, campaign)
    write_text(tuned, difference_text(workload.name, campaign, chosen, default, verdict, tried))
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
    ratios = []
    for each in done:
        answers = workload.load(campaign.folder / str(each.number)).predict(samples)
        ratios.append(round(workload.trial_ratio(section, prepared, workload.score(samples, answers)), DIGITS))
    known = settings.trial_ratios
    fresh = ratios[1:] if known else ratios  # the default was counted before
    return settings.trials + len(done) - 1, [*known, *fresh]


def _entry(each: Candidate) -> dict[str, Any]:
    return {"number": each.number, "weights": dict(each.weights), "objectives": dict(each.objectives)}


def table(campaign: Campaign, document: Mapping[str, Any], compared: Sequence[Compared]) -> list[str]:
    """The lines of report.md: verdict, all candidates, the comparison, the rank correlations."""
    kept = {each["number"] for each in document["front"]}
    keys, names = [knob.key for knob in campaign.space], campaign.objectives
    lines = [f"# {campaign.name}", "", f"{document['verdict'][0].upper()}{document['verdict'][1:]}.", ""]
    lines += _rows(["candidate", *keys, *names, "CPU s", ""])
    for each in campaign.candidates:
        note = "failed" if each.failure else "front" if each.number in kept else ""
        note = ", ".join(filter(None, ["default" if each.number == 0 else "", note]))
        scores = [_number(each.objectives.get(name)) for name in names]
        cells = [
            str(each.number),
            *(f"{each.weights[key]:g}" for key in keys),
            *scores,
            f"{each.cpu_seconds:.1f}",
            note,
        ]
        lines.append(_row(cells))
    if compared:
        lines += ["", f"Candidate {document['best']['number']} less the default, as served, on validation:", ""]
        lines += _rows(["objective", "difference", "half interval"])
        lines += [_row([c.objective, f"{c.difference:+.4f}", _number(c.half)]) for c in compared]
    lines += ["", "Rank correlation (Spearman) of each weight with each objective, a hint at this many candidates:", ""]
    lines += _rows(["weight", *names])
    lines += [_row([key, *(_number(row[name]) for name in names)]) for key, row in document["importances"].items()]
    return lines


def difference_text(
    workload: str,
    campaign: Campaign,
    chosen: Candidate,
    default: Candidate,
    verdict: str,
    tried: tuple[int, Sequence[float]] = (0, ()),
) -> str:
    """YAML of the values of params.yaml that the candidate changes and no others; `{}` when it is the default.

    `tried`: how many candidates by now and their ratios, which the evaluation of the chosen one takes off; 0: it takes
    off nothing.
    """
    lines = [
        f"# Campaign {campaign.name}: candidate {chosen.number} of {len(campaign.candidates)}, one seed each.",
        f"# Verdict: {verdict}.",
        f"# {'validation':<28} {'this':>8} {'default':>8}",
        *(f"# {n:<28} {chosen.objectives[n]:8.4f} {default.objectives[n]:8.4f}" for n in campaign.objectives),
        f"# Apply it with: equipoise retrain {workload} --set-file tuned/{workload}.yaml",
    ]
    changed = [knob for knob in campaign.space if chosen.weights[knob.key] != knob.default]
    if not changed:
        return "\n".join([*lines, "{}", ""])
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
