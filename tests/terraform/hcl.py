"""A terraform module as data: what it declares, and what its expressions refer to.

python-hcl2 gives a literal text in its quotes, any other expression as ``${...}``, and marks what is a block.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, Final

import hcl2

IS_BLOCK: Final = "__is_block__"
MARKS: Final = frozenset({IS_BLOCK, "__comments__", "__inline_comments__"})
"""What python-hcl2 adds to what stands in the file."""

_REFERENCE: Final = re.compile(r"(?<![\w.\]\"])([a-z]\w*)((?:\.[\w*-]+|\[[^\[\]]*\])+)")
_STEP: Final = re.compile(r"\.([\w*-]+)|(\[)")

Body = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Reference:
    """A reference in an expression, such as ``google_x.y[0].name``.

    Attributes:
        root: its first name.
        steps: the names behind it; ``[`` for an index.
        place: where it stands.
    """

    root: str
    steps: tuple[str, ...]
    place: str


@dataclass(slots=True)
class Module:
    """All declarations of a folder.

    Attributes:
        objects: resources by ``type.name``, data sources by ``data.type.name``.
    """

    folder: Path
    variables: dict[str, Body] = field(default_factory=dict)
    locals: dict[str, Any] = field(default_factory=dict)
    outputs: dict[str, Body] = field(default_factory=dict)
    calls: dict[str, Body] = field(default_factory=dict)
    objects: dict[str, Body] = field(default_factory=dict)
    terraform: list[Body] = field(default_factory=list)

    def references(self) -> Iterator[Reference]:
        """Yield every reference of every expression, a variable's references to itself left out."""
        for kind in ("variables", "locals", "outputs", "calls", "objects"):
            for name, body in getattr(self, kind).items():
                for found in references(body, f"{kind.removesuffix('s')} {name}"):
                    if kind != "variables" or (found.root, found.steps[:1]) != ("var", (name,)):
                        yield found


@cache
def module(folder: Path) -> Module:
    """Return the module of a folder; not to be changed: it is parsed once, which takes a quarter of a second."""
    made = Module(folder)
    for path in sorted(folder.glob("*.tf")):
        add(made, path.read_text(encoding="utf-8"))
    return made


def add(made: Module, text: str) -> None:
    """Add the declarations of a file."""
    parsed = hcl2.loads(text)
    for block in parsed.get("locals", ()):
        made.locals |= {name: value for name, value in block.items() if name not in MARKS}
    made.terraform += parsed.get("terraform", ())
    for kind, target in (("variable", made.variables), ("output", made.outputs), ("module", made.calls)):
        for block in parsed.get(kind, ()):
            target |= {unquoted(name): body for name, body in block.items() if name not in MARKS}
    for kind, prefix in (("resource", ""), ("data", "data.")):
        for block in parsed.get(kind, ()):
            for type_, named in block.items():
                if type_ not in MARKS:
                    made.objects |= {
                        f"{prefix}{unquoted(type_)}.{unquoted(name)}": body
                        for name, body in named.items()
                        if name not in MARKS
                    }


def unquoted(text: str) -> str:
    """Return a literal without its quotes."""
    return text[1:-1] if text[:1] == text[-1:] == '"' else text


def is_literal(value: Any) -> bool:
    """True if a text is a literal without interpolations."""
    return isinstance(value, str) and value[:1] == '"' and "${" not in value


def references(value: Any, place: str) -> Iterator[Reference]:
    """Yield the references of a value, at any depth."""
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield from references(key, place)
            yield from references(inner, f"{place}.{unquoted(key)}")
    elif isinstance(value, list):
        for inner in value:
            yield from references(inner, place)
    elif isinstance(value, str):
        for code in expressions(value):
            for found in _REFERENCE.finditer(code):
                steps = tuple(step[1] or "[" for step in _STEP.finditer(found[2]))
                yield Reference(found[1], steps, place)


def expressions(value: str) -> list[str]:
    """Return the code of a value; texts within it are left empty, their interpolations are code of their own."""
    codes: list[str] = []
    _scan(value if value[:1] == '"' else f'"{value}"', 0, codes)
    return codes


def _scan(text: str, at: int, codes: list[str]) -> int:
    """Read code from a place up to the brace that ends it; return the place behind."""
    code: list[str] = []
    depth = 0
    while at < len(text):
        sign = text[at]
        if sign == '"':
            at = _scan_text(text, at + 1, codes)
            code.append('""')
            continue
        depth += (sign == "{") - (sign == "}")
        at += 1
        if depth < 0:
            break
        code.append(sign)
    codes.append("".join(code))
    return at


def _scan_text(text: str, at: int, codes: list[str]) -> int:
    """Read a text from behind its first quote; return the place behind its last."""
    while at < len(text) and text[at] != '"':
        if text.startswith("${", at):
            at = _scan(text, at + 2, codes)
        else:
            at += 2 if text[at] == "\\" else 1
    return at + 1
