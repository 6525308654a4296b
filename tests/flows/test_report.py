"""The report: what each chapter shows, that nothing in a record can become markup, what a damaged record leads to."""

import json
import os
import re
import shutil
from dataclasses import replace
from html.parser import HTMLParser

import pytest
from PIL import Image

from components.config_parts import GateHead
from components.errors import EquipoiseError
from components.evaluation.shadow import Evidence
from components.evaluation.training_picture import draw_training, reports, spread
from components.registry import tracking
from components.registry.aliases import find
from flows import report, report_decision, report_sections
from flows.registration import BASELINE, EVALUATED, desk, register_folder
from flows.report_parts import ROWS
from flows.report_records import Records
from flows.state import Place
from tests.flows.projects import command

W = "tool_calling"
EVIL = "</td><script>alert('x')</script><img src=http://evil.example/x onerror=alert(1)>"
EVIL_TEXT = f"# {EVIL}\n\n![x](http://evil.example)\n\n| {EVIL} |\n|---|\n[go](javascript:alert(1)) <script>2</script>"
VOID = {"meta", "img", "line", "circle", "path", "br", "hr"}


def quiet(_line):
    pass


def interval(value: float, half: float = 0.1) -> dict:
    return {"value": value, "low": value - half, "high": value + half}


def head(name: str = "decision", **more) -> dict:
    return {
        "head": name, "metric": "accuracy", "role": "primary", "direction": "higher", "margin": 0.02,
        "candidate": 0.9, "champion": 0.8, "difference": 0.04, "low": 0.02, "high": 0.06, "verdict": "better",
        "p_better": 0.001, "p_not_worse": 0.002, "p_worse": 1.0, "samples": 400, "clusters": 40, "needed": None, **more,
    }  # fmt: skip


def gate_document(*heads: dict, **more) -> dict:
    return {
        "decision": "PROMOTE", "reason": "shown better", "policy": "improve", "alpha": 0.05, "confidence": 0.95,
        "resamples": 4000, "seed": 1, "cluster": "conversation", "samples": 400, "clusters": 40, "needed": None,
        "heads": list(heads) or [head()], "method": "paired cluster bootstrap", **more,
    }  # fmt: skip


def line(step: int, **more) -> dict:
    terms = {
        "focal": {"raw": 2.0 / step, "share": 3.0 / step, "weight": 1.5, "n_valid": 8},
        "jsd": {"raw": 1.0 / step, "share": 1.0 / step, "weight": 1.0, "n_valid": 8},
        "off": {"raw": 9.0, "share": 0.0, "weight": 0.0, "n_valid": 8},
    }
    return {"step": step, "epoch": 1, "progress": 0.5, "loss": 4 / step, "learning_rate": 1e-3, "terms": terms, **more}


PANEL = {
    "gradients": {"focal": {"norm": 0.5, "share": 0.25}, "jsd": {"norm": 1.5, "share": 0.75}},
    "cosines": {"focal": {"jsd": -0.25}},
    "effective_terms": 1.5,
}
EVENT = {
    "event": "promote", "time": "2026-11-01T12:30:00.000000Z", "actor": "ann", "reason": "shown better", "replaced": 1,
    "evaluation_digest": "e" * 64, "report_sha256": "f" * 64, "report": None, "heads": [],
}  # fmt: skip


def made(**more) -> dict:
    return {
        "workload": W, "version": 3, "kind": "trm", "standing": "champion",
        "registered": {"time": "2026-11-01T12:00:00Z", "actor": "ann", "reason": "trained by the flow"},
        "artefact": {"digest": "a" * 64, "model_digest": "b" * 64, "bytes": 2_500_000, "run_id": "r1"},
        "data": {"digest": "d" * 64, "source": "data/raw/tool_calling", "dvc_lock": None},
        "code": {"commit": None, "digest": "c" * 64, "packages": {}},
        "training": {"steps": 1234, "best_epoch": 2, "parameters": 5678, "seed": 1, "alarms": []},
        "losses": {}, "parameters": {"training": {"seed": 1}}, "validation": {}, "files": {}, "campaign": None,
        "parents": {"beside": {}, "replaced": 1}, "judgements": [EVENT], **more,
    }  # fmt: skip


def slice_row(n: int, value: str = "music", judged: bool = True, **others) -> dict:
    metrics = {"decision/accuracy": 0.75} if judged else {}
    return {"slice": "service", "value": value, "n": n, "judged": judged, "metrics": metrics, **others}


EVALUATION = {
    "metrics": {"workload": W, "split": "test", "n": 400, "metrics": {"test/decision/accuracy": 0.9}, "baselines": {}},
    "report": {
        "workload": W, "split": "test", "n": 400, "confidence": 0.95,
        "metrics": {"test/decision/accuracy": interval(0.9), "test/decision/ece": interval(0.2)},
        "baselines": {"linear": {"test/decision/accuracy": interval(0.8), "test/decision/ece": interval(0.3)},
                      "held": {}},
        "model_minus_linear": {"test/decision/accuracy": interval(0.15, 0.05)},
    },
    "slices": [slice_row(90, others={"linear": {"decision/accuracy": 0.7}, "majority": {"decision/accuracy": 0.8}}),
               slice_row(50, "weather", linear={"decision/accuracy": 0.6}), slice_row(5, "(other)", False)],
    "cost": {"model": {"ms_alone": 1.5, "parameters": 5678}, "linear": {"ms_alone": 0.5}},
}  # fmt: skip


def records(**more) -> Records:
    given = {
        "workload": W, "version": 3, "champion": 3, "since": "2026-11-01T12:30:00Z", "made": made(),
        "gate": gate_document(), "judged": EVENT, "withdrawn": None, "met": 1, "shadow": None,
        "before": 2,
        "changed": {"training.seed": [1, 2]},
        "evaluation": EVALUATION, "text": "# told\n\n| a | b |\n| --- | --- |\n| x | 0.5 |\n", "pictures": {},
        "lines": [line(10), line(20, **PANEL), {"step": 20, "epoch": 1, "validation": {"objective": 0.5}}],
        "alarms": [], "campaign": None, "heads": {"decision/accuracy": "higher"},
    }  # fmt: skip
    return Records(**(given | more))


def page(of: Records, scratch) -> str:
    return report.render(report_decision.headline(of), report.chapters(of, scratch))


class Elements(HTMLParser):
    """Every element with its attributes, and whether what is opened is closed in order."""

    def __init__(self) -> None:
        super().__init__()
        self.found, self.open = [], []

    def handle_starttag(self, tag, attrs):
        self.found.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        if tag not in VOID:
            assert self.open and self.open.pop() == tag, tag


def elements(html: str) -> list[tuple[str, dict]]:
    parser = Elements()
    parser.feed(html)
    assert parser.open == []
    return parser.found


def plain(html: str) -> str:
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", html))


def test_the_page_is_whole_and_asks_for_nothing_from_elsewhere(tmp_path):
    html = page(records(), tmp_path)
    found = elements(html)
    assert html.lstrip().startswith("<!doctype html>")
    assert not [tag for tag, _ in found if tag in ("script", "link", "iframe", "object", "form")]
    policy = next(a["content"] for tag, a in found if tag == "meta" and "http-equiv" in a)
    assert policy == "default-src 'none'; style-src 'unsafe-inline'; img-src data:"
    sources = [a["src"] for tag, a in found if tag == "img"]
    assert len(sources) == 2 and all(each.startswith("data:image/svg+xml;base64,") for each in sources)
    anchors = [a["href"] for tag, a in found if tag == "a"]
    assert anchors == [f"#{a['id']}" for tag, a in found if tag == "section"] and len(anchors) == 10


def test_the_headline_says_who_serves_and_why():
    said = report_decision.headline(records())
    assert (said.title, said.badge) == ("tool_calling, version 3", "PROMOTE")
    assert said.paragraph.startswith("Version 3 is the champion since 2026-11-01 12:30 UTC. ")
    assert "The gate said PROMOTE when it met version 1: shown better." in said.paragraph
    assert "400 samples of 40 conversations (policy improve, alpha 0.05)" in said.paragraph
    assert ("decision accuracy", "0.9000", "champion 0.8000") in said.tiles
    later = gate_document(look=2, alpha=0.0076, alpha_in_all=0.05)
    assert "look 2 at this hold-out, alpha 0.0076 of 0.05" in report_decision.headline(records(gate=later)).paragraph


def test_what_was_not_decided_is_said():
    fresh = report_decision.headline(records(version=None, made=None, gate=None, judged=None))
    assert fresh.badge == "" and "no version yet" in fresh.paragraph
    bare = records(made=made(judgements=[], standing="registered"), gate=None, judged=None, champion=1)
    assert "Version 3 does not serve; version 1 serves." in report_decision.headline(bare).paragraph
    assert "has not judged it yet" in report_decision.headline(bare).paragraph
    back = dict(EVENT, event="rollback", report_sha256=None, reason="")
    assert (
        "by a rollback of 2026-11-01: no reason was given"
        in report_decision.headline(records(made=made(judgements=[back]), gate=None, judged=None)).paragraph
    )


def test_a_version_that_was_taken_back_says_so():
    back = {"time": "2026-11-03T02:00:00.000000Z", "reason": "wrong arguments."}
    said = report_decision.headline(records(champion=1, withdrawn=back, made=made(standing="registered")))
    assert said.badge == "WITHDRAWN" and "withdrawn on 2026-11-03: wrong arguments." in said.paragraph


def test_missing_parts_are_one_line_each(tmp_path):
    empty = records(evaluation={}, text="", lines=[], gate=None, judged=None, before=None, changed={},
                    made=made(training={}, parameters={}, judgements=[], kind="baseline"))  # fmt: skip
    chapters = {each.id: each for each in report.chapters(empty, tmp_path)}
    for name in ("gate", "shadow", "metrics", "slices", "calibration", "training", "losses", "campaign"):
        assert not chapters[name].parts and chapters[name].empty.endswith("."), name
    html = page(empty, tmp_path)
    assert "<table>" not in html and "<img" not in html
    assert "It is a baseline, which has no epochs." in plain(html)
    assert "<code>equipoise tune tool_calling</code>" in html


def test_the_forest_is_in_margins_and_better_lies_right():
    lower = head("decision", metric="ece", direction="lower", difference=-0.01, low=-0.02, high=0.01, margin=0.01)
    far = head("tool", difference=0.5, low=0.3, high=0.7, margin=0.01)
    made_of = report_decision.forest([head(), lower, far])
    first, second, third = made_of.bars
    assert made_of.ends == 6.0 and made_of.zero == 50 and made_of.margin == pytest.approx(50 - 50 / 6, abs=0.01)
    assert (first.low, first.at, first.high) == pytest.approx((58.33, 66.67, 75.0), abs=0.01)  # 1, 2, 3 margins
    assert (second.low, second.at, second.high) == pytest.approx((41.67, 58.33, 66.67), abs=0.01)  # turned around
    assert third.beyond == (False, True) and third.high == 100.0
    assert second.note == "primary, may be 0.01 above" and first.difference == "+0.0400"
    assert report_decision.forest([head(low=0.0, high=0.0, difference=0.0)]).ends == 1.5


def test_the_gate_shows_slices_and_budgets_where_it_judged_them(tmp_path):
    budget = {"name": "latency", "unit": "ms", "budget": 20.0, "candidate": 12.0, "low": 11.0, "high": 13.0,
              "champion": 9.0, "verdict": "within"}  # fmt: skip
    document = gate_document(head(), head(slice="service music", p_better=None), budgets=[budget],
                             not_judged=[{"head": "tool", "metric": "accuracy", "slice": "service chess",
                                          "clusters": 3}])  # fmt: skip
    text = plain(page(records(gate=document), tmp_path))
    assert "decision accuracy of service music" in text and "tool accuracy of service chess (3)" in text
    assert "latency ms 12.0000 11.0000 to 13.0000 9.0000 20.0000 within" in text


def test_labelled_samples_since_the_promotion_are_told_head_by_head(tmp_path):
    """Ten conversations in which version 3 is right in half of what version 1 got right: harm .5 beyond a margin."""
    judged = GateHead(head="decision", metric="accuracy", role="primary", direction="higher", margin=0.02)
    kept = Evidence(generation=2, champion=3, previous=1, alpha=0.05, cluster="conversation", heads=(judged,),
                    counted={str(n): ((0.5, 1.0),) for n in range(10)}, seen=())  # fmt: skip
    html = plain(page(records(shadow=kept), tmp_path))
    assert "Since its promotion" in html and "than version 1 by more than its margins: e " in html
    assert "of the 20 that demote it" in html and "after 10 labelled conversations" in html
    (row,) = report_decision.shadow(records(shadow=kept)).parts[1].rows
    assert [cell.text for cell in row[:5]] == ["decision accuracy", "0.5000", "1.0000", "0.5000", "0.02"]
    first = report_decision.shadow(records(shadow=kept.model_copy(update={"counted": {}})))
    assert not first.parts and first.empty.endswith(".")


def test_a_gate_report_that_is_gone_is_named(tmp_path):
    text = plain(page(records(gate=None), tmp_path))
    assert f"report {'f' * 64} is not kept here any more" in text and "shown better" in text


def test_metrics_stand_beside_their_baselines(tmp_path):
    (table,) = (part for part in report_sections.metrics(records()).parts if part.part == "table")
    assert list(table.head) == ["metric", "model", "linear", "model less linear"]  # `held` has too few for a column
    assert [(c.text, c.beneath, c.kind) for c in table.rows[0]] == [
        ("decision accuracy", "", ""), ("0.9000", "0.8000 to 1.0000", ""), ("0.8000", "0.7000 to 0.9000", ""),
        ("+0.1500", "+0.1000 to +0.2000", "sure"),
    ]  # fmt: skip
    turned = report_sections.metrics(records(heads={"decision/ece": "lower"})).parts[1]
    assert [row[0].text for row in turned.rows] == ["decision ece", "decision accuracy"]  # what is judged comes first
    named = dict(EVALUATION["report"], model_minus={"teacher": {"test/decision/accuracy": interval(-0.01)}})
    both = report_sections.metrics(records(evaluation=EVALUATION | {"report": named}))
    tables = [part for part in both.parts if part.part == "table"]
    assert [list(each.head) for each in tables] == [["metric", "model", "linear"], ["metric", "linear", "teacher"]]
    assert [cell.text for cell in tables[1].rows[0]] == ["decision accuracy", "+0.1500", "−0.0100"]
    assert '<td class="n">0.5</td>' in page(records(), tmp_path)


def test_slices_begin_with_the_smallest_and_name_the_best_other():
    table = report_sections.slices(records()).parts[1]
    assert [row[2].text for row in table.rows] == ["5", "50", "90"]
    assert [(row[3].text, row[3].beneath) for row in table.rows] == [
        ("–", ""), ("0.7500", "0.6000 linear"), ("0.7500", "0.8000 majority"),
    ]  # fmt: skip
    assert "1 of 3 hold too few" in report_sections.slices(records()).parts[0].text
    turned = report_sections.slices(records(heads={"decision/accuracy": "lower"})).parts[1]
    assert turned.rows[2][3].beneath == "0.7000 linear"
    plain_row = report_sections.slices(records(heads={"tool/accuracy": "higher"})).parts[1].rows[2]
    assert (plain_row[3].text, plain_row[3].beneath) == ("0.7500", "")  # which is better is not known


def test_a_long_table_is_cut_and_counted(tmp_path):
    many = [slice_row(n, f"value {n}") for n in range(1, ROWS + 801)]
    html = page(records(evaluation=EVALUATION | {"slices": many}), tmp_path)
    assert f"The first {ROWS} of {ROWS + 800} rows are shown." in plain(html)
    assert f"value {ROWS}<" in html and f"value {ROWS + 1}<" not in html
    told = page(records(text="\n\n".join(f"line {i}" for i in range(5000))), tmp_path)
    assert "Cut after 400 of 9999 lines" in told and "line 4999" not in told


def test_the_loss_panel_has_shares_norms_and_the_worst_pair(tmp_path):
    drawn, table, pull, idle = report_sections.losses(records(), tmp_path).parts
    assert drawn.part == "picture"
    assert [[c.text for c in row] for row in table.rows] == [
        ["focal", "1.5000", "0.1000", "0.1500", "0.5000", "25.0%", "8"],
        ["jsd", "1.0000", "0.0500", "0.0500", "1.5000", "75.0%", "8"],
    ]
    assert table.rows[0][3].beneath == "75.0%" and idle.text == "Measured, but of weight 0: off."
    assert pull.text == "Effective terms: 1.50 of 2. Most opposed: focal and jsd, cosine −0.2500."
    alone = report_sections.losses(records(lines=[line(10)]), tmp_path)
    assert alone.parts[2].text == "This training measured no gradients of its terms."


def test_alarms_come_with_causes_and_remedies(tmp_path):
    alarm = {"rule": "dead_term", "subject": "jsd", "step": 40, "value": 0.0, "message": "jsd gives no gradient",
             "causes": ["its mask is empty"], "remedies": ["look at the labels"]}  # fmt: skip
    text = plain(page(records(alarms=[alarm]), tmp_path))
    assert "dead_term, step 40: jsd gives no gradient" in text
    assert "Possible causes: its mask is empty." in text and "Try: look at the labels." in text
    assert "raised 1 health alarm." in text


DEFAULT = {"number": 0, "weights": {"tool.weight": 1.0}, "objectives": {"tool/accuracy": 0.5}, "scale_free": {}}
BEST = {**DEFAULT, "number": 4, "weights": {"tool.weight": 2.5}, "objectives": {"tool/accuracy": 0.75}}
CAMPAIGN = {"study": "equipoise/tool_calling/night", "candidates": 9, "verdict": "better: candidate 4",
            "default": DEFAULT, "best": BEST, "front": [BEST]}  # fmt: skip


def test_a_campaign_shows_its_front(tmp_path):
    campaign = {"document": CAMPAIGN, "picture": None, "of_this": None, "sha256": "0" * 64}
    text = plain(page(records(campaign=campaign), tmp_path))
    assert "equipoise/tool_calling/night, 9 candidates. Better: candidate 4. It is the latest one" in text
    assert "4 best 0.7500 2.5000" in text and "0 default 0.5000 1.0000" in text
    own = replace(records(), campaign=campaign | {"of_this": {"candidate": 4}})
    assert "has the weights of its candidate 4" in plain(page(own, tmp_path))


def test_no_record_becomes_markup(tmp_path):
    event = dict(EVENT, reason=EVIL, actor=EVIL)
    evil = records(
        made=made(judgements=[event], kind=EVIL, data={"digest": EVIL, "source": EVIL, "dvc_lock": EVIL},
                  parents={"beside": {EVIL: EVIL}, "replaced": None}),
        gate=gate_document(head(EVIL, verdict=EVIL, slice=EVIL), cluster=EVIL, method=EVIL),
        judged=event, changed={EVIL: [EVIL, [EVIL]]}, text=EVIL_TEXT,
        evaluation={
            **EVALUATION, "slices": [slice_row(9, EVIL)], "cost": {EVIL: {EVIL: EVIL}},
            "report": {**EVALUATION["report"], "metrics": {EVIL: interval(0.5)}, "baselines": {EVIL: {EVIL: 0.5}},
                       "sentence": EVIL},
        },
        lines=[line(10, validation={EVIL: 0.5}, terms={EVIL: line(1)["terms"]["focal"]})],
        alarms=[{"rule": EVIL, "step": 1, "message": EVIL, "causes": [EVIL], "remedies": [EVIL]}],
        heads={EVIL: "higher"},
    )  # fmt: skip
    html = page(evil, tmp_path)
    found = elements(html)
    assert not [tag for tag, _ in found if tag == "script"]
    assert not [name for _, attributes in found for name in attributes if name.startswith("on")]
    assert all(a["src"].startswith("data:") for tag, a in found if tag == "img")
    assert all(a["href"].startswith("#") for tag, a in found if tag == "a")
    assert html.count("&lt;script&gt;") > 15


def test_pictures_do_not_grow_with_the_training(tmp_path):
    lines = [line(step, **(PANEL if step % 2 else {})) for step in range(1, 20_000)]
    assert len(spread(lines)) == 600 and spread(lines)[0] is lines[0] and spread(lines)[-1] is lines[-1]
    assert draw_training(lines, (), tmp_path / "long.svg")
    assert (tmp_path / "long.svg").stat().st_size < 400_000
    assert draw_training(lines, (), tmp_path / "again.svg")
    assert (tmp_path / "again.svg").read_bytes() == (tmp_path / "long.svg").read_bytes()


@pytest.mark.parametrize("damaged", ["{", "[1]", '{"step": "one"}', "\ufffd", "[" * 100_000])
def test_damaged_curves_are_refused_with_their_line(tmp_path, damaged):
    path = tmp_path / "curves.jsonl"
    path.write_text(f"{json.dumps(line(1))}\n{damaged}\n")
    with pytest.raises(EquipoiseError) as refused:
        reports(path)
    assert refused.value.code == "E_CURVES" and refused.value.place == f"{path} line 2"
    path.write_text(f'{json.dumps(line(1))}\n{{"step": 2')  # under way: the last line is not whole yet
    assert [each["step"] for each in reports(path)] == [1]


@pytest.fixture
def registered(fitted, tmp_path):
    """The fitted project under a state folder of this test alone, its baseline registered as version 1."""
    place = Place(fitted.project, tmp_path / "state")
    with desk(place, W, "tester", quiet) as at:
        assert register_folder(at, place.evaluation(W) / BASELINE, "a baseline") == 1
    return place


def keep(place: Place, folder, **documents) -> None:
    """Keeps documents with version 1 as its registration keeps an evaluation."""
    folder.mkdir()
    for name, text in documents.items():
        (folder / f"{name}.json").write_text(text)
    with desk(place, W, None, quiet) as at:
        tracking.keep_files(at.store, find(at.store, W, 1).run_id, sorted(folder.iterdir()), EVALUATED)


def test_a_version_is_told_from_what_was_kept_with_it(registered, tmp_path):
    bare = report.report(registered, W, 1, None, quiet)
    assert bare["output"] == str(registered.state / "reports" / W / "1.html")
    assert {"gate", "metrics", "training"} <= set(bare["without"]) and "lineage" not in bare["without"]
    keep(registered, tmp_path / "kept", **{name: json.dumps(each) for name, each in EVALUATION.items()})
    for night in ("first", "second"):
        folder = registered.state / "campaigns" / "equipoise" / W / night
        folder.mkdir(parents=True)
        (folder / "result.json").write_text(json.dumps(CAMPAIGN | {"study": night}))
        Image.new("RGB", (2, 2)).save(folder / "pareto.png")
        os.utime(folder / "result.json", (1, 1 if night == "first" else 2))
    told = report.report(registered, W, 1, tmp_path / "out" / "told.html", quiet)
    html = (tmp_path / "out" / "told.html").read_text()
    assert "second, 9 candidates" in html and html.count("data:image/png;base64,") == 1
    assert (
        not {"metrics", "campaign"} & set(told["without"])
        and "0.8000 to 1.0000" in html
        and told["bytes"] == len(html.encode())
    )
    with desk(registered, W, None, quiet) as at:
        shown = tracking.kept_files(at.store, find(at.store, W, 1).run_id, "report", tmp_path)
    assert shown is not None and (shown / report.KEPT).read_text() == html
    assert "a baseline" not in told["said"] and "has not judged it yet" in told["said"]


def test_the_ledger_tells_what_became_of_a_version(registered, tmp_path):
    changed = tmp_path / "changed"
    shutil.copytree(registered.evaluation(W) / BASELINE, changed)
    card = json.loads((changed / "model.json").read_text())
    (changed / "model.json").write_text(json.dumps(card | {"validation": {"decision/accuracy": 0.5}}))
    facts = {"evaluation_digest": None, "report_sha256": None, "actor": "ann", "reason": "by hand"}
    with desk(registered, W, "tester", quiet) as at:
        assert register_folder(at, changed, "another") == 2
        for version in (1, 2):
            at.ledger.promote(W, version, expected_generation=version - 1, key=f"first/{version}", **facts)
        assert report.write(at, 2)["said"].startswith("Version 2 is the champion since ")
        at.ledger.rollback(W, to=None, actor="ann", reason="wrong arguments", key="back", expected_generation=2)
        said = report.write(at, 2)["said"]
        assert "does not serve; version 1 serves. It was withdrawn on " in said and ": wrong arguments." in said
        assert "It serves by a rollback of " in report.write(at, 1)["said"]


@pytest.mark.parametrize(
    ("name", "text", "code"),
    [
        ("slices", "{", "E_JSON"),
        ("report", "[" * 1000, "E_JSON"),
        ("report", "[]", "E_RECORD"),
        ("slices", '[{"slice": "a"}]', "E_RECORD"),
        ("cost", '{"model": 3}', "E_RECORD"),
    ],
)
def test_a_damaged_record_is_named_and_nothing_is_written(registered, tmp_path, name, text, code):
    keep(registered, tmp_path / "kept", **{name: text})
    with pytest.raises(EquipoiseError) as refused:
        report.report(registered, W, 1, tmp_path / "told.html", quiet)
    assert refused.value.code == code and refused.value.exit_code == 65
    assert not (tmp_path / "told.html").exists()


def test_the_evaluation_of_another_model_is_not_told(registered, tmp_path):
    project = tmp_path / "project"
    shutil.copytree(registered.project, project)
    shutil.copytree(registered.evaluation(W) / BASELINE, project / "checkpoints" / W, dirs_exist_ok=True)
    card = project / "checkpoints" / W / "model.json"
    card.write_text(json.dumps(json.loads(card.read_text()) | {"validation": {"decision/accuracy": 0.5}}))
    (project / "evaluation" / W / "report.json").write_text(json.dumps(EVALUATION["report"]))
    told = report.report(Place(project, registered.state), W, None, None, quiet)
    assert told["version"] is None and "no version yet" in told["said"] and "metrics" in told["without"]
    assert told["output"].endswith("unregistered.html")


def test_what_is_not_there_is_refused(registered):
    for version, code in ((None, "E_NO_CHAMPION"), (9, "E_MODEL_VERSION")):
        with pytest.raises(EquipoiseError) as refused:
            report.report(registered, W, version, None, quiet)
        assert refused.value.code == code


def test_the_command_says_what_it_wrote(registered):
    done = command(registered.project, "report", W, "--version", "1", "--state", str(registered.state))
    assert done.returncode == 0, done.stderr
    lines = done.stdout.rstrip().splitlines()
    assert lines[0].startswith("Version 1 does not serve; nothing serves yet.")
    assert any(each.startswith("gate: The gate has not judged") for each in lines)
    assert lines[-1].startswith(f"report: {registered.state}/reports/{W}/1.html")
