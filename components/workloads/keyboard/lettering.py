"""Writing text into a grey picture with several fonts: each character by the first font that has it."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Iterator

from PIL import Image, ImageDraw

from components.workloads.keyboard.fonts import Face, Faces, loaded
from components.workloads.keyboard.units import units

Point = tuple[int, int]


class Pen:
    """Draws on one picture.

    A character that no font has is a filled block as wide as it is high: the same for every such character, so that a
    picture shows how much is written and nothing that is not known. Whoever prepares data is told of them.
    """

    def __init__(self, image: Image.Image, faces: Faces) -> None:
        self.image = image
        self.draw = ImageDraw.Draw(image)
        self.faces = faces

    def write(self, at: Point, text: str, size: int, ink: int, room: int) -> int:
        """Writes a line from its upper left corner, as much as `room` pixels hold; returns where it ends."""
        x, y = at
        for face, run in self._runs(text):
            wide = _length(face, run, size)
            while run and x + wide > at[0] + room:
                run = run[:-1]
                wide = _length(face, run, size)
            if not run:
                break
            self._run((x, y), face, run, size, ink)
            x += wide
        return x

    def length(self, text: str, size: int) -> int:
        """Width of a line in pixels."""
        return sum(_length(face, run, size) for face, run in self._runs(text))

    def wrapped(self, text: str, size: int, room: int) -> list[str]:
        """The text in lines of at most `room` pixels, broken between units."""
        lines, line, wide, end = [], "", 0, 0
        for unit in units(text):
            piece = text[end : unit.end]
            more = self.length(piece, size)
            if line and wide + more > room:
                lines.append(line)
                line, wide, piece = "", 0, piece.lstrip()
            line, wide, end = line + piece, wide + more, unit.end
        return [*lines, line] if line else lines or [""]

    def ending(self, text: str, size: int, room: int) -> str:
        """The end of a text that `room` pixels hold."""
        wide = 0
        for at in range(len(text) - 1, -1, -1):
            wide += _length(self.faces.of(text[at]), text[at], size)
            if wide > room:
                return text[at + 1 :]
        return text

    def _runs(self, text: str) -> Iterator[tuple[Face | None, str]]:
        visible = text.replace("\u200d", "")
        first = self.faces.faces[0]
        for face, run in itertools.groupby(visible, lambda c: first if c.isspace() else self.faces.of(c)):
            yield face, "".join(run)

    def _run(self, at: Point, face: Face | None, run: str, size: int, ink: int) -> None:
        x, y = at
        if face is None:
            for number in range(len(run)):
                left = x + number * size
                self.draw.rectangle((left + 1, y + 2, left + size - 2, y + size), fill=ink)
        elif face.fixed:
            for number, character in enumerate(run):
                self.image.paste(*_tile(face.path, face.fixed, character, size, (x + number * size, y)))
        else:
            self.draw.text(at, run, fill=ink, font=loaded(face.path, size))


@functools.lru_cache(maxsize=65_536)
def _length(face: Face | None, run: str, size: int) -> int:
    if face is None or face.fixed:
        return size * len(run)
    return round(loaded(face.path, size).getlength(run))


def _tile(path: str, fixed: int, character: str, size: int, at: Point) -> tuple[Image.Image, Point, Image.Image]:
    grey, shape = _scaled(path, fixed, character, size)
    return grey, at, shape


@functools.lru_cache(maxsize=4096)
def _scaled(path: str, fixed: int, character: str, size: int) -> tuple[Image.Image, Image.Image]:
    """A colour bitmap in grey with its mask, scaled to `size` pixels."""
    font = loaded(path, fixed)
    box = font.getbbox(character)
    tile = Image.new("RGBA", (max(int(box[2]), 1), max(int(box[3]), 1)))
    ImageDraw.Draw(tile).text((0, 0), character, font=font, embedded_color=True)
    tile = tile.resize((size, size), Image.Resampling.BOX)
    return tile.convert("L"), tile.getchannel("A")
