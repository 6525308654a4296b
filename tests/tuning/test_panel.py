"""The picture of a campaign's losses: shares by hand, the same bytes for the same candidates."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from components.tuning.panel import draw, shares_of


def terms(**shares: float) -> dict[str, dict[str, Any]]:
    return {name: {"raw": 1.0, "weight": 1.0, "share": share, "n_valid": 4} for name, share in shares.items()}


def test_shares_by_hand() -> None:
    assert shares_of(terms(a=3.0, b=-1.0, off=0.0)) == pytest.approx({"a": 0.75, "b": 0.25})
    assert shares_of(terms(off=0.0)) == {}
    assert shares_of({}) == {}


def test_candidates_side_by_side(tmp_path: Path) -> None:
    """The first has two effective terms, the second one; nothing is drawn of the third, which has no report."""
    candidates = {"0": terms(a=1.0, b=1.0), "1": terms(a=5.0), "2": {}}
    for name in ("first", "again"):
        assert draw(candidates, tmp_path / f"{name}.png")
    first = (tmp_path / "first.png").read_bytes()
    assert (tmp_path / "again.png").read_bytes() == first
    assert draw({k: v for k, v in candidates.items() if v}, tmp_path / "two.png")
    assert (tmp_path / "two.png").read_bytes() == first
    assert draw({**candidates, "1": terms(a=5.0, b=0.1)}, tmp_path / "other.png")
    assert (tmp_path / "other.png").read_bytes() != first


def test_a_campaign_of_many_candidates_and_terms_is_wide(tmp_path: Path) -> None:
    many = {str(n): terms(**{f"t{i}": 1.0 + i * n for i in range(20)}) for n in range(30)}
    assert draw(many, tmp_path / "many.png")
    with Image.open(tmp_path / "many.png") as image:
        assert image.size[0] > 1200


def test_nothing_to_draw(tmp_path: Path) -> None:
    assert not draw({"0": {}}, tmp_path / "none.png")
    assert not (tmp_path / "none.png").exists()
