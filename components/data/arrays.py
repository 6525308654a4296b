"""NumPy files written piece by piece, so that preparing data needs memory for one piece and not for the whole."""

from __future__ import annotations

import os
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.lib import format as npy
from numpy.typing import DTypeLike, NDArray

from components.errors import bad_data, missing

_HEADER = 128  # bytes; fixed, so that the length can be filled in at the end


def _header(dtype: np.dtype, shape: tuple[int, ...]) -> bytes:
    text = f"{{'descr': '{dtype.str}', 'fortran_order': False, 'shape': {shape}, }}"
    body = text.encode("latin-1").ljust(_HEADER - 11) + b"\n"
    return npy.magic(1, 0) + len(body).to_bytes(2, "little") + body


class ArrayWriter:
    """Appends along the first axis of a .npy file; the file is readable after `close`. `row`: the other axes."""

    def __init__(self, path: Path, dtype: DTypeLike, row: tuple[int, ...] = ()) -> None:
        self.dtype: np.dtype = np.dtype(dtype).newbyteorder("<")
        self.path = path
        self.row = row
        self.length = 0
        self._file: BinaryIO = path.open("wb")
        self._file.write(_header(self.dtype, (0, *row)))

    def append(self, values: NDArray) -> None:
        """Adds values of the same kind of number (TypeError otherwise) and of the file's row shape (ValueError).

        Raises:
            EquipoiseError: E_DATA (65) for integers beyond the file's type: they would wrap round silently.
        """
        if values.shape[1:] != self.row:
            raise ValueError(f"{self.path}: a row must have shape {self.row}, not {values.shape[1:]}")
        if values.dtype != self.dtype and self.dtype.kind in "iu" and values.dtype.kind in "iu" and len(values):
            limits = np.iinfo(self.dtype.name)
            for number in (int(values.min()), int(values.max())):
                if not limits.min <= number <= limits.max:
                    raise bad_data(
                        str(self.path),
                        f"numbers must fit {self.dtype.name}",
                        got=number,
                        hint="Prepare less data at once",
                    )
        kind = "unsafe" if self.dtype.kind in "iu" and values.dtype.kind in "iu" else "same_kind"
        self._file.write(np.ascontiguousarray(values.astype(self.dtype, casting=kind, copy=False)).tobytes())
        self.length += len(values)

    def close(self) -> None:
        """Writes the final length into the header, then everything to the disk."""
        self._file.seek(0)
        self._file.write(_header(self.dtype, (self.length, *self.row)))
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()

    def abandon(self) -> None:
        """Closes the file without finishing it."""
        self._file.close()


def write_array(path: Path, values: NDArray) -> None:
    """A whole array as one .npy file."""
    writer = ArrayWriter(path, values.dtype, values.shape[1:])
    writer.append(values)
    writer.close()


def open_array(path: Path, dimensions: int = 1) -> NDArray:
    """A .npy file of so many dimensions as a read-only memory map.

    Raises:
        EquipoiseError: E_MISSING (66) without the file, E_DATA (65) when it is not such an array.
    """
    if not path.is_file():
        raise missing(
            str(path), "the prepared array must be there", got="no file", hint="Run prepare for this workload"
        )
    try:
        values = np.load(path, mmap_mode="r", allow_pickle=False)
    except (ValueError, OSError, EOFError) as error:
        raise bad_data(str(path), "must be a NumPy array file", got=str(error), hint="Run prepare again") from error
    if not isinstance(values, np.ndarray) or values.ndim != dimensions:
        rule = f"must have {'one dimension' if dimensions == 1 else f'{dimensions} dimensions'}"
        raise bad_data(str(path), rule, got=getattr(values, "shape", type(values)), hint="Run prepare again")
    return values
