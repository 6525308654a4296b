"""One stage at a time through DVC: what ran, what did not, whose error it was, what a kill leaves."""

import json
import os
import subprocess
import sys

import pytest

from components.config import load_config
from components.config_edit import Edit, edit
from components.errors import EquipoiseError
from components.workloads.tool_calling.data import generate
from flows.dvc_child import PR_SET_PDEATHSIG
from flows.stages import StageKilled, bring_up_to_date, needed, stale
from flows.state import Place, exclusive, make_state, place, record_edits
from tests.flows.processes import gone
from tests.flows.projects import real_project

W = "tool_calling"


def quiet(_line: str) -> None:
    pass


def test_a_stage_runs_once_and_again_only_when_something_changed(plain):
    assert stale(plain, W, ["prepare", "train"]) == ["prepare", "train"]
    first = bring_up_to_date(plain, W, "prepare", quiet)
    again = bring_up_to_date(plain, W, "prepare", quiet)
    (plain.project / "raw.txt").write_text("changed")
    third = bring_up_to_date(plain, W, "prepare", quiet)
    assert (first.ran, again.ran, third.ran) == (True, False, True)
    assert (plain.prepared(W) / "text").read_text() == "CHANGED"


def test_the_shell_and_the_flow_leave_the_same_bytes(plain, tmp_path_factory):
    bring_up_to_date(plain, W, "prepare", quiet)
    lock, text = (plain.project / "dvc.lock").read_bytes(), (plain.prepared(W) / "text").read_bytes()
    (plain.project / "dvc.lock").unlink()
    (plain.prepared(W) / "text").unlink()
    path = f"{os.path.dirname(sys.executable)}:{os.environ['PATH']}"
    shell = [sys.executable, "-m", "dvc", "repro", "--force", f"prepare@{W}"]
    subprocess.run(shell, cwd=plain.project, check=True, capture_output=True, env={**os.environ, "PATH": path})
    assert (plain.project / "dvc.lock").read_bytes() == lock
    assert (plain.prepared(W) / "text").read_bytes() == text


@pytest.mark.parametrize(
    ("line", "status", "code", "exit_code"),
    [
        ("E_DATA raw.txt line 3: must be text, got 7. Write text.", 65, "E_DATA", 65),
        ("E_CONFIG params.yaml: a.b: must be above 0, got -1. Give a value of that kind.", 78, "E_CONFIG", 78),
        ("E_WRITE /x: must be writable, got No space left on device. Free space.", 74, "E_WRITE", 74),
        ("E_GLINER2 /x: must answer, got no. Put it there.", 65, "E_GLINER2", 65),
        ("nothing that we know", 1, "E_DVC", 78),
    ],
)
def test_a_stage_that_fails_passes_its_own_line_and_status_on(plain, line, status, code, exit_code):
    script = f"import sys\nprint({line!r}, file=sys.stderr)\nsys.exit({status})\n"
    (plain.project / "prepare.py").write_text(script)
    with pytest.raises(EquipoiseError) as caught:
        bring_up_to_date(plain, W, "prepare", quiet)
    assert (caught.value.code, int(caught.value.exit_code)) == (code, exit_code)
    if code != "E_DVC":
        assert str(caught.value) == line


def test_a_killed_stage_is_told_apart_and_goes_on_from_what_it_left(plain):
    bring_up_to_date(plain, W, "prepare", quiet)
    script = (
        "import os, pathlib, signal\n"
        "folder = pathlib.Path('checkpoints/tool_calling'); folder.mkdir(parents=True, exist_ok=True)\n"
        "if not (folder / 'step').exists():\n"
        "    (folder / 'step').write_text('1'); os.kill(os.getpid(), signal.SIGKILL)\n"
        "(folder / 'model').write_text('from step ' + (folder / 'step').read_text())\n"
    )
    (plain.project / "train.py").write_text(script)
    with pytest.raises(StageKilled):
        bring_up_to_date(plain, W, "train", quiet)
    assert bring_up_to_date(plain, W, "train", quiet).ran
    assert (plain.checkpoint(W) / "model").read_text() == "from step 1"


def test_an_interruption_ends_the_whole_process_group(plain):
    bring_up_to_date(plain, W, "prepare", quiet)
    script = "import os, time\nprint('pid', os.getpid(), flush=True)\ntime.sleep(600)\n"
    (plain.project / "train.py").write_text(script)
    pids: list[int] = []

    def interrupt(line: str) -> None:
        if line.startswith("pid "):
            pids.append(int(line.split()[1]))
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        bring_up_to_date(plain, W, "train", interrupt)
    assert pids and gone(pids[0])


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel's parent-death signal is Linux's")
def test_a_killed_flow_leaves_no_stage_behind(plain):
    assert PR_SET_PDEATHSIG == 1
    script = "import os, time\nprint('pid', os.getpid(), flush=True)\ntime.sleep(600)\n"
    (plain.project / "prepare.py").write_text(script)
    code = (
        "from pathlib import Path\nfrom flows.stages import bring_up_to_date\nfrom flows.state import Place\n"
        f"p = Path({str(plain.project)!r})\n"
        "bring_up_to_date(Place(p, p / '.equipoise'), 'tool_calling', 'prepare', lambda l: print(l, flush=True))\n"
    )
    flow = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert flow.stdout is not None
    pid = next(int(line.split()[1]) for line in flow.stdout if line.startswith("pid "))
    flow.kill()
    flow.wait()
    assert gone(pid)


def test_generate_is_needed_only_for_the_embedded_data(plain):
    assert needed(plain, W)[0] == "generate"
    text = plain.params.read_text().replace("source: data/raw/tool_calling", "source: ../dialogues")
    plain.params.write_text(text)
    assert needed(plain, W) == ("prepare", "train", "evaluate")


@pytest.mark.parametrize("name", ["intend.json", "map.json"])
def test_a_changed_intent_map_makes_prepare_run_again(tmp_path, name):
    """Its digest stands in dvc.lock within that of the raw data, and the flow notices as DVC itself does."""
    project = real_project(tmp_path / "project")
    where, raw = Place(project, project / ".equipoise"), project / "dialogues"
    section = load_config(where.params).tool_calling
    generate(section, raw)
    (raw / "intend.json").rename(raw / name)
    changes = [f'{W}.data.source="dialogues"'] + (
        [] if name == "intend.json" else [f'{W}.data.intent_map="dialogues/map.json"']
    )
    edit(where.params, W, changes)
    bring_up_to_date(where, W, "prepare", quiet)
    before = [(project / "dvc.lock").read_bytes(), (where.prepared(W) / "manifest.json").read_bytes()]
    assert not stale(where, W, ["prepare"])
    intents = json.loads((raw / name).read_text())
    (raw / name).write_text(json.dumps(dict.fromkeys(intents, "something else")))
    assert stale(where, W, ["prepare"]) == ["prepare"]
    assert bring_up_to_date(where, W, "prepare", quiet).ran
    after = [(project / "dvc.lock").read_bytes(), (where.prepared(W) / "manifest.json").read_bytes()]
    assert before[0] != after[0] and before[1] != after[1]


def test_a_second_command_on_a_workload_is_told_who_holds_it(plain):
    with exclusive(plain, W):
        code = (
            "from pathlib import Path\nfrom flows.state import Place, exclusive\n"
            f"p = Path({str(plain.project)!r})\n"
            "with exclusive(Place(p, p), 'tool_calling'): pass\n"
        )
        other = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert "E_BUSY" in other.stderr and f"process {os.getpid()}" in other.stderr
    with exclusive(plain, W):  # free again
        assert True


def test_a_project_without_git_and_without_settings_is_made_a_repository(plain):
    stale(plain, W, ["prepare"])
    assert "no_scm = true" in (plain.project / ".dvc" / "config.local").read_text()
    assert "analytics = false" in (plain.project / ".dvc" / "config").read_text()


def test_a_broken_pipeline_file_is_one_line(plain):
    (plain.project / "dvc.yaml").write_text("stages: [")
    with pytest.raises(EquipoiseError) as caught:
        stale(plain, W, ["prepare"])
    assert int(caught.value.exit_code) == 78 and str(caught.value).isprintable()
    (plain.project / "dvc.yaml").unlink()
    with pytest.raises(EquipoiseError) as caught:
        stale(plain, W, ["prepare"])
    assert int(caught.value.exit_code) == 66


def test_the_state_folder_is_private_and_edits_are_kept_in_it(tmp_path):
    where = Place(tmp_path, tmp_path / "state")
    make_state(where)
    assert (where.state.stat().st_mode & 0o777) == 0o700
    record_edits(where, [Edit("a.b", 1, 2)])
    record_edits(where, [Edit("a.b", 2, 3)])
    assert (where.state / "edits.jsonl").read_text().count('"after"') == 2


def test_the_state_folder_comes_from_the_option_then_the_environment(tmp_path, monkeypatch):
    monkeypatch.setenv("EQUIPOISE_STATE", str(tmp_path / "there"))
    assert place(tmp_path, None).state == tmp_path / "there"
    assert place(tmp_path, tmp_path / "here").state == tmp_path / "here"
    monkeypatch.delenv("EQUIPOISE_STATE")
    assert place(tmp_path, None).state == tmp_path / ".equipoise"
