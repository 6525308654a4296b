"""Labelled samples beside the arrays: what evaluation, the gate and the baseline work on."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from components.data.kept_lines import LineWriter, read_kept
from components.workloads.assertions.pairs import Pair


class SampleWriter(LineWriter):
    """Writes one split's samples; the same samples give the same bytes."""

    def write(self, pair: Pair) -> None:
        self.line(dict(sorted(vars(pair).items())))


def read_samples(path: Path) -> Iterator[Pair]:
    """The samples of a file that SampleWriter wrote, in its order.

    Raises:
        EquipoiseError: E_MISSING (66) without the file, E_DATA (65) when it is damaged.
    """
    return read_kept(path, lambda value: (Pair(**value),))
