"""A byte-level BPE that every text fits into, with offsets in characters of the original string."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers

from components.errors import bad_data, missing
from components.files import write_text

PAD, BOS, EOM, UNK = range(4)
SPECIALS = ("<pad>", "<bos>", "<eom>", "<unk>")
_SPACE = "Ġ"  # how byte-level BPE writes the blank byte
_SURROGATES = re.compile("[\ud800-\udfff]")


@dataclass(frozen=True)
class Encoded:
    """Tokens of one text: `ids` [n], and characters [starts, ends) each stands for, all int32.

    Characters of several bytes may be split; every piece then has the offsets of the whole character. The blank that
    byte-level BPE glues to the front of a word is left out of the word's offsets.
    """

    ids: NDArray[np.int32]
    starts: NDArray[np.int32]
    ends: NDArray[np.int32]


class TextTokenizer:
    """Encodes texts; special tokens written in a text are ordinary text, never control."""

    def __init__(self, inner: Tokenizer) -> None:
        inner.encode_special_tokens = True
        self.inner = inner
        self.size = inner.get_vocab_size()
        self._lead = np.zeros(self.size, dtype=np.int32)
        for token, index in inner.get_vocab().items():
            word = token.lstrip(_SPACE)
            self._lead[index] = len(token) - len(word) if word else 0

    def encode(self, texts: Sequence[str]) -> list[Encoded]:
        """One Encoded per text, in order."""
        found = self.inner.encode_batch([_SURROGATES.sub("\ufffd", text) for text in texts], add_special_tokens=False)
        return [self._encoded(one.ids, one.offsets) for one in found]

    def encode_with_offsets(self, text: str) -> Encoded:
        """`encode` of one text."""
        return self.encode([text])[0]

    def _encoded(self, ids: list[int], offsets: list[tuple[int, int]]) -> Encoded:
        numbers = np.asarray(ids, dtype=np.int32)
        pairs = np.asarray(offsets, dtype=np.int32).reshape(-1, 2)
        return Encoded(numbers, pairs[:, 0] + self._lead[numbers], np.ascontiguousarray(pairs[:, 1]))

    def decode(self, ids: Sequence[int]) -> str:
        """The text that `ids` stand for; incomplete characters become U+FFFD."""
        return self.inner.decode(list(ids), skip_special_tokens=False)

    def save(self, path: Path) -> None:
        """Writes the tokenizer as JSON; the same vocabulary and merges give the same bytes."""
        write_text(path, self.inner.to_str(pretty=True) + "\n")


def train_tokenizer(
    texts: Iterable[str], vocabulary: int, *, specials: Sequence[str] = SPECIALS, pieces: str | None = None
) -> TextTokenizer:
    """Learns at most `vocabulary` tokens from a stream of texts; the same stream gives the same tokenizer.

    Args:
        specials: the first tokens, by name.
        pieces: regular expression (Oniguruma) of the pieces that no token reaches beyond; None: words as GPT-2 cuts
            them, the blank before a word belonging to it.
    """
    inner = Tokenizer(models.BPE())
    inner.pre_tokenizer = _byte_level(pieces)
    inner.decoder = decoders.ByteLevel()  # type: ignore[assignment]
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary,
        min_frequency=2,
        special_tokens=list(specials),
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    inner.train_from_iterator((_SURROGATES.sub("\ufffd", text) for text in texts), trainer)
    return TextTokenizer(inner)


def _byte_level(pieces: str | None) -> Any:
    if pieces is None:
        return pre_tokenizers.ByteLevel(add_prefix_space=False)
    cut = pre_tokenizers.Split(Regex(pieces), behavior="isolated")
    return pre_tokenizers.Sequence([cut, pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])


def load_tokenizer(path: Path, specials: Sequence[str] = SPECIALS) -> TextTokenizer:
    """The tokenizer saved at `path`, whose first tokens must be `specials`.

    Raises:
        EquipoiseError: E_MISSING (66) without the file, E_DATA (65) when it is not a tokenizer.
    """
    if not path.is_file():
        raise missing(str(path), "the tokenizer must be there", got="no file", hint="Run prepare for this workload")
    try:
        inner = Tokenizer.from_str(path.read_text("utf-8"))
    except Exception as error:  # the library raises bare Exception for any malformed file
        raise bad_data(str(path), "must be a tokenizer", got=str(error), hint="Run prepare again") from error
    if [inner.token_to_id(name) for name in specials] != list(range(len(specials))):
        raise bad_data(
            str(path), f"must start with {' '.join(specials)}", got="another vocabulary", hint="Run prepare again"
        )
    return TextTokenizer(inner)
