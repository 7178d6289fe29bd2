"""``resonate-faas tree``: an execution and everything it called."""

from __future__ import annotations

from typing import Annotated

import typer

from resonate_faas_cli._follow import follow
from resonate_faas_cli._lineage import fetch
from resonate_faas_cli._session import DEFAULT_URL, AsJson, Token, Url, examples, session

RANK = 40


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(epilog=examples("tree order-17", "tree order-17 --follow", "tree order-17 --json"))(tree)


def tree(
    promise_id: Annotated[str, typer.Argument(metavar="ID", help="An execution, or a call within one.")],
    is_followed: Annotated[
        bool, typer.Option("--follow", "-f", help="Stay until it has ended; exit code 1 if it failed.")
    ] = False,
    url: Url = DEFAULT_URL,
    token: Token = None,
    as_json: AsJson = False,
) -> None:
    """Show the call tree of an execution.

    🟡 is pending, 🟢 resolved, 🔴 rejected, cancelled or timed out.
    """
    with session(url, token, as_json=as_json) as asked:
        if is_followed:
            follow(asked.api, promise_id, asked.out)
            return
        found = fetch(asked.api, promise_id)
        if as_json:
            asked.out.document(found.document())
        else:
            asked.out.lines(found.lines())
