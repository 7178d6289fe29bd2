"""How a command can end: the exit codes, and the one exception that carries them.

== =================================================================================================
0  done
1  the execution (or promise) that was waited for failed, was cancelled or ran past its deadline; a check failed
2  wrong usage: an unknown option, a value of the wrong form
3  not found: no such promise, function, task or schedule
4  refused: a conflict, arguments that do not fit, no permission
5  the server is unreachable, failing, or not a resonate-faas server
6  the time to wait is up; the execution goes on
== =================================================================================================

130 is Ctrl-C and 141 a reader that went away (``| head``), as in every shell.
"""

from __future__ import annotations

import shlex
from enum import IntEnum
from typing import Final


class Exit(IntEnum):
    """An exit code; the numbers are part of the public surface."""

    OK = 0
    FAILED = 1
    USAGE = 2
    NOT_FOUND = 3
    REFUSED = 4
    UNREACHABLE = 5
    TIMED_OUT = 6


INTERRUPTED: Final = 130
"""128 + SIGINT: what a shell reports of a program that Ctrl-C ended."""

BROKEN_PIPE: Final = 141
"""128 + SIGPIPE: what a shell reports of a program that wrote to a closed pipe."""

EXITS_HELP: Final = """\b
Exit codes:
  0  done
  1  what was waited for failed, was cancelled or timed out; a check failed
  2  wrong usage
  3  not found
  4  refused: a conflict, wrong arguments, no permission
  5  server unreachable or failing
  6  the time to wait is up; the execution goes on"""


class Failure(Exception):  # noqa: N818 - it ends a command, it is not an error of the program
    """A command ends here, with a message for people and a code for scripts.

    Args:
        exit_code: how the process ends.
        message: what happened.
        hint: what to do about it.
        code: the stable code of the server's problem document; "" if there is none.
    """

    def __init__(self, exit_code: Exit, message: str, *, hint: str = "", code: str = "") -> None:
        super().__init__(exit_code, message, hint, code)
        self.exit_code, self.message, self.hint, self.code = exit_code, message, hint, code

    def __str__(self) -> str:
        return f"{self.message}. {self.hint}" if self.hint else self.message


def command(*words: str) -> str:
    """Return a command of ours as it can be pasted into a shell."""
    return shlex.join(("resonate-faas", *words))
