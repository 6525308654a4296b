"""Screens drawn from events: a title bar, chat bubbles, the input field and the keyboard in its layout.

A screen is a pure function of the event, the seed and the fonts. It is drawn three times as large and scaled down.
"""

from __future__ import annotations

import random
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from components.workloads.keyboard.events import HEIGHT, WIDTH, Event
from components.workloads.keyboard.fonts import Faces
from components.workloads.keyboard.keys import keyboard_image
from components.workloads.keyboard.lettering import Pen

SCALE = 3
BUBBLES = 3  # earlier messages shown at most
LINES = 3  # of a bubble


@dataclass(frozen=True)
class Theme:
    """What differs between phones: shades of grey (0 black), sizes in pixels of the large drawing."""

    dark: bool
    back: int
    bar: int
    mine: int
    theirs: int
    key: int
    ink: int
    text: int
    title: int
    field: int
    keyboard: int
    corner: int


def theme_of(event: Event, seed: int) -> Theme:
    """The phone on which an event happens: the same for all events of a conversation."""
    chance = random.Random(f"{seed}/phone/{event.conversation}")
    dark = chance.random() < 0.4
    shift = chance.randint(-12, 12)
    shades = (24, 50, 110, 70, 84, 240) if dark else (232, 200, 150, 250, 255, 20)
    back, bar, mine, theirs, key, ink = (min(max(shade + shift, 0), 255) for shade in shades)
    return Theme(
        dark,
        back,
        bar,
        mine,
        theirs,
        key,
        ink,
        text=chance.randint(12, 17),
        title=chance.randint(20, 28),
        field=chance.randint(24, 30),
        keyboard=chance.randint(100, 118),
        corner=chance.choice((2, 6, 9)),
    )


def draw(event: Event, seed: int, faces: Faces) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    """The screen of an event.

    Returns:
        [HEIGHT, WIDTH] grey, and [4, 4] float32 boxes x0, y0, x1, y1 of REGIONS in shares of width and height. Without
        earlier messages the chat bubble's box is the empty room where bubbles would be.
    """
    theme = theme_of(event, seed)
    width, height = WIDTH * SCALE, HEIGHT * SCALE
    image = Image.new("L", (width, height), theme.back)
    pen = Pen(image, faces)
    top = height - theme.keyboard
    field = top - theme.field
    _draw_title(pen, event, theme, width)
    bubble = _draw_bubbles(pen, event, theme, (0, theme.title, width, field))
    _draw_field(pen, event, theme, (0, field, width, top))
    shades = (theme.bar, theme.key, theme.ink)
    image.paste(keyboard_image(faces, event.layout, (width, theme.keyboard), shades), (0, top))
    boxes = np.array([(0, field, width, top), bubble, (0, top, width, height), (0, 0, width, theme.title)], np.float32)
    boxes /= np.array([width, height, width, height], np.float32)
    return np.asarray(image.reduce(SCALE), np.uint8), boxes


def _draw_title(pen: Pen, event: Event, theme: Theme, width: int) -> None:
    pen.draw.rectangle((0, 0, width, theme.title - 1), fill=theme.bar)
    middle = theme.title // 2
    pen.draw.line([(10, middle - 5), (5, middle), (10, middle + 5)], fill=theme.ink, width=2)
    pen.draw.ellipse((18, middle - 8, 34, middle + 8), fill=theme.mine)
    name = random.Random(event.conversation).choice(NAMES)
    pen.write((40, middle - theme.text // 2 - 1), name, theme.text, theme.ink, width - 60)


def _draw_bubbles(pen: Pen, event: Event, theme: Theme, room: tuple[int, int, int, int]) -> tuple[int, int, int, int]:
    """The last earlier messages from below upwards, theirs left and mine right in turn; the box of the last one."""
    left, top, right, bottom = room
    last = room
    y = bottom - 5
    widest = (right - left) * 3 // 4
    for back, text in enumerate(reversed(event.history[-BUBBLES:])):
        lines = pen.wrapped(text, theme.text, widest - 12)[-LINES:]
        tall = len(lines) * (theme.text + 2) + 6
        if y - tall < top + 2:
            break
        wide = min(max(pen.length(line, theme.text) for line in lines) + 12, widest)
        mine = back % 2 == 1
        x = right - wide - 5 if mine else left + 5
        box = (x, y - tall, x + wide, y)
        pen.draw.rounded_rectangle(box, theme.corner, fill=theme.mine if mine else theme.theirs)
        for at, line in enumerate(lines):
            pen.write((x + 6, box[1] + 2 + at * (theme.text + 2)), line, theme.text, theme.ink, widest)
        last = box if back == 0 else last
        y -= tall + 4
    return last


def _draw_field(pen: Pen, event: Event, theme: Theme, box: tuple[int, int, int, int]) -> None:
    left, top, right, bottom = box
    pen.draw.rectangle((left, top, right, bottom - 1), fill=theme.bar)
    inside = (left + 6, top + 3, right - 28, bottom - 4)
    pen.draw.rounded_rectangle(inside, theme.corner, fill=theme.theirs)
    pen.draw.ellipse((right - 24, top + 4, right - 6, bottom - 5), fill=theme.mine)
    text = pen.ending(event.before + event.typed, theme.text, inside[2] - inside[0] - 14)
    y = (top + bottom - theme.text) // 2 - 2
    end = pen.write((inside[0] + 6, y), text, theme.text, theme.ink, inside[2] - inside[0])
    pen.draw.line([(end + 1, y + 1), (end + 1, y + theme.text)], fill=theme.ink, width=2)


NAMES = ("Anna", "Ben", "Chloe", "David", "Emma", "Family", "Grace", "Hugo", "Team", "Jun", "Mum", "Work")


def default_boxes() -> NDArray[np.float32]:
    """[4, 4] boxes to assume for a screen that comes without: the regions of a middling phone."""
    width, height = WIDTH * SCALE, HEIGHT * SCALE
    top, field, title = height - 109, height - 136, 24
    bubble = (5, field - 45, width * 3 // 4, field - 5)
    boxes = np.array([(0, field, width, top), bubble, (0, top, width, height), (0, 0, width, title)], np.float32)
    return boxes / np.array([width, height, width, height], np.float32)
