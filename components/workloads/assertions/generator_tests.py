"""Writes one unit test of a generated class: what happens before, what is asserted, and the value that makes it true.

Every value an assertion expects is what running the test in `interpreter` gave.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from components.workloads.assertions.generator_names import Family
from components.workloads.assertions.interpreter import Machine
from components.workloads.assertions.interpreter_classes import Class
from components.workloads.assertions.interpreter_values import Exhausted, Instance, Items, Thrown

TYPES = {"int": "int", "word": "String", "double": "double", "boolean": "boolean", "ints": "int[]"}
TYPES |= dict.fromkeys(("short", "kind", "mirror", "phrase", "mark"), "String")
TYPES |= {"rising": "int[]", "words": "List<String>", "object": "Object"}

VARIABLES = {"int": ("n", "number"), "word": ("key", "word"), "ints": ("data", "numbers"), "words": ("list", "names")}
VARIABLES |= {"object": ("token", "item"), "rising": ("data", "numbers"), "mark": ("mark",), "kind": ("kind", "given")}


@dataclass(frozen=True)
class Subject:
    """A class of a project, ready to be tested.

    Attributes:
        name: of the class under test; source: of it and of the classes it needs.
        methods: the family's names of methods -> those of this class.
        sources: Java name of a method -> declaration and body; returns: -> its type.
        words: what tests of it put into strings: constants of its code among them.
    """

    name: str
    source: str
    family: Family
    methods: Mapping[str, str]
    sources: Mapping[str, str]
    returns: Mapping[str, str]
    classes: Mapping[str, Class]
    words: Sequence[str]
    constants: Sequence[str]


@dataclass(frozen=True)
class Style:
    """How a project writes its tests."""

    junit: int
    delta: str
    iterable: bool
    subject: str
    result: str
    expected: str


@dataclass
class Row:
    """What a row of the data needs from a test."""

    test_name: str
    method: str
    prefix: list[str]
    assertion: str


@dataclass
class Writer:
    """The statements of a test so far, run as they are written."""

    subject: Subject
    style: Style
    chance: random.Random
    machine: Machine
    lines: list[str] = field(default_factory=list)
    objects: list[str] = field(default_factory=list)
    used: set[str] = field(default_factory=set)
    pool: list[str] = field(default_factory=list)

    def say(self, statement: str) -> None:
        self.machine.run(statement)
        self.lines.append(statement)

    def fresh(self, *names: str) -> str:
        """A variable name that is not taken."""
        for name in (*names, *(f"{names[0]}{i}" for i in range(2, 99))):
            if name not in self.used:
                self.used.add(name)
                return name
        raise AssertionError("a test has fewer than 99 variables of a name")

    def literal(self, kind: str) -> str:
        """Java text of a random value of a kind of argument."""
        chance = self.chance
        if kind.startswith("int:"):
            _, low, high = kind.split(":")
            return str(chance.randint(int(low), int(high)))
        if kind == "double":
            return str(chance.randint(1, 19) / 2)
        if kind == "boolean":
            return chance.choice(["true", "false"])
        if kind in {"ints", "rising"}:
            values = [chance.randint(0, 9) for _ in range(chance.randint(2, 4))]
            if kind == "rising" and chance.random() < 0.6:
                values = sorted(set(values))
            return f"new int[] {{{', '.join(map(str, values))}}}"
        if kind == "words":
            return f"Arrays.asList({', '.join(self.quoted() for _ in range(chance.randint(2, 3)))})"
        if kind == "object":
            return "new Object()"
        if kind == "kind":
            chosen = chance.choice([*self.subject.constants, *self.pool[:1]])
            return f'"{chosen}"' if chance.random() < 0.6 else f'"{chance.choice(self.pool)}{chosen}"'
        if kind == "short":
            return f'"{chance.choice(self.pool)[:3]}"'
        if kind == "mirror":
            half = chance.choice(self.pool)[:2]
            return f'"{half + half[::-1]}"' if chance.random() < 0.5 else f'"{half + half}"'
        if kind == "phrase":
            return f'"{chance.choice(self.pool)} {chance.choice(self.pool)}"'
        if kind == "mark":
            return chance.choice(['" "', self.quoted()])
        return self.quoted()

    def quoted(self) -> str:
        return f'"{self.chance.choice(self.pool)}"'

    def declared(self, kind: str) -> str:
        """The name of a variable that holds a random value of the kind, declared in the test."""
        if kind == "self":
            if len(self.objects) < 2:
                self.construct("other", "second")
            return self.objects[-1]
        if kind == "object" and self.chance.random() < 0.3 and (held := self._held_objects()):
            return self.chance.choice(held)
        base = kind.split(":")[0]
        name = self.fresh(*VARIABLES.get(base, ("given", "input")))
        self.say(f"{TYPES[base]} {name} = {self.literal(kind)};")
        return name

    def arguments(self, kinds: str, variables: float) -> str:
        """Arguments of a call: variables declared before it with this probability, else literals."""
        given = []
        for kind in filter(None, kinds.split(",")):
            plain = kind not in {"self", "object"} and self.chance.random() >= variables
            given.append(self.literal(kind) if plain else self.declared(kind))
        return ", ".join(given)

    def construct(self, *names: str) -> None:
        name = self.subject.name
        given = self.arguments(self.subject.family.make or "", 0.15)
        variable = self.fresh(*names)
        self.say(f"{name} {variable} = new {name}({given});")
        self.objects.append(variable)

    def owner(self) -> str:
        return self.objects[0] if self.objects else self.subject.name

    def step(self) -> None:
        family = self.subject.family
        method = self.chance.choice(list(family.steps))
        given = self.arguments(family.steps[method], 0.25)
        self.say(f"{self.owner()}.{self.subject.methods[method]}({given});")

    def _held_objects(self) -> list[str]:
        return [name for name, value in self.machine.variables.items() if _is_object(value)]


def write_test(subject: Subject, style: Style, chance: random.Random, number: int) -> list[Row]:
    """One or two rows of one test, or none when the drawn calls throw."""
    writer = Writer(subject, style, chance, Machine(subject.classes))
    writer.pool = chance.sample(list(subject.words), 3)
    writer.used.add(style.expected)
    try:
        return _write(writer, number)
    except (Thrown, Exhausted, RecursionError):
        return []


def _write(writer: Writer, number: int) -> list[Row]:
    chance, family = writer.chance, writer.subject.family
    target = chance.choice(list(family.asks))
    if family.make is not None:
        writer.construct(_variable(writer.subject.name, writer.style.subject), "subject")
    steps = chance.choice((1, 2, 2, 3, 4)) if family.steps else 0
    rows: list[Row] = []
    name = _test_name(writer, target, number)
    for at in range(steps):
        writer.step()
        if at < steps - 1 and chance.random() < 0.3:
            _assert(writer, target if chance.random() < 0.6 else chance.choice(list(family.asks)), name)
    if not steps and chance.random() < 0.5:
        _assert(writer, target if chance.random() < 0.7 else chance.choice(list(family.asks)), name)
    rows.append(_assert(writer, target, name))
    if chance.random() < 0.4:
        if family.steps and chance.random() < 0.5:
            writer.step()
        rows.append(_assert(writer, target if chance.random() < 0.5 else chance.choice(list(family.asks)), name))
    return rows


def _assert(writer: Writer, ask: str, name: str) -> Row:
    """Appends an assertion of what a method returns, true as the test runs."""
    chance, style, subject = writer.chance, writer.style, writer.subject
    method = subject.methods[ask]
    before = _before(writer, ask)
    given = writer.arguments(subject.family.asks[ask], 0.95)
    call = f"{writer.owner()}.{method}({given})"
    value = writer.machine.value(call)
    if isinstance(value, Instance) or not writer.lines or chance.random() < 0.35:
        shown = writer.fresh(style.result, f"{method}Result")
        writer.lines.append(f"{subject.returns[method]} {shown} = {call};")
        writer.machine.variables[shown] = value
    else:
        shown = call
    assertion = _text(writer, value, shown, ask, name, before)
    prefix = list(writer.lines)
    writer.lines.append(assertion)
    return Row(name, method, prefix, assertion)


def _before(writer: Writer, ask: str) -> tuple[str, Any] | None:
    """Now and then the test remembers what a getter says and changes the object, to compare afterwards."""
    family, chance = writer.subject.family, writer.chance
    if not family.steps or family.asks[ask] or ask in family.steps or chance.random() >= 0.15:
        return None
    call = f"{writer.owner()}.{writer.subject.methods[ask]}()"
    value = writer.machine.value(call)
    if isinstance(value, bool) or not isinstance(value, (int, str)):
        return None
    variable = writer.fresh("before", "earlier")
    writer.say(f"{writer.subject.returns[writer.subject.methods[ask]]} {variable} = {call};")
    writer.step()
    return variable, value


def _text(writer: Writer, value: Any, shown: str, ask: str, name: str, before: tuple[str, Any] | None) -> str:
    chance, style = writer.chance, writer.style
    if value is None:
        return f"assertNull({shown});"
    if isinstance(value, bool):
        return f"assert{'True' if value else 'False'}({shown});"
    if isinstance(value, Instance):
        return _of_object(writer, value, shown, ask)
    if before is not None and type(before[1]) is type(value):
        return f"assert{'Equals' if before[1] == value else 'NotEquals'}({before[0]}, {shown});"
    if ask in writer.subject.family.found and name.endswith(("Exists", "Found")):
        return f"assertNotNull({shown});"
    wanted = _literal(value)
    if isinstance(value, (int, str)) and chance.random() < 0.15 and style.expected not in writer.machine.variables:
        writer.lines.insert(
            len(writer.lines) - (shown.isidentifier()), f"{_plain_type(value)} {style.expected} = {wanted};"
        )
        writer.machine.variables[style.expected] = value
        wanted = style.expected
    if isinstance(value, float):
        return f"assertEquals({wanted}, {shown}, {style.delta});"
    if isinstance(value, Items):
        return f"assert{'Iterable' if style.iterable else ''}Equals({wanted}, {shown});"
    return f"assert{'Array' if isinstance(value, list) else ''}Equals({wanted}, {shown});"


def _of_object(writer: Writer, value: Instance, shown: str, ask: str) -> str:
    for name, held in writer.machine.variables.items():
        if held is value and name != shown:
            return f"assertSame({name}, {shown});"
    if value.kind == writer.subject.name:
        return f"assertNotSame({writer.owner()}, {shown});"
    return f"assertInstanceOf({value.kind}.class, {shown});" if value.kind != "Object" else f"assertNotNull({shown});"


def _literal(value: Any) -> str:
    if isinstance(value, str):
        return f'"{value}"'
    if isinstance(value, Items):
        return f"Arrays.asList({', '.join(map(_literal, value))})"
    if isinstance(value, list):
        return f"new int[] {{{', '.join(map(str, value))}}}"
    return str(value)


def _plain_type(value: Any) -> str:
    return "String" if isinstance(value, str) else "int"


def _test_name(writer: Writer, target: str, number: int) -> str:
    chance = writer.chance
    method = writer.subject.methods[target]
    base = f"test{method[0].upper()}{method[1:]}" if writer.style.junit < 5 else method
    ends = ["", "", "", str(number), "Twice", "AfterChange", "Again"]
    if target in writer.subject.family.found:
        ends += ["Exists", "Found", "Missing"]
    return base + chance.choice(ends)


def _variable(name: str, form: str) -> str:
    return {"full": name[0].lower() + name[1:], "short": name[0].lower(), "subject": "subject"}[form]


def _is_object(value: Any) -> bool:
    return isinstance(value, Instance) and value.kind == "Object"
