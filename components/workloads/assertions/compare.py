"""When two assertions are the same, and how alike they are: both sides in one canonical spacing."""

from __future__ import annotations

from difflib import SequenceMatcher

from components.workloads.assertions.java_tokens import canonical, tokens


def same(left: str, right: str) -> bool:
    """Exact match: equal but for layout and comments."""
    return canonical(left) == canonical(right)


def token_similarity(left: str, right: str) -> float:
    """In [0, 1]: 2 M / T over Java tokens, M in matching blocks, T in both (Ratcliff and Obershelp, as difflib)."""
    return SequenceMatcher(None, tokens(left), tokens(right), autojunk=False).ratio()
