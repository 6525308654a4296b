"""The bars of one symbol, or the values of one yield, as they were read, and what must be true of them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from components.errors import EquipoiseError, bad_data


@dataclass(frozen=True, eq=False)
class Series:
    """One symbol.

    Attributes:
        name: the symbol.
        place: the file it came from.
        days: [D] datetime64[D] in the file's order.
        close: [D] adjusted closes, or values.
        volume: [D] or None.
        lines: [D] where each stands in the file.
    """

    name: str
    place: str
    days: NDArray[np.datetime64]
    close: NDArray[np.float64]
    volume: NDArray[np.float64] | None
    lines: NDArray[np.int64]

    def between(self, first: np.datetime64, last: np.datetime64) -> Series:
        """The days in [first, last]; they must be in order."""
        return self.taken(slice(*np.searchsorted(self.days, [first, last + np.timedelta64(1)]).tolist()))

    def taken(self, part: slice | NDArray[np.bool_]) -> Series:
        """Some of the bars."""
        volume = None if self.volume is None else self.volume[part]
        return Series(self.name, self.place, self.days[part], self.close[part], volume, self.lines[part])

    def refuse(self, row: int, rule: str, got: object, hint: str, code: str = "BARS") -> EquipoiseError:
        """A broken rule of one bar: E_<code> (65) with its line."""
        return bad_data(f"{self.place}:{self.lines[row]}", rule, got=got, hint=hint, code=code)


def check_order(one: Series) -> None:
    """Days rise strictly.

    Raises:
        EquipoiseError: E_ORDER (65) naming the first day that is not after the one before it.
    """
    steps = np.diff(one.days).astype(int)
    if len(steps) and steps.min() <= 0:
        row = int((steps <= 0).argmax()) + 1
        if steps[row - 1] == 0:
            hint = "Keep one bar a day and symbol"
            raise one.refuse(row, "a day must stand once", f"{one.days[row]} again", hint, "ORDER")
        got = f"{one.days[row]} after {one.days[row - 1]}"
        raise one.refuse(row, "days must rise", got, "Sort the file by day", "ORDER")


def check_prices(one: Series, largest_move: float) -> None:
    """Closes are above 0 and no day's move looks like a split.

    Raises:
        EquipoiseError: E_BARS or E_SPLIT (65).
    """
    wrong = one.close <= 0
    if wrong.any():
        row = int(wrong.argmax())
        got = float(one.close[row])
        raise one.refuse(row, "a close must be above 0", got, "Mend or drop that bar; returns of it mean nothing")
    ratio = one.close[1:] / one.close[:-1]
    beyond = np.abs(ratio - 1) > largest_move
    if beyond.any():
        row = int(beyond.argmax())
        move = ratio[row]
        whole = round(1 / move) if move < 1 else round(move)
        like = f", like a split {whole}:1" if move < 1 and whole > 1 else ""
        raise one.refuse(
            row + 1,
            f"a day's return must be within {largest_move:.0%} either way",
            f"{move - 1:+.1%} of {one.name} on {one.days[row + 1]}{like}",
            "Adjust the closes for splits and dividends; if the move is real, raise trading.data.largest_move",
            "SPLIT",
        )


def check_volume(one: Series) -> NDArray[np.float64]:
    """[D] volumes, all above 0.

    Raises:
        EquipoiseError: E_VOLUME (65) when there are none or one is absent, negative or 0.
    """
    hint = "Complete the volume, or set trading.data.volume to false"
    if one.volume is None or not (one.volume > 0).any():
        got = "no volume column" if one.volume is None else "none above 0"
        raise bad_data(one.place, "trading.data.volume asks for traded volume", got=got, hint=hint, code="VOLUME")
    wrong = ~(one.volume > 0)
    if wrong.any():
        row = int(wrong.argmax())
        raise one.refuse(row, "volume must be above 0", float(one.volume[row]), hint, "VOLUME")
    return one.volume
