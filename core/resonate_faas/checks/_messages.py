"""Where a finding stands, in the words of its message."""

from __future__ import annotations

from resonate_faas.checks._program import Program
from resonate_faas.checks._scopes import Function


def in_workflow(program: Program, function: Function) -> str:
    """Return "in workflow 'x'", or by which calls the code is reached from it."""
    return _place("workflow", function, program.workflow_code[function].root)


def in_step(program: Program, function: Function) -> str:
    """Return "in step 'x'", or which step calls the code."""
    reach = program.step_code.get(function)
    return _place("step", function, function if reach is None else reach.root)


def _place(what: str, function: Function, root: Function) -> str:
    if root is function:
        return f"in {what} {function.name!r}" if function.name != "lambda" else f"in a {what} (lambda)"
    if function.name == "lambda":
        return f"in a lambda that {what} {root.name!r} calls"
    return f"in {function.name!r}, called by {what} {root.name!r}"


def call(path: str) -> str:
    """Return a path as a person writes it: ``datetime.now()``, not ``datetime.datetime.now()``."""
    last_two = path.replace("()", "").split(".")[-2:]
    return f"{'.'.join(last_two)}()"
