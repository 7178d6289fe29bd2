"""Every console block of the guides: its commands run against a real dev server, and print what the page says."""

from __future__ import annotations

import re
import shutil
import time
from pathlib import Path

import pytest
from tests.docs.pages import GUIDES, Command, commands, write_files
from tests.docs.terminal import Terminal, matches
from tests.packaging.tree import ROOT

QUICKER = {"README.md": {"countdown 5 60": "countdown 3 0.2"}}
"""What a page's reader waits minutes for, and a test does not."""

SET_UP = re.compile(r"make [a-z-]+|python3? -m venv |\S*pip install |source |git |python samples/")
"""Run by others: make by CI, samples by their own tests; set-up is what the tests themselves run in."""

LOOKS = re.compile(r"resonate-faas (tree|get|explain|drain-report|replay|\w+ list) |curl -s 'http")
"""Only looks: a reader who is too quick for the server looks again."""

PATIENCE_S = 20.0

SHARED_FILES = {"docs/errors-and-time.md": "samples/countdown/workflows.py"}


def paths() -> list[str]:
    return [page for page in GUIDES if commands(page)]


@pytest.mark.slow
@pytest.mark.parametrize("page", paths())
def test_commands_do_what_the_page_says(page: str, tmp_path: Path) -> None:
    write_files(page, tmp_path)
    if page in SHARED_FILES:
        shutil.copy(ROOT / SHARED_FILES[page], tmp_path / "workflows.py")
    with Terminal(tmp_path) as terminal:
        for command in commands(page):
            if SET_UP.match(command.text):
                check_set_up(command)
                continue
            text = command.text
            for slow, quick in QUICKER.get(page, {}).items():
                text = text.replace(slow, quick)
            printed = terminal.run(text)
            deadline = time.monotonic() + PATIENCE_S
            while LOOKS.match(text) and not matches(command.output or "...", printed):
                assert time.monotonic() < deadline, f"{page}:{command.line}: {command.text} shows {printed}"
                printed = terminal.run(text)
            assert not command.output or matches(command.output, printed), (
                f"{page}:{command.line}: {command.text}\nprinted:\n{printed}\nbut the page says:\n{command.output}"
            )


def check_set_up(command: Command) -> None:
    """Check what can be known of a command without running it: its target, extras and files exist."""
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for target in re.findall(r"^make ([a-z-]+)", command.text):
        assert f"\n{target}:" in makefile, command.text
    project = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    for extras in re.findall(r"\[([a-z,]+)\]", command.text):
        for extra in extras.split(","):
            assert f"\n{extra} = [" in project, command.text
    for path in re.findall(r"samples/\S+\.py", command.text):
        assert (ROOT / path).is_file(), command.text


def test_dots_stand_for_anything_and_nothing_else_does() -> None:
    assert matches("a\n...\nz\n", "a\nb\nc\nz")
    assert matches("...\nz\n...", "z")
    assert matches("id: ...", "id: 1 ")
    assert not matches("a\nz", "a\nb\nz")
    assert not matches("a.c", "abc")
