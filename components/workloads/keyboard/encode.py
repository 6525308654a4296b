"""Units as pieces: words of letters by a BPE whose last piece of a word ends in `</w>`, every other unit one piece.

A piece that ends in `</w>` is a whole unit or the end of a word; only what is a whole unit can be suggested.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer, models, pre_tokenizers, trainers

from components.errors import bad_data, missing
from components.files import write_json
from components.workloads.keyboard.units import PLACES, Kind, Unit, fold, units

PAD, BOS, SEP, UNK = range(4)
SPECIALS = ("<pad>", "<bos>", "<sep>", "<unk>", *PLACES)
END = "</w>"
VOCABULARY = "vocabulary.json"
FEWEST = 2  # times a unit occurs in the training texts to get a piece of its own
SINGLE_SHARE = 0.6  # of the vocabulary at most for units that are no words
CACHED = 100_000  # units whose pieces are kept
LETTERS = 64  # different letters that words are spelled with at most


class Codec:
    """The pieces and how text becomes them.

    Attributes:
        pieces: text of each piece by id; the first are SPECIALS.
        size: how many there are.
        whole: [size] bool, pieces that are one whole unit: what may be suggested (never a special or a placeholder).
    """

    def __init__(self, singles: list[str], words: Mapping[str, int], merges: list[tuple[str, str]]) -> None:
        self.singles = singles
        self.merges = merges
        self.words = dict(words)
        first = len(SPECIALS) + len(singles)
        ordered = sorted(self.words, key=self.words.__getitem__)
        self.pieces = [*SPECIALS, *(single + END for single in singles), *ordered]
        self.size = len(self.pieces)
        self._single = {name: at for at, name in enumerate(SPECIALS) if name in PLACES}
        self._single |= {single: len(SPECIALS) + at for at, single in enumerate(singles)}
        self._first = first
        self._bpe = models.BPE(vocab=self.words, merges=merges, end_of_word_suffix=END)
        self._cache: dict[str, tuple[int, ...]] = {}
        self.whole = np.array([piece.endswith(END) for piece in self.pieces], np.bool_)
        ends = {piece for piece in ordered if piece.endswith(END)}
        for at, piece in enumerate(ordered, first):
            self.whole[at] = piece in ends and self._spelled(piece.removesuffix(END)) == (at,)

    def encode(self, text: str) -> NDArray[np.int32]:
        """The pieces of a clean text."""
        return np.array([piece for unit in units(text) for piece in self.unit(unit)], np.int32)

    def unit(self, unit: Unit) -> tuple[int, ...]:
        """The pieces of one unit, UNK for what has none."""
        folded = fold(unit)
        found = self._cache.get(folded)
        if found is None:
            found = self._spelled(folded) if unit.kind is Kind.WORD else (self._single.get(folded, UNK),)
            if len(self._cache) < CACHED:
                self._cache[folded] = found
        return found

    def _spelled(self, word: str) -> tuple[int, ...]:
        """Letters without a piece become UNK."""
        tokens = self._bpe.tokenize(word)
        if sum(end - start for start, end in (token.offsets for token in tokens)) != len(word.encode()):
            return (UNK,)
        return tuple(self._first + token.id for token in tokens)

    def save(self, path: Path) -> None:
        """Writes the vocabulary as JSON."""
        write_json(path, {"singles": self.singles, "words": self.words, "merges": [list(m) for m in self.merges]})


def train_codec(texts: Iterable[str], vocabulary: int) -> Codec:
    """Learns at most `vocabulary` pieces from clean texts, the same from the same.

    Units that are no words come first, by how often they occur and up to SINGLE_SHARE of the pieces; words share what
    is left.
    """
    words: Counter[str] = Counter()
    others: Counter[str] = Counter()
    for text in texts:
        for unit in units(text):
            if unit.kind is not Kind.PLACE:
                (words if unit.kind is Kind.WORD else others)[fold(unit)] += 1
    room = int(SINGLE_SHARE * vocabulary) - len(SPECIALS)
    frequent = sorted((unit for unit, n in others.items() if n >= FEWEST), key=lambda unit: (-others[unit], unit))
    singles = sorted(frequent[: max(room, 0)])
    learned = _learn_words(words, vocabulary - len(SPECIALS) - len(singles))
    return Codec(singles, learned["vocab"], [(left, right) for left, right in learned["merges"]])


def _learn_words(words: Mapping[str, int], size: int) -> dict[str, Any]:
    """Vocabulary and merges of a BPE over words that are spelled with the LETTERS most frequent letters."""
    counts: Counter[str] = Counter()
    for word, n in words.items():
        for letter in word:
            counts[letter] += n
    letters = sorted(sorted(counts, key=lambda letter: (-counts[letter], letter))[:LETTERS])
    spelled = [word for word in sorted(words) if set(word) <= set(letters)]
    inner = Tokenizer(models.BPE(end_of_word_suffix=END))
    inner.pre_tokenizer = pre_tokenizers.Split("\n", behavior="removed")  # type: ignore[assignment]
    trainer = trainers.BpeTrainer(
        vocab_size=size,
        min_frequency=FEWEST,
        special_tokens=[*letters, *(letter + END for letter in letters)],  # else their numbers are drawn by a hash
        end_of_word_suffix=END,
        show_progress=False,
    )
    inner.train_from_iterator(("\n".join([word] * words[word]) for word in spelled), trainer)
    return json.loads(inner.to_str())["model"]


def load_codec(folder: Path) -> Codec:
    """The codec of a prepared or a model's folder.

    Raises:
        EquipoiseError: E_MISSING (66) without its file, E_DATA (65) when it is damaged.
    """
    path = folder / VOCABULARY
    if not path.is_file():
        raise missing(str(path), "the vocabulary must be there", got="no file", hint="Run prepare for this workload")
    try:
        value: Any = json.loads(path.read_text("utf-8"))
        return Codec(value["singles"], value["words"], [(left, right) for left, right in value["merges"]])
    except Exception as error:  # the library raises bare Exception for merges that do not fit
        raise bad_data(str(path), "must be a vocabulary", got=str(error), hint="Run prepare again") from error
