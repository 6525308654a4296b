"""One pass over a conversation scores every decision as if it stood alone; both forms of the heads; halting."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from components.config import ToolCallingConfig, load_config
from components.data.tokenizer import TextTokenizer, train_tokenizer
from components.workloads.tool_calling.batches import collate
from components.workloads.tool_calling.dialogues import ASSISTANT, USER, Labels, Message, Parameter, Sample, Span, Tool
from components.workloads.tool_calling.elements import ElementTable
from components.workloads.tool_calling.encode import encode_rows
from components.workloads.tool_calling.model import Sizes, TinyRecursiveModel
from components.workloads.tool_calling.predict import TrmPredictor

TOOLS = (
    Tool("find_table", "find a table in a restaurant", (Parameter("city", "where"), Parameter("seats", "how many"))),
    Tool("play_song", "play music", (Parameter("song", "title of the song"),)),
    Tool("weather", "forecast", (Parameter("city", "where"), Parameter("day", "when", required=False))),
)
TURNS = (
    (USER, "hello there"),
    (ASSISTANT, "how can I help?"),
    (USER, "a table for four in Lyon please"),
    (ASSISTANT, "done. anything else?"),
    (USER, "and play Blue Moon, will you"),
)
VOCABULARY = {"tool": ["find_table", "play_song"], "slot": ["city", "seats", "song"], "intent": ["book", "listen"]}


def conversation(name: str, tools: tuple[Tool, ...] = TOOLS, turns: int = 5) -> list[Sample]:
    history = tuple(Message(role, text) for role, text in TURNS)
    labels = {
        1: Labels(0, intent="book"),
        3: Labels(1, "find_table", "book", {"city": "Lyon"}, {"city": Span(2, 20, 24)}),
        5: Labels(1, "play_song", "listen", {"song": "Blue Moon"}, {"song": Span(4, 9, 18)}),
    }
    return [
        Sample(
            f"{name}/{n}",
            name,
            tools,
            history[:n],
            {"genre": "kind of music"},
            {"book": "book a table", "listen": "hear"},
            labels=label,
        )
        for n, label in labels.items()
        if n <= turns and (label.tool is None or label.tool in {t.name for t in tools})
    ]


SAMPLES = conversation("a") + conversation("b", TOOLS[:2], 3) + conversation("c", (), 1)


@pytest.fixture(scope="module")
def tokenizer() -> TextTokenizer:
    return train_tokenizer([text for _, text in TURNS] * 3, 320)


def section(**changes: object) -> ToolCallingConfig:
    config = load_config(Path(__file__).parents[3] / "params.yaml").tool_calling
    small = {"width": 16, "layers": 1, "attention_heads": 2, "supervision_steps": 3, "dropout": 0.0} | changes
    return config.model_copy(update={"model": config.model.model_copy(update=small)})


def model_of(config: ToolCallingConfig) -> TinyRecursiveModel:
    torch.manual_seed(3)
    return TinyRecursiveModel(config.model, Sizes(config.data.vocabulary, 2, 3, 2, 16)).eval()


def predictor_of(config: ToolCallingConfig, tokenizer: TextTokenizer) -> TrmPredictor:
    return TrmPredictor(model_of(config), tokenizer, VOCABULARY, config.data, config.model, 6000)


@pytest.mark.parametrize("heads", ["schema", "ids"])
@pytest.mark.parametrize("threshold", [0.01, 0.5, 0.99])
def test_scoring_a_conversation_at_once_equals_scoring_each_sample_alone(tokenizer, heads: str, threshold: float):
    predictor = predictor_of(section(heads=heads, halt_threshold=threshold), tokenizer)
    with torch.no_grad():  # samples must halt at different steps for the test to mean something
        torch.nn.init.normal_(predictor.model.halting.weight, std=1.0)
    together = predictor.predict(SAMPLES, [s.labels.tool for s in SAMPLES])
    for sample, prediction in zip(SAMPLES, together, strict=True):
        (alone,) = predictor.predict([sample], [sample.labels.tool])
        assert alone.steps == prediction.steps
        assert (alone.tool, alone.intent) == (prediction.tool, prediction.intent)
        assert alone.decision_probability == pytest.approx(prediction.decision_probability, abs=1e-5)
        assert {n: (s.text, s.turn, s.start) for n, s in alone.given_arguments.items()} == {
            n: (s.text, s.turn, s.start) for n, s in prediction.given_arguments.items()
        }
        assert alone.slots.keys() == prediction.slots.keys()


def test_a_request_may_name_the_tool_whose_arguments_it_wants(tokenizer):
    predictor = predictor_of(section(), tokenizer)
    with torch.no_grad():  # found everywhere, so that there is something to compare
        torch.nn.init.constant_(predictor.model.argument_pointer.absent.bias, -9.0)
    offered = [sample for sample in SAMPLES if sample.tools]
    wanted = [None if i % 3 == 0 else sample.tools[i % 2].name for i, sample in enumerate(offered)]
    asked = [replace(sample, given_tool=name) for sample, name in zip(offered, wanted, strict=True)]
    found = predictor.predict(asked)
    assert found == predictor.predict(offered, wanted)
    for prediction, sample, plain in zip(found, asked, predictor.predict(offered), strict=True):
        assert prediction.given_tool == sample.given_tool and prediction.arguments == plain.arguments
        known = [p.name for tool in sample.tools if tool.name == sample.given_tool for p in tool.parameters]
        assert set(prediction.given_arguments) == set(known)


def test_without_tools_none_is_chosen(tokenizer):
    (prediction,) = predictor_of(section(), tokenizer).predict(conversation("c", (), 1))
    assert prediction.tool is None
    assert prediction.tool_confidence == 0
    assert prediction.arguments == {}


def test_only_offered_tools_are_chosen_and_found_text_is_the_original(tokenizer):
    for prediction, sample in zip(predictor_of(section(), tokenizer).predict(SAMPLES), SAMPLES, strict=True):
        assert prediction.tool in {tool.name for tool in sample.tools} | {None}
        for span in (*prediction.slots.values(), *prediction.arguments.values()):
            assert sample.history[span.turn].content[span.start : span.end] == span.text


def test_labels_do_not_reach_the_model(tokenizer):
    predictor = predictor_of(section(), tokenizer)
    blind = [replace(sample, labels=None) for sample in SAMPLES]
    assert predictor.predict(SAMPLES) == predictor.predict(blind)


def test_halting_saves_steps_and_the_threshold_decides(tokenizer):
    eager = predictor_of(section(halt_threshold=0.01), tokenizer).predict(SAMPLES)
    patient = predictor_of(section(halt_threshold=0.999), tokenizer).predict(SAMPLES)
    assert {p.steps for p in eager} == {1}
    assert {p.steps for p in patient} == {3}


@pytest.mark.parametrize("heads", ["schema", "ids"])
def test_every_head_gets_a_gradient_and_only_the_last_step_points(tokenizer, heads: str):
    config = section(heads=heads)
    table = ElementTable(tokenizer, VOCABULARY)
    rows = encode_rows(SAMPLES, table, config.data)
    batch = collate(rows, list(range(rows.count)), table.arrays())
    model = model_of(config).train()
    steps = list(model(batch))
    assert ["slot_start_logits" in outputs for outputs in steps] == [False, False, True]
    loss = sum((value[value.isfinite()] + 1).square().sum() for value in steps[-1].values())
    loss.backward()
    silent = {name for name, p in model.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0}
    assert silent == set(), silent


def test_more_silent_steps_than_steps_are_refused():
    config = load_config(Path(__file__).parents[3] / "params.yaml").tool_calling
    with pytest.raises(ValueError, match="no_gradient_steps must be below"):
        type(config.model).model_validate(config.model.model_dump() | {"no_gradient_steps": 2, "supervision_steps": 2})
