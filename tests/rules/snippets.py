"""The corpus: snippets of code, each with what the linter should say about it, written at the lines.

In a comment, ``expect: RF101`` is a finding, ``miss: RF101`` one that the linter should have but has not (known), and
``false: RF101`` one that it has but should not (known). A snippet is headed ``### name: what``; further files of it are
headed ``--- path``. The first file is workflows.py, and begins with ``PRELUDE``.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import TypeAlias

FOLDER = Path(__file__).with_name("corpus")
PRELUDE = "from resonate_faas import Context, Resonate, StepContext\nresonate = Resonate()\n"
_MARK = re.compile(r"# (?P<kind>expect|miss|false): (?P<codes>RF\d{3}(?:, RF\d{3})*)")

Place: TypeAlias = tuple[str, int, str]
"""File, line and code."""


@dataclass(frozen=True)
class Snippet:
    """A program of one or several files, with the places of its marks."""

    name: str
    sources: dict[PurePath, str]
    expected: frozenset[Place]
    missed: frozenset[Place]
    false: frozenset[Place]

    @property
    def is_clean(self) -> bool:
        return not self.expected and not self.missed


def load() -> list[Snippet]:
    """Return every snippet."""
    return [
        _snippet(f"{path.stem}:{part}")
        for path in sorted(FOLDER.glob("*.txt"))
        for part in re.split(r"^### ", path.read_text(encoding="utf-8"), flags=re.MULTILINE)[1:]
    ]


def _snippet(part: str) -> Snippet:
    heading, _, text = part.partition("\n")
    first, *rest = re.split(r"^--- ", text, flags=re.MULTILINE)
    files = {PurePath("workflows.py"): PRELUDE + first} if first.strip() else {}
    for one in rest:
        path, _, body = one.partition("\n")
        files[PurePath(path.strip())] = body
    marks: dict[str, set[Place]] = {"expect": set(), "miss": set(), "false": set()}
    for place, body in files.items():
        for number, line in enumerate(body.splitlines(), 1):
            for mark in _MARK.finditer(line):
                marks[mark["kind"]] |= {(str(place), number, code) for code in mark["codes"].split(", ")}
    return Snippet(
        heading.rpartition(":")[0] if heading.count(":") > 1 else heading.partition(": ")[0],
        files,
        frozenset(marks["expect"]),
        frozenset(marks["miss"]),
        frozenset(marks["false"]),
    )
