"""Optional: the values of slots and arguments found by GLiNER2 instead of the model's own span heads.

The package comes with the extra `gliner2`, its weights from a folder on this machine: nothing is ever downloaded, and
no code out of that folder is run. The weights are not trained here, so a model that uses them pins their bytes.
"""

from __future__ import annotations

import functools
import importlib
import importlib.metadata
import json
import os
import re
from bisect import bisect_right
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np
import torch

from components.errors import EquipoiseError, bad_data, misconfigured, missing
from components.files import sha256_file
from components.workloads.tool_calling.decode import trim
from components.workloads.tool_calling.dialogues import ASSISTANT, USER, FoundSpan, Sample
from components.workloads.tool_calling.rows import Rows

FILES = ("config.json", "encoder_config/config.json", "tokenizer.json", "model.safetensors")
DESCRIPTIONS = ("config.json", "encoder_config/config.json", "tokenizer_config.json")
PACKAGES = ("gliner2", "peft", "transformers")  # the last two come with its extra `local`
MODEL_TYPE = "extractor"  # what GLiNER2 writes into its config.json
ELSEWHERE = "EQUIPOISE_GLINER2_FOLDER"  # where the same weights lie on another machine
KEPT_ANSWERS = 1 << 14  # validation asks the same after every epoch
SEPARATOR = "\n"
MARKERS = str.maketrans("[]", "()")  # GLiNER2 takes a label like [E] for one of its own marks and fails

Labels = tuple[tuple[str, str], ...]  # (label, description)
Answers = tuple[tuple[str, tuple[tuple[int, int, float], ...]], ...]


class Extractor(Protocol):
    """What is used of a GLiNER2 extractor (package documentation, tutorial on entity extraction)."""

    def extract_entities(
        self, text: str, entity_types: dict[str, str], *, include_confidence: bool, include_spans: bool
    ) -> Mapping[str, Any]:
        """{"entities": {name: [{"text", "confidence", "start", "end"}, ...]}}, [start, end) characters of `text`."""
        ...


class Part(NamedTuple):
    """Characters [start, end) of the message with index `turn`, standing at `at` in the joined text."""

    turn: int
    start: int
    end: int
    at: int


def facts(folder: Path) -> dict[str, Any]:
    """What the card of a model says of the extractor beside it.

    Returns:
        {"gliner2": {"version": of the package, "folder": absolute, "files": {name: SHA-256}}, "packages":
        {distribution: version}}.

    Raises:
        EquipoiseError: E_GLINER2 (78) without the package, E_MISSING (66) without the folder or one of its files,
            E_GLINER2 (65) when they are of another kind.
    """
    packages = installed()
    digests = check_folder(folder)
    about = {"version": packages["gliner2"], "folder": str(folder.resolve()), "files": digests}
    return {"gliner2": about, "packages": packages}


def installed() -> dict[str, str]:
    """Versions of the packages that loading an extractor needs.

    Raises:
        EquipoiseError: E_GLINER2 (78) when one is not installed.
    """
    try:
        return {name: importlib.metadata.version(name) for name in PACKAGES}
    except importlib.metadata.PackageNotFoundError as error:
        raise _not_installed(error.name or str(error)) from error


def check_folder(folder: Path) -> dict[str, str]:
    """SHA-256 of the files a GLiNER2 extractor is made of, by name.

    Raises:
        EquipoiseError: E_MISSING (66) without the folder or a file, E_GLINER2 (65) when it holds another kind of model
            or names code to be run.
    """
    if not folder.is_dir():
        raise missing(
            str(folder),
            "model.gliner2_folder must be a folder of GLiNER2 weights",
            got="no folder",
            hint="Put the weights there, as save_pretrained writes them: nothing is downloaded",
        )
    for name in FILES:
        if not (folder / name).is_file():
            raise missing(
                str(folder / name),
                "a folder of GLiNER2 weights must hold it",
                got="no file",
                hint="Copy the whole folder that save_pretrained wrote; weights must be safetensors",
            )
    described = {name: _description(folder / name) for name in DESCRIPTIONS if (folder / name).is_file()}
    kind = described["config.json"].get("model_type")
    if kind != MODEL_TYPE:
        rule = f"model_type must be {MODEL_TYPE}"
        raise _refused(folder / "config.json", rule, kind, "Name a folder of a GLiNER2 extractor")
    for name, description in described.items():
        if "auto_map" in description:  # names code to be fetched and run
            hint = "Use an extractor whose encoder the transformers package knows"
            raise _refused(folder / name, "weights must not name code of their own", "auto_map", hint)
    names = [*FILES, *(name for name in DESCRIPTIONS if name in described and name not in FILES)]
    return {name: sha256_file(folder / name) for name in sorted(names)}


def load(folder: Path) -> GlinerSpans:
    """The extractor in `folder`; the same bytes are loaded once a process.

    Raises:
        EquipoiseError: as `facts` does, and E_GLINER2 (65) when the files cannot be loaded.
    """
    about = facts(folder)["gliner2"]
    return _loaded(about["folder"], tuple(about["files"].items()))


def load_pinned(folder: str, files: Mapping[str, str]) -> GlinerSpans:
    """The extractor that a trained model's card names, wherever this machine has it.

    Raises:
        EquipoiseError: as `load` does; E_MODEL (65) when its files are not those with the digests in `files`.
    """
    place = Path(os.environ.get(ELSEWHERE) or folder)
    about = facts(place)["gliner2"]
    digests = about["files"]
    for name in sorted({*files, *digests}):
        if files.get(name) != digests.get(name):
            raise bad_data(
                str(place / name),
                "must have the SHA-256 that model.json names",
                got="another one",
                hint="Put back the weights the model was trained beside, or train with another model.gliner2_folder",
                code="MODEL",
            )
    return _loaded(about["folder"], tuple(digests.items()))


@functools.lru_cache(maxsize=2)
def _loaded(folder: str, digests: tuple[tuple[str, str], ...]) -> GlinerSpans:
    os.environ["HF_HUB_OFFLINE"] = os.environ["TRANSFORMERS_OFFLINE"] = "1"
    try:
        package = importlib.import_module("gliner2")
        logging = importlib.import_module("transformers.utils.logging")
        auto = package.AutoExtractor
    except ImportError as error:
        raise _not_installed(error.name or str(error)) from error
    verbosity = logging.get_verbosity()
    logging.set_verbosity_error()
    try:
        with torch.random.fork_rng(devices=[]):  # it draws the weights that are then read: training must not notice
            extractor = auto.from_pretrained(folder, map_location="cpu")
    except Exception as error:  # whatever the files provoke in three packages, a person needs to hear which folder
        what = f"{type(error).__name__}: {error}"
        raise _refused(Path(folder), "must load as a GLiNER2 extractor", what, "Copy the weights again") from error
    finally:
        logging.set_verbosity(verbosity)
    return GlinerSpans(extractor.eval(), folder, _within(extractor, Path(folder)))


def _within(extractor: Any, folder: Path) -> Callable[[str, Labels], bool]:
    """Whether a text with its labels is as short as the extractor's encoder takes; beyond that it fails or guesses."""
    longest = _description(folder / "encoder_config/config.json").get("max_position_embeddings")

    def fits(text: str, labels: Labels) -> bool:
        if not isinstance(longest, int):
            return True
        schema = extractor.create_schema().entities(dict(labels))
        return len(extractor.processor.transform_record(text, schema).input_ids) <= longest

    return fits


class GlinerSpans:
    """Asks an extractor for the values of samples.

    Args:
        extractor: see `Extractor`.
        place: the folder it came from, for errors.
        fits: whether it can read a text with its labels at once.
    """

    def __init__(
        self, extractor: Extractor, place: str, fits: Callable[[str, Labels], bool] = lambda text, labels: True
    ) -> None:
        self._extractor = extractor
        self._place = place
        self._fits = functools.lru_cache(maxsize=KEPT_ANSWERS)(fits)
        self._answers = functools.lru_cache(maxsize=KEPT_ANSWERS)(self._ask)

    def values(
        self, rows: Rows, samples: Sequence[Sample], name: Callable[[int], str]
    ) -> tuple[list[dict[str, FoundSpan]], list[dict[str, FoundSpan]]]:
        """(slots, arguments) of every sample.

        Args:
            rows: of the samples; their argument queries say which tool each sample's arguments are wanted of.
            name: of an element.
        """
        chosen: dict[int, str] = {}
        for sample, tool in zip(rows.arg_sample.tolist(), rows.arg_tool.tolist(), strict=True):
            chosen[sample] = name(int(rows.row_tools[rows.row_tool_offsets[rows.sample_row[sample]] + tool]))
        slots, arguments = [], []
        for i, sample in enumerate(samples):
            parts = seen_parts(rows, i, sample)
            tool = next((t for t in sample.tools if t.name == chosen.get(i)), None)
            parameters = {p.name: p.description for p in tool.parameters} if tool else {}
            slots.append(self.find(sample, parts, sample.slots))
            arguments.append(self.find(sample, parts, parameters))
        return slots, arguments

    def find(self, sample: Sample, parts: Sequence[Part], wanted: Mapping[str, str]) -> dict[str, FoundSpan]:
        """The latest mention of each wanted name -> description in the parts; names without one are left out."""
        if not parts or not wanted:
            return {}
        labels: dict[str, str] = {}
        for name in sorted(wanted):
            label = name.translate(MARKERS)
            while label in labels:
                label += "'"
            labels[label] = name
        asked = tuple((label, wanted[name]) for label, name in labels.items())
        found: dict[str, FoundSpan] = {}
        for passage in reversed(self._passages(sample, parts, asked)):
            for label, mentions in self._answers(joined(sample, passage), asked):
                for start, end, confidence in sorted(mentions, key=lambda m: (m[0], m[2]), reverse=True):
                    span = in_message(sample, passage, start, end, confidence)
                    if span is not None:
                        found.setdefault(labels[label], span)
                        break
        return found

    def _passages(self, sample: Sample, parts: Sequence[Part], asked: Labels) -> list[list[Part]]:
        """The parts in their order, divided until the extractor can read each passage; labels that are too long for it
        by themselves are left to its own error."""
        passage = placed(parts)
        if self._fits(joined(sample, passage), asked) or not self._fits("", asked):
            return [passage]
        halves = halved(sample, passage)
        return [each for half in halves for each in self._passages(sample, half, asked)] if halves else [passage]

    def _ask(self, text: str, labels: Labels) -> Answers:
        try:
            answer = self._extractor.extract_entities(text, dict(labels), include_confidence=True, include_spans=True)
            entities = answer.get("entities", {})
            return tuple((label, tuple(_mention(each) for each in entities.get(label) or ())) for label, _ in labels)
        except Exception as error:  # of the package, on this text or these labels
            names = ", ".join(label for label, _ in labels)
            what = f"{type(error).__name__}: {error}"
            hint = f"Shorten the text or the descriptions of {names}, or set model.spans to heads"
            raise _refused(Path(self._place), "the extractor must answer", what, hint) from error


def seen_parts(rows: Rows, index: int, sample: Sample) -> list[Part]:
    """What the model itself sees of the user's and the assistant's messages: those within the window, as far as they
    have tokens there."""
    row = int(rows.sample_row[index])
    low = int(rows.row_offsets[row])
    tokens = slice(low, low + int(rows.sample_position[index]) + 1)
    turns, starts, ends = (np.asarray(part[tokens]) for part in (rows.turns, rows.starts, rows.ends))
    text = ends > starts  # not BOS or EOM
    parts: list[Part] = []
    for turn in np.unique(turns[text]).tolist():
        here = text & (turns == turn)
        message = turn + int(rows.row_first[row])
        if sample.history[message].role in (USER, ASSISTANT):
            parts.append(Part(message, int(starts[here].min()), int(ends[here].max()), 0))
    return placed(parts)


def placed(parts: Sequence[Part]) -> list[Part]:
    """The parts as they stand in a text of their own, one after the other."""
    found: list[Part] = []
    at = 0
    for part in parts:
        found.append(part._replace(at=at))
        at += part.end - part.start + len(SEPARATOR)
    return found


def joined(sample: Sample, parts: Sequence[Part]) -> str:
    """The text in which they stand like that."""
    return SEPARATOR.join(sample.history[p.turn].content[p.start : p.end] for p in parts)


def halved(sample: Sample, parts: Sequence[Part]) -> tuple[list[Part], list[Part]] | None:
    """Two halves of the messages; of a single one, two halves of its words; None where there is nothing to divide."""
    if len(parts) > 1:
        middle = len(parts) // 2
        return list(parts[:middle]), list(parts[middle:])
    (part,) = parts
    words = list(re.finditer(r"\S+", sample.history[part.turn].content[part.start : part.end]))
    if len(words) < 2:
        return None
    middle = part.start + words[len(words) // 2].start()
    return [part._replace(end=middle)], [part._replace(start=middle)]


def in_message(sample: Sample, parts: Sequence[Part], start: int, end: int, confidence: float) -> FoundSpan | None:
    """Characters [start, end) of the joined text as a span of one message; None when they are of several or empty.

    GLiNER2 puts a full stop after a text that has none, and may count it in: a span may end one character beyond.
    """
    part = parts[bisect_right([p.at for p in parts], start) - 1]
    last = parts[-1]
    end = min(end, last.at + last.end - last.start)
    if start < part.at or end - part.at > part.end - part.start:
        return None
    text = sample.history[part.turn].content
    low, high = trim(text, part.start + start - part.at, part.start + end - part.at)
    return FoundSpan(text[low:high], part.turn, low, high, confidence) if low < high else None


def _mention(found: Mapping[str, Any]) -> tuple[int, int, float]:
    return int(found["start"]), int(found["end"]), float(found["confidence"])


def _description(path: Path) -> dict[str, Any]:
    try:
        value = json.loads(path.read_text("utf-8"))
    except (ValueError, RecursionError) as error:
        raise _refused(path, "must be JSON", str(error), "Copy the weights again") from error
    if not isinstance(value, dict):
        raise _refused(path, "must be a JSON object", type(value).__name__, "Copy the weights again")
    return value


def _not_installed(name: str) -> EquipoiseError:
    return misconfigured(
        "params.yaml: tool_calling.model.spans",
        "gliner2 needs the package of that name",
        got=f"no {name} installed",
        hint="Install the extra: pip install -c constraints.txt -e '.[gliner2]'; or set model.spans to heads",
        code="GLINER2",
    )


def _refused(path: Path, rule: str, got: Any, hint: str) -> EquipoiseError:
    return bad_data(str(path), rule, got=got, hint=hint, code="GLINER2")
