"""Which font draws which character, and what to say where none can."""

from __future__ import annotations

import functools
import os
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from fontTools.ttLib import TTFont, TTLibError
from PIL import ImageFont

from components.errors import misconfigured
from components.files import sha256_file
from components.workloads.keyboard.units import Kind, units

FOLDERS = ("/usr/share/fonts", "/usr/local/share/fonts", "~/.local/share/fonts", "~/.fonts")
KNOWN = (
    "DejaVuSans.ttf",
    "wqy-microhei.ttc",
    "NotoSansCJK-Regular.ttc",
    "DroidSansFallbackFull.ttf",
    "NotoColorEmoji.ttf",
    "Symbola_hint.ttf",
    "Symbola.ttf",
    "unifont.otf",
    "unifont.ttf",
)
"""Files that are looked for in the system's folders, in the order in which they are asked for a character."""

PACKAGES = {
    Kind.HAN: "fonts-wqy-microhei or fonts-droid-fallback",
    Kind.EMOJI: "fonts-noto-color-emoji or fonts-symbola",
    Kind.WORD: "fonts-unifont",
}
"""Debian packages that have what is missing."""

STRIKE = 109  # the one size that Noto Color Emoji's bitmaps have


@dataclass(frozen=True, eq=False)
class Face:
    """A font file. `fixed`: the one size it can be drawn at, in colour; 0: any. Equal to itself alone: it is a key of
    caches, and its characters are many."""

    path: str
    sha256: str
    characters: frozenset[int]
    fixed: int = 0

    @property
    def name(self) -> str:
        return Path(self.path).name


class Faces:
    """Fonts in the order in which they are asked."""

    def __init__(self, faces: Sequence[Face]) -> None:
        self.faces = tuple(faces)
        self._of: dict[str, Face | None] = {}

    def of(self, character: str) -> Face | None:
        """The first font that has the character, or None."""
        if character not in self._of:
            code = ord(character)
            self._of[character] = next((face for face in self.faces if code in face.characters), None)
        return self._of[character]

    def missing(self, texts: Iterable[str]) -> Counter[str]:
        """Characters that no font has, with how often they occur; blanks and joiners need none."""
        found: Counter[str] = Counter()
        for text in texts:
            found.update(text)
        return Counter({c: n for c, n in found.items() if not (c.isspace() or c == "\u200d") and self.of(c) is None})


def find_faces(configured: Sequence[str]) -> Faces:
    """The configured font files, then the known ones of the system, then DejaVu Sans as matplotlib brings it.

    Raises:
        EquipoiseError: E_FONT (78) for a configured file that is not a font.
    """
    paths = [Path(name).expanduser() for name in configured]
    present = _system_fonts()
    paths += [present[name] for name in KNOWN if name in present]
    if "DejaVuSans.ttf" not in present:
        import matplotlib

        paths.append(Path(matplotlib.get_data_path(), "fonts", "ttf", "DejaVuSans.ttf"))
    return Faces([_face(path) for path in dict.fromkeys(paths)])


def _system_fonts() -> dict[str, Path]:
    found: dict[str, Path] = {}
    for folder in FOLDERS:
        for place, _, names in sorted(os.walk(Path(folder).expanduser())):
            for name in names:
                if name in KNOWN:
                    found.setdefault(name, Path(place, name))
    return found


def _face(path: Path) -> Face:
    try:
        with TTFont(path, lazy=True, fontNumber=0) as font:
            table = font.getBestCmap() or {}
            fixed = STRIKE if "CBDT" in font else 0
        return Face(str(path), sha256_file(path), frozenset(table), fixed)
    except (OSError, TTLibError, ValueError, KeyError) as error:
        raise misconfigured(
            "keyboard.data.fonts",
            "must be TrueType or OpenType font files",
            got=f"{path}: {error}",
            hint="Name font files that are there, or none",
            code="FONT",
        ) from error


@functools.lru_cache(maxsize=256)
def loaded(path: str, size: int) -> ImageFont.FreeTypeFont:
    """A font at a size in pixels."""
    return ImageFont.truetype(path, size, layout_engine=ImageFont.Layout.BASIC)


def advice(missing: Counter[str]) -> str:
    """What to say of characters that no font has: how many, some of them, and which packages would help."""
    kinds = Counter[Kind]()
    for character in missing:
        kinds[next((unit.kind for unit in units(character)), Kind.MARK)] += 1
    shown = "".join(c for c, _ in sorted(missing.items(), key=lambda each: (-each[1], each[0]))[:12])
    wanted = [PACKAGES[kind] for kind in PACKAGES if kinds[kind]]
    helps = f"; install {' and '.join(wanted)}" if wanted else ""
    return f"no font here has {len(missing)} of the characters to be drawn ({shown} ...){helps}"


def refuse_missing(missing: Counter[str]) -> None:
    """Raises E_FONT (78) when there is any."""
    if missing:
        raise misconfigured(
            "keyboard.data.missing_glyphs",
            "refuse needs fonts for all that is drawn",
            got=advice(missing),
            hint="Install them, name font files in keyboard.data.fonts, or set missing_glyphs: block",
            code="FONT",
        )
