"""Arrays written piece by piece are the arrays NumPy would have written."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from components.data.arrays import ArrayWriter, open_array, write_array
from components.errors import EquipoiseError, Exit


@pytest.mark.parametrize("dtype", [np.int32, np.uint8, np.float64])
def test_pieces_add_up(tmp_path, dtype):
    pieces = [np.arange(5), np.zeros(0), np.array([7])]
    writer = ArrayWriter(tmp_path / "a.npy", dtype)
    for piece in pieces:
        writer.append(piece.astype(dtype))
    writer.close()
    found = np.load(tmp_path / "a.npy", allow_pickle=False)
    assert found.dtype == dtype
    assert found.tolist() == [0, 1, 2, 3, 4, 7]
    assert open_array(tmp_path / "a.npy").tolist() == found.tolist()


@settings(deadline=None, max_examples=60)
@given(st.lists(st.lists(st.integers(-(2**31), 2**31 - 1), max_size=20), max_size=6))
def test_any_cut_gives_the_same_bytes(tmp_path_factory, pieces):
    folder = tmp_path_factory.mktemp("arrays")
    writer = ArrayWriter(folder / "pieces.npy", np.int32)
    for piece in pieces:
        writer.append(np.array(piece, dtype=np.int64))
    writer.close()
    write_array(folder / "whole.npy", np.array([number for piece in pieces for number in piece], dtype=np.int32))
    assert (folder / "pieces.npy").read_bytes() == (folder / "whole.npy").read_bytes()


def test_an_empty_array_can_be_opened(tmp_path):
    write_array(tmp_path / "a.npy", np.zeros(0, np.int32))
    assert open_array(tmp_path / "a.npy").shape == (0,)


def test_floats_never_become_integers_silently(tmp_path):
    writer = ArrayWriter(tmp_path / "a.npy", np.int32)
    with pytest.raises(TypeError):
        writer.append(np.array([1.5]))
    writer.abandon()


@pytest.mark.parametrize(
    ("dtype", "number"), [(np.int32, 2**31), (np.int32, -(2**31) - 1), (np.uint8, 256), (np.uint8, -1)]
)
def test_numbers_beyond_the_type_are_refused(tmp_path, dtype, number):
    writer = ArrayWriter(tmp_path / "a.npy", dtype)
    with pytest.raises(EquipoiseError, match="must fit"):
        writer.append(np.array([0, number]))
    writer.abandon()


def test_nothing_there_and_nonsense_are_told_apart(tmp_path):
    with pytest.raises(EquipoiseError) as absent:
        open_array(tmp_path / "a.npy")
    assert absent.value.exit_code == Exit.MISSING_INPUT
    (tmp_path / "b.npy").write_bytes(b"no array")
    with pytest.raises(EquipoiseError) as nonsense:
        open_array(tmp_path / "b.npy")
    assert nonsense.value.exit_code == Exit.BAD_DATA


def test_an_array_of_objects_is_refused(tmp_path):
    np.save(tmp_path / "a.npy", np.array([{"a": 1}], dtype=object), allow_pickle=True)
    with pytest.raises(EquipoiseError) as refused:
        open_array(tmp_path / "a.npy")
    assert refused.value.exit_code == Exit.BAD_DATA


def test_a_matrix_is_refused(tmp_path):
    np.save(tmp_path / "a.npy", np.zeros((2, 2)))
    with pytest.raises(EquipoiseError, match="one dimension"):
        open_array(tmp_path / "a.npy")


def test_rows_of_numbers_add_up(tmp_path):
    values = np.arange(12.0).reshape(4, 3)
    writer = ArrayWriter(tmp_path / "pieces.npy", np.float64, (3,))
    for piece in (values[:1], values[1:1], values[1:]):
        writer.append(piece)
    writer.close()
    write_array(tmp_path / "whole.npy", values)
    assert (tmp_path / "pieces.npy").read_bytes() == (tmp_path / "whole.npy").read_bytes()
    assert np.array_equal(open_array(tmp_path / "whole.npy", dimensions=2), values)
    np.save(tmp_path / "numpy.npy", values)
    assert (tmp_path / "numpy.npy").read_bytes()[128:] == (tmp_path / "whole.npy").read_bytes()[128:]


def test_rows_of_another_length_are_refused(tmp_path):
    writer = ArrayWriter(tmp_path / "a.npy", np.float64, (3,))
    with pytest.raises(ValueError, match=r"must have shape \(3,\)"):
        writer.append(np.zeros((2, 4)))
    writer.abandon()


def test_another_number_of_dimensions_is_refused(tmp_path):
    write_array(tmp_path / "a.npy", np.zeros((2, 3)))
    with pytest.raises(EquipoiseError, match="must have one dimension"):
        open_array(tmp_path / "a.npy")
    with pytest.raises(EquipoiseError, match="must have 3 dimensions"):
        open_array(tmp_path / "a.npy", dimensions=3)
