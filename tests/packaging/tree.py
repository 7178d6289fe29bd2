"""The files of the project, as the tidy tests see them."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
SOURCES = ("core", "adapters", "tests", "samples", "bench")
TEXTS = (*SOURCES, "docs", "terraform", "tools", ".ci")
SUFFIXES = frozenset(
    {".py", ".md", ".toml", ".sh", ".txt", ".json", ".yml", ".yaml", ".cfg", ".html", ".tf", ".hcl", ""}
)
PYPROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
PACKAGES = {
    Path(folder).name: ROOT / folder
    for folder in PYPROJECT["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]
}
"""What is shipped, by import name."""

_FENCE = re.compile(r"^(```+)(.*?)^\1\s*$", re.MULTILINE | re.DOTALL)


def python_files(*folders: str) -> list[Path]:
    """Return every Python file under the folders, sorted."""
    found = [path for folder in folders or SOURCES for path in (ROOT / folder).rglob("*.py")]
    return sorted(path for path in found if not _is_generated(path))


def text_files() -> Iterator[Path]:
    """Yield every file written by people: the root's own, and those of the source and document folders."""
    for path in sorted(ROOT.iterdir()):
        if path.is_file() and path.suffix in SUFFIXES and not path.name.startswith(".git"):
            yield path
    for folder in TEXTS:
        for path in sorted((ROOT / folder).rglob("*")):
            if path.is_file() and path.suffix in SUFFIXES and not _is_generated(path):
                yield path


def name(path: Path) -> str:
    """Return a path as it is written in a message."""
    return path.relative_to(ROOT).as_posix()


def without_code(text: str) -> str:
    """Return Markdown without its fenced blocks, which hold no links."""
    return _FENCE.sub("", text)


def _is_generated(path: Path) -> bool:
    return any(
        part == "__pycache__" or (part.startswith(".") and part != ".ci")
        for part in path.relative_to(ROOT).parts
    )
