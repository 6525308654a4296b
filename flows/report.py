"""`equipoise report`: all that was recorded about one model as a single HTML file, which opens from disk."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from components.errors import bad_data
from components.files import write_text
from components.registry import tracking
from flows import report_decision, report_sections
from flows.registration import Desk, desk
from flows.report_parts import Section
from flows.report_records import Records, gather
from flows.state import Place

TEMPLATES = Path(__file__).with_name("templates")
PAGE, STYLE = "report.html.j2", "report.css"
KEPT = "report.html"  # in `report/` of the version's run

Say = Callable[[str], object]


def report(place: Place, workload: str, version: int | None, output: Path | None, say: Say) -> dict[str, Any]:
    """Writes the report of a version into a file and to its MLflow run.

    `version` None: that of the model trained here last; without one, of the champion.

    Args:
        output: the file [default: `reports/<workload>/<version>.html` in the state folder].

    Returns:
        {workload, version, title, said, output, bytes, without}: the paragraph at its head, and the chapters that have
        nothing to show, each with the reason.

    Raises:
        EquipoiseError: what `report_records.gather` raises, E_RECORD (65) for a record of another form, E_WRITE (73).
    """
    with desk(place, workload, None, say) as at:
        return write(at, version, output)


def write(at: Desk, version: int | None, output: Path | None = None) -> dict[str, Any]:
    """`report` at an open desk."""
    with tempfile.TemporaryDirectory(prefix="equipoise-report-") as folder:
        scratch = Path(folder)
        try:
            records = gather(at, version, scratch)
            headline, sections = report_decision.headline(records), chapters(records, scratch)
        except (KeyError, TypeError, AttributeError) as error:
            hint = f"Run `equipoise evaluate {at.name}` again; --debug shows which value is missing"
            got, rule = f"{type(error).__name__}: {error}", "its records must have the form they were written in"
            raise bad_data(at.name, rule, got=got, hint=hint, code="RECORD") from error
        html = render(headline, sections)
        if records.made:
            write_text(scratch / KEPT, html)
            tracking.keep_files(at.store, records.made["artefact"]["run_id"], [scratch / KEPT], "report")
    target = output or at.place.state / "reports" / at.name / f"{records.version or 'unregistered'}.html"
    write_text(target, html)
    without = {section.id: section.empty for section in sections if not section.parts}
    return {"workload": at.name, "version": records.version, "title": headline.title, "said": headline.paragraph,
            "output": str(target), "bytes": len(html.encode()), "without": without}  # fmt: skip


def chapters(records: Records, scratch: Path) -> list[Section]:
    """The report's chapters in their order."""
    return [
        report_decision.gate(records),
        report_decision.shadow(records),
        report_sections.metrics(records),
        report_sections.slices(records),
        report_sections.calibration(records),
        report_sections.training(records, scratch),
        report_sections.losses(records, scratch),
        report_decision.campaign(records),
        report_sections.cost(records),
        report_decision.lineage(records),
    ]


def render(headline: report_decision.Headline, sections: list[Section]) -> str:
    """The page: everything is inside it, every text is escaped, scripts and other addresses are forbidden to it."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    found = FileSystemLoader(TEMPLATES)
    environment = Environment(
        loader=found, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters["prose"] = _prose
    return environment.get_template(PAGE).render(
        headline=headline,
        sections=sections,
        style=(TEMPLATES / STYLE).read_text(encoding="utf-8"),
        written=f"{datetime.now(UTC):%Y-%m-%d %H:%M}",
    )


def _prose(text: str) -> str:
    """A sentence whose commands in backticks stand in the font of code; everything else is escaped."""
    from markupsafe import Markup, escape

    parts = [f"<code>{escape(each)}</code>" if i % 2 else str(escape(each)) for i, each in enumerate(text.split("`"))]
    return Markup("".join(parts))
