"""The tour with a recipe of seconds: every step happens, whatever the gate then says of so small a model."""

from __future__ import annotations

import json

import pytest
from safetensors.torch import load_file

from flows import tour
from flows.state import Place
from flows.warm import warm
from tests.flows.projects import TINY, real_project


@pytest.mark.timeout(1500)
def test_the_tour_shows_a_whole_life_cycle(tmp_path, monkeypatch):
    project = real_project(tmp_path / "project")
    before = (project / "params.yaml").read_bytes()
    monkeypatch.setattr(tour, "RECIPE", (*tour.RECIPE, *TINY, "data.tool_call_tokens=4"))
    said = []
    document = tour.run(Place(project, project / ".equipoise"), said.append)

    steps = document["steps"]
    assert [steps[name]["version"] for name in ("retrain", "twin", "damaged")] == [2, 3, 4]
    assert {steps[name]["decision"] for name in ("retrain", "twin", "damaged")} <= {"PROMOTE", "HOLD", "REJECT"}
    assert steps["retrain"]["stages"]["train"]["ran"] and not steps["retrain"]["stages"]["prepare"]["ran"]
    promoted = sum(step["decision"] == "PROMOTE" for step in steps.values() if "decision" in step)
    assert document["events"] >= 1 + 1 + 3 + 3  # a champion, its registration, three registrations, three verdicts
    assert (steps["rollback"]["replaced"] is None) == (promoted == 0)
    for name in ("retrain", "twin", "damaged"):
        for head in steps[name]["heads"]:
            assert f"{head['low']:+.4f} to {head['high']:+.4f}" in document["page"]
    for digest in document["digests"].values():
        assert digest[:16] in document["page"]
    assert (project / "params.yaml").read_bytes() == before  # it works in a project of its own

    here = project / ".equipoise" / "tour"
    whole = load_file(here / "checkpoints/tool_calling/model.safetensors")
    damaged = load_file(here / ".equipoise/damaged/model.safetensors")
    turned = {name for name in whole if not bool((whole[name] == damaged[name]).all())}
    assert turned and all("decision" in name for name in turned)
    assert all(bool((whole[name] == -damaged[name]).all()) for name in turned)
    twin = json.loads((here / ".equipoise/twin/checkpoints/tool_calling/model.json").read_text())
    assert twin["section"]["training"]["seed"] == 2


def test_the_shipped_recipe_is_one_the_configuration_takes(tmp_path):
    project = real_project(tmp_path / "project")
    made = tour._fresh_project(Place(project, tmp_path / "state"))
    section = made.config().tool_calling
    assert section.training.threads == 1 and not section.training.compile
    assert section.gate == Place(project, tmp_path / "state").config().tool_calling.gate.model_copy(
        update={"resamples": section.gate.resamples, "spending": "none"}
    )
    assert section.evaluation.baseline == Place(project, tmp_path / "state").config().tool_calling.evaluation.baseline


def test_warming_fills_the_cache_and_leaves_the_environment(tmp_path, monkeypatch):
    import os

    monkeypatch.setenv("EQUIPOISE_CACHE", str(tmp_path / "cache"))
    before = dict(os.environ)
    said = []
    warm(said.append)
    assert dict(os.environ) == before
    names = {path.name.split("-")[0] for path in (tmp_path / "cache").glob("*.db")}
    assert names == {"mlflow", "prefect"}
    warm(said.append)
    assert said.count("making Prefect's database, once for this user") == 1
