"""``resonate-faas worker``: a long-lived worker of a Resonate server elsewhere."""

from __future__ import annotations

import signal
from typing import Annotated, Final

import typer

from resonate_faas_cli._exits import Exit, Failure
from resonate_faas_cli._session import examples, reporting

RANK = 15

DEFAULT_GROUP: Final = "default"
DEFAULT_ACTIVATIONS: Final = 16
DEFAULT_LEASE_S: Final = 60.0
URL_VARIABLE: Final = "RESONATE_URL"
PROOF_VARIABLE: Final = "RESONATE_TOKEN"


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(
        epilog=examples(
            "worker workflows.py --url http://localhost:8001",
            "worker shop.workflows --group orders --activations 64",
        )
    )(worker)


def worker(
    target: Annotated[
        str, typer.Argument(metavar="FILE|MODULE", help="Where the Resonate object stands; :NAME picks one.")
    ],
    url: Annotated[
        str | None,
        typer.Option(metavar="URL", envvar=URL_VARIABLE, help="The Resonate server to work for."),
    ] = None,
    token: Annotated[
        str | None,
        typer.Option(metavar="TOKEN", envvar=PROOF_VARIABLE, help="Sent to that server only."),
    ] = None,
    group: Annotated[str, typer.Option(help="Whose tasks to run: poll://any@GROUP.")] = DEFAULT_GROUP,
    name: Annotated[
        str | None, typer.Option(help="This worker's id, unlike every other's. Default: made up.")
    ] = None,
    activations: Annotated[
        int, typer.Option(min=1, max=1_024, help="Tasks at a time.")
    ] = DEFAULT_ACTIVATIONS,
    lease: Annotated[
        float, typer.Option(metavar="SECONDS", min=1, max=3_600, help="How soon a crash is repaired.")
    ] = DEFAULT_LEASE_S,
    separator: Annotated[
        str,
        typer.Option(
            envvar="RESONATE_ID_SEPARATOR",
            help="What the server wants between the ids of a root and its children: ':' or '.'.",
        ),
    ] = ":",
) -> None:
    """Run functions for a Resonate server.

    Holds one connection to the server, and makes it again when it breaks. Ctrl-C or SIGTERM releases the held tasks.
    """
    with reporting():
        try:
            from resonate_faas_local import load_app  # noqa: PLC0415 - as below
            from resonate_faas_remote import PollWorker, RemoteNode  # noqa: PLC0415 - only this command needs it
        except ImportError as error:
            hint = "Install it with: pip install 'resonate-faas[remote]'"
            raise Failure(Exit.USAGE, f"The worker is not installed: {error}", hint=hint) from error
        from resonate_faas import ResonateFaasError  # noqa: PLC0415 - as above

        try:
            node = RemoteNode(
                load_app(target),
                url,
                token=token,
                group=group,
                separator=separator,
                lease_ms=int(lease * 1000),
            )
        except (ResonateFaasError, ValueError) as error:
            raise Failure(Exit.USAGE, str(error)) from error
        with node:
            poll = PollWorker(
                node,
                name=name,
                workers=activations,
                tell=lambda address: typer.echo(f"{node.transport.url} as {address}"),
            )
            for number in (signal.SIGINT, signal.SIGTERM):
                signal.signal(number, lambda *_: poll.stop())
            poll.run()
