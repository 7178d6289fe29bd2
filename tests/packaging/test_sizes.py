"""Files and functions stay small enough to be read at once. There is no list of exceptions."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest
from tests.packaging.tree import name, python_files

FILE_LINES_MAX = 600
FUNCTION_LINES_MAX = 70


@pytest.mark.parametrize("path", python_files(), ids=name)
def test_a_file_has_one_reason_to_exist_and_a_function_fits_a_screen(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    lines = len(text.splitlines())
    assert lines <= FILE_LINES_MAX, f"{name(path)} has {lines} lines; split it by what its parts are for"
    assert too_long(text) == []


def too_long(text: str) -> list[str]:
    """Return the functions that do not fit a screen."""
    return [
        f"{node.name} (line {node.lineno}) has {lines} lines"
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and (lines := (node.end_lineno or node.lineno) - node.lineno + 1) > FUNCTION_LINES_MAX
    ]


def test_the_check_of_functions_can_fail() -> None:
    body = "\n".join(["    pass"] * FUNCTION_LINES_MAX)
    assert too_long(f"def short():\n{body.removesuffix('    pass')}") == []
    assert too_long(f"class Some:\n  async def long(self):\n{body}") == ["long (line 2) has 71 lines"]
