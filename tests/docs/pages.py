"""The guides as data: fenced blocks in order, and the hidden checks that follow some of them.

- A ``python`` block runs in its page's namespace. One whose first line is ``# name.py`` is also written as that file.
- ``<!-- test: ... -->`` holds Python that checks what the block before claims; renderers do not show it.
- In a ``console`` block, lines behind ``$`` are commands and the others what they print; ``...`` stands for anything.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from tests.packaging.tree import ROOT

GUIDES = (
    "README.md",
    "docs/first-workflow.md",
    "docs/writing-workflows.md",
    "docs/errors-and-time.md",
    "docs/determinism.md",
    "docs/safe-deploys.md",
    "docs/dev-server.md",
    "docs/http.md",
    "docs/testing.md",
    "docs/configuration.md",
    "docs/interop.md",
)
"""In the order of a reader's day."""

_PART = re.compile(
    r"^```(?P<language>\w*)[^\n]*\n(?P<text>.*?)^```\s*$|^<!-- test:(?P<check>.*?)-->",
    re.MULTILINE | re.DOTALL,
)
_FILE = re.compile(r"# ([\w/]+\.py)\b")


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """A fenced block or a hidden check.

    Attributes:
        language: of the fence; "check" for a hidden check.
        text: what stands in it.
        line: of its first line, in the page.
    """

    language: str
    text: str
    line: int

    @property
    def file(self) -> str | None:
        """The name of the file that the block is, if it says so in its first line."""
        found = _FILE.match(self.text)
        return found[1] if self.language == "python" and found else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """A command of a console block, and what it is said to print ("" if nothing is said)."""

    text: str
    output: str
    line: int


def blocks(page: str) -> list[Block]:
    """Return the blocks and checks of a page, in order."""
    text = (ROOT / page).read_text(encoding="utf-8")
    found = []
    for part in _PART.finditer(text):
        line = text.count("\n", 0, part.start()) + 1
        if part["check"] is not None:
            found.append(Block(language="check", text=_dedent(part["check"]), line=line))
        else:
            found.append(Block(language=part["language"], text=part["text"], line=line + 1))
    return found


def commands(page: str) -> list[Command]:
    """Return the commands of a page's console blocks; one that ends in a backslash goes on in the next line."""
    found: list[Command] = []
    for block in blocks(page):
        if block.language != "console":
            continue
        goes_on = False
        for offset, line in enumerate(block.text.splitlines()):
            if line.startswith("$ "):
                found.append(Command(text=line[2:], output="", line=block.line + offset))
            elif goes_on:
                last = found[-1]
                found[-1] = Command(text=f"{last.text}\n{line}", output="", line=last.line)
            elif found:
                last = found[-1]
                found[-1] = Command(text=last.text, output=f"{last.output}{line}\n", line=last.line)
            goes_on = line.endswith("\\")
    return found


def write_files(page: str, folder: Path) -> list[str]:
    """Write the blocks that are files; return their names."""
    names = []
    for block in blocks(page):
        if block.file is not None:
            path = folder / block.file
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(block.text, encoding="utf-8")
            names.append(block.file)
    return names


def _dedent(text: str) -> str:
    return text.strip() if "\n" not in text.strip() else text
