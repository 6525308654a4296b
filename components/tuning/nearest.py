"""The hint that answers a misspelled name."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


def nearest_hint(wanted: str, known: Iterable[str]) -> str:
    """The nearest known name, or all of them."""
    names = sorted(known)
    nearest = difflib.get_close_matches(wanted, names, n=1, cutoff=0.4)
    return f"Did you mean `{nearest[0]}`?" if nearest else f"Known: {', '.join(names)}"
