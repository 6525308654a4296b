"""The cheap baseline: TF-IDF with logistic regression for decisions, a dictionary of seen values for spans.

It is a servable model like any other: a folder with model.json, vocabulary.json, values.json and weights.safetensors.
"""

from __future__ import annotations

import json
import math
import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file
from scipy import sparse

from components.config import ToolCallingConfig
from components.data.manifest import published
from components.errors import bad_data, missing
from components.files import sha256_file, sha256_json, write_json
from components.workloads.tool_calling import tfidf
from components.workloads.tool_calling.dialogues import FoundSpan, Prediction, Sample, Tool
from components.workloads.tool_calling.elements import element_text
from components.workloads.tool_calling.requests import given_tools
from components.workloads.tool_calling.value_dictionary import Counts, Finder

if TYPE_CHECKING:
    from sklearn.linear_model import LogisticRegression

FORMAT = 1
FILES = ("model.json", "vocabulary.json", "values.json", "weights.safetensors")
HEADS = ("decision", "tool", "intent")
SHARPNESS = 20.0  # how strongly similarity to a description speaks: probability ~ exp(20 cosine)


@dataclass(frozen=True)
class Linear:
    """Multinomial logistic regression: P(class) = softmax(x @ weights + bias) over `classes`."""

    classes: tuple[str, ...]
    weights: NDArray[np.float32]  # [F, C]
    bias: NDArray[np.float32]  # [C]

    def probabilities(self, features: sparse.csr_matrix) -> NDArray[np.float64]:
        """[S, C]."""
        logits = np.asarray(features @ self.weights.astype(np.float64) + self.bias)
        powers = np.exp(logits - logits.max(axis=1, keepdims=True, initial=-np.inf))
        return powers / powers.sum(axis=1, keepdims=True)


@dataclass(frozen=True)
class Baseline:
    """The loaded baseline, a Predictor.

    Attributes:
        latest: whether the latest mention of a value is meant, rather than the first.
        tools: names of all tools the training split offers: what evaluation calls seen.
        counts: how often each label stands in the training split, per head.
    """

    vocabularies: tuple[tfidf.Vocabulary, ...]
    heads: Mapping[str, Linear]
    values: Mapping[str, Mapping[str, int]]
    latest: bool
    tools: frozenset[str]
    counts: Mapping[str, Mapping[str, int]]
    samples: int

    @cached_property
    def _finder(self) -> Finder:
        return Finder(self.values, self.latest)

    @cached_property
    def _rarity(self) -> dict[str, float]:
        words = self.vocabularies[-1]
        return {term: float(words.idf[i]) for term, i in words.terms.items() if " " not in term}

    @cached_property
    def _columns(self) -> dict[str, dict[str, int]]:
        return {head: {name: i for i, name in enumerate(self.heads[head].classes)} for head in HEADS}

    @cached_property
    def _described(self) -> Callable[[str], dict[str, float]]:
        """The words of a description, remembered: the same tools are offered again and again."""
        return lru_cache(maxsize=4096)(lambda text: self._bag((text,)))

    def predict(self, samples: Sequence[Sample], given: Sequence[str | None] | None = None) -> list[Prediction]:
        """One prediction per sample; `given` names the tool whose arguments are wanted beside those of the choice, else
        the samples do."""
        if not samples:
            return []
        given = given_tools(samples) if given is None else given
        documents = [tfidf.blocks(sample.history) for sample in samples]
        features = tfidf.transform(self.vocabularies, documents)
        chances = {name: head.probabilities(features) for name, head in self.heads.items()}
        call = self._columns["decision"]["1"]
        return [
            self._one(sample, document, {n: p[i] for n, p in chances.items()}, call, given[i] if given else None)
            for i, (sample, document) in enumerate(zip(samples, documents, strict=True))
        ]

    def _one(
        self,
        sample: Sample,
        document: tfidf.Document,
        chances: Mapping[str, NDArray[np.float64]],
        call: int,
        given: str | None,
    ) -> Prediction:
        query = self._bag((*document[-1], *document[1]))
        tools = {tool.name: tool for tool in sample.tools}
        tool, tool_confidence = self._choose(
            query, {name: _tool_text(t) for name, t in tools.items()}, "tool", chances["tool"]
        )
        described = {name: element_text(name, text) for name, text in sample.intents.items()}
        intent, intent_confidence = self._choose(query, described, "intent", chances["intent"])
        arguments = self._arguments(sample, tools.get(tool or ""))
        return Prediction(
            decision_probability=float(chances["decision"][call]),
            tool=tool,
            tool_confidence=tool_confidence,
            intent=intent,
            intent_confidence=intent_confidence,
            arguments=arguments,
            given_arguments=arguments if given in (None, tool) else self._arguments(sample, tools.get(given)),
            slots=_found({name: self._finder.find(name, sample.history) for name in sample.slots}),
            steps=1,
            given_tool=given,
        )

    def _arguments(self, sample: Sample, tool: Tool | None) -> dict[str, FoundSpan]:
        parameters = tool.parameters if tool else ()
        return _found({p.name: self._finder.find(p.name, sample.history, p.values) for p in parameters})

    def _choose(
        self, query: Mapping[str, float], offered: Mapping[str, str], head: str, chances: NDArray[np.float64]
    ) -> tuple[str | None, float]:
        """The best of `offered` (name -> text) and its probability.

        Similarity of the dialogue to the descriptions divides the probability between the names the regression knows
        and each of those it does not; the regression divides what falls to those it knows.
        """
        if not offered:
            return None, 0.0
        classes = self._columns[head]
        known = {name: chances[classes[name]] for name in offered if name in classes}
        near = {name: math.exp(SHARPNESS * _product(query, self._described(text))) for name, text in offered.items()}
        share_known, total = sum(near[name] for name in known), sum(near.values())
        mass = sum(known.values()) or 1.0
        scores = {
            name: (share_known * known[name] / mass if name in known else near[name]) / total
            for name in sorted(offered)
        }
        best = max(scores, key=lambda name: scores[name])
        return best, float(min(scores[best], 1.0))

    def _bag(self, texts: Sequence[str]) -> dict[str, float]:
        """Unit-length weights of the words of some texts; a word never seen in training weighs most."""
        words = Counter(word for text in texts for word in tfidf.terms(text) if " " not in word)
        rarest = math.log(1.0 + self.samples) + 1.0
        bag = {word: (1.0 + math.log(n)) * self._rarity.get(word, rarest) for word, n in words.items()}
        length = math.sqrt(sum(v * v for v in bag.values())) or 1.0
        return {word: value / length for word, value in bag.items()}


@dataclass(frozen=True)
class Majority:
    """What needs no model at all: the most frequent answer of the training split, whatever was said."""

    counts: Mapping[str, Mapping[str, int]]
    samples: int

    def predict(self, samples: Sequence[Sample], given: Sequence[str | None] | None = None) -> list[Prediction]:
        share = self.counts["decision"].get("1", 0) / max(1, self.samples)
        return [self._one(sample, share) for sample in samples]

    def _one(self, sample: Sample, share: float) -> Prediction:
        tool, tool_share = self._most("tool", [tool.name for tool in sample.tools])
        intent, intent_share = self._most("intent", list(sample.intents))
        return Prediction(share, tool, tool_share, intent, intent_share, {}, {}, {}, 1)

    def _most(self, head: str, names: Sequence[str]) -> tuple[str | None, float]:
        if not names:
            return None, 0.0
        counts = self.counts[head]
        best = max(sorted(names), key=lambda name: counts.get(name, 0))
        total = sum(counts.get(name, 0) for name in names)
        return best, counts.get(best, 0) / total if total else 1.0 / len(names)


def made_of(section: ToolCallingConfig, prepared: Path) -> str:
    """Digest of all that the baseline depends on: the same digest, the same baseline."""
    return sha256_json(
        [FORMAT, section.evaluation.baseline.model_dump(mode="json"), sha256_file(prepared / "manifest.json")]
    )


def fit_baseline(section: ToolCallingConfig, prepared: Path, folder: Path) -> None:
    """Trains on the prepared training split and writes a servable folder, whole or not at all."""
    from components.workloads.tool_calling.data import samples

    settings = section.evaluation.baseline
    baseline = fit(samples(prepared, "train"), settings.minimum, settings.strength, settings.passes)
    write(baseline, folder, made_of(section, prepared))


def fit(samples: Iterator[Sample], minimum: int, strength: float, passes: int) -> Baseline:
    """One pass over the samples, keeping term counts and labels only.

    Args:
        samples: labelled.
        minimum: samples a term must occur in.
        strength: inverse of the L2 regularisation, scikit-learn's C.
        passes: over the data at most, by the solver of tools and intents (SAGA, Defazio et al. 2014).
    """
    labels: dict[str, list[str]] = {head: [] for head in HEADS}
    values, tools = Counts(), set()

    def documents() -> Iterator[tfidf.Document]:
        for sample in samples:
            known = sample.labels
            if known is None:
                continue
            labels["decision"].append(str(known.decision))
            labels["tool"].append(known.tool if known.decision == 1 and known.tool else "")
            labels["intent"].append(known.intent or "")
            tools.update(tool.name for tool in sample.tools)
            values.add(sample)
            yield tfidf.blocks(sample.history)

    vocabularies, features = tfidf.fit(documents(), minimum)
    if not labels["decision"]:
        raise bad_data("baseline", "needs labelled training samples", got="none", hint="Prepare data with labels")
    from sklearn.linear_model import LogisticRegression  # seconds that those who only load a baseline need not wait

    exact = LogisticRegression(C=strength, max_iter=1000)
    quick = LogisticRegression(C=strength, solver="saga", max_iter=passes, tol=1e-3, random_state=0)
    heads = {
        "decision": _regress(exact, features, labels["decision"], ("0", "1")),
        "tool": _regress(quick, features, labels["tool"]),
        "intent": _regress(quick, features, labels["intent"]),
    }
    counts = {head: dict(sorted(Counter(filter(None, labels[head])).items())) for head in HEADS}
    texts = {text: dict(sorted(slots.items())) for text, slots in sorted(values.texts.items())}
    return Baseline(
        vocabularies, heads, texts, values.last >= values.first, frozenset(tools), counts, len(labels["decision"])
    )


def _regress(
    model: LogisticRegression, features: sparse.csr_matrix, labels: Sequence[str], classes: Sequence[str] = ()
) -> Linear:
    """Fits on the samples with a label; without two classes the answer is constant.

    `classes` names classes that must exist even where the data lack them: they get the chance of one sample in n + 2.
    """
    rows = [i for i, label in enumerate(labels) if label]
    chosen = [labels[i] for i in rows]
    found = sorted({*chosen, *classes})
    if len(set(chosen)) < 2:
        counts = Counter(chosen)
        bias = np.log([counts[name] + 1.0 for name in found]).astype(np.float32)
        return Linear(tuple(found), np.zeros((features.get_shape()[1], len(found)), np.float32), bias)
    from sklearn.exceptions import ConvergenceWarning

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # `passes` ends the fit early on purpose
        model.fit(features[rows], chosen)
    weights, bias = model.coef_, model.intercept_
    if len(weights) == 1:  # two classes: softmax over (0, z) is the sigmoid of z
        weights, bias = np.concatenate([np.zeros_like(weights), weights]), np.concatenate([[0.0], bias])
    return Linear(tuple(model.classes_), np.ascontiguousarray(weights.T, np.float32), np.asarray(bias, np.float32))


def write(baseline: Baseline, folder: Path, digest: str) -> None:
    """The folder that `load` reads; the same baseline gives the same bytes."""
    arrays = {f"idf.{name}": v.idf for name, v in zip(tfidf.BLOCKS, baseline.vocabularies, strict=True)}
    for name, head in baseline.heads.items():
        arrays |= {f"{name}.weights": head.weights, f"{name}.bias": head.bias}
    with published(folder) as part:
        save_file(arrays, part / "weights.safetensors")
        terms = {name: list(v.terms) for name, v in zip(tfidf.BLOCKS, baseline.vocabularies, strict=True)}
        write_json(part / "vocabulary.json", terms)
        write_json(part / "values.json", baseline.values)
        facts = {
            "kind": "baseline",
            "format": FORMAT,
            "classes": {name: list(head.classes) for name, head in baseline.heads.items()},
            "latest": baseline.latest,
            "tools": sorted(baseline.tools),
            "counts": baseline.counts,
            "samples": baseline.samples,
            "made_of": digest,
        }
        write_json(part / "model.json", facts)


def load(folder: Path) -> Baseline:
    """The baseline that `fit_baseline` wrote.

    Raises:
        EquipoiseError: E_MISSING (66) without one of its files, E_MODEL (65) when they are damaged or do not fit.
    """
    for name in FILES:
        if not (folder / name).is_file():
            raise missing(str(folder / name), "a baseline needs this file", got="no file", hint="Run evaluate again")
    try:
        facts, terms, values = (json.loads((folder / name).read_text("utf-8")) for name in FILES[:3])
        return _assemble(facts, terms, values, load_file(folder / "weights.safetensors"))
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError, SafetensorError) as error:
        raise bad_data(
            str(folder), "must be a whole baseline", got=str(error), hint="Run evaluate again", code="MODEL"
        ) from error


def _assemble(
    facts: Mapping[str, Any], terms: Mapping[str, Any], values: Mapping[str, Any], arrays: Mapping[str, NDArray]
) -> Baseline:
    if facts["kind"] != "baseline" or facts["format"] != FORMAT:
        raise ValueError(f"kind {facts['kind']!r}, format {facts['format']!r}")
    vocabularies = tuple(
        tfidf.Vocabulary({term: i for i, term in enumerate(terms[name])}, arrays[f"idf.{name}"])
        for name in tfidf.BLOCKS
    )
    width = sum(len(v.terms) for v in vocabularies)
    heads = {
        name: Linear(tuple(facts["classes"][name]), arrays[f"{name}.weights"], arrays[f"{name}.bias"]) for name in HEADS
    }
    for vocabulary in vocabularies:
        if vocabulary.idf.shape != (len(vocabulary.terms),):
            raise ValueError("vocabulary and idf differ in length")
    for name, head in heads.items():
        if head.weights.shape != (width, len(head.classes)) or head.bias.shape != (len(head.classes),):
            raise ValueError(f"weights of {name} have shape {head.weights.shape}")
        if not (np.isfinite(head.weights).all() and np.isfinite(head.bias).all()):
            raise ValueError(f"weights of {name} are not finite")
    return Baseline(
        vocabularies,
        heads,
        values,
        bool(facts["latest"]),
        frozenset(facts["tools"]),
        facts["counts"],
        int(facts["samples"]),
    )


def majority(baseline: Baseline) -> Majority:
    """The majority baseline over the same training split."""
    return Majority(baseline.counts, baseline.samples)


def _tool_text(tool: Tool) -> str:
    parameters = (element_text(p.name, p.description, p.values) for p in tool.parameters)
    return " ".join([element_text(tool.name, tool.description), *parameters])


def _product(left: Mapping[str, float], right: Mapping[str, float]) -> float:
    """Cosine of two bags of unit length."""
    return sum(weight * right[word] for word, weight in left.items() if word in right)


def _found(spans: Mapping[str, FoundSpan | None]) -> dict[str, FoundSpan]:
    return {name: span for name, span in spans.items() if span is not None}
