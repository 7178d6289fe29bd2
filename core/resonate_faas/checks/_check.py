"""The check of files: parse, resolve, apply the rules, leave out what is silenced."""

from __future__ import annotations

import io
import re
import sys
import tokenize
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import PurePath
from typing import Final

from resonate_faas.checks import _determinism, _idempotency, _lifetime, _promises
from resonate_faas.checks._catalog import UNREADABLE
from resonate_faas.checks._findings import Finding
from resonate_faas.checks._program import Program
from resonate_faas.checks._resolve import Project
from resonate_faas.checks._scopes import Module, build
from resonate_faas.checks._settings import Settings

_NOQA: Final = re.compile(r"#\s*noqa(?P<codes>\s*:\s*[A-Z]+[0-9]+(?:[,\s]+[A-Z]+[0-9]+)*)?", re.IGNORECASE)
_CODE: Final = re.compile(r"[A-Z]+[0-9]+", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Report:
    """What a check found.

    Attributes:
        findings: sorted by place.
        files: how many were checked.
        workflows: how many functions are workflows; 0 in code that has some is worth a look.
        silenced: findings left out for a noqa comment.
    """

    findings: tuple[Finding, ...]
    files: int
    workflows: int
    silenced: int


def check_sources(sources: Mapping[PurePath, str], settings: Settings | None = None) -> Report:
    """Check files by their text; calls are followed among them.

    Args:
        sources: text by path; imports are found by the paths.
        settings: the defaults, if None.
    """
    settings = settings or Settings()
    modules: list[Module] = []
    found: list[Finding] = []
    for path, text in sources.items():
        try:
            modules.append(build(path, text))
        except (SyntaxError, ValueError, RecursionError) as error:
            found.append(_unreadable(path, error))
    program = Program(Project(modules))
    found += _apply(program, settings)
    kept = [one for one in found if one.code in settings.codes_for(one.path)]
    silence = {path: _silenced_lines(text) for path, text in sources.items()}
    loud = [one for one in kept if not _is_silenced(one, silence[one.path])]
    unique = {(one.path, one.line, one.column, one.code): one for one in sorted(loud)}
    return Report(tuple(unique.values()), len(sources), len(program.workflows), len(kept) - len(loud))


def _apply(program: Program, settings: Settings) -> Iterator[Finding]:
    yield from _determinism.check(program)
    yield from _idempotency.check(program)
    yield from _lifetime.check(program)
    yield from _promises.check(program, settings.max_promises)


def _unreadable(path: PurePath, error: Exception) -> Finding:
    line = getattr(error, "lineno", None) or 1
    column = getattr(error, "offset", None) or 1
    version = f"Python {sys.version_info.major}.{sys.version_info.minor}"
    text = f"this file cannot be parsed as {version} ({getattr(error, 'msg', None) or error}): nothing in it was checked"
    return Finding(path, line, column, UNREADABLE, text, line, column)


def _silenced_lines(text: str) -> dict[int, frozenset[str] | None]:
    """Return the codes that each line silences; None: all of them."""
    found: dict[int, frozenset[str] | None] = {}
    for line, comment in _comments(text):
        match = _NOQA.search(comment)
        if match is not None:
            codes = match["codes"]
            found[line] = None if codes is None else frozenset(one.upper() for one in _CODE.findall(codes))
    return found


def _comments(text: str) -> Iterable[tuple[int, str]]:
    if "noqa" not in text.lower():
        return
    try:
        for token in tokenize.generate_tokens(io.StringIO(text).readline):
            if token.type == tokenize.COMMENT:
                yield token.start[0], token.string
    except (tokenize.TokenError, SyntaxError):
        return


def _is_silenced(finding: Finding, lines: Mapping[int, frozenset[str] | None]) -> bool:
    """A comment counts on the first and on the last line of what is found."""
    for line in {finding.line, finding.end_line}:
        codes = lines.get(line, frozenset())
        if codes is None or finding.code in codes:
            return True
    return False
