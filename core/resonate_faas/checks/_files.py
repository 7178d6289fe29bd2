"""Files: found below the paths given, read, checked together."""

from __future__ import annotations

import io
import tokenize
from collections.abc import Iterable, Iterator
from pathlib import Path, PurePath

from resonate_faas.checks._check import Report, check_sources
from resonate_faas.checks._settings import Settings, SettingsError


def check_paths(paths: Iterable[Path], settings: Settings | None = None) -> Report:
    """Check files, and folders with all Python files in them, as one program.

    Args:
        paths: files and folders.
        settings: the defaults, if None.

    Raises:
        SettingsError: a path does not exist.
    """
    settings = settings or Settings()
    sources: dict[PurePath, str] = {}
    for path in paths:
        if not path.exists():
            raise SettingsError(f"there is no file or folder {path}")
        for file in _python_files(path, settings):
            sources.setdefault(file, _text(file))
    return check_sources(sources, settings)


def _python_files(path: Path, settings: Settings) -> Iterator[Path]:
    """A file that is named is read whatever its ending; patterns that exclude hold for it all the same."""
    if settings.is_excluded(path):
        return
    if path.is_file():
        yield path
        return
    for one in sorted(path.iterdir()):
        if settings.is_excluded(one) or one.is_symlink():
            continue
        if one.is_dir():
            yield from _python_files(one, settings)
        elif one.suffix in {".py", ".pyw"}:
            yield one


def _text(path: Path) -> str:
    """Return a file's text by the encoding it declares; what cannot be decoded is left to fail in the parser."""
    raw = path.read_bytes()
    try:
        encoding, _ = tokenize.detect_encoding(io.BytesIO(raw).readline)
        return raw.decode(encoding)
    except (SyntaxError, UnicodeDecodeError, LookupError):
        return "\0"
