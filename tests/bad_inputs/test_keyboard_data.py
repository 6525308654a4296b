"""Bad messages, originals and pictures of the keyboard, one a row: each is answered by one line with place, rule, value
and hint, the right code and exit status, and nothing half-written."""

from __future__ import annotations

import gzip
import io
import json
import struct
import zipfile
import zlib
from collections import Counter
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image, PngImagePlugin

from components.errors import EquipoiseError, Exit
from components.workloads.keyboard import chinese, emoji, sms, spelling
from components.workloads.keyboard.data import prepare
from components.workloads.keyboard.fonts import find_faces
from components.workloads.keyboard.images import BYTES, read_screen
from components.workloads.keyboard.lines import LINE_BYTES, LONGEST, read_files
from components.workloads.keyboard.originals import Originals
from tests.workloads.keyboard.small import data_section, message_line

GOOD = json.dumps(message_line()).encode()


def line(**changes: Any) -> bytes:
    return json.dumps({key: value for key, value in message_line(**changes).items() if value is not ...}).encode()


# name, the line's bytes, the code, words of the message; the bad line is always the second, after a good one
LINES: list[tuple[str, bytes, str, str]] = [
    ("not JSON", b"hello there", "E_JSON", "must be JSON"),
    ("half an object", GOOD[:-5], "E_JSON", "must be JSON"),
    ("a list", b"[1]", "E_MESSAGE", "must be an object"),
    ("a key twice", GOOD[:-1] + b', "user": "b"}', "E_JSON", "stand once"),
    ("NaN", GOOD[:-1] + b', "sent": NaN}', "E_JSON", "finite"),
    ("1,000 deep", b'{"user":' + b"[" * 1000 + b"]" * 1000 + b"}", "E_JSON", "nested"),
    ("a line of more than 64 kB", line(text="a " * LINE_BYTES), "E_JSON", f"at most {LINE_BYTES} bytes"),
    ("invalid UTF-8", GOOD.replace(b"hello", b"he\xffllo"), "E_JSON", "UTF-8"),
    ("UTF-16", GOOD.decode().encode("utf-16"), "E_JSON", "byte order mark"),
    ("a lone surrogate", GOOD.replace(b"hello", b"\\ud83d"), "E_JSON", "whole characters"),
    ("no user", line(user=...), "E_MESSAGE", "user must be present"),
    ("no conversation", line(conversation=...), "E_MESSAGE", "conversation must be present"),
    ("no language", line(language=...), "E_MESSAGE", "language must be present"),
    ("no text", line(text=...), "E_MESSAGE", "text must be present"),
    ("an empty user", line(user=""), "E_MESSAGE", "user must be a name"),
    ("a user that is a number", line(user=7), "E_MESSAGE", "user must be a name"),
    ("a user that turns the terminal round", line(user="a\u202eb"), "E_MESSAGE", "printable"),
    ("another language", line(language="fr"), "E_MESSAGE", "one of en, zh"),
    ("sent is a word", line(sent="yes"), "E_MESSAGE", "sent must be true or false"),
    ("text is a list", line(text=["hello"]), "E_MESSAGE", "text must be text"),
    ("a text of 4,001 characters", line(text="a" * (LONGEST + 1)), "E_MESSAGE", f"at most {LONGEST} characters"),
    ("a mistyped key", GOOD.replace(b'"text"', b'"txet"'), "E_MESSAGE", "a key must be one of"),
    ("a source on two lines", line(source="a\nb"), "E_MESSAGE", "source must be a name"),
]


@pytest.mark.parametrize(("raw", "code", "words"), [one[1:] for one in LINES], ids=[one[0] for one in LINES])
def test_bad_lines(tmp_path, raw, code, words):
    (tmp_path / "messages.jsonl").write_bytes(GOOD + b"\n" + raw + b"\n" + GOOD + b"\n")
    with pytest.raises(EquipoiseError) as caught:
        list(read_files(tmp_path, Counter()))
    check(caught.value, code, words, "messages.jsonl:2")


def png(mode: str = "L", size: tuple[int, int] = (64, 96), **options: Any) -> bytes:
    return saved(Image.new(mode, size, 1), "PNG", **options)


def saved(image: Image.Image, kind: str, **options: Any) -> bytes:
    packed = io.BytesIO()
    image.save(packed, kind, **options)
    return packed.getvalue()


def frames(kind: str) -> bytes:
    first, second = Image.new("L", (64, 96), 0), Image.new("L", (64, 96), 255)
    return saved(first, kind, save_all=True, append_images=[second])


def header(width: int, height: int) -> bytes:
    """A PNG that says it has this size, and has no pixels."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    facts = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", facts) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")


def text_bomb() -> bytes:
    info = PngImagePlugin.PngInfo()
    info.add_text("a", "b" * 80_000_000, zip=True)
    return png(pnginfo=info)


NOISE = Image.fromarray(np.random.default_rng(0).integers(0, 255, (96, 64), np.uint8))

PICTURES: list[tuple[str, bytes, str]] = [
    ("no bytes", b"", "1 to"),
    ("9 MB", b"\x89PNG\r\n\x1a\n" + bytes(BYTES), "1 to"),
    ("text", b"hello there", "whole PNG or JPEG"),
    ("SVG", b"<svg xmlns='http://www.w3.org/2000/svg' width='64' height='96'/>", "whole PNG or JPEG"),
    ("GIF", saved(NOISE, "GIF"), "whole PNG or JPEG"),
    ("an animated GIF", frames("GIF"), "whole PNG or JPEG"),
    ("an animated WebP", frames("WEBP"), "whole PNG or JPEG"),
    ("TIFF", saved(NOISE, "TIFF"), "whole PNG or JPEG"),
    ("an animated PNG", frames("PNG"), "one still picture"),
    ("a CMYK JPEG", saved(Image.new("CMYK", (64, 96)), "JPEG"), "colours must be"),
    ("16 bits a pixel", saved(Image.new("I;16", (64, 96)), "PNG"), "colours must be"),
    ("0 pixels wide", header(0, 96), ""),
    ("0 pixels", header(0, 0), ""),
    ("1 pixel", png(size=(1, 1)), "16 to 8192 pixels"),
    ("30,000 pixels wide", header(30_000, 96), "16 to 8192 pixels"),
    ("30,000 pixels square", header(30_000, 30_000), ""),
    ("a strip", png(size=(16, 96)), "at most 4 times"),
    ("no pixels behind the header", header(64, 96), "whole picture"),
    ("half a PNG", saved(NOISE, "PNG")[:2000], "whole picture"),
    ("half a JPEG", saved(NOISE, "JPEG")[:-900], "whole picture"),
    ("a PNG with a damaged checksum", png().replace(b"IHDR\x00\x00\x00\x40", b"IHDR\x00\x00\x00\x41"), ""),
    ("a text chunk of 80 MB", text_bomb(), ""),
]


@pytest.mark.parametrize(("raw", "words"), [one[1:] for one in PICTURES], ids=[one[0] for one in PICTURES])
def test_bad_pictures(raw, words):
    with pytest.raises(EquipoiseError) as caught:
        read_screen(raw, "request: screen")
    check(caught.value, "E_IMAGE", words, "request: screen")


XML = '<?xml version="1.0"?><smsCorpus><message id="1"><text>hi</text></message></smsCorpus>'
BOMB = '<!DOCTYPE s [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;">]>' + XML[21:].replace("hi", "&b;")


@pytest.mark.parametrize(
    ("content", "code", "words"),
    [
        (BOMB, "E_XML", "no document type"),
        ('<!DOCTYPE s SYSTEM "file:///etc/passwd"><smsCorpus/>', "E_XML", "no document type"),
        (XML.replace("hi", "&nothing;"), "E_XML", "undefined entity"),
        (XML[:-10], "E_XML", "must be XML"),
        ("hello", "E_XML", "must be XML"),
        ("", "E_XML", "must hold messages"),
        ("<smsCorpus/>", "E_XML", "must hold messages"),
        (XML.replace(' id="1"', ""), "E_XML", "must have an id"),
        (gzip.compress(XML.encode(), mtime=0)[:-9], "E_ARCHIVE", "whole gzip"),
        (b"PK\x03\x04nothing", "E_XML", "must be XML"),
    ],
)
def test_bad_corpora(tmp_path, content, code, words):
    path = tmp_path / "smsCorpus_en_x.xml"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(EquipoiseError) as caught:
        list(sms.read_sms(path, "en", "nus_en", Counter()))
    check(caught.value, code, words, path.name)


TWEETS = {"mapping.txt": "0\t❤\t_red_\t\n", "train_text.txt": "so good \n", "train_labels.txt": "0\n"}


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("mapping.txt", "1\t❤\t_red_\t\n", "must be 0"),
        ("mapping.txt", "0 ❤ _red_\n", "must be 0"),
        ("mapping.txt", "0\tx\t_red_\t\n", "must be an emoji"),
        ("train_labels.txt", "1\n", "below 1"),
        ("train_labels.txt", "-1\n", "below 1"),
        ("train_labels.txt", "0\n0\n", "each of 1 tweets"),
    ],
)
def test_bad_tweets(tmp_path, name, content, words):
    for each, text in {**TWEETS, name: content}.items():
        (tmp_path / each).write_text(text, encoding="utf-8")
    with pytest.raises(EquipoiseError) as caught:
        list(emoji.read_tweets(tmp_path, Counter()))
    check(caught.value, "E_EMOJI", words, "")


def test_bad_dictionaries(tmp_path):
    (tmp_path / "dictionary.txt").write_text("teh->the\nrecieve receive\n", encoding="utf-8")
    (tmp_path / "spell-testset1.txt").write_text("problem problam\n", encoding="utf-8")
    with pytest.raises(EquipoiseError) as caught:
        spelling.misspellings(tmp_path)
    check(caught.value, "E_SPELLING", "misspelling->correction", "dictionary.txt:2")
    with pytest.raises(EquipoiseError) as caught:
        list(spelling.read_test_set(tmp_path, {}))
    check(caught.value, "E_SPELLING", "a colon", "spell-testset1.txt:1")


@pytest.mark.parametrize("value", [[], {"7": {}}, {"7": {"sys-usr": [1, 2], "messages": [{"role": "usr"}]}}])
def test_bad_dialogues(tmp_path, value):
    with zipfile.ZipFile(tmp_path / "val.json.zip", "w") as archive:
        archive.writestr("val.json", json.dumps(value))
    with pytest.raises(EquipoiseError) as caught:
        list(chinese.read_crosswoz(tmp_path, Counter()))
    check(caught.value, "E_DIALOGUE", "", "val.json")


def test_an_original_that_is_not_there(tmp_path):
    with pytest.raises(EquipoiseError) as caught:
        list(Originals(tmp_path, Counter()).messages(["nus_en"]))
    assert caught.value.exit_code == Exit.MISSING_INPUT and "nus_sms" in str(caught.value)


def test_a_font_that_is_none(tmp_path):
    (tmp_path / "a.ttf").write_bytes(b"not a font")
    with pytest.raises(EquipoiseError) as caught:
        find_faces([str(tmp_path / "a.ttf")])
    assert (caught.value.code, caught.value.exit_code) == ("E_FONT", Exit.CONFIGURATION)


@pytest.mark.parametrize("content", [GOOD + b"\n{}\n", GOOD + b"\n"], ids=["a bad line", "one user"])
def test_bad_data_leave_nothing_behind(tmp_path, content):
    raw = tmp_path / "raw"
    raw.mkdir()
    (raw / "messages.jsonl").write_bytes(content)
    with pytest.raises(EquipoiseError) as caught:
        prepare(SimpleNamespace(data=data_section(source=str(raw))), tmp_path / "prepared")
    assert caught.value.exit_code == Exit.BAD_DATA
    assert [path.name for path in tmp_path.iterdir()] == ["raw"]


def check(error: EquipoiseError, code: str, words: str, place: str) -> None:
    assert (error.code, error.exit_code) == (code, Exit.BAD_DATA)
    assert words in str(error) and place in error.place
    assert "\n" not in str(error) and str(error).isprintable() and error.hint
