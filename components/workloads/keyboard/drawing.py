"""Screens of whole splits, drawn in shards by several processes: an interrupted prepare goes on where it stopped."""

from __future__ import annotations

import hashlib
import io
import multiprocessing
import shutil
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from PIL import Image

from components.config_keyboard import KeyboardData
from components.data.arrays import ArrayWriter
from components.data.splits import SPLITS, stable_share
from components.files import sha256_json, write_atomically
from components.workloads.keyboard.events import HEIGHT, REGIONS, WIDTH, Event, Layout
from components.workloads.keyboard.fonts import Faces, advice, find_faces, refuse_missing
from components.workloads.keyboard.keys import keyboard_text
from components.workloads.keyboard.lettering import Pen
from components.workloads.keyboard.screens import BUBBLES, NAMES, draw

VERSION = 1
SHARD = 512  # screens drawn and kept together
SHOWN = 10  # screens of each layout on the contact sheet at most
ENLARGED = 2
LABEL, GAP = 60, 6  # pixels of the contact sheet
NONE = -1  # of an event that is not drawn


@dataclass
class Drawn:
    """What was drawn, and what could not be.

    Attributes:
        counts: screens of each split.
        reused: screens that an earlier, interrupted prepare had drawn.
        missing: characters that no font has.
        fonts: name and SHA-256 of each font that may have been used.
    """

    counts: dict[str, int] = field(default_factory=dict)
    reused: int = 0
    missing: Counter[str] = field(default_factory=Counter)
    fonts: list[dict[str, str]] = field(default_factory=list)
    shards: Path | None = None

    @property
    def advice(self) -> str:
        """What to say of missing characters; "" where there are none."""
        return advice(self.missing) if self.missing else ""

    def forget(self) -> None:
        """Removes the shards, once they are in the prepared data."""
        if self.shards is not None:
            for left in self.shards.parent.glob(f"{self.shards.name.rsplit('-', 1)[0]}-*"):
                shutil.rmtree(left)


def draw_splits(
    part: Path, events: Mapping[str, Iterable[Event]], data: KeyboardData, folder: Path, sheet: Path
) -> Drawn:
    """Writes screens.npy, screen_boxes.npy and event_screen.npy of each split into `part`, and the contact sheet.

    Args:
        events: of each split, in the order of its arrays.
        folder: where the prepared data will be: shards are kept beside it until then.

    Raises:
        EquipoiseError: E_FONT (78) for missing characters where data.missing_glyphs is refuse.
    """
    faces = find_faces(data.fonts)
    drawn = Drawn(fonts=[{"name": face.name, "sha256": face.sha256} for face in faces.faces])
    chosen = {split: _choose(part / split, events[split], data) for split in SPLITS}
    drawn.missing = faces.missing([keyboard_text(), *NAMES, *_texts(chosen)])
    if data.missing_glyphs == "refuse":
        refuse_missing(drawn.missing)
    drawn.shards = folder.parent / f".{folder.name}.screens-{_key(chosen, data, drawn)[:16]}"
    jobs = [
        (drawn.shards / f"{split}-{start // SHARD:05d}.npz", chosen[split][start : start + SHARD])
        for split in SPLITS
        for start in range(0, len(chosen[split]), SHARD)
    ]
    drawn.reused = sum(len(some) for path, some in jobs if path.is_file())
    _draw_all([job for job in jobs if not job[0].is_file()], data)
    for split in SPLITS:
        drawn.counts[split] = len(chosen[split])
        _join([path for path, _ in jobs if path.name.startswith(f"{split}-")], part / split)
    _contact_sheet(sheet, part / "train", chosen["train"], faces)
    return drawn


def _choose(folder: Path, events: Iterable[Event], data: KeyboardData) -> list[Event]:
    """The events of a split that are drawn, about data.screens of them; writes event_screen.npy."""
    total = len(np.load(folder / "event_row.npy", mmap_mode="r", allow_pickle=False))
    edge = data.screens / total if total else 0.0
    chosen: list[Event] = []
    writer = ArrayWriter(folder / "event_screen.npy", np.int32)
    places: list[int] = []
    for event in events:
        take = stable_share(data.seed, f"screen/{event.id}") < edge
        places.append(len(chosen) if take else NONE)
        if take:
            chosen.append(event)
    writer.append(np.array(places, np.int32))
    writer.close()
    return chosen


def _texts(chosen: Mapping[str, Sequence[Event]]) -> Iterator[str]:
    for some in chosen.values():
        for event in some:
            yield event.before
            yield event.typed
            yield from event.history[-BUBBLES:]


def _key(chosen: Mapping[str, Sequence[Event]], data: KeyboardData, drawn: Drawn) -> str:
    """Digest of all that the pictures depend on."""
    digest = hashlib.sha256()
    for split in SPLITS:
        for event in chosen[split]:
            said = [split, event.id, event.conversation, event.before, event.typed, int(event.layout), *event.history]
            digest.update(sha256_json(said).encode())
    return sha256_json([VERSION, data.seed, HEIGHT, WIDTH, drawn.fonts, digest.hexdigest()])


def _draw_all(jobs: Sequence[tuple[Path, Sequence[Event]]], data: KeyboardData) -> None:
    """Draws shards, each kept as soon as it is whole."""
    if data.processes == 1 or len(jobs) < 2:
        for path, some in jobs:
            draw_shard(path, some, data.seed, data.fonts)
        return
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(min(data.processes, len(jobs)), mp_context=context) as pool:
        started = [pool.submit(draw_shard, path, some, data.seed, data.fonts) for path, some in jobs]
        for each in started:
            each.result()


def draw_shard(path: Path, events: Sequence[Event], seed: int, fonts: Sequence[str]) -> None:
    """Draws some events and keeps the pictures in one .npz file, whole or not at all.

    Raises:
        EquipoiseError: E_FONT (78), E_WRITE (73) or E_IO (74).
    """
    faces = find_faces(fonts)
    pictures = [draw(event, seed, faces) for event in events]
    packed = io.BytesIO()
    np.savez(packed, screens=np.stack([p for p, _ in pictures]), boxes=np.stack([b for _, b in pictures]))
    write_atomically(path, lambda handle: handle.write(packed.getvalue()))


def _join(paths: Sequence[Path], folder: Path) -> None:
    screens = ArrayWriter(folder / "screens.npy", np.uint8, (HEIGHT, WIDTH))
    boxes = ArrayWriter(folder / "screen_boxes.npy", np.float32, (len(REGIONS), 4))
    for path in paths:
        with np.load(path, allow_pickle=False) as shard:
            screens.append(shard["screens"])
            boxes.append(shard["boxes"])
    screens.close()
    boxes.close()


def _contact_sheet(path: Path, folder: Path, events: Sequence[Event], faces: Faces) -> None:
    """A PNG with a line of screens for each layout, larger than life, their regions framed on the first."""
    screens = np.load(folder / "screens.npy", mmap_mode="r", allow_pickle=False)
    boxes = np.load(folder / "screen_boxes.npy", mmap_mode="r", allow_pickle=False)
    wide, tall = WIDTH * ENLARGED, HEIGHT * ENLARGED
    sheet = Image.new("L", (LABEL + SHOWN * (wide + GAP), len(Layout) * (tall + GAP) + GAP), 255)
    pen = Pen(sheet, faces)
    for row, layout in enumerate(Layout):
        top = GAP + row * (tall + GAP)
        pen.write((4, top + tall // 2), layout.name, 14, 0, LABEL)
        these = [at for at, event in enumerate(events) if event.layout is layout]
        for column, at in enumerate(these[:: max(len(these) // SHOWN, 1)][:SHOWN]):
            left = LABEL + column * (wide + GAP)
            picture = Image.fromarray(np.asarray(screens[at])).resize((wide, tall), Image.Resampling.NEAREST)
            sheet.paste(picture, (left, top))
            if column == 0:
                for x0, y0, x1, y1 in boxes[at] * np.array([wide, tall, wide, tall]):
                    corners = (left + x0 + 1, top + y0 + 1, left + x1 - 2, top + y1 - 2)
                    pen.draw.rectangle(corners, outline=128, width=2)
    write_atomically(path, lambda handle: sheet.save(handle, "PNG"))
