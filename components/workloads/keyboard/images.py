"""Screens that people send: PNG or JPEG from strangers, checked before and while they are decoded."""

from __future__ import annotations

import io
import struct
import warnings
import zlib
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from components.errors import EquipoiseError, bad_data
from components.workloads.keyboard.events import HEIGHT, WIDTH

FORMATS = ("PNG", "JPEG")
MODES = ("1", "L", "LA", "P", "PA", "RGB", "RGBA")
BYTES = 8 * 1024 * 1024
SIDE = 8192  # pixels
SMALLEST = 16  # pixels of a side
STRETCH = 4.0  # longer side by shorter at most
_SAVE_AGAIN = "Save the screen as an ordinary PNG"


def read_screen(raw: bytes, place: str) -> NDArray[np.uint8]:
    """The picture in grey, transparent parts over black, scaled to [HEIGHT, WIDTH] whatever its shape.

    Raises:
        EquipoiseError: E_IMAGE (65) for anything that is not one whole still grey or RGB picture of a screen's size.
    """
    if not 0 < len(raw) <= BYTES:
        raise _refuse(place, f"must have 1 to {BYTES} bytes", len(raw), "Send a smaller picture")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(io.BytesIO(raw), formats=FORMATS) as image:
                _check(image, place)
                image.load()
                return _grey(image)
    except UnidentifiedImageError as error:
        raise _refuse(place, "must be a whole PNG or JPEG picture", raw[:8], _SAVE_AGAIN) from error
    except (
        Image.DecompressionBombError,
        Image.DecompressionBombWarning,
        OSError,
        SyntaxError,  # Pillow's word for a broken PNG
        ValueError,
        EOFError,
        struct.error,
        zlib.error,
    ) as error:
        raise _refuse(place, "must be a whole picture", str(error) or type(error).__name__, _SAVE_AGAIN) from error


def write_screen(screen: NDArray[np.uint8]) -> bytes:
    """A PNG of [H, W] grey values: `read_screen` of it gives them back where their size is a screen's."""
    packed = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(screen)).save(packed, "PNG")
    return packed.getvalue()


def _check(image: Image.Image, place: str) -> None:
    """What the header says, before a pixel is decoded."""
    width, height = image.size
    if min(width, height) < SMALLEST or max(width, height) > SIDE:
        rule = f"both sides must have {SMALLEST} to {SIDE} pixels"
        raise _refuse(place, rule, f"{width} x {height}", "Send the screen as it is")
    if max(width, height) > STRETCH * min(width, height):
        rule = f"the longer side must have at most {STRETCH:g} times the shorter"
        raise _refuse(place, rule, f"{width} x {height}", "Send the whole screen")
    if getattr(image, "n_frames", 1) != 1:
        raise _refuse(place, "must be one still picture", f"{getattr(image, 'n_frames', 1)} frames", _SAVE_AGAIN)
    if image.mode not in MODES:
        raise _refuse(place, f"colours must be one of {', '.join(MODES)}", image.mode, _SAVE_AGAIN)


def _grey(image: Image.Image) -> NDArray[np.uint8]:
    if "A" in image.getbands() or "transparency" in image.info:
        whole = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", whole.size, (0, 0, 0, 255)), whole)
    grey = image.convert("L")
    if grey.size != (WIDTH, HEIGHT):
        grey = grey.resize((WIDTH, HEIGHT), Image.Resampling.BOX)
    return np.asarray(grey, np.uint8)


def _refuse(place: str, rule: str, got: Any, hint: str) -> EquipoiseError:
    return bad_data(place, rule, got=got, hint=hint, code="IMAGE")
