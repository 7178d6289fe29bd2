"""Whose line it was: the stack between the interpreter's event and the driver of workflows, read outwards."""

from __future__ import annotations

import linecache
import os
from collections.abc import Mapping
from types import FrameType
from typing import Any, Final

_OURS: Final = __name__.partition(".")[0]
_DRIVER: Final = f"{_OURS}._engine.frames"
_STANDARD: Final = os.path.dirname(os.__file__)  # noqa: PTH120 - a cold start need not import pathlib for it
_MACHINERY: Final = frozenset(
    {
        _OURS,
        *("importlib", "_frozen_importlib", "_frozen_importlib_external", "zipimport", "pkgutil", "runpy"),
        *("zoneinfo", "dateutil", "encodings", "locale", "gettext"),
        *("logging", "warnings", "linecache", "traceback", "tokenize", "inspect", "faulthandler"),
        *("pytest", "_pytest", "pluggy", "pdb", "bdb", "coverage", "debugpy", "_pydevd_bundle", "pydevd"),
    }
)
"""What imports, logs, reports and debugs, and reads tables that come with Python: it changes no replay."""

_MAPPINGS: Final = frozenset({"os", "collections.abc"})
"""Where os.getenv and os.environ.get are written."""


def home(names: Mapping[str, Any], file: str) -> str:
    """Return what belongs together: the top-level package of a module, else the folder of its file.

    Args:
        names: the module's globals.
        file: where its code stands.
    """
    package = str(names.get("__package__") or "").partition(".")[0]
    return package or os.path.dirname(file)  # noqa: PTH120 - as above


def is_library(file: str) -> bool:
    """True for code of Python itself and of what is installed."""
    return file.startswith((_STANDARD, "<")) or "site-packages" in file or "dist-packages" in file


def is_table(path: object) -> bool:
    """True for a time zone's file: ZoneInfo opens it from C, where no frame of its own shows."""
    return isinstance(path, str) and "zoneinfo" in path


def environment_reader(frame: FrameType | None) -> FrameType | None:
    """Return the frame that reads os.environ, by os.getenv too; None: a library does, of its own accord.

    Args:
        frame: of the reading itself.
    """
    while frame is not None and frame.f_globals.get("__name__") in _MAPPINGS:
        frame = frame.f_back
    return None if frame is None or is_library(frame.f_code.co_filename) else frame


def culprit(frame: FrameType | None) -> FrameType | None:
    """Return the user's frame that did something, the innermost one of the workflow's own code.

    None: machinery did it, or no workflow is being run further out.
    """
    users: list[FrameType] = []
    while frame is not None:
        module = str(frame.f_globals.get("__name__", ""))
        if module == _DRIVER:
            return _own(users)
        if module.partition(".")[0] in _MACHINERY:
            return None
        if not is_library(frame.f_code.co_filename):
            users.append(frame)
        frame = frame.f_back
    return None


def _own(users: list[FrameType]) -> FrameType | None:
    """Libraries may stand next to the user's code, as in a function's package: the workflow tells whose is whose."""
    if not users:
        return None
    own = home_of(users[-1])
    return next(frame for frame in users if home_of(frame) == own)


def home_of(frame: FrameType) -> str:
    """Return the home of a frame's code."""
    return home(frame.f_globals, frame.f_code.co_filename)


def line_of(frame: FrameType) -> str:
    """Return "file:line" of where the frame is."""
    return f"{frame.f_code.co_filename}:{frame.f_lineno}"


def source_of(line: str) -> str:
    """Return the source text of "file:line"; "" if it can't be read."""
    file, _, number = line.rpartition(":")
    return linecache.getline(file, int(number)).strip() if number.isdecimal() else ""
