"""A folder of the public originals, each in the subfolder of its name."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from components.errors import missing
from components.workloads.keyboard import chinese, emoji, sms, spelling
from components.workloads.keyboard.messages import Message

FOLDERS = {
    "nus_en": "nus_sms",
    "nus_zh": "nus_sms",
    "crosswoz": "crosswoz",
    "tweeteval": "tweeteval_emoji",
    "cldr": "cldr",
    "sighan": "sighan",
    "spelling": "spell_testset",
}
"""Part -> its subfolder."""

DERIVED = "cldr-derived"  # fetched by this name; the same as inside of cldr


class Originals:
    """The parts of one folder.

    Args:
        left_out: counts what readers leave out.
    """

    def __init__(self, folder: Path, left_out: Counter[str]) -> None:
        self.folder = folder
        self.left_out = left_out

    def misspellings(self) -> dict[str, list[str]]:
        """codespell's, as `spelling.misspellings` gives them."""
        return spelling.misspellings(self._present("codespell"))

    def confusions(self, base: Mapping[str, str]) -> Mapping[str, str]:
        """Those of SIGHAN where it is here, else `base`."""
        folder = self.folder / "sighan"
        return chinese.confusions(folder, base) if folder.is_dir() else base

    def messages(self, parts: Sequence[str]) -> Iterator[Message]:
        """The messages of some parts, in the order given.

        Raises:
            EquipoiseError: E_MISSING (66) for a part that is not here, the readers' codes (65).
        """
        for part in parts:
            yield from self._read(part, self._present(FOLDERS[part]))

    def _read(self, part: str, folder: Path) -> Iterator[Message]:
        if part in ("nus_en", "nus_zh"):
            return sms.read_sms(_corpus(folder, part[-2:]), part[-2:], part, self.left_out)
        if part == "crosswoz":
            return chinese.read_crosswoz(folder, self.left_out)
        if part == "sighan":
            return chinese.read_sighan(folder, self.left_out)
        if part == "tweeteval":
            return emoji.read_tweets(folder, self.left_out)
        if part == "cldr":
            apart = self.folder / DERIVED
            wanted = frozenset(emoji.classes(self._present("tweeteval_emoji")))
            return emoji.read_names(folder, apart if apart.is_dir() else folder, wanted)
        known = self.misspellings() if (self.folder / "codespell").is_dir() else {}
        return spelling.read_test_set(folder, known)

    def _present(self, name: str) -> Path:
        folder = self.folder / name
        if not folder.is_dir():
            raise missing(
                str(self.folder),
                f"must have the folder {name} for what keyboard.data asks of it",
                got="no such folder",
                hint="Fetch it (`equipoise data keyboard`), take its part out of keyboard.data.parts, or give lines",
            )
        return folder


def _corpus(folder: Path, language: str) -> Path:
    """The file of a language: XML, plain, gzipped or in an archive."""
    found = sorted(folder.glob(f"smsCorpus_{language}_*"))
    if not found:
        raise missing(
            str(folder),
            f"must hold smsCorpus_{language}_*, XML, gzipped XML or a .zip of it",
            got="no such file",
            hint="Put the corpus there as published",
        )
    return found[0]
