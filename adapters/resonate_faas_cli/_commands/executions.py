"""``resonate-faas invoke``, ``get`` and ``wait``: executions from start to result."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from resonate_faas_cli._calls import Args, ExtraArgs, JsonArgs, Kwargs, call_of
from resonate_faas_cli._exits import command
from resonate_faas_cli._promises import finish, show
from resonate_faas_cli._session import (
    DEFAULT_URL,
    AsJson,
    Session,
    Token,
    Url,
    examples,
    milliseconds,
    session,
)
from resonate_faas_cli._waiting import wait as wait_for

RANK = 20

PromiseId = Annotated[str, typer.Argument(metavar="ID", help="The execution's id, or any promise's.")]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command(
        epilog=examples(
            "invoke countdown 3 1 --id launch-7",
            "invoke greet ada --kw loud=true --wait",
            'invoke move --json-args \'[{"from": "a", "to": "b"}, 100]\'',
            "invoke adjust --arg=-3",
        )
    )(invoke)
    app.command(epilog=examples("get launch-7", "get launch-7 --json"))(get)
    app.command(epilog=examples("wait launch-7", "wait launch-7 --timeout 1m30s"))(wait)


def invoke(
    function: Annotated[str, typer.Argument(metavar="FUNCTION", help="A registered name.")],
    args: Args = None,
    extra: ExtraArgs = None,
    json_args: JsonArgs = None,
    kwargs: Kwargs = None,
    promise_id: Annotated[
        str | None, typer.Option("--id", metavar="ID", help="The same id again is the same execution.")
    ] = None,
    timeout: Annotated[
        int | None,
        typer.Option(parser=milliseconds, metavar="DURATION", help="Until its deadline: 90, 1h30m."),
    ] = None,
    delay: Annotated[
        int | None, typer.Option(parser=milliseconds, metavar="DURATION", help="Before it starts.")
    ] = None,
    version: Annotated[int, typer.Option(min=0, help="Of the function; 0: the newest.")] = 0,
    is_waited: Annotated[bool, typer.Option("--wait", help="Wait and write the result.")] = False,
    url: Url = DEFAULT_URL,
    token: Token = None,
    as_json: AsJson = False,
) -> None:
    """Start a function; write the id of its execution.

    Arguments are JSON, or else text: 3 is a number, ada a text, '"3"' the text 3.
    """
    call = call_of(args, extra, json_args, kwargs)
    body: dict[str, Any] = {"args": call.args, "kwargs": call.kwargs}
    if promise_id is not None:
        body["id"] = promise_id
    for name, duration in (("timeout", timeout), ("delay", delay)):
        if duration is not None:
            body[name] = duration / 1_000
    if version:
        body["version"] = version
    with session(url, token, as_json=as_json) as asked:
        started = asked.api.post("invoke", function, body=body)
        started_id = str(started["id"])
        if is_waited:
            asked.out.note(f"{started_id} started")
            _wait(asked, started_id, None)
        elif as_json:
            asked.out.document(started)
        else:
            asked.out.lines([started_id])
            asked.out.note(f"watch it with: {command('tree', started_id, '--follow')}")


def get(promise_id: PromiseId, url: Url = DEFAULT_URL, token: Token = None, as_json: AsJson = False) -> None:
    """Show how an execution or promise stands.

    The exit code is 0 however that is; to act on the outcome, use: wait.
    """
    with session(url, token, as_json=as_json) as asked:
        show(asked.api.get("promises", promise_id), asked.out)


def wait(
    promise_id: PromiseId,
    timeout: Annotated[
        int | None,
        typer.Option(
            parser=milliseconds, metavar="DURATION", help="Give up after: 90, 1h30m. Default: never."
        ),
    ] = None,
    url: Url = DEFAULT_URL,
    token: Token = None,
    as_json: AsJson = False,
) -> None:
    """Wait for an execution; write its result.

    A server that restarts meanwhile is waited for, a minute at most.
    """
    with session(url, token, as_json=as_json) as asked:
        _wait(asked, promise_id, timeout)


def _wait(asked: Session, promise_id: str, timeout_ms: int | None) -> None:
    finish(wait_for(asked.api, promise_id, timeout_ms=timeout_ms, note=asked.out.note), asked.out)
