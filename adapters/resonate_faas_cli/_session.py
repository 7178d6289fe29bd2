"""What every command that asks a server shares: its options, and the frame it runs in."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Annotated, Final, TypeVar

import typer

from resonate_faas_cli._api import Api
from resonate_faas_cli._exits import BROKEN_PIPE, EXITS_HELP, INTERRUPTED, Exit, Failure
from resonate_faas_cli._output import Output
from resonate_faas_cli._values import parse_duration

T = TypeVar("T")

DEFAULT_HOST: Final = "127.0.0.1"
DEFAULT_PORT: Final = 8001
DEFAULT_URL: Final = f"http://{DEFAULT_HOST}:{DEFAULT_PORT}"

Url = Annotated[str, typer.Option("--url", envvar="RESONATE_FAAS_URL", help="The server.", metavar="URL")]
Token = Annotated[
    str | None,
    typer.Option(
        "--token",
        envvar="RESONATE_FAAS_TOKEN",
        help="Bearer token for it.",
        metavar="TOKEN",
        show_envvar=True,
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Write JSON, failures too (on stderr).")]


def milliseconds(text: str) -> int:
    """Return a duration option in milliseconds.

    Raises:
        typer.BadParameter: it is none.
    """
    return usage(lambda: parse_duration(text))


def usage(parse: Callable[[], T]) -> T:
    """Return what ``parse`` returns; its ValueError is the user's: exit code 2, with its text.

    Raises:
        typer.BadParameter: the text could not be understood.
    """
    try:
        return parse()
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error


@dataclass(frozen=True, slots=True)
class Session:
    """A server to ask and a terminal to write to."""

    api: Api
    out: Output


@contextmanager
def session(url: str, token: str | None, *, as_json: bool) -> Iterator[Session]:
    """Give a command its server and its terminal; end the process as its failure says.

    Raises:
        typer.Exit: the command failed; the reason is on stderr.
    """
    with reporting(as_json=as_json) as out, Api(url, token) as api:
        yield Session(api, out)


@contextmanager
def reporting(*, as_json: bool = False) -> Iterator[Output]:
    """Give a command its terminal; turn a failure into its text and exit code.

    Raises:
        typer.Exit: the command failed; the reason is on stderr.
    """
    out = Output(as_json=as_json)
    try:
        yield out
        sys.stdout.flush()  # here, where a reader that went away can be told from an error
    except Failure as failure:
        out.failure(failure)
        raise typer.Exit(int(failure.exit_code)) from None
    except KeyboardInterrupt:
        raise typer.Exit(INTERRUPTED) from None
    except BrokenPipeError:
        raise typer.Exit(BROKEN_PIPE) from None
    if out.exit_code is not Exit.OK:
        raise typer.Exit(int(out.exit_code))


def examples(*commands: str, exits: bool = True) -> str:
    """Return a help text's end: examples, one a line, and the exit codes."""
    shown = "\n".join(f"  resonate-faas {command}" for command in commands)
    return f"\b\nExamples:\n{shown}" + (f"\n\n{EXITS_HELP}" if exits else "")
