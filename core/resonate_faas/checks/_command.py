"""The command, free of any framework: options in, text and an exit status out."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from resonate_faas.checks._files import check_paths
from resonate_faas.checks._output import FORMATS, render
from resonate_faas.checks._settings import SettingsError, load

CLEAN: Final = 0
FOUND: Final = 1
USAGE: Final = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What the command was asked; None: as the settings have it.

    Attributes:
        paths: files and folders.
        format: a name in ``FORMATS``.
        select: codes or their beginnings.
        ignore: codes or their beginnings, beside those of the settings.
        max_promises: records of one root.
        config: the file with the settings.
        output: the file to write to; standard output, if None.
    """

    paths: tuple[Path, ...]
    format: str = "text"
    select: tuple[str, ...] | None = None
    ignore: tuple[str, ...] = ()
    max_promises: int | None = None
    config: Path | None = None
    output: Path | None = None


def run(options: Options) -> int:
    """Check, write, and return the exit status: 0 clean, 1 findings, 2 wrong usage."""
    if options.format not in FORMATS:
        return _refuse(f"unknown format {options.format!r}; there are {', '.join(FORMATS)}")
    try:
        first = options.paths[0] if options.paths else Path()
        settings = load(first, options.config)
        settings = replace(settings, ignore=(*settings.ignore, *options.ignore))
        if options.select is not None:
            settings = replace(settings, select=options.select)
        if options.max_promises is not None:
            settings = replace(settings, max_promises=options.max_promises)
        report = check_paths(options.paths or (Path(),), settings)
        text = render(report, options.format)
        if options.output is None:
            sys.stdout.write(text)
        else:
            options.output.write_text(text, encoding="utf-8")
    except (SettingsError, OSError) as error:
        return _refuse(str(error))
    return FOUND if report.findings else CLEAN


def _refuse(text: str) -> int:
    sys.stderr.write(f"resonate-faas check: {text}\n")
    return USAGE


def codes(text: str) -> tuple[str, ...]:
    """Return codes as they are given to an option: separated by commas."""
    return tuple(one.strip().upper() for one in text.split(",") if one.strip())


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command with arguments as a shell gives them, and return the exit status."""
    parser = argparse.ArgumentParser(
        prog="resonate-faas check", description="Check workflows and steps against the four rules."
    )
    parser.add_argument(
        "paths", nargs="*", type=Path, metavar="PATH", help="files and folders; the current folder"
    )
    parser.add_argument("--format", choices=list(FORMATS), default="text", help="of the output")
    parser.add_argument("--select", type=codes, metavar="CODES", help="only these: RF101,RF4")
    parser.add_argument("--ignore", type=codes, default=(), metavar="CODES", help="all but these")
    parser.add_argument("--max-promises", type=int, metavar="N", help="limit of one root")
    parser.add_argument(
        "--config", type=Path, metavar="FILE", help="settings, in place of the nearest pyproject.toml"
    )
    parser.add_argument("--output", type=Path, metavar="FILE", help="write there")
    given = parser.parse_args(arguments)
    return run(Options(**{**vars(given), "paths": tuple(given.paths)}))
