"""``resonate-faas dev``: the dev server."""

from __future__ import annotations

import errno
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from resonate_faas_cli._exits import Exit, Failure
from resonate_faas_cli._session import DEFAULT_HOST, DEFAULT_PORT, examples, reporting

RANK = 10

DEFAULT_DB: Final = "resonate-faas.db"
DEFAULT_WORKERS: Final = 8
CALLERS_VARIABLE: Final = "RESONATE_FAAS_DEV_TOKEN"
PUSHED_VARIABLE: Final = "RESONATE_FAAS_PUSH_TOKEN"


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(
        epilog=examples(
            "dev workflows.py",
            "dev shop.workflows --port 9000 --reload",
            "dev workflows.py:resonate --db state.db --debug",
        )
    )(dev)


def dev(
    target: Annotated[
        str, typer.Argument(metavar="FILE|MODULE", help="Where the Resonate object stands; :NAME picks one.")
    ],
    host: Annotated[str, typer.Option(help="A name of this machine's own.")] = DEFAULT_HOST,
    port: Annotated[int, typer.Option(min=0, max=65_535, help="0: any free one.")] = DEFAULT_PORT,
    db: Annotated[str, typer.Option(metavar="FILE", help="The SQLite file.")] = DEFAULT_DB,
    reload: Annotated[bool, typer.Option("--reload", help="Start anew when a source file changes.")] = False,
    workers: Annotated[int, typer.Option(min=1, max=256, help="Activations at a time.")] = DEFAULT_WORKERS,
    allow: Annotated[
        list[str] | None,
        typer.Option(metavar="PATTERN", help="Addresses to deliver to besides our own; repeatable."),
    ] = None,
    token: Annotated[
        str | None,
        typer.Option(metavar="TOKEN", envvar=CALLERS_VARIABLE, help="What every caller must show."),
    ] = None,
    jwt_key: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", exists=True, dir_okay=False, help="The public key (PEM) of callers' tokens (JWT)."
        ),
    ] = None,
    cors: Annotated[
        list[str] | None,
        typer.Option(metavar="ORIGIN", help="Pages that may call us; '*' for any; repeatable."),
    ] = None,
    push_token: Annotated[
        str | None,
        typer.Option(metavar="TOKEN", envvar=PUSHED_VARIABLE, help="Sent with pushed messages."),
    ] = None,
    debug: Annotated[bool, typer.Option("--debug", help="Serve the debug requests.")] = False,
    debug_token: Annotated[
        str | None,
        typer.Option(
            metavar="TOKEN", help="For debug requests; '' asks for none. Default: made up, printed."
        ),
    ] = None,
    strict: Annotated[
        bool, typer.Option("--strict", help="Answer as the specification where official SDKs deviate.")
    ] = False,
) -> None:
    """Serve functions from one SQLite file.

    For this machine alone. Stop it at any time, with Ctrl-C or harder: the next start on the file goes on.
    """
    with reporting():
        _serve(
            target,
            host,
            port,
            {
                "db": db,
                "reload": reload,
                "workers": workers,
                "allow": allow or (),
                "token": token,
                "jwt_key": None if jwt_key is None else jwt_key.read_text(),
                "cors": cors or (),
                "push_token": push_token,
                "debug": debug,
                "debug_token": debug_token,
                "strict": strict,
            },
        )


def _serve(target: str, host: str, port: int, settings: dict[str, Any]) -> None:
    """Serve until told to end; raise what stops it as a failure of the command."""
    try:
        from resonate_faas_local import serve  # noqa: PLC0415 - only this command serves
    except ImportError as error:
        message = f"The dev server is not installed: {error}"
        hint = "Install it with: pip install 'resonate-faas[local]'"
        raise Failure(Exit.USAGE, message, hint=hint) from error
    from resonate_faas import ResonateFaasError  # noqa: PLC0415 - as above

    try:
        serve(target, host=host, port=port, **settings)
    except ResonateFaasError as error:
        exit_code = Exit.USAGE if error.status < 500 else Exit.UNREACHABLE
        raise Failure(exit_code, str(error), code=error.code) from error
    except ValueError as error:
        raise Failure(Exit.USAGE, str(error)) from error
    except OSError as error:
        raise _unbound(error, host, port) from error


def _unbound(error: OSError, host: str, port: int) -> Failure:
    """Return why the server can't listen."""
    if error.errno == errno.EADDRINUSE:
        hint = "Is another dev server running? Stop it, or choose another --port (0: any free one)"
        return Failure(Exit.REFUSED, f"Port {port} of {host} is taken", hint=hint)
    return Failure(Exit.REFUSED, f"Can't serve on {host}:{port}: {error.strerror or error}")
