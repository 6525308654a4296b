"""Records kept beside the arrays: the same bytes for the same values, back in order, damage named with its line."""

from __future__ import annotations

import gzip

import pytest

from components.data.kept_lines import LineWriter, read_kept
from components.errors import EquipoiseError, Exit


def written(path, values):
    writer = LineWriter(path)
    for value in values:
        writer.line(value)
    writer.close()
    return path


def test_values_come_back_in_order_and_the_same_values_give_the_same_bytes(tmp_path):
    values = [{"b": 1, "a": "é\u2028\ud800"}, {}, {"n": None}]
    path = written(tmp_path / "a.gz", values)
    assert list(read_kept(path, lambda value: [value])) == values
    assert path.read_bytes() == written(tmp_path / "other name.gz", values).read_bytes()
    assert gzip.decompress(path.read_bytes()).splitlines()[0] == rb'{"b":1,"a":"\u00e9\u2028\ud800"}'


def test_a_line_may_hold_none_or_several_records(tmp_path):
    path = written(tmp_path / "a.gz", [{"n": 2}, {"n": 0}, {"n": 3}])
    assert list(read_kept(path, lambda value: range(value["n"]))) == [0, 1, 0, 1, 2]


def test_a_number_that_json_cannot_hold_is_not_written(tmp_path):
    writer = LineWriter(tmp_path / "a.gz")
    with pytest.raises(ValueError, match="JSON"):
        writer.line({"x": float("nan")})
    writer.abandon()


def test_nothing_is_there_before_prepare(tmp_path):
    with pytest.raises(EquipoiseError, match=r"E_MISSING .*Run prepare") as caught:
        list(read_kept(tmp_path / "a.gz", lambda value: [value]))
    assert caught.value.exit_code == Exit.MISSING_INPUT


@pytest.mark.parametrize(
    ("content", "line"),
    [
        (gzip.compress(b'{"n": 1}\n{"m": 1}\n'), 2),
        (gzip.compress(b'{"n": 1}\n{"n": \n'), 2),
        (gzip.compress(b'{"n": 1}\n7\n'), 2),
        (gzip.compress(b'{"n": 1}\n')[:-6], 1),
        (b"plain text", 0),
    ],
    ids=["another field", "half a value", "no object", "an early end", "no gzip"],
)
def test_damage_is_named_with_its_line(tmp_path, content, line):
    (tmp_path / "a.gz").write_bytes(content)
    with pytest.raises(EquipoiseError, match=rf"E_DATA .*a\.gz:{line}: must be prepared samples"):
        list(read_kept(tmp_path / "a.gz", lambda value: [value["n"]]))


def test_a_damaged_stream_inside_the_archive_is_damage_too(tmp_path):
    raw = bytearray(gzip.compress(b"".join(b'{"n": %d}\n' % (i * 7919 % 1000) for i in range(500))))
    raw[len(raw) // 2] ^= 0xFF
    (tmp_path / "a.gz").write_bytes(raw)
    with pytest.raises(EquipoiseError, match=r"E_DATA .*a\.gz"):
        list(read_kept(tmp_path / "a.gz", lambda value: [value["n"]]))
