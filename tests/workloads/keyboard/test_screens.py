"""Screens: what is where, what changes them, and pictures from outside."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from components.workloads.keyboard.events import HEIGHT, WIDTH, Event, Layout
from components.workloads.keyboard.fonts import Faces, advice, find_faces
from components.workloads.keyboard.images import read_screen, write_screen
from components.workloads.keyboard.lettering import Pen
from components.workloads.keyboard.screens import default_boxes, draw, theme_of


@pytest.fixture(scope="module")
def faces() -> Faces:
    return find_faces(())


def event(**changes) -> Event:
    values = {
        "id": "1", "user": "u", "conversation": "u", "source": "lines", "language": "en", "history": ("hello there",),
        "before": "see you ", "typed": "to", "layout": Layout.EN,
    }  # fmt: skip
    return Event(**(values | changes))


def part(screen: np.ndarray, box: np.ndarray) -> np.ndarray:
    x0, y0, x1, y1 = (box * [WIDTH, HEIGHT, WIDTH, HEIGHT]).round().astype(int)
    return screen[y0:y1, x0:x1]


def test_a_screen_depends_on_event_and_seed_alone(faces):
    screen, boxes = draw(event(), 7, faces)
    assert screen.shape == (HEIGHT, WIDTH) and screen.dtype == np.uint8 and boxes.dtype == np.float32
    again, _ = draw(event(), 7, find_faces(()))
    assert (screen == again).all()
    assert any((draw(event(), seed, faces)[0] != screen).any() for seed in range(3))


# what changes in the event changes its own region and no other
@pytest.mark.parametrize(
    ("changes", "region"),
    [
        ({"before": "good morning "}, 0),
        ({"typed": ""}, 0),
        ({"layout": Layout.NUM}, 2),
        ({"history": ("hello you",)}, 1),
    ],
)
def test_regions(faces, changes, region):
    screen, boxes = draw(event(), 7, faces)
    other, others = draw(event(**changes), 7, faces)
    for at in (0, 2, 3) if region == 1 else range(4):
        same = (part(screen, boxes[at]) == part(other, others[at])).all()
        assert same != (at == region)


@pytest.mark.parametrize("layout", Layout)
def test_layouts_look_different(faces, layout):
    screens = {each: draw(event(layout=each), 7, faces)[0].astype(int) for each in Layout}
    for other in set(Layout) - {layout}:
        assert np.abs(screens[layout] - screens[other]).mean() > 1


def test_phones_are_light_and_dark_and_stay_their_users(faces):
    themes = {theme_of(event(conversation=str(i)), 7).dark for i in range(30)}
    assert themes == {True, False}
    assert theme_of(event(id="2", before="x"), 7) == theme_of(event(), 7)
    means = sorted(draw(event(conversation=str(i)), 7, faces)[0].mean() for i in range(12))
    assert means[0] < 90 and means[-1] > 170


def test_earlier_messages_fill_the_room_from_below(faces):
    empty, room = draw(event(history=()), 7, faces)
    some, _ = draw(event(history=("hello",)), 7, faces)
    many, boxes = draw(event(history=("one " * 40, "two", "three")), 7, faces)
    assert (part(some, room[1]) != part(empty, room[1])).any()
    assert boxes[1][3] < boxes[0][1] and boxes[1][1] > boxes[3][3]
    assert (part(many, room[1]) != part(empty, room[1])).sum() > (part(some, room[1]) != part(empty, room[1])).sum()


def test_text_wraps_and_is_cut_from_the_front(faces):
    pen = Pen(Image.new("L", (200, 40)), faces)
    lines = pen.wrapped("the quick brown fox jumps over the lazy dog", 14, 100)
    assert len(lines) > 2 and all(pen.length(line, 14) <= 100 for line in lines)
    assert " ".join(line.strip() for line in lines) == "the quick brown fox jumps over the lazy dog"
    end = pen.ending("the quick brown fox", 14, 60)
    assert "the quick brown fox".endswith(end) and 0 < pen.length(end, 14) <= 60
    assert pen.ending("ok", 14, 60) == "ok" and pen.wrapped("", 14, 100) == [""]


def test_what_no_font_has_is_a_block_and_is_told():
    nothing = Faces([face for face in find_faces(()).faces if face.name == "DejaVuSans.ttf"])
    assert nothing.of("a") and nothing.of("我") is None
    missing = nothing.missing(["a 我我", "龙"])
    assert missing == {"我": 2, "龙": 1}
    assert "2 of the characters" in advice(missing) and "fonts-wqy-microhei" in advice(missing)
    image = Image.new("L", (40, 20), 0)
    end = Pen(image, nothing).write((0, 0), "我龙", 16, 255, 40)
    pixels = np.asarray(image)
    assert end == 32 and (pixels[:, :16] == pixels[:, 16:32]).all() and pixels.max() == 255


def test_default_boxes_are_like_drawn_ones(faces):
    boxes = np.stack([draw(event(conversation=str(i)), 7, faces)[1] for i in range(40)])
    usual = default_boxes()
    for at in (0, 2, 3):
        assert (np.abs(boxes[:, at] - usual[at]) < 0.1).all()


def png(image: Image.Image, kind: str = "PNG", **options) -> bytes:
    packed = io.BytesIO()
    image.save(packed, kind, **options)
    return packed.getvalue()


def test_a_written_screen_is_read_back(faces):
    screen, _ = draw(event(), 7, faces)
    assert (read_screen(write_screen(screen), "x") == screen).all()


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB", "RGBA", "LA"])
def test_kinds_of_picture(mode):
    found = read_screen(png(Image.new("L", (128, 192), 255).convert(mode)), "x")
    assert found.shape == (HEIGHT, WIDTH) and (found == 255).all()


def test_what_is_transparent_is_black_and_shapes_are_scaled():
    clear = Image.new("RGBA", (32, 32), (255, 255, 255, 0))
    clear.paste((255, 255, 255, 255), (0, 0, 32, 16))
    found = read_screen(png(clear), "x")
    assert (found[:48] == 255).all() and (found[48:] == 0).all()
    assert read_screen(png(Image.new("L", (300, 600), 7), "JPEG"), "x").shape == (HEIGHT, WIDTH)
