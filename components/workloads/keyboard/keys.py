"""The five layouts as pictures of keys."""

from __future__ import annotations

import functools
from collections.abc import Sequence

from PIL import Image

from components.workloads.keyboard.events import Layout
from components.workloads.keyboard.fonts import Faces
from components.workloads.keyboard.lettering import Pen
from components.workloads.keyboard.slips import KEY_ROWS

Box = tuple[int, int, int, int]

SYMBOLS = ("@#$%&-+()/", "*\"':;!?~_=", "<>[]{}|\\^")
NUMBERS = ("123-", "456+", "789*", ".0,=")
EMOJI = ("😀😂😉😊😍😘😎", "😋😢😭😠😱😴😜", "❤⭐☀☎✈☕♫", "☺♥✌✨⚽⛄⚡")
CANDIDATES = "我你的是好在"
STRIP = 14  # pixels that the candidates of the Chinese layout take


@functools.lru_cache(maxsize=512)
def keyboard_image(faces: Faces, layout: Layout, size: tuple[int, int], shades: tuple[int, int, int]) -> Image.Image:
    """The keys of a layout as a picture of that width and height; shades of the ground, the keys and the letters.

    The same picture is given again for the same arguments: it is there to be pasted, not to be drawn on.
    """
    back, key, ink = shades
    image = Image.new("L", size, back)
    _draw(Pen(image, faces), layout, (0, 0, *size), key, ink)
    return image


def _draw(pen: Pen, layout: Layout, box: Box, key: int, ink: int) -> None:
    left, top, right, bottom = box
    if layout is Layout.ZH:
        pen.write((left + 4, top), "  ".join(CANDIDATES), STRIP - 2, ink, right - left - 8)
        pen.draw.line([(left, top + STRIP), (right, top + STRIP)], fill=key, width=1)
        top += STRIP + 1
    if layout is Layout.EMOJI:
        _rows(pen, EMOJI, (left, top, right, bottom - 16), None, ink)
        _tabs(pen, (left, bottom - 16, right, bottom), key, ink)
        return
    rows = {Layout.SYM: SYMBOLS, Layout.NUM: NUMBERS}.get(layout, KEY_ROWS)
    foot = 0 if layout is Layout.NUM else (bottom - top) // 4
    _rows(pen, rows, (left, top, right, bottom - foot), key, ink)
    if foot:
        space = (left + 45, bottom - foot + 2, right - 45, bottom - 3)
        pen.draw.rounded_rectangle(space, 3, fill=key)
        for x in (left + 2, right - 43):
            pen.draw.rounded_rectangle((x, bottom - foot + 2, x + 40, bottom - 3), 3, fill=ink)
        if layout is Layout.ZH:
            pen.write((space[0] + 30, space[1] + 2), "中文", min(foot - 6, 16), ink, space[2] - space[0])


def _rows(pen: Pen, rows: Sequence[str], box: Box, key: int | None, ink: int) -> None:
    """Keys in rows of equal height and, as on a phone, equal width, shorter rows in the middle."""
    left, top, right, bottom = box
    tall = (bottom - top) / len(rows)
    wide = (right - left) / max(len(row) for row in rows)
    size = int(min(tall, wide) * 0.75)
    for down, row in enumerate(rows):
        start = left + (right - left - wide * len(row)) / 2
        for across, character in enumerate(row):
            x, y = round(start + across * wide), round(top + down * tall)
            if key is not None:
                pen.draw.rounded_rectangle((x + 1, y + 2, round(x + wide) - 2, round(y + tall) - 2), 3, fill=key)
            gap = (round(wide) - pen.length(character, size)) // 2
            pen.write((x + max(gap, 0), y + (round(tall) - size) // 2 - 1), character, size, ink, round(wide))


def _tabs(pen: Pen, box: Box, key: int, ink: int) -> None:
    """The bar below the emoji, with one of its tabs chosen."""
    left, top, right, bottom = box
    wide = (right - left) // 6
    for at in range(6):
        spot = (left + at * wide + 8, top + 4, left + (at + 1) * wide - 8, bottom - 3)
        pen.draw.rectangle(spot, fill=ink if at == 0 else key)


def keyboard_text() -> str:
    """Every character that a keyboard shows."""
    return "".join((*KEY_ROWS, *SYMBOLS, *NUMBERS, *EMOJI, CANDIDATES, "中文"))
