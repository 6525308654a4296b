"""A trained model that answers samples: encode, think until sure, point at the values, name them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file
from torch import Tensor

from components.config import ToolCallingConfig, ToolCallingData, ToolCallingModel
from components.data.buckets import in_order
from components.data.model_folder import CARD, read_card
from components.data.tokenizer import TextTokenizer, load_tokenizer
from components.errors import bad_data
from components.losses.contract import Batch
from components.workloads.tool_calling.batches import collate
from components.workloads.tool_calling.decode import decode_spans, to_found_span
from components.workloads.tool_calling.dialogues import FoundSpan, Prediction, Sample
from components.workloads.tool_calling.elements import ElementArrays, ElementTable, Vocabulary
from components.workloads.tool_calling.encode import encode_rows
from components.workloads.tool_calling.gliner_spans import GlinerSpans, load_pinned
from components.workloads.tool_calling.gliner_spans import load as load_extractor
from components.workloads.tool_calling.model import Sizes, TinyRecursiveModel
from components.workloads.tool_calling.requests import given_tools
from components.workloads.tool_calling.rows import Rows, ask_arguments

VOCABULARY = "elements/vocabulary.json"
HEADS = {"spans": "heads", "gliner2_folder": None}  # of models trained before there was a choice
CHUNK = 2048  # samples encoded at a time: memory stays flat however many are asked


@dataclass(frozen=True)
class Thought:
    """What the model made of one micro-batch: outputs per sample, halting steps, the answers after each step."""

    rows: NDArray[np.int64]
    samples: NDArray[np.int64]
    outputs: dict[str, NDArray[np.floating]]
    steps: NDArray[np.int64]
    answers: list[Tensor]


@dataclass(frozen=True)
class TrmPredictor:
    """The model with all it needs to read raw samples.

    Attributes:
        vocabulary: names seen in training, which number the classes of `heads: ids`.
        batch_tokens: tokens a micro-batch may hold, padding included.
        extractor: what finds the values instead of the model's span heads, None where those do.
    """

    model: TinyRecursiveModel
    tokenizer: TextTokenizer
    vocabulary: Vocabulary
    data: ToolCallingData
    settings: ToolCallingModel
    batch_tokens: int
    extractor: GlinerSpans | None = None

    def predict(self, samples: Sequence[Sample], given: Sequence[str | None] | None = None) -> list[Prediction]:
        """One prediction per sample; `given` names the tool whose arguments are also wanted (the labelled one), else
        the samples do."""
        given = given_tools(samples) if given is None else given
        found: list[Prediction] = []
        for low in range(0, len(samples), CHUNK):
            part = slice(low, low + CHUNK)
            found += self._predict(samples[part], None if given is None else given[part])
        return found

    def _predict(self, samples: Sequence[Sample], given: Sequence[str | None] | None) -> list[Prediction]:
        table = ElementTable(self.tokenizer, self.vocabulary)
        rows = encode_rows([replace(s, labels=None) for s in samples], table, self.data)
        elements = table.arrays()
        thoughts = [self._think(rows, elements, indices) for indices in in_order(rows.lengths, self.batch_tokens)]
        tools, confidence = _best(rows, thoughts, "tool_logits")
        intents, intent_confidence = _best(rows, thoughts, "intent_logits")
        probability = 1 / (1 + np.exp(-_scatter(rows, thoughts, "decision_logits")))
        steps = _scatter(rows, thoughts, None)
        name = lambda element: table.fact(element)[1]  # noqa: E731
        offered = [_names(rows.row_tools, rows.row_tool_offsets, row, name) for row in range(rows.count)]
        wanted = [_names(rows.row_intents, rows.row_intent_offsets, row, name) for row in range(rows.count)]
        asked = ask_arguments(rows, elements, tools.tolist())
        slots, arguments = self._values(asked, elements, thoughts, samples, name)
        given_arguments = arguments
        if given is not None:
            named = np.array([_index(offered[rows.sample_row[i]], g) for i, g in enumerate(given)])
            if (named != tools).any():
                _, given_arguments = self._values(
                    ask_arguments(rows, elements, named.tolist()), elements, thoughts, samples, name
                )
        return [
            Prediction(
                decision_probability=float(probability[i]),
                tool=offered[row][tools[i]] if tools[i] >= 0 else None,
                tool_confidence=float(confidence[i]),
                intent=wanted[row][intents[i]] if intents[i] >= 0 else None,
                intent_confidence=float(intent_confidence[i]),
                arguments=arguments[i],
                given_arguments=given_arguments[i],
                slots=slots[i],
                steps=int(steps[i]),
                given_tool=given[i] if given else None,
            )
            for i, row in enumerate(rows.sample_row)
        ]

    def _think(self, rows: Rows, elements: ElementArrays, indices: NDArray[np.int64]) -> Thought:
        batch = collate(rows, indices, elements)
        outputs, steps, answers = self.model.infer(batch, self.settings.halt_threshold)
        values = {key: value.float().numpy() for key, value in outputs.items()}
        return Thought(indices, batch["sample_id"].numpy(), values, steps.numpy(), answers)

    def _values(
        self, rows: Rows, elements: ElementArrays, thoughts: Sequence[Thought], samples: Sequence[Sample], name
    ) -> tuple[list[dict[str, FoundSpan]], list[dict[str, FoundSpan]]]:
        """(slots, arguments) of every sample, each read from the answer at which the sample halted."""
        if self.extractor is not None:
            return self.extractor.values(rows, samples, name)
        slots: list[dict[str, FoundSpan]] = [{} for _ in samples]
        arguments: list[dict[str, FoundSpan]] = [{} for _ in samples]
        for thought in thoughts:
            batch = collate(rows, thought.rows, elements)
            halted = torch.zeros(batch["tokens"].shape, dtype=torch.long)
            halted[batch["sample_row"], batch["sample_position"]] = torch.from_numpy(thought.steps)
            for step, answer in enumerate(thought.answers, start=1):
                for kind, found in (("slot", slots), ("arg", arguments)):
                    self._point(kind, batch, halted == step, answer, rows, thought.rows, samples, name, found)
        return slots, arguments

    @torch.inference_mode()
    def _point(
        self, kind, batch: Batch, halted: Tensor, answer: Tensor, rows: Rows, row_ids, samples, name, found
    ) -> None:
        """Adds the values of the samples that halted at this answer to `found`."""
        asking = batch[f"{kind}_position"]
        mine = (asking >= 0) & halted.gather(1, asking.clamp(min=0))
        if not bool(mine.any()):
            return
        outputs = self.model.point(answer, batch, kinds=(kind,))
        place, query = mine.nonzero(as_tuple=True)
        start = outputs[f"{kind}_start_logits"].transpose(1, 2)[place, query].numpy()
        end = outputs[f"{kind}_end_logits"].transpose(1, 2)[place, query].numpy()
        turns = batch["turns"][place].numpy()
        firsts, lasts, confidence = decode_spans(start, end, turns, self.settings.max_span_tokens)
        order, offsets = rows.slots_by_row if kind == "slot" else rows.args_by_row
        owners, wanted = (
            (rows.slot_sample, rows.slot_element) if kind == "slot" else (rows.arg_sample, rows.arg_element)
        )
        for i in np.flatnonzero(firsts):
            row = int(row_ids[place[i]])
            flat = int(order[offsets[row] + int(query[i])])
            sample = int(owners[flat])
            low, high = int(rows.row_offsets[row]), int(rows.row_offsets[row + 1])
            tokens = tuple(part[low:high] for part in (rows.turns, rows.starts, rows.ends))
            span = to_found_span(
                int(firsts[i]),
                int(lasts[i]),
                float(confidence[i]),
                tokens,
                samples[sample].history,
                int(rows.row_first[row]),
            )
            if span is not None:
                found[sample][name(int(rows.row_slots[rows.row_slot_offsets[row] + wanted[flat]]))] = span


def _names(flat: NDArray, offsets: NDArray, row: int, name) -> list[str]:
    return [name(int(e)) for e in flat[offsets[row] : offsets[row + 1]]]


def _index(names: Sequence[str], wanted: str | None) -> int:
    return names.index(wanted) if wanted in names else -1


def _scatter(rows: Rows, thoughts: Sequence[Thought], key: str | None) -> NDArray[np.float64]:
    """[S] a per-sample output (None: the halting steps) back in sample order."""
    result = np.zeros(len(rows.sample_row))
    for thought in thoughts:
        result[thought.samples] = thought.steps if key is None else thought.outputs[key]
    return result


def _best(rows: Rows, thoughts: Sequence[Thought], key: str) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """The most likely choice of each sample [S] and its probability; -1 and 0 where nothing could be chosen."""
    choice = np.full(len(rows.sample_row), -1)
    confidence = np.zeros(len(rows.sample_row))
    for thought in thoughts:
        logits = thought.outputs[key]
        if logits.shape[1] == 0:
            continue
        top = logits.max(axis=1, keepdims=True)
        some = np.isfinite(top[:, 0])
        weights = np.exp(logits[some] - top[some])
        choice[thought.samples[some]] = logits[some].argmax(axis=1)
        confidence[thought.samples[some]] = 1 / weights.sum(axis=1)
    return choice, confidence


def load(folder: Path) -> TrmPredictor:
    """The predictor of a trained model's folder.

    Raises:
        EquipoiseError: E_MISSING (66) without a file, E_DATA (65) when the description is not one of a model, E_MODEL
            (65) when a file is not the one that was trained.
    """
    facts = read_card(folder, ("model.safetensors", "tokenizer.json", VOCABULARY))
    try:
        settings = ToolCallingModel.model_validate(HEADS | facts["section"]["model"])
        data = ToolCallingData.model_validate(facts["section"]["data"])
        batch_tokens = int(facts["section"]["training"]["batch_tokens"])
        vocabulary = json.loads((folder / VOCABULARY).read_text("utf-8"))
        beside = None
        if settings.spans == "gliner2":
            beside = str(facts["gliner2"]["folder"]), dict(facts["gliner2"]["files"])
    except (ValueError, KeyError, TypeError) as error:
        raise bad_data(
            str(folder / CARD), "must describe a model", got=str(error), hint="Train the model again"
        ) from error
    tools, slots, intents = (len(vocabulary[kind]) for kind in ("tool", "slot", "intent"))
    sizes = Sizes(data.vocabulary, tools, slots, intents, data.max_tool_args)
    model = TinyRecursiveModel(settings, sizes)
    model.load_state_dict(load_file(folder / "model.safetensors"))
    model.eval()
    extractor = None if beside is None else load_pinned(*beside)
    tokenizer = load_tokenizer(folder / "tokenizer.json")
    return TrmPredictor(model, tokenizer, vocabulary, data, settings, batch_tokens, extractor)


def of_model(model: TinyRecursiveModel, section: ToolCallingConfig, prepared: Path) -> TrmPredictor:
    """The predictor of a model in memory, for the data it is trained on."""
    vocabulary = json.loads((prepared / VOCABULARY).read_text("utf-8"))
    tokenizer = load_tokenizer(prepared / "tokenizer.json")
    settings = section.model
    folder = settings.gliner2_folder if settings.spans == "gliner2" else None
    extractor = None if folder is None else load_extractor(Path(folder))
    return TrmPredictor(model, tokenizer, vocabulary, section.data, settings, section.training.batch_tokens, extractor)
