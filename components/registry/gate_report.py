"""What the gate found: as JSON to keep, as a paragraph to read, as a forest plot to look at."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from components.evaluation.judged import Skipped
from components.files import sha256_json, write_atomically

Decision = Literal["PROMOTE", "HOLD", "REJECT"]
Verdict = Literal["better", "not worse", "worse", "undecided"]

BudgetVerdict = Literal["within", "over", "undecided"]

METHOD = "paired cluster bootstrap, expanded BCa; Holm over superiority and non-inferiority, Holm over harm"
COLOURS = {"better": "#1b7837", "not worse": "#2166ac", "worse": "#b2182b", "undecided": "#777777"}


@dataclass(frozen=True)
class HeadReport:
    """One judged head, of all samples or of one `slice` ("column value").

    `difference` is candidate minus champion, [low, high] its interval in the same direction. The p-values are adjusted
    by Holm: `p_better` against "not better at all", `p_not_worse` against "worse by the margin or more", `p_worse`
    against "worse by the margin at most"; a slice can only prevent, so nothing asks whether it is better. `samples`
    have a say in this head, in `clusters` clusters (blocks of days for a daily account). `needed` is the number of
    clusters, in all, that would settle what the head still owes (None: it owes nothing, or no number would).
    """

    head: str
    metric: str
    role: str
    direction: str
    margin: float
    candidate: float
    champion: float
    difference: float
    low: float
    high: float
    verdict: Verdict
    p_better: float | None
    p_not_worse: float
    p_worse: float
    samples: int
    clusters: int
    needed: int | None
    slice: str | None = None

    @property
    def name(self) -> str:
        """Head, metric and slice for people."""
        return f"{self.head} {self.metric}" + (f" of {self.slice}" if self.slice else "")


@dataclass(frozen=True)
class BudgetReport:
    """A fixed budget: the candidate's median cost with its interval, beside the champion's.

    `p_within` and `p_over` are adjusted by Holm with the claims of the heads.
    """

    name: str
    unit: str
    budget: float
    candidate: float
    low: float
    high: float
    champion: float
    verdict: BudgetVerdict
    p_within: float
    p_over: float
    repeats: int


@dataclass(frozen=True)
class GateReport:
    """The gate's answer; `needed` is the number of clusters, in all, that would decide a HOLD.

    `alpha` is what this `look` at the hold-out was judged at, `alpha_in_all` what all looks may spend together.
    `not_judged`: slices with too few clusters. `resamples`: drawn for this report.
    """

    decision: Decision
    reason: str
    policy: str
    alpha: float
    alpha_in_all: float
    look: int
    confidence: float
    resamples: int
    seed: int
    cluster: str
    samples: int
    clusters: int
    needed: int | None
    heads: tuple[HeadReport, ...]
    budgets: tuple[BudgetReport, ...] = ()
    not_judged: tuple[Skipped, ...] = ()

    def document(self) -> dict[str, Any]:
        """Plain JSON values, the same for the same inputs."""
        values = asdict(self)
        lists = {name: list(values[name]) for name in ("heads", "budgets", "not_judged")}
        return {**values, "method": METHOD, **lists}

    def sha256(self) -> str:
        """Of the document's canonical JSON: what the ledger keeps."""
        return sha256_json(self.document())

    def text(self) -> str:
        """One paragraph for a person."""
        heads = "; ".join(_sentence(head, self.confidence) for head in self.heads)
        size = f"{self.samples} samples of {self.clusters} {self.cluster}s"
        spent = f"look {self.look}, alpha {self.alpha:.3g} of {self.alpha_in_all:g}"
        rest = "".join(f" {line}." for line in (*map(_cost, self.budgets), *self._left_out()))
        return f"{self.decision}: {self.reason}. On {size} (policy {self.policy}, {spent}): {heads}.{rest}"

    def _left_out(self) -> list[str]:
        names = [f"{each.head} {each.metric} of {each.slice} ({each.clusters})" for each in self.not_judged]
        return [f"Not judged, too few {self.cluster}s: {', '.join(names)}"] if names else []


def _sentence(head: HeadReport, confidence: float) -> str:
    sign = "above" if head.direction == "lower" else "below"
    interval = f"{confidence:.0%} interval {head.low:+.4f} to {head.high:+.4f}"
    return (
        f"{head.name} {head.candidate:.4f} against {head.champion:.4f}, "
        f"difference {head.difference:+.4f} ({interval}), {head.verdict} ({head.role}, may be {head.margin:g} {sign})"
    )


def _cost(each: BudgetReport) -> str:
    """A budget as a clause."""
    return (
        f"{each.name.capitalize()} {each.candidate:.4g} {each.unit} ({each.low:.4g} to {each.high:.4g}; champion "
        f"{each.champion:.4g}), {each.verdict} the budget of {each.budget:g}"
    )


def draw_forest(report: GateReport, path: Path) -> None:
    """Writes a PNG: per head the difference, its interval, and the margin it must stay above.

    Raises:
        EquipoiseError: E_WRITE (73), E_IO (74).
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 1.6 + 0.6 * len(report.heads)), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    for row, head in enumerate(report.heads):
        limit = head.margin if head.direction == "lower" else -head.margin
        axes.hlines(row, head.low, head.high, color=COLOURS[head.verdict], linewidth=3)
        axes.plot(head.difference, row, "o", color=COLOURS[head.verdict])
        axes.plot([limit, limit], [row - 0.35, row + 0.35], "--", color="#b2182b", linewidth=1)
        label = f"{head.verdict}  {head.difference:+.4f}"
        axes.annotate(label, (head.difference, row), (0, 8), textcoords="offset points", ha="center", fontsize=8)
    axes.axvline(0, color="black", linewidth=0.8)
    axes.set_yticks(range(len(report.heads)), [f"{h.name}\n({h.role})" for h in report.heads])
    axes.set_ylim(len(report.heads) - 0.5, -0.5)
    axes.margins(x=0.15)
    axes.set_xlabel(f"candidate - champion, {report.confidence:.0%} interval; dashed: margin")
    axes.set_title(f"{report.decision}: {report.samples} samples, {report.clusters} {report.cluster}s", fontsize=10)
    write_atomically(path, lambda handle: figure.savefig(handle, format="png", dpi=120, metadata={"Software": None}))
