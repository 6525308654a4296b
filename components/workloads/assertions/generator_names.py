"""What a family of classes under test is: a template whose names and constants every project chooses anew.

`$name` is replaced by one of NAMES, `$k...` by a number of the range the family gives, `$w...` by a word of the
project. `make`, `steps` and `asks` say with which kinds of arguments a test calls what; see `generator_tests`.
"""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Family:
    """One kind of class.

    Attributes:
        java: source of the class under test, first, and of those it needs.
        make: kinds of the constructor's arguments; None: all methods are static.
        steps: method -> kinds of arguments: what changes the object.
        asks: method -> kinds of arguments: what is asserted of.
        numbers: constant -> lowest and highest value.
        found: methods that return null for what is not there.
    """

    java: str
    make: str | None
    steps: dict[str, str]
    asks: dict[str, str]
    numbers: dict[str, tuple[int, int]] = field(default_factory=dict)
    found: frozenset[str] = frozenset()


NAMES: dict[str, tuple[str, ...]] = {
    "Stack": ("Stack", "Pile", "History", "Trail", "UndoLog"),
    "Queue": ("Queue", "WaitingLine", "Inbox", "Backlog", "JobBuffer"),
    "Counter": ("Counter", "Tally", "Meter", "HitCount", "Score"),
    "Scale": ("Scale", "Pricing", "Formula", "Estimate", "Tariff"),
    "Grade": ("Grade", "Level", "Severity", "Ranking", "Tier"),
    "Text": ("TextTools", "Strings", "Wording", "Labels", "Phrases"),
    "Account": ("Account", "Wallet", "Budget", "Purse", "Quota"),
    "Range": ("Range", "Interval", "Span", "Window", "Bounds"),
    "Registry": ("Registry", "Catalog", "Inventory", "Directory", "Ledger"),
    "Numbers": ("Numbers", "IntArrays", "Series", "Vectors", "Samples"),
    "Lists": ("Lists", "Selections", "Filters", "Sequences", "Rows"),
    "Stats": ("Stats", "Average", "Gauge", "Readings", "Summary"),
    "Holder": ("Holder", "Box", "Slot", "Reference", "Cell"),
    "Factory": ("Factory", "Shapes", "Parser", "Loader", "Creator"),
    "Card": ("Card", "Badge", "Ticket", "Tag", "Version"),
    "Switch": ("Relay", "Toggle", "Lamp", "Gate", "Flag"),
    "push": ("push", "add", "record", "append", "enter"),
    "pop": ("pop", "undo", "removeLast", "takeBack", "drop"),
    "peek": ("peek", "latest", "getLast", "top", "current"),
    "size": ("size", "length", "count", "getSize", "total"),
    "isEmpty": ("isEmpty", "hasNone", "isBlank", "isClear", "empty"),
    "contains": ("contains", "has", "includes", "holds", "knows"),
    "offer": ("offer", "enqueue", "accept", "submit", "schedule"),
    "poll": ("poll", "dequeue", "next", "takeFirst", "serve"),
    "isFull": ("isFull", "atCapacity", "isCrowded", "isClosed", "full"),
    "up": ("increment", "hit", "raise", "up", "advance"),
    "down": ("decrement", "miss", "lower", "down", "retreat"),
    "reset": ("reset", "clear", "restart", "zero", "begin"),
    "value": ("getValue", "value", "read", "points", "amount"),
    "reached": ("reached", "isAtLeast", "hasReached", "exceeds", "isOver"),
    "items": ("items", "entries", "values", "elements", "stored"),
    "apply": ("apply", "compute", "scale", "convert", "evaluate"),
    "find": ("find", "lookup", "get", "search", "resolve"),
    "put": ("put", "register", "store", "insert", "assign"),
    "remove": ("remove", "delete", "discard", "unregister", "withdraw"),
    "label": ("label", "describe", "name", "classify", "title"),
    "create": ("create", "make", "parse", "load", "build"),
    "copy": ("copy", "duplicate", "cloned", "snapshot", "replica"),
    "sum": ("sum", "total", "addAll", "combined", "overall"),
    "limit": ("limit", "bound", "threshold", "maximum", "level"),
    "text": ("text", "s", "input", "word", "value"),
    "x": ("x", "n", "number", "amount", "i"),
}
