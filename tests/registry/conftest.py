"""A tiny real model and a registry with one version of it, made once for the tests of this folder."""

import shutil
from pathlib import Path

import pytest

from components.workloads.tool_calling.dialogues import USER, Labels, Message, Parameter, Sample, Span, Tool

CITIES = ("Oslo", "Lima", "Bern", "Kyoto")
WEATHER = Tool("weather.look", "Weather in a city", (Parameter("city", "where"),))
TABLE = Tool("table.book", "Book a table", (Parameter("seats", "how many"),))


def labelled_sample(number: int) -> Sample:
    city = CITIES[number % 4]
    call = number % 3 > 0
    text = f"how is the weather in {city} now" if call else f"thank you, {city} was fine"
    start = text.index(city)
    spans = {"city": Span(0, start, start + len(city))} if call else {}
    labels = Labels(int(call), WEATHER.name if call else None, None, {"city": city} if call else {}, spans)
    return Sample(str(number), str(number), (WEATHER, TABLE), (Message(USER, text),), labels=labels)


def request_row(text: str, **more) -> dict:
    tools = [
        {"name": t.name, "description": t.description, "parameters": {p.name: p.description for p in t.parameters}}
        for t in (WEATHER, TABLE)
    ]
    return {"tools": tools, "history": [{"role": "user", "content": text}], **more}


@pytest.fixture(scope="session")
def requests() -> list[dict]:
    texts = ("how is the weather in Lima now", "thank you, Bern was fine", 'Wetter in Oslo? \u2603 {"a": [1]}', "ok")
    return [request_row(text) for text in texts]


@pytest.fixture(scope="session")
def model_folder(tmp_path_factory) -> Path:
    """A trained baseline as evaluate leaves it."""
    from components.workloads.tool_calling import baseline

    folder = tmp_path_factory.mktemp("baseline") / "model"
    fitted = baseline.fit(iter([labelled_sample(n) for n in range(60)]), minimum=2, strength=10.0, passes=10)
    baseline.write(fitted, folder, "0" * 64)
    return folder


@pytest.fixture(scope="module")
def registry(tmp_path_factory, model_folder, requests):
    """(store, run id, first version): an embedded registry; tests add versions and leave version 1 as it is."""
    from components.registry import packaging, tracking

    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        store = tracking.open_store(tmp_path_factory.mktemp("registry"), "equipoise")
        run_id = tracking.start_run(store, "train", "tool_calling", "baseline", params={}, tags={})
        version = packaging.log_model(
            store,
            run_id,
            model_folder,
            "tool_calling",
            examples=requests,
            optional=["intents"],
            metrics={"test/decision/accuracy": 0.75},
            tags={"git_commit": "c0ffee", "flow_run": None},
        )
        yield store, run_id, version


@pytest.fixture
def own_copy(registry, tmp_path):
    """A copy of version 1's artefact that a test may damage, and its digest."""
    from components.registry import aliases

    store, _, first = registry
    shutil.copytree(aliases.resolve(store, "tool_calling", first.version), tmp_path / "artefact")
    return tmp_path / "artefact", first.digest
