"""Pairs as pieces: a byte-level BPE whose pieces never reach beyond a part of an identifier, and the order of a source.

A source is BOS name SEP focal SEP prefix SEP prior SEP retrieved EOS. Blanks are pieces of their own and stand only
where two tokens need one, so that a piece is the same wherever it stands and can be copied.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from components.config_assertions import AssertionsData
from components.data.tokenizer import TextTokenizer, load_tokenizer, train_tokenizer
from components.errors import bad_data, missing
from components.files import write_json
from components.workloads.assertions.java_tokens import canonical, compact
from components.workloads.assertions.pairs import Pair

PAD, BOS, EOS, SEP, UNK = range(5)
SPECIALS = ("<pad>", "<bos>", "<eos>", "<sep>", "<unk>")
SEGMENTS = ("special", "name", "focal", "prefix", "prior", "retrieved")
TOKENIZER, LIMITS = "tokenizer.json", "limits.json"
PIECES = r"[0-9]|\p{Lu}?\p{Ll}+|\p{Lu}+(?!\p{Ll})|->|::|\.\.\.|\+\+|--|&&|\|\||<<=|<<|[<>=!*/%&|^+\-]=|[\s\S]"
"""Digits one by one, parts of identifiers (XMLParserTest: XML, Parser, Test), operators, single characters."""

Ids = NDArray[np.int32]


@dataclass(frozen=True)
class Limits:
    """Pieces of each part that a source holds at most; the prefix keeps its tail, all others their head."""

    name: int
    focal: int
    prefix: int
    assertion: int


@dataclass(frozen=True, eq=False)
class Source:
    """What a model reads of one pair.

    Attributes:
        ids: [N] int32 pieces.
        segments: [N] uint8 indices in SEGMENTS.
        cut: parts that did not fit their limit.
    """

    ids: Ids
    segments: NDArray[np.uint8]
    cut: frozenset[str]


class Codec:
    """Java text to pieces and back.

    Attributes:
        size: number of pieces, special ones included.
        pieces: [size] their texts, as byte-level BPE writes bytes.
    """

    def __init__(self, tokenizer: TextTokenizer) -> None:
        self.tokenizer = tokenizer
        self.size = tokenizer.size
        self.pieces = [str(tokenizer.inner.id_to_token(i)) for i in range(self.size)]

    def encode(self, text: str) -> Ids:
        """[n] pieces of a Java text, without layout and comments."""
        return self.encode_all([text])[0]

    def encode_all(self, texts: Sequence[str]) -> list[Ids]:
        """`encode` of many texts."""
        return [found.ids for found in self.tokenizer.encode([compact(text) for text in texts])]

    def decode(self, ids: Iterable[int]) -> str:
        """The text in canonical spacing; special pieces are left out."""
        return canonical(self.tokenizer.decode([int(i) for i in ids if i > UNK]))


def train_codec(texts: Iterable[str], vocabulary: int) -> Codec:
    """Learns the pieces from a stream of Java texts; the same stream gives the same pieces."""
    return Codec(train_tokenizer((compact(text) for text in texts), vocabulary, specials=SPECIALS, pieces=PIECES))


def load_codec(folder: Path) -> Codec:
    """The codec of a prepared folder or a model's folder.

    Raises:
        EquipoiseError: E_MISSING (66) without the file, E_DATA (65) when it is not one.
    """
    return Codec(load_tokenizer(folder / TOKENIZER, SPECIALS))


def limits_of(data: AssertionsData) -> Limits:
    """The limits in tokens that the data section asks for."""
    return Limits(data.name_tokens, data.focal_tokens, data.prefix_tokens, data.assertion_tokens)


def save_limits(limits: Limits, path: Path) -> None:
    """Writes them as JSON, for `load_limits`."""
    write_json(path, asdict(limits))


def load_limits(folder: Path) -> Limits:
    """The limits that the model of this folder was trained with.

    Raises:
        EquipoiseError: E_MISSING (66) without the file, E_DATA (65) when it holds none.
    """
    path = folder / LIMITS
    if not path.is_file():
        raise missing(str(path), "the limits of a source must be there", got="no file", hint="Run prepare again")
    try:
        limits = Limits(**json.loads(path.read_text("utf-8")))
        if not all(isinstance(value, int) and value > 0 for value in asdict(limits).values()):
            raise ValueError(f"limits {limits}")
    except (ValueError, TypeError) as error:
        raise bad_data(
            str(path), "must hold the limits of a source", got=str(error), hint="Run prepare again"
        ) from error
    return limits


def sources(codec: Codec, pairs: Sequence[Pair], retrieved: Sequence[str | None], limits: Limits) -> list[Source]:
    """One Source per pair; `retrieved` are the assertions found for them."""
    texts: list[str] = []
    for pair, found in zip(pairs, retrieved, strict=True):
        texts += [name_text(pair), pair.focal_code, pair.test_prefix, pair.prior or "", found or ""]
    ids = codec.encode_all(texts)
    return [_source(ids[start : start + 5], limits) for start in range(0, len(ids), 5)]


def name_text(pair: Pair) -> str:
    """What the names say: of the test's class, of the test, of the class under test."""
    return " ".join(filter(None, (pair.test_class, pair.test_name, pair.focal_class)))


def _source(parts: Sequence[Ids], limits: Limits) -> Source:
    sizes = (limits.name, limits.focal, limits.prefix, limits.assertion, limits.assertion)
    ids: list[Ids] = [np.array([BOS], np.int32)]
    segments = [np.zeros(1, np.uint8)]
    for number, (part, size) in enumerate(zip(parts, sizes, strict=True), start=1):
        kept = part[-size:] if SEGMENTS[number] == "prefix" else part[:size]
        ids += [kept, np.array([EOS if number == len(parts) else SEP], np.int32)]
        segments += [np.full(len(kept), number, np.uint8), np.zeros(1, np.uint8)]
    cut = frozenset(
        SEGMENTS[number] for number, (part, size) in enumerate(zip(parts, sizes, strict=True), 1) if len(part) > size
    )
    return Source(np.concatenate(ids), np.concatenate(segments), cut)
