"""What reaches the terminal: results on stdout, everything said about them on stderr."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, TextIO

from resonate_faas_cli._exits import Exit, Failure
from resonate_faas_cli._payloads import plain

if TYPE_CHECKING:
    from rich.console import Console

STYLES: Final[Mapping[str, str]] = {
    "pending": "yellow",
    "acquired": "yellow",
    "suspended": "yellow",
    "resolved": "green",
    "fulfilled": "green",
    "rejected": "red",
    "rejected_canceled": "red",
    "rejected_timedout": "red",
    "halted": "red",
    "ok": "green",
    "failed": "red",
    "skipped": "yellow",
}
"""Colours of states, promises' and tasks', and of verdicts."""


class Output:
    """Where a command writes to.

    Args:
        as_json: documents instead of text; failures too.

    Attributes:
        exit_code: how the process ends, if all that is to be said has been said.
    """

    def __init__(self, *, as_json: bool) -> None:
        self.as_json = as_json
        self.exit_code = Exit.OK
        for stream in (sys.stdout, sys.stderr):
            reconfigure = getattr(stream, "reconfigure", None)
            if reconfigure is not None:
                reconfigure(errors="replace")  # an icon must not fail a command on a terminal without it

    @property
    def is_terminal(self) -> bool:
        """True if people read stdout as it comes."""
        return sys.stdout.isatty()

    def document(self, document: Any) -> None:
        """Write JSON data, indented."""
        is_utf8 = (sys.stdout.encoding or "").lower().replace("-", "") == "utf8"
        text = json.dumps(document, indent=2, ensure_ascii=not is_utf8 or _has_surrogate(document))
        sys.stdout.write(f"{text}\n")

    def value(self, value: Any) -> None:
        """Write a result: a text as it is (escaped only for a terminal), everything else as JSON."""
        if not isinstance(value, str):
            self.document(value)
            return
        text = "\n".join(plain(line) for line in value.split("\n")) if self.is_terminal else value
        sys.stdout.write(f"{text}\n")

    def lines(self, lines: Iterable[str]) -> None:
        """Write lines."""
        sys.stdout.writelines(f"{line}\n" for line in lines)

    def flush(self) -> None:
        """Let readers of a pipe see what was written so far."""
        sys.stdout.flush()

    def table(self, titles: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
        """Write aligned columns; a cell that names a state is coloured on a terminal. No rows: only a note."""
        if not rows:
            self.note("nothing found")
            return
        cells = [[plain(cell) for cell in row] for row in (titles, *rows)]
        widths = [max(len(row[column]) for row in cells) for column in range(len(titles))]
        if not self.is_terminal:
            self.lines(_aligned(row, widths) for row in cells)
            return
        from rich.text import Text  # noqa: PLC0415 - only a terminal needs it

        screen = console()
        for index, row in enumerate(cells):
            text = Text(style="bold" if index == 0 else "")
            for cell, width in zip(row, widths, strict=True):
                text.append(f"{cell:<{width}}", STYLES.get(cell))
                text.append("  ")
            text.rstrip()
            screen.print(text, soft_wrap=True)

    def note(self, text: str) -> None:
        """Say something about the result, on stderr; nothing with ``--json``."""
        if not self.as_json:
            sys.stdout.flush()
            _say(plain(text))

    def failure(self, failure: Failure) -> None:
        """Say why the command ends here, on stderr."""
        sys.stdout.flush()
        if not self.as_json:
            _say(f"Error: {plain(failure.message)}")
            if failure.hint:
                _say(plain(failure.hint))
            return
        error = {"exit": int(failure.exit_code), "reason": failure.exit_code.name.lower()}
        said = {"message": failure.message, "hint": failure.hint, "code": failure.code}
        document = {"error": error | {name: text for name, text in said.items() if text}}
        sys.stderr.write(f"{json.dumps(document)}\n")


def console(stream: TextIO | None = None) -> Console:
    """Return rich's console on stdout, without styles where the user wants none."""
    from rich.console import Console  # noqa: PLC0415 - 0.2 s that plain output does without

    out = stream or sys.stdout
    if os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb":
        return Console(file=out, color_system=None, highlight=False, markup=False, emoji=False)
    return Console(file=out, highlight=False, markup=False, emoji=False)


def _aligned(row: Sequence[str], widths: Sequence[int]) -> str:
    return "  ".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True)).rstrip()


def _has_surrogate(document: Any) -> bool:
    try:
        json.dumps(document, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return True
    return False


def _say(text: str) -> None:
    sys.stderr.write(f"{text}\n")
