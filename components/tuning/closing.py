"""The end of a campaign: do its best candidates beat the defaults, with seeds that had no part in choosing them?

The campaign picked the best of many on one seed each; that best is partly luck. So the best few and the default are
trained anew, at full size, as the settings of a study (`study`): with fresh seeds, judged on the same samples, and the
study's intervals, in which whole clusters and the spread over seeds both count; Holm over all contestants and
objectives.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import count, islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from components.tuning import study
from components.tuning.pareto import ranked
from components.tuning.study_compare import Difference, Scores, adjusted, differences
from components.workload import Workload

if TYPE_CHECKING:
    from components.tuning.campaign import Campaign

DEFAULT = 0  # number of the candidate with the default weights
KEEP = "within seed noise: keep the defaults"
PREFIX = "candidate "

Verdict = Literal["better", "within seed noise", "trade-off"]


@dataclass(frozen=True)
class Judgement:
    """What fresh seeds say of the best few.

    Attributes:
        verdict: how the sentence begins.
        sentence: `better: ...`, exactly `within seed noise: keep the defaults`, or `trade-off: choose ...`.
        chosen: number of the candidate that the sentence is about; 0 when the defaults are kept.
        rows: contestant -> its differences to the default, one an objective, adjusted over all of them.
        contestants: who was trained; one that diverged with some seed has no row.
        seeds: of each contestant and of the default.
        cpu_seconds: of these trainings.
    """

    verdict: Verdict
    sentence: str
    chosen: int
    rows: Mapping[int, tuple[Difference, ...]]
    contestants: tuple[int, ...] = ()
    seeds: tuple[int, ...] = ()
    cpu_seconds: float = 0.0


def run(
    workload: Workload,
    section: Any,
    prepared: Path,
    state: Path,
    found: Campaign,
    *,
    project: str,
    device: str | None = None,
    say: study.Say,
) -> Judgement:
    """Trains the best section.tuning.closing.candidates of a campaign and the default with fresh seeds, and judges.

    What an earlier call trained is found again; nothing is trained where no candidate but the default is left.

    Raises:
        TrainingInterrupted: on ctrl-C, with the state saved.
        EquipoiseError: E_CONFIG_KEY (78) for an objective without scores by sample; what `study.run` reports.
    """
    settings, evaluation = section.tuning, section.evaluation
    few = [each for each in ranked(found.judged) if each.number != DEFAULT][: settings.closing.candidates]
    if not few:
        return conclude({}, 0)
    seeds = fresh_seeds({section.training.seed}, settings.closing.seeds)
    asked = as_study(section, {each.number: each.weights for each in few}, seeds, settings.epochs, found.objectives)
    trained = study.run(workload, asked, prepared, state, project=project, device=device, say=say)
    judged = judge(
        trained.scores,
        found.objectives,
        resamples=evaluation.resamples,
        confidence=evaluation.confidence,
        seed=evaluation.seed,
    )
    spent = round(sum(run.cpu_seconds for runs in trained.runs.values() for run in runs), 3)
    return replace(judged, contestants=tuple(each.number for each in few), seeds=seeds, cpu_seconds=spent)


def fresh_seeds(used: Collection[int], number: int) -> tuple[int, ...]:
    """So many training seeds above all that were used; the same call gives the same ones."""
    return tuple(islice(count(max(used) + 1), number))


def as_study(
    section: Any, contestants: Mapping[int, Mapping[str, float]], seeds: Sequence[int], epochs: int,
    objectives: Sequence[str],
) -> Any:  # fmt: skip
    """The section whose study is the closing comparison: `study.run` trains, scores and resumes it.

    Args:
        contestants: number -> knob -> value of the best few; the default is added as the reference.
        seeds: at least three, none of them the campaign's.
        objectives: scored metrics, `head/metric`.

    Raises:
        ValidationError: with fewer than three seeds.
    """
    settings = {_name(n): {f"loss.{key}": value for key, value in w.items()} for n, w in sorted(contestants.items())}
    study = {"seeds": list(seeds), "epochs": epochs, "reference": _name(DEFAULT), "leave_one_out": False,
             "metrics": list(objectives), "settings": {_name(DEFAULT): {}, **settings}}  # fmt: skip
    return type(section).model_validate({**section.model_dump(mode="json"), "study": study})


def judge(
    scores: Mapping[str, Scores], objectives: Sequence[str], *, resamples: int, confidence: float, seed: int
) -> Judgement:
    """Compares every contestant with the default.

    Args:
        scores: of the settings that `as_study` names, as `Study.scores` holds them: a contestant that failed with some
            seed is not among them.
        objectives: names of the last axis of the scores, of all of which more is better.
        resamples, confidence, seed: of the draws of clusters and of the intervals.

    Raises:
        EquipoiseError: E_STUDY_SCORES (65) for an objective that these samples cannot judge.
    """
    default = scores[_name(DEFAULT)]
    numbers = sorted(int(name.removeprefix(PREFIX)) for name in scores if name != _name(DEFAULT))
    raw = [differences(scores[_name(n)], default, objectives, resamples, confidence, seed) for n in numbers]
    flat, width = adjusted([each for row in raw for each in row], confidence), len(objectives)
    rows = {n: tuple(flat[i * width : (i + 1) * width]) for i, n in enumerate(numbers)}
    return conclude(rows, len(default.hit))


def conclude(rows: Mapping[int, tuple[Difference, ...]], seeds: int) -> Judgement:
    """The verdict that adjusted differences give.

    Better is a candidate shown ahead in some objective and behind in none; of several, the one with the highest mean
    difference. Without one, a candidate ahead here and behind there is a trade-off, which people have to choose.
    """
    ahead = {n: [each for each in row if each.verdict == "better"] for n, row in rows.items()}
    behind = {n: [each for each in row if each.verdict == "worse"] for n, row in rows.items()}
    winners = [n for n in rows if ahead[n]]
    clean = [n for n in winners if not behind[n]]
    if not winners:
        return Judgement("within seed noise", KEEP, DEFAULT, rows)
    chosen = max(clean or winners, key=lambda n: (sum(each.value for each in rows[n]), -n))
    gains = _named(ahead[chosen])
    if clean:
        text = f"better: {_name(chosen)} beats the defaults in {gains}, over {seeds} fresh seeds"
        return Judgement("better", text, chosen, rows)
    text = f"trade-off: choose {_name(chosen)} for {gains} or the defaults for {_named(behind[chosen], -1)}"
    return Judgement("trade-off", text, chosen, rows)


def _name(number: int) -> str:
    return f"{PREFIX}{number}" if number != DEFAULT else "default"


def _named(found: Sequence[Difference], sign: int = 1) -> str:
    """Objectives with their differences; `sign` -1 tells them from the side of the defaults."""
    parts = []
    for each in found:
        low, high = sorted((sign * each.low, sign * each.high))
        parts.append(f"{each.metric} by {sign * each.value:+.4f} [{low:+.4f}, {high:+.4f}]")
    return ", ".join(parts)
