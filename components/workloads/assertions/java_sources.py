"""Folders of Java sources: which files there are, which project each belongs to, and the methods of every class."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from tree_sitter import Node, Tree

from components.errors import missing
from components.workloads.assertions.java_syntax import parser

FILE_BYTES = 4 * 1024 * 1024
CLASSES = frozenset(["class_declaration", "interface_declaration", "enum_declaration", "record_declaration"])
METHODS = frozenset(["method_declaration"])
LICENCES = (
    ("Apache License", "Apache-2.0"),
    ("Mulan PSL v2", "MulanPSL-2.0"),
    ("木兰宽松许可证", "MulanPSL-2.0"),
    ("MIT License", "MIT"),
    ("Eclipse Public License - v 2", "EPL-2.0"),
)


@dataclass(frozen=True)
class Method:
    """A declared method with a body: where it stands and what it takes.

    Attributes:
        types: of its parameters, without type arguments and packages.
        varargs: whether the last one takes any number.
        start, end: bytes of its declaration and body in the file.
    """

    name: str
    types: tuple[str, ...]
    varargs: bool
    start: int
    end: int

    def takes(self, count: int) -> bool:
        """Whether it can be called with so many arguments."""
        return count >= len(self.types) - 1 if self.varargs else count == len(self.types)


@dataclass(frozen=True)
class Declared:
    """A class of a project, by its simple name."""

    name: str
    path: str
    methods: dict[str, tuple[Method, ...]]


@dataclass
class Project:
    """A folder of Java sources.

    Attributes:
        name: of the folder; licence: as its LICENSE file says, "" where that is unknown.
        files: relative names of its Java files, sorted.
        classes: simple name -> classes outside of tests, by path.
        skipped: why files were left out, and how many.
    """

    name: str
    folder: Path
    licence: str
    files: tuple[str, ...]
    classes: dict[str, list[Declared]] = field(default_factory=dict)
    skipped: Counter[str] = field(default_factory=Counter)

    def bytes_of(self, path: str) -> bytes:
        """The contents of one of its files.

        Raises:
            EquipoiseError: E_MISSING (66) when it cannot be read.
        """
        try:
            return (self.folder / path).read_bytes()
        except OSError as error:
            got = error.strerror or str(error)
            hint = "Grant read permission, or remove the file"
            raise missing(str(self.folder / path), "must be a readable file", got=got, hint=hint) from error


def has_sources(source: Path) -> bool:
    """Whether `source` is a folder with a Java file somewhere below a sub-folder."""
    return source.is_dir() and any(_java_files(folder) for folder in _folders(source))


def projects(source: Path) -> Iterator[Project]:
    """The projects below a folder, one a sub-folder, by name; those without Java files are left out.

    Raises:
        EquipoiseError: E_MISSING (66) without any.
    """
    found = False
    for folder in _folders(source):
        if files := _java_files(folder):
            found = True
            yield Project(folder.name, folder, _licence(folder), tuple(files))
    if not found:
        raise missing(
            str(source),
            "must be a folder of projects with Java files, one a sub-folder",
            got="nothing there" if not source.exists() else "no Java file",
            hint="Put each project into a folder of its own and name the folder above them",
        )


def is_test_file(path: str) -> bool:
    """Whether a file lies among tests by its folders, as Maven, Gradle and Ant lay them out."""
    parts = path.lower().split("/")[:-1]
    return any(part in {"test", "tests"} or part.endswith(("-test", "-tests")) for part in parts)


def parsed(project: Project, path: str) -> tuple[bytes, Tree] | None:
    """The file's bytes and syntax tree, or None (counted in `skipped`) when it is not Java text that parses."""
    if (project.folder / path).stat().st_size > FILE_BYTES:
        project.skipped["files that are too large"] += 1
        return None
    raw = project.bytes_of(path)
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError:
        project.skipped["files that are not UTF-8"] += 1
        return None
    if "\0" in text:
        project.skipped["files that are not text"] += 1
        return None
    raw = text.removeprefix("\ufeff").encode()
    tree = parser().parse(raw)
    if tree.root_node.has_error:
        project.skipped["files that do not parse"] += 1
        return None
    return raw, tree


def read_classes(project: Project) -> None:
    """Fills `classes` from the files outside of tests."""
    for path in project.files:
        if is_test_file(path):
            continue
        found = parsed(project, path)
        if found is None:
            continue
        for node in class_nodes(found[1].root_node):
            one = _declared(node, path)
            if one.methods:
                project.classes.setdefault(one.name, []).append(one)


def class_nodes(root: Node) -> Iterator[Node]:
    """All declarations of classes, interfaces, enums and records that are members of a file or of each other."""
    waiting = [root]
    while waiting:
        node = waiting.pop()
        for member in reversed(members(node)):
            if member.type in CLASSES:
                waiting.append(member)
        if node.type in CLASSES:
            yield node


def members(node: Node) -> list[Node]:
    """What is declared in a file or in the body of a class."""
    body = node.child_by_field_name("body") if node.type in CLASSES else node
    if body is None:
        return []
    found = []
    for child in body.named_children:
        found += child.named_children if child.type == "enum_body_declarations" else [child]
    return found


def text_of(node: Node | None) -> str:
    """The source text of a node; "" for none."""
    return "" if node is None or node.text is None else node.text.decode("utf-8", "replace")


def simple_type(text: str) -> str:
    """The name of a type without type arguments, packages and annotations: `java.util.Map<K, V>[]` -> `Map[]`."""
    depth, kept = 0, []
    for character in text:
        depth += (character == "<") - (character == ">")
        if depth == 0 and character not in "<> \n\t":
            kept.append(character)
    return "".join(kept).rsplit(".", 1)[-1]


def _declared(node: Node, path: str) -> Declared:
    methods: dict[str, list[Method]] = {}
    for member in members(node):
        if member.type in METHODS and member.child_by_field_name("body") is not None:
            method = _method(member)
            methods.setdefault(method.name, []).append(method)
    return Declared(text_of(node.child_by_field_name("name")), path, {k: tuple(v) for k, v in methods.items()})


def _method(node: Node) -> Method:
    types, varargs = [], False
    parameters = node.child_by_field_name("parameters")
    for one in parameters.named_children if parameters else ():
        if one.type == "formal_parameter":
            kind = text_of(one.child_by_field_name("type")) + text_of(one.child_by_field_name("dimensions"))
            types.append(simple_type(kind))
        elif one.type == "spread_parameter":
            kind = next((child for child in one.named_children if child.type != "modifiers"), None)
            types.append(simple_type(text_of(kind)))
            varargs = True
    return Method(text_of(node.child_by_field_name("name")), tuple(types), varargs, node.start_byte, node.end_byte)


def _folders(source: Path) -> list[Path]:
    if not source.is_dir():
        return []
    return sorted(path for path in source.iterdir() if path.is_dir() and not path.is_symlink() and path.name[0] != ".")


def _java_files(folder: Path) -> list[str]:
    """Relative names; links and hidden folders are not followed."""
    found = []
    for place, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if name[0] != ".")
        for name in names:
            path = Path(place, name)
            if name.endswith(".java") and not path.is_symlink():
                found.append(path.relative_to(folder).as_posix())
    return sorted(found)


def _licence(folder: Path) -> str:
    for path in sorted(folder.glob("LICEN[CS]E*")):
        if path.is_file():
            text = path.read_bytes()[:4000].decode("utf-8", "replace")
            return next((name for mark, name in LICENCES if mark in text), "")
    return ""
