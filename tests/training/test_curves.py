"""The curve file is cut to exactly what a checkpoint remembers, and refused when it is another one."""

from pathlib import Path

import pytest

from components.errors import EquipoiseError
from components.training.curves import Curves


def test_return_to_a_mark_and_go_on(tmp_path: Path) -> None:
    curves = Curves(tmp_path / "c.jsonl", writes=True)
    curves.start()
    curves.append({"step": 1})
    mark = curves.mark()
    curves.append({"step": 2, "lost": True})
    again = Curves(tmp_path / "c.jsonl", writes=True)
    assert again.can_return_to(mark)
    again.return_to(mark)
    again.append({"step": 2})
    assert (tmp_path / "c.jsonl").read_text() == '{"step": 1}\n{"step": 2}\n'
    assert Curves(tmp_path / "c.jsonl", writes=True).can_return_to(again.mark())


@pytest.mark.parametrize("content", [b"", b'{"step": 1}', b'{"step": 9}\n', None])
def test_another_file_is_refused(tmp_path: Path, content: bytes | None) -> None:
    curves = Curves(tmp_path / "c.jsonl", writes=True)
    curves.start()
    curves.append({"step": 1})
    mark = curves.mark()
    if content is None:
        curves.path.unlink()
    else:
        curves.path.write_bytes(content)
    assert not Curves(curves.path, writes=True).can_return_to(mark)


def test_other_ranks_write_nothing(tmp_path: Path) -> None:
    curves = Curves(tmp_path / "c.jsonl", writes=False)
    curves.start()
    curves.append({"step": 1})
    curves.mark()
    assert not curves.path.exists()


def test_not_a_number_is_never_written(tmp_path: Path) -> None:
    curves = Curves(tmp_path / "c.jsonl", writes=True)
    curves.start()
    with pytest.raises(ValueError, match="JSON compliant"):
        curves.append({"loss": float("nan")})
    assert curves.path.read_bytes() == b""


def test_unwritable_place_is_a_clear_error(tmp_path: Path) -> None:
    (tmp_path / "c.jsonl").mkdir()
    with pytest.raises(EquipoiseError, match=r"E_IO .*c.jsonl: must be writable") as caught:
        Curves(tmp_path / "c.jsonl", writes=True).start()
    assert caught.value.exit_code == 74
