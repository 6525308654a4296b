"""The champion beside the one it replaced: demoted where it does harm, kept where it does none, each sample once."""

from __future__ import annotations

import json
import shutil

import pytest

from components.config_edit import edit
from components.errors import EquipoiseError
from components.evaluation.shadow import Evidence
from components.registry.ledger import open_ledger
from components.registry.tracking import client, open_store
from components.workload import workload
from components.workloads.tool_calling.baseline import fit_baseline
from components.workloads.tool_calling.generator import write_dialogues
from flows import judging, notifying, provenance, registration, shadow
from flows.state import Place
from tests.flows.projects import command, real_project
from tests.flows.test_policies import listening

W = "tool_calling"
GOOD, BAD, TWIN = 1, 2, 3


def quiet(_line):
    pass


@pytest.fixture(scope="module")
def registered(fitted, tmp_path_factory):
    """A project with three versions of which none is champion: a baseline, one that learnt next to nothing, a twin."""
    folder = tmp_path_factory.mktemp("shadow")
    project = real_project(folder / "project")
    for name in ("data", "evaluation"):
        shutil.copytree(fitted.project / name, project / name)
    place = Place(project, folder / "state")
    with registration.desk(place, W, "tester", quiet) as at:
        made = [registration.register_baseline(at)]
        for strength in (1e-4, 9.9):
            weak = at.section.evaluation.baseline.model_copy(update={"strength": strength})
            evaluation = at.section.evaluation.model_copy(update={"baseline": weak})
            other = folder / f"strength-{strength}"
            fit_baseline(at.section.model_copy(update={"evaluation": evaluation}), place.prepared(W), other)
            made.append(registration.register_folder(at, other, f"strength {strength}"))
    assert made == [GOOD, BAD, TWIN]
    write_dialogues(99, 170, folder / "incoming")
    return place


@pytest.fixture
def own(registered, tmp_path):
    """That project for one test alone."""
    shutil.copytree(registered.state, tmp_path / "state")
    shutil.copytree(registered.project, tmp_path / "project")
    return Place(tmp_path / "project", tmp_path / "state")


@pytest.fixture
def incoming(registered):
    """Labelled dialogues of another seed, as JSON lines."""
    return registered.state.parent / "incoming" / "train.jsonl"


def promote(place, *versions):
    with registration.desk(place, W, "tester", quiet) as at:
        for version in versions:
            at.ledger.promote(
                W, version, expected_generation=at.ledger.state(W).generation, evaluation_digest=None,
                report_sha256=None, key=f"promote/{version}", actor="tester", reason="for a test",
            )  # fmt: skip
        judging.show(at)


def events(place):
    with open_ledger(place.ledger) as ledger:
        return [event.document() for event in ledger.history(W)]


def state_of(place):
    with open_ledger(place.ledger) as ledger:
        return ledger.state(W)


def evidence(place):
    (path,) = (place.state / "shadow" / W).glob("*.json")
    return Evidence.model_validate_json(path.read_text())


def alias(place, name):
    store = open_store(place.state, "equipoise")
    return int(client(store).get_registered_model(store.model_name(W)).aliases[name])


def test_a_worse_champion_is_demoted_once_with_numbers_and_the_webhook_hears_of_it(own, incoming, monkeypatch):
    promote(own, GOOD, BAD)
    with listening() as (address, heard):
        monkeypatch.setenv(notifying.VARIABLE, address)
        outcome = shadow.run(own, W, incoming, False, quiet)
        before, kept = events(own), evidence(own)
        again = shadow.run(own, W, incoming, False, quiet)
    assert (outcome["decision"], outcome["version"], outcome["previous"]) == ("DEMOTE", BAD, GOOD)
    assert outcome["champion"] == GOOD and outcome["e"] >= 20 and outcome["clusters"] == outcome["new"] > 100
    assert max(head["harm"] for head in outcome["heads"]) > 0.1
    last = before[-1]
    assert (last["event"], last["version"], last["replaced"], last["actor"]) == ("rollback", GOOD, BAD, "shadow")
    assert last["reason"] == outcome["reason"]
    assert f"e {outcome['e']:.3g} of the 20 that demote, after {outcome['clusters']} labelled" in last["reason"]
    assert state_of(own).blocked and alias(own, "champion") == GOOD
    assert [(each["decision"], each["version"], each["champion"]) for each in heard] == [("DEMOTE", BAD, GOOD)]
    assert again == {**outcome, "new": 0} and (events(own), evidence(own)) == (before, kept)
    with registration.desk(own, W, "tester", quiet) as at:
        assert (shadow.evidence(at, BAD), shadow.evidence(at, GOOD)) == (kept, None)


def test_an_equal_champion_stays_and_each_conversation_counts_once(own, incoming):
    promote(own, GOOD, TWIN)
    lines = incoming.read_text().splitlines(keepends=True)
    part, more = own.project / "part.jsonl", own.project / "more.jsonl"
    middle = next(i for i in range(len(lines) // 2, len(lines)) if talk(lines[i]) == talk(lines[i - 1]))
    part.write_text("".join(lines[:middle]))
    first = shadow.run(own, W, part, True, quiet)
    assert (first["decision"], first["champion"]) == ("KEEP", TWIN) and first["e"] < 20
    assert first["left_out"]["waiting"] == sum(talk(line) == talk(lines[middle]) for line in lines[:middle])
    assert talk(lines[middle]) not in evidence(own).counted
    assert shadow.run(own, W, part, True, quiet)["new"] == 0

    part.write_text("".join(lines))  # it grew; the conversation that waited has gone on
    second = shadow.run(own, W, part, False, quiet)
    counted = evidence(own).counted
    assert second["clusters"] == len(counted) == len({talk(line) for line in lines})
    assert talk(lines[middle]) in counted and first["new"] + second["new"] == second["clusters"]
    more.write_text(lines[0])  # one that was counted, under another name
    third = shadow.run(own, W, more, False, quiet)
    assert third["new"] == 0 and third["left_out"]["late"] == 1 and third["e"] == second["e"]
    assert [event["event"] for event in events(own)].count("rollback") == 0


def talk(line):
    return json.loads(line)["conversation"]


def test_a_kill_between_the_evidence_and_the_demotion_is_completed_by_the_next_run(own, incoming, monkeypatch):
    promote(own, GOOD, BAD)

    def killed(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(shadow, "conclude", killed)
        shadow.run(own, W, incoming, False, quiet)
    kept = evidence(own)
    assert state_of(own).champion == BAD and kept.counted
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):  # once more, behind the ledger
        patch.setattr(judging, "show", killed)
        shadow.run(own, W, None, False, quiet)
    assert state_of(own).champion == GOOD and alias(own, "champion") == BAD
    outcome = shadow.run(own, W, None, False, quiet)
    assert outcome["decision"] == "DEMOTE" and alias(own, "champion") == GOOD and evidence(own) == kept
    assert [event["event"] for event in events(own)].count("rollback") == 1


def test_what_the_gate_judged_the_champion_on_does_not_count(own, registered):
    promote(own, GOOD, TWIN)
    with registration.desk(own, W, "tester", quiet) as at:
        judging.score(at, TWIN)
        assert provenance.evaluation_digest(own, W)
    outcome = shadow.run(own, W, own.project / "data" / "raw" / W / "dev.jsonl", False, quiet)
    assert outcome["clusters"] == 0 and outcome["left_out"]["judged"] > 10
    assert outcome["reason"] == f"no labelled samples of version {TWIN} were counted yet"


def test_a_scheduled_run_counts_what_came_since_the_first_one(own, incoming):
    said = []
    edit(own.params, W, ["shadow.input=new.jsonl"])
    promote(own, GOOD)
    shadow.scheduled(own, W, said.append)
    lines = incoming.read_text().splitlines(keepends=True)
    old = next(i for i in range(50, len(lines)) if talk(lines[i]) != talk(lines[i - 1]))
    (own.project / "new.jsonl").write_text("".join(lines[:old]))
    shadow.scheduled(own, W, said.append)
    assert said == [
        "no labelled samples yet: new.jsonl is not there",
        "labelled samples are there, but no promotion is under watch",
    ]
    promote(own, BAD)
    shadow.scheduled(own, W, said.append)
    assert said[-1] == f"version {BAD} is watched from now on; {old} labelled samples were there before"
    (own.project / "new.jsonl").write_text("".join(lines))
    shadow.scheduled(own, W, said.append)
    assert state_of(own).champion == GOOD and "is worse than" in said[-1]
    last = talk(lines[-1])  # more of it may come
    assert evidence(own).counted.keys() == {talk(line) for line in lines[old:]} - {last}


def test_rules_are_those_of_the_first_look(own, incoming):
    promote(own, GOOD, TWIN)
    first = shadow.run(own, W, incoming, False, quiet)
    edit(own.params, W, ["shadow.alpha=0.4"])
    assert shadow.run(own, W, incoming, False, quiet) == {**first, "new": 0}


def test_damaged_evidence_is_refused(own, incoming):
    promote(own, GOOD, TWIN)
    shadow.run(own, W, incoming, False, quiet)
    (path,) = (own.state / "shadow" / W).glob("*.json")
    path.write_text(path.read_text()[:-20])
    with pytest.raises(EquipoiseError, match="E_SHADOW_EVIDENCE"):
        shadow.run(own, W, incoming, False, quiet)


def test_the_command_says_what_it_found_and_ends_with_11(own, incoming):
    promote(own, GOOD, BAD)
    done = command(own.project, "shadow", W, "--input", str(incoming), "--state", str(own.state))
    assert done.returncode == 11, done.stderr
    assert done.stdout.splitlines()[-1].startswith(f"DEMOTE: version {BAD} is worse than version {GOOD}")
    asked = command(own.project, "shadow", W, "--state", str(own.state), "--json")
    document = json.loads(asked.stdout)
    assert (asked.returncode, document["decision"], document["champion"]) == (11, "DEMOTE", GOOD)


def test_wrong_input_is_refused_and_counts_for_nothing(own, incoming):
    promote(own, GOOD, BAD)
    bad = own.project / "bad.jsonl"
    for line, code in (("{", "E_JSON"), ('{"tools": []}', "E_DIALOGUE")):
        bad.write_text(incoming.read_text() + line + "\n")
        with pytest.raises(EquipoiseError, match=rf"{code} .*bad.jsonl:\d+") as caught:
            shadow.run(own, W, bad, False, quiet)
        assert caught.value.exit_code == 65
    with pytest.raises(EquipoiseError, match="E_MISSING"):
        shadow.run(own, W, own.project / "nothing.jsonl", False, quiet)
    assert not (own.state / "shadow").exists() and state_of(own).champion == BAD


def test_only_a_promotion_over_another_champion_is_watched(own, incoming):
    for _ in ("none yet", "the first"):
        with pytest.raises(EquipoiseError, match="E_NO_PREVIOUS") as caught:
            shadow.run(own, W, incoming, False, quiet)
        assert caught.value.exit_code == 78
        promote(own, GOOD)
    promote(own, TWIN)
    assert shadow.run(own, W, None, False, quiet)["decision"] == "KEEP"
    with open_ledger(own.ledger) as ledger:
        ledger.rollback(W, actor="a person", reason="", key="by hand")
    with pytest.raises(EquipoiseError, match="E_NO_PREVIOUS"):
        shadow.run(own, W, incoming, False, quiet)


def test_every_workload_reads_labelled_samples():
    assert all(workload(name).labelled is not None for name in ("tool_calling", "trading", "assertions", "keyboard"))
