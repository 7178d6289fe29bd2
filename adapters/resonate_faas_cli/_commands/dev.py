"""``resonate-faas dev``: the dev server."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from resonate_faas_cli._exits import Exit, Failure
from resonate_faas_cli._session import DEFAULT_HOST, DEFAULT_PORT, examples, reporting

RANK = 10


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(epilog=examples("dev workflows.py", "dev shop.workflows --port 9000 --reload"))(dev)


def dev(
    target: Annotated[str, typer.Argument(metavar="FILE|MODULE", help="Where the Resonate() object stands.")],
    host: Annotated[str, typer.Option(help="The address to listen on.")] = DEFAULT_HOST,
    port: Annotated[int, typer.Option(min=0, max=65_535, help="0: any free one.")] = DEFAULT_PORT,
    db: Annotated[Path, typer.Option(help="The SQLite file.")] = Path("resonate-faas.db"),
    reload: Annotated[bool, typer.Option("--reload", help="Start anew when a source file changes.")] = False,
    workers: Annotated[int, typer.Option(min=1, max=64, help="Activations at a time.")] = 4,
    debug: Annotated[bool, typer.Option("--debug", help="Serve the debug requests.")] = False,
    debug_token: Annotated[
        str | None, typer.Option(help="For debug requests; '' asks for none. Made up and printed by default.")
    ] = None,
    strict: Annotated[
        bool, typer.Option("--strict", help="Refuse what the specification refuses and SDKs send.")
    ] = False,
) -> None:
    """Serve functions from one SQLite file.

    For this machine alone: it listens on 127.0.0.1.
    Stop it at any time, with Ctrl-C or harder: the next start goes on where this one ended.
    """
    with reporting():
        try:
            from resonate_faas_local import serve  # noqa: PLC0415 - only this command serves
        except ImportError as error:
            message = f"The dev server is not installed: {error}"
            raise Failure(
                Exit.USAGE, message, hint="Install it with: pip install 'resonate-faas[local]'"
            ) from error
        serve(
            target,
            host=host,
            port=port,
            db=db,
            reload=reload,
            workers=workers,
            debug=debug,
            debug_token=debug_token,
            strict=strict,
        )
