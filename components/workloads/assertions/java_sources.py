"""Java sources as folders or archives, one a project: which files there are, and the methods of every class."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from tree_sitter import Node, Tree

from components.data.archives import is_archive, members
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
    """The Java sources of one project, a folder or an archive.

    Attributes:
        name: of the folder or archive; place: where it lies.
        licence: as its LICENSE file says, "" where that is unknown.
        files: relative names of its Java files, sorted.
        contents: of the files, when they came from an archive; None: they are read from the folder.
        classes: simple name -> classes outside of tests, by path.
        skipped: why files were left out, and how many.
    """

    name: str
    place: Path
    licence: str
    files: tuple[str, ...]
    contents: dict[str, bytes] | None = None
    classes: dict[str, list[Declared]] = field(default_factory=dict)
    skipped: Counter[str] = field(default_factory=Counter)

    def bytes_of(self, path: str) -> bytes:
        """The contents of one of its files, of one that is too large no more than shows that.

        Raises:
            EquipoiseError: E_MISSING (66) when it cannot be read.
        """
        if self.contents is not None:
            return self.contents[path]
        try:
            with (self.place / path).open("rb") as handle:
                return handle.read(FILE_BYTES + 1)
        except OSError as error:
            got = error.strerror or str(error)
            hint = "Grant read permission, or remove the file"
            raise missing(str(self.place / path), "must be a readable file", got=got, hint=hint) from error


def has_sources(source: Path) -> bool:
    """Whether `source` is a folder with an archive, or with a Java file somewhere below a sub-folder."""
    return any(is_archive(place) or _java_files(place) for place in _places(source))


def projects(source: Path) -> Iterator[Project]:
    """The projects below a folder, one a sub-folder or archive, by name; those without Java files are left out.

    Raises:
        EquipoiseError: E_MISSING (66) without any, E_ARCHIVE (65) for a damaged or hostile archive.
    """
    found = False
    for place in _places(source):
        project = _unpacked(place) if is_archive(place) else _opened(place)
        if project.files:
            found = True
            yield project
    if not found:
        raise missing(
            str(source),
            "must be a folder of projects with Java files, one a sub-folder or archive",
            got="nothing there" if not source.exists() else "no Java file",
            hint="Put each project into a folder of its own and name the folder above them",
        )


def is_test_file(path: str) -> bool:
    """Whether a file lies among tests by its folders, as Maven, Gradle and Ant lay them out."""
    parts = path.lower().split("/")[:-1]
    return any(part in {"test", "tests"} or part.endswith(("-test", "-tests")) for part in parts)


def parsed(project: Project, path: str) -> tuple[bytes, Tree] | None:
    """The file's bytes and syntax tree, or None (counted in `skipped`) when it is not Java text that parses."""
    raw = project.bytes_of(path)
    if len(raw) > FILE_BYTES:
        project.skipped["files that are too large"] += 1
        return None
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
        for member in reversed(declarations(node)):
            if member.type in CLASSES:
                waiting.append(member)
        if node.type in CLASSES:
            yield node


def declarations(node: Node) -> list[Node]:
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
    for member in declarations(node):
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


def _places(source: Path) -> list[Path]:
    """Sub-folders and archives by name of project; links and hidden ones are not looked into."""
    if not source.is_dir():
        return []
    found = [path for path in source.iterdir() if not path.is_symlink() and path.name[0] != "."]
    return sorted((path for path in found if path.is_dir() or (path.is_file() and is_archive(path))), key=_project_name)


def _project_name(place: Path) -> str:
    name = place.name
    for ending in (".tar.gz", ".tgz", ".tar", ".zip"):
        if is_archive(place) and name.lower().endswith(ending):
            return name[: -len(ending)]
    return name


def _opened(folder: Path) -> Project:
    return Project(_project_name(folder), folder, _licence(_licence_texts(folder)), tuple(_java_files(folder)))


def _unpacked(archive: Path) -> Project:
    """Everything in one folder of the archive, as such archives have it, or without one."""
    read = dict(members(archive, lambda name: name.endswith(".java") or bool(_LICENCE_FILE.search(name))))
    top = os.path.commonpath(list(read)) if len(read) > 1 else ""
    cut = len(top.split("/", 1)[0]) + 1 if top else 0
    contents = {name[cut:]: raw[: FILE_BYTES + 1] for name, raw in read.items() if name.endswith(".java")}
    texts = [raw for name, raw in sorted(read.items()) if not name.endswith(".java")]
    return Project(_project_name(archive), archive, _licence(texts), tuple(sorted(contents)), contents)


def _java_files(folder: Path) -> list[str]:
    """Relative names; links and hidden folders are not followed."""
    found = []
    for place, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if name[0] != ".")
        for name in names:
            path = Path(place, name)
            if name.endswith(".java") and path.is_file() and not path.is_symlink():
                found.append(path.relative_to(folder).as_posix())
    return sorted(found)


_LICENCE_FILE = re.compile(r"^([^/]+/)?LICEN[CS]E[^/]*$")


def _licence_texts(folder: Path) -> list[bytes]:
    return [path.read_bytes()[:4000] for path in sorted(folder.glob("LICEN[CS]E*")) if path.is_file()]


def _licence(texts: list[bytes]) -> str:
    for raw in texts:
        text = raw[:4000].decode("utf-8", "replace")
        return next((name for mark, name in LICENCES if mark in text), "")
    return ""
