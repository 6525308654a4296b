"""Values of the small Java that the generator writes: arithmetic, comparison, and the methods of built-in classes.

int is Python's int kept in 32 bits, double is float, arrays and ArrayLists are lists, a HashMap is a dict; a char is a
`Char`, so that it is added to strings as a letter.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from components.errors import bad_data


class Exhausted(Exception):
    """A run took more steps than it may."""


class Thrown(Exception):
    """The program threw: an index out of range, a null that was called, a division by zero."""


class Char(str):
    """One character."""


class Builder:
    """A StringBuilder."""

    def __init__(self, text: str = "") -> None:
        self.text = text


class Items(list):
    """An ArrayList: equal to another one with equal elements, shown with brackets."""


@dataclass(eq=False)
class Instance:
    """An object of a generated class; equal to itself alone."""

    kind: str
    fields: dict[str, Any]


def arithmetic(sign: str, left: Any, right: Any) -> Any:
    """A binary operator other than comparison; ints wrap at 32 bits, division truncates, strings join.

    Raises:
        Thrown: division by zero.
    """
    if sign == "+" and (isinstance(left, str) or isinstance(right, str)):
        return shown(left) + shown(right)
    whole = isinstance(left, int) and isinstance(right, int)
    if sign in {"/", "%"}:
        if whole and right == 0:
            raise Thrown("/ by zero")
        if not whole:
            return left / right if sign == "/" else left % right
        quotient = abs(left) // abs(right) * (1 if (left < 0) == (right < 0) else -1)
        return wrapped(quotient if sign == "/" else left - quotient * right)
    value = {"+": lambda: left + right, "-": lambda: left - right, "*": lambda: left * right}[sign]()
    return wrapped(value) if whole else value


def wrapped(value: int) -> int:
    """The value in the 32 bits of an int."""
    return (value + 2**31) % 2**32 - 2**31


def compare(sign: str, left: Any, right: Any) -> bool:
    """==, != (identity of objects, values of numbers, chars and booleans) and orders of numbers."""
    if sign in {"==", "!="}:
        plain = isinstance(left, (int, float, Char)) and isinstance(right, (int, float, Char))
        return (left == right if plain else left is right) == (sign == "==")
    return {"<": left < right, "<=": left <= right, ">": left > right, ">=": left >= right}[sign]


def shown(value: Any) -> str:
    """The text of a value as string concatenation gives it."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list):
        return f"[{', '.join(map(shown, value))}]"
    return value.text if isinstance(value, Builder) else str(value)


_STATIC = frozenset({"Math", "Character", "Integer", "String", "Arrays", "new"})


def static_classes() -> frozenset[str]:
    """Names before a dot that `call_static` knows, and `new`."""
    return _STATIC


def call_static(owner: str, name: str, given: list[Any]) -> Any:
    """A static method of the library, or (owner `new`) a new object of one of its classes."""
    found = {
        ("Math", "max"): lambda: max(given),
        ("Math", "min"): lambda: min(given),
        ("Math", "abs"): lambda: abs(given[0]),
        ("Character", "isDigit"): lambda: given[0].isdigit(),
        ("Character", "isLetter"): lambda: given[0].isalpha(),
        ("Character", "isUpperCase"): lambda: given[0].isupper(),
        ("Character", "toUpperCase"): lambda: Char(given[0].upper()),
        ("Character", "toLowerCase"): lambda: Char(given[0].lower()),
        ("Integer", "valueOf"): lambda: given[0],
        ("String", "valueOf"): lambda: shown(given[0]),
        ("Arrays", "asList"): lambda: Items(given),
        ("new", "ArrayList"): lambda: Items(given[0]) if given else Items(),
        ("new", "HashMap"): dict,
        ("new", "LinkedHashMap"): dict,
        ("new", "StringBuilder"): lambda: Builder(*given),
        ("new", "Object"): lambda: Instance("Object", {}),
    }.get((owner, name))
    if found is None:
        raise _unknown(f"{owner}.{name}")
    return found()


def call_builtin(receiver: Any, name: str, given: list[Any]) -> Any:
    """A method of a string, list, map, builder, or of a number or null.

    Raises:
        Thrown: the receiver is null, or an index out of range.
    """
    if receiver is None:
        raise Thrown("a null was called")
    methods = next((table for kind, table in _METHODS if isinstance(receiver, kind)), {})
    if name == "equals":
        return type(receiver) is type(given[0]) and receiver == given[0]
    if name not in methods:
        raise _unknown(f"{type(receiver).__name__}.{name}")
    try:
        return methods[name](receiver, *given)
    except (IndexError, ValueError) as error:
        raise Thrown(str(error)) from error


def _slice(text: str, start: int, end: int | None = None) -> str:
    stop = len(text) if end is None else end
    if not 0 <= start <= stop <= len(text):
        raise IndexError(f"[{start}, {stop}) of {len(text)}")
    return text[start:stop]


def _at(values: Any, index: int) -> Any:
    if not 0 <= index < len(values):
        raise IndexError(f"{index} of {len(values)}")
    return Char(values[index]) if isinstance(values, str) else values[index]


def _take(values: Any, index: int) -> Any:
    value = _at(values, index)
    del values[index]
    return value


def _append(builder: Builder, value: Any) -> Builder:
    builder.text += shown(value)
    return builder


def _reverse(builder: Builder) -> Builder:
    builder.text = builder.text[::-1]
    return builder


def _put(box: dict, key: Any, value: Any) -> Any:
    before = box.get(key)
    box[key] = value
    return before


def _add(values: list, first: Any, *rest: Any) -> bool:
    if rest:
        values.insert(first, rest[0])
    else:
        values.append(first)
    return True


_METHODS: list[tuple[type, dict[str, Any]]] = [
    (
        str,
        {
            "length": len,
            "charAt": _at,
            "substring": _slice,
            "isEmpty": lambda s: not s,
            "toUpperCase": lambda s: s.upper(),
            "toLowerCase": lambda s: s.lower(),
            "indexOf": lambda s, part: s.find(part),
            "contains": lambda s, part: part in s,
            "startsWith": lambda s, part: s.startswith(part),
            "endsWith": lambda s, part: s.endswith(part),
            "trim": lambda s: s.strip(),
        },
    ),
    (
        list,
        {
            "size": len,
            "get": _at,
            "isEmpty": lambda v: not v,
            "add": _add,
            "remove": _take,
            "contains": lambda v, one: one in v,
            "indexOf": lambda v, one: v.index(one) if one in v else -1,
            "clear": lambda v: v.clear(),
            "set": lambda v, i, one: v.__setitem__(i, one),
        },
    ),
    (
        dict,
        {
            "size": len,
            "get": lambda d, key: d.get(key),
            "put": _put,
            "isEmpty": lambda d: not d,
            "containsKey": lambda d, key: key in d,
            "remove": lambda d, key: d.pop(key, None),
            "getOrDefault": lambda d, key, other: d.get(key, other),
            "clear": lambda d: d.clear(),
            "keySet": lambda d: list(d),
            "values": lambda d: list(d.values()),
        },
    ),
    (
        Builder,
        {
            "append": _append,
            "reverse": _reverse,
            "toString": lambda b: b.text,
            "length": lambda b: len(b.text),
        },
    ),
]


def _unknown(name: str) -> Exception:
    return bad_data("generator", "a built-in method must be known", got=name, hint="Mend the template")
