"""The cheap baselines: copy the last earlier assertion, copy that of the nearest training row, the most frequent one,
and a linear machine for the kind; and the better of the first two as a servable folder, the first champion."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from components.config_assertions import AssertionsConfig
from components.data.manifest import published
from components.data.model_folder import CARD, read_card
from components.errors import bad_data
from components.files import sha256_file, write_json
from components.workload import Predictor
from components.workloads.assertions import retrieval
from components.workloads.assertions.answers import Prediction
from components.workloads.assertions.compare import same, token_similarity
from components.workloads.assertions.data import samples_file
from components.workloads.assertions.java_tokens import canonical, tokens
from components.workloads.assertions.pairs import Pair, assert_type
from components.workloads.assertions.retrieval import Index, load_index
from components.workloads.assertions.samples import read_samples
from components.workloads.assertions.type_svm import TypeSvm, fit_types

FORMAT = 1
FORMS = ("copy_last", "retrieval")
NOTHING = "assertNotNull(null);"  # where there is nothing at all to copy
CHUNK = 512


@dataclass(frozen=True, eq=False)
class Copying:
    """Answers with an assertion that is there already.

    Attributes:
        form: copy_last: the last earlier assertion of the test, else the retrieved one; retrieval: always that.
        index: to retrieve from.
        confidences: for `prior` and `retrieved` assertions the share that was exactly right on validation.
    """

    form: str
    index: Index
    confidences: Mapping[str, float]

    def predict(self, samples: Sequence[Pair], given: Sequence[Any] | None = None) -> list[Prediction]:
        predictions = []
        for start in range(0, len(samples), CHUNK):
            chunk = samples[start : start + CHUNK]
            for pair, found in zip(chunk, self.index.nearest(chunk), strict=True):
                own = self.form == "copy_last" and pair.prior is not None
                answers = [pair.prior, found.assertion] if own else [found.assertion, pair.prior]
                texts = [canonical(text) for text in answers if text is not None] or [NOTHING]
                confidence = self.confidences["prior" if own else "retrieved"]
                predictions.append(Prediction(texts[0], confidence, alternatives=tuple(texts[1:])))
        return predictions


@dataclass(frozen=True)
class Majority:
    """The most frequent assertion of the training split, whatever the test; `share` of it there."""

    assertion: str
    share: float

    def predict(self, samples: Sequence[Pair], given: Sequence[Any] | None = None) -> list[Prediction]:
        return [Prediction(self.assertion, self.share) for _ in samples]


@dataclass(frozen=True, eq=False)
class Typed:
    """What `copying` answers, turned into the kind that a linear machine names."""

    copying: Copying
    machine: TypeSvm

    def predict(self, samples: Sequence[Pair], given: Sequence[Any] | None = None) -> list[Prediction]:
        answers = self.copying.predict(samples)
        kinds = self.machine.types(samples)
        return [_turned(answer, kind) for answer, kind in zip(answers, kinds, strict=True)]


def rules(section: AssertionsConfig, prepared: Path) -> dict[str, Predictor]:
    """All baselines, fitted on the training split: retrieval, copy_last, svm, majority.

    Raises:
        EquipoiseError: E_MISSING (66) without prepared data.
    """
    index = load_index(prepared)
    confidences = _measure(index, prepared)[0]
    copying = {form: Copying(form, index, confidences) for form in FORMS}
    machine = fit_types(read_samples(samples_file(prepared, "train")), section.evaluation.baseline.strength)
    return {
        "retrieval": copying["retrieval"],
        "copy_last": copying["copy_last"],
        "svm": Typed(copying["copy_last"], machine),
        "majority": fit_majority(prepared),
    }


def fit_majority(prepared: Path) -> Majority:
    """The most frequent assertion of the training split; of equals the first in the alphabet."""
    counts = Counter(canonical(str(pair.assertion)) for pair in read_samples(samples_file(prepared, "train")))
    text = min(counts, key=lambda one: (-counts[one], one))
    return Majority(text, counts[text] / counts.total())


def fit_baseline(section: AssertionsConfig, prepared: Path, folder: Path) -> None:
    """Chooses the form whose answers are more like the labels on validation, and writes it as a servable folder."""
    index = load_index(prepared)
    confidences, likeness = _measure(index, prepared)
    form = max(FORMS, key=lambda name: likeness[name])
    with published(folder) as part:
        index.save(part)
        files = {name: sha256_file(part / name) for name in (retrieval.WORDS, retrieval.ARRAYS)}
        facts = {"kind": "baseline", "format": FORMAT, "form": form, "confidences": confidences, "likeness": likeness}
        write_json(part / CARD, {**facts, "files": files})


def load(folder: Path) -> Copying:
    """The baseline that `fit_baseline` wrote.

    Raises:
        EquipoiseError: E_MISSING (66) without one of its files, E_MODEL (65) when they are damaged or do not fit.
    """
    card = read_card(folder, (retrieval.WORDS, retrieval.ARRAYS))
    try:
        confidences = {name: float(card["confidences"][name]) for name in ("prior", "retrieved")}
        if card["kind"] != "baseline" or card["format"] != FORMAT or card["form"] not in FORMS:
            raise ValueError(f"kind {card['kind']!r}, format {card['format']!r}, form {card['form']!r}")
        if not all(0 <= value <= 1 for value in confidences.values()):
            raise ValueError(f"confidences {confidences}")
    except (ValueError, KeyError, TypeError) as error:
        raise bad_data(
            str(folder / CARD), "must describe a baseline", got=str(error), hint="Run evaluate again", code="MODEL"
        ) from error
    return Copying(card["form"], load_index(folder), confidences)


def _measure(index: Index, prepared: Path) -> tuple[dict[str, float], dict[str, float]]:
    """On validation: share of exact matches of prior and of retrieved assertions, and mean token similarity of the two
    forms."""
    exact = {"prior": [0, 0], "retrieved": [0, 0]}
    likeness = dict.fromkeys(FORMS, 0.0)
    rows = 0
    for chunk in _chunks(read_samples(samples_file(prepared, "validation"))):
        for pair, found in zip(chunk, index.nearest(chunk), strict=True):
            label, near = str(pair.assertion), found.assertion or NOTHING
            for name, text in (("prior", pair.prior), ("retrieved", near)):
                if text is not None:
                    exact[name][0] += same(text, label)
                    exact[name][1] += 1
            likeness["copy_last"] += token_similarity(pair.prior or near, label)
            likeness["retrieval"] += token_similarity(near, label)
            rows += 1
    shares = {name: hits / max(1, of) for name, (hits, of) in exact.items()}
    return shares, {name: total / max(1, rows) for name, total in likeness.items()}


def _chunks(pairs: Iterable[Pair]) -> Iterable[list[Pair]]:
    chunk: list[Pair] = []
    for pair in pairs:
        chunk.append(pair)
        if len(chunk) == CHUNK:
            yield chunk
            chunk = []
    if chunk:
        yield chunk


def _turned(answer: Prediction, kind: str) -> Prediction:
    """An answer of the kind: one of the alternatives, or the first with another name."""
    for text in (answer.assertion, *answer.alternatives):
        if assert_type(text) == kind:
            return Prediction(text, answer.confidence)
    found = tokens(answer.assertion)
    return Prediction(canonical(" ".join([kind, *found[1:]])), answer.confidence)
