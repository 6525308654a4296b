"""Campaigns over the toy: totals, defaults first, kills, ctrl-C, diverging candidates, and studies that do not fit."""

import dataclasses
import json
import os
import signal
import sqlite3
import subprocess
import sys

import optuna
import pytest

from components.config_parts import GateConfig
from components.errors import EquipoiseError
from components.training.interrupt import TrainingInterrupted
from components.tuning import storage as storage_module
from components.tuning.campaign import run
from components.tuning.space import Knob
from components.tuning.storage import open_storage
from components.tuning.trials import CHAMPION, OWNER, RESULT, make_study
from tests.flows.projects import ROOT
from tests.registry.postgres import postgres_server, postgres_url  # noqa: F401
from tests.training import toy
from tests.tuning.toy_campaign import TunedToy, campaign, plain, screened, section


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    return toy.prepare(section(), tmp_path_factory.mktemp("toy") / "prepared")


def numbers(found):
    return [each.number for each in found.candidates]


def refusal(call):
    with pytest.raises(EquipoiseError) as refused:
        call()
    return refused.value.code, int(refused.value.exit_code), str(refused.value)


def test_n_is_a_total_and_candidate_0_has_the_default_weights(prepared, tmp_path):
    first = campaign(prepared, tmp_path, 2)
    assert numbers(first) == [0, 1]
    assert first.candidates[0].weights == {"above.weight": 1.0, "size.weight": 0.5}
    assert set(first.candidates[0].objectives) == {"objective", "above/accuracy"}
    assert first.candidates[1].terms["above"]["raw"] > 0
    again = campaign(prepared, tmp_path, 3)
    assert numbers(again) == [0, 1, 2] and again.candidates[:2] == first.candidates
    assert numbers(campaign(prepared, tmp_path, 1)) == [0, 1, 2], "a smaller total trains nothing and loses nothing"
    assert sorted(p.name for p in again.folder.iterdir() if p.is_dir()) == ["0", "1", "2"]
    (name,) = optuna.get_all_study_names(f"sqlite:///{tmp_path / 'optuna.db'}")
    assert name == again.name and name.startswith("toys/toy/")
    one_go = campaign(prepared, tmp_path / "other", 3)
    assert [plain(each) for each in one_go.candidates] == [plain(each) for each in again.candidates]


def killed_somewhere(kind, kills, folder):
    """Kills at moments spread over files and database statements, each followed by a second kill."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.tuning.toy_campaign", kind, str(kills), str(folder)],
        cwd=ROOT, env={**os.environ, "OMP_NUM_THREADS": "1"}, capture_output=True, text=True, timeout=3000,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    found = json.loads(done.stdout)
    assert found["kills"] >= kills
    assert [each["number"] for each in found["candidates"]] == [0, 1, 2, 3]
    return found


@pytest.mark.parametrize(("kind", "kills"), [("plain", 1), ("batched", 1)])
def test_killed_anywhere_it_ends_with_the_candidates_of_an_undisturbed_campaign(tmp_path, kind, kills):
    found = killed_somewhere(kind, kills, tmp_path)
    assert (found["full"] is None) == (kind == "plain")


@pytest.mark.torture
@pytest.mark.parametrize("kind", ["plain", "processes", "batched"])
def test_killed_at_many_moments(tmp_path, kind):
    killed_somewhere(kind, 10, tmp_path)


def test_both_engines_screen_stop_and_choose_alike(prepared, tmp_path):
    found = {engine: campaign(prepared, tmp_path / engine, 4, screened(engine)) for engine in ("processes", "batched")}
    for each in found.values():
        assert [c.number for c in each.stopped] == [3] and each.candidates[3].stopped == {"rung": 2, "dominators": [0]}
        assert each.candidates[3].steps == 6 and each.candidates[0].steps == 9, "two epochs of three"
        assert [c.number for c in each.judged] == [0, 1, 2] and all(each.model(c).is_dir() for c in each.judged)
        assert [c.steps for c in each.full] == [12, 12, 12]
        study = optuna.load_study(study_name=each.name, storage=f"sqlite:///{each.folder.parents[3] / 'optuna.db'}")
        assert 3 not in {trial.number for trial in study.best_trials}
    one, other = ([c.objectives["objective"] for c in each.candidates] for each in found.values())
    assert one == pytest.approx(other, rel=1e-5)
    weights = [[c.weights for c in each.candidates] for each in found.values()]
    assert weights[0] == weights[1]


class GatedToy(TunedToy):
    gate: GateConfig


def test_the_champion_comes_second_and_bounds_the_others(prepared, tmp_path):
    head = {"head": "above", "metric": "accuracy", "role": "primary", "margin": 0.001, "direction": "higher"}
    gate = {"policy": "improve", "alpha": 0.05, "resamples": 200, "seed": 1, "cluster": "c", "heads": [head]}
    settings = GatedToy.model_validate({**section().model_dump(mode="json"), "gate": gate})
    weights = {"above.weight": 9.0, "size.weight": 0.06}
    found = campaign(prepared, tmp_path, 4, settings, champion=weights)
    assert found.candidates[1].weights == weights
    least = found.candidates[1].metrics["above/accuracy"] - 0.001
    expected = [each.metrics["above/accuracy"] >= least for each in found.candidates]
    assert [each.feasible for each in found.candidates] == expected and not all(expected)


def test_a_new_study_begins_with_the_defaults_the_champion_and_a_front(tmp_path):
    space = (Knob("a.weight", 0.1, 10.0, 1.0), Knob("b.weight", 0.1, 10.0, 2.0))
    default, champion, start = ({"a.weight": a, "b.weight": 2.0} for a in (1.0, 3.0, 5.0))

    def begun(name, champion, starts):
        storage, _ = open_storage(tmp_path, None)
        study = make_study(storage, name, "identity", ("x",), space, champion, starts)
        found = [trial.system_attrs["fixed_params"] for trial in study.trials], study.user_attrs[CHAMPION]
        storage.engine.dispose()
        return found

    assert begun("all", champion, [start, champion]) == ([default, champion, start], 1)
    assert begun("all", None, []) == ([default, champion, start], 1), "a study that is there stays as it is"
    assert begun("same", default, []) == ([default], 0)
    assert begun("none", None, [start]) == ([default, start], None)


def test_nsga2_goes_on_as_it_would_have(prepared, tmp_path):
    settings = section(sampler="nsga2")
    apart = [campaign(prepared, tmp_path / "a", total, settings) for total in (2, 4)][-1]
    whole = campaign(prepared, tmp_path / "b", 4, settings)
    assert [plain(each) for each in apart.candidates] == [plain(each) for each in whole.candidates]


def test_ctrl_c_ends_at_a_safe_point_and_the_next_call_goes_on(prepared, tmp_path):
    seen = []

    def batches(settings, place, split, epoch):
        seen.append(epoch)
        if len(seen) == 7:  # each epoch asks twice and a candidate has two: this is the second candidate
            signal.raise_signal(signal.SIGINT)
        return toy.batches(settings, place, split, epoch)

    interrupted = dataclasses.replace(toy.WORKLOAD, batches=batches)
    with pytest.raises(TrainingInterrupted, match=r"stopped in candidate 1, 1 of 3 are done; the state is saved"):
        run(interrupted, section(), prepared, tmp_path, project="toys", total=3, device="cpu", say=lambda line: None)
    found = campaign(prepared, tmp_path, 3)
    whole = campaign(prepared, tmp_path / "whole", 3)
    assert [plain(each) for each in found.candidates] == [plain(each) for each in whole.candidates]


def test_another_recipe_is_another_campaign_and_a_name_cannot_join_them(prepared, tmp_path):
    first = campaign(prepared, tmp_path, 1, name="mine")
    assert first.name == "toys/toy/mine"
    other = section(space={"above.weight": [0.5, 2.0]})
    code, status, text = refusal(lambda: campaign(prepared, tmp_path, 1, other, name="mine"))
    assert (code, status) == ("E_STUDY", 78) and "--campaign" in text
    assert campaign(prepared, tmp_path, 1, other).name != campaign(prepared, tmp_path, 1).name


def test_an_objective_validation_does_not_give_names_the_nearest(prepared, tmp_path):
    wrong = section(objectives=["above/acuracy"])
    code, status, text = refusal(lambda: campaign(prepared, tmp_path, 1, wrong))
    assert (code, status) == ("E_CONFIG_KEY", 78) and "`above/accuracy`" in text


def test_a_diverging_candidate_fails_counts_and_stops_nobody_else(prepared, tmp_path):
    huge = section(space={"above.weight": [1.0, 1e38], "size.weight": [0.5, 1e38]})
    found = campaign(prepared, tmp_path, 4, huge)
    failed = [each for each in found.candidates if each.failure]
    assert numbers(found) == [0, 1, 2, 3] and failed and found.complete[0].number == 0
    assert all("E_NONFINITE" in each.failure and not each.objectives for each in failed)


def test_a_study_somebody_else_wrote_into_is_refused(prepared, tmp_path):
    found = campaign(prepared, tmp_path, 1)
    study = optuna.load_study(study_name=found.name, storage=f"sqlite:///{tmp_path / 'optuna.db'}")
    study.add_trial(optuna.trial.create_trial(values=[0.1, 0.2]))
    code, status, text = refusal(lambda: campaign(prepared, tmp_path, 2))
    assert (code, status) == ("E_STUDY", 78) and "trial 1" in text


def test_a_silent_candidate_of_another_folder_gets_its_time_before_it_is_taken_over(prepared, tmp_path, monkeypatch):
    monkeypatch.setattr(storage_module, "GRACE_SECONDS", 1)
    address, lines = f"sqlite:///{tmp_path / 'shared.db'}", []
    found = campaign(prepared, tmp_path / "a", 1, address=address)
    silent = optuna.load_study(study_name=found.name, storage=address).ask()
    silent.set_user_attr(OWNER, "elsewhere")
    again = campaign(prepared, tmp_path / "b", 2, address=address, say=lines.append)
    assert numbers(again) == [0, 1] and "candidate 1 is taken over: whoever trained it fell silent" in lines


@pytest.mark.parametrize(
    ("address", "status"),
    [
        ("postgresql://nobody@/nothing?host=/nonexistent", 69),
        ("mysql://host/database", 78),
        ("not an address", 78),
    ],
)
def test_a_storage_that_cannot_be_used(prepared, tmp_path, address, status):
    assert refusal(lambda: open_storage(tmp_path, address))[1] == status


def test_databases_that_are_not_optunas(tmp_path):
    (tmp_path / "optuna.db").write_bytes(b"no database" * 1000)
    assert refusal(lambda: open_storage(tmp_path, None))[:2] == ("E_STUDY_STORAGE", 78)
    other = tmp_path / "newer"
    other.mkdir()
    open_storage(other, None)[0].engine.dispose()
    with sqlite3.connect(other / "optuna.db") as database:
        database.execute("UPDATE alembic_version SET version_num = 'v99.0.0'")
    assert refusal(lambda: open_storage(other, None))[:2] == ("E_STUDY_STORAGE", 78)


def test_a_campaign_on_postgresql(prepared, tmp_path, postgres_url):  # noqa: F811
    assert numbers(campaign(prepared, tmp_path, 1, address=postgres_url)) == [0]
    again = campaign(prepared, tmp_path, 2, address=postgres_url)
    assert numbers(again) == [0, 1] and not (tmp_path / "optuna.db").exists()
    storage, place = open_storage(tmp_path, postgres_url)
    assert RESULT in storage.get_all_trials(storage.get_study_id_from_name(again.name))[1].user_attrs
    assert "postgresql" in place
    storage.engine.dispose()
