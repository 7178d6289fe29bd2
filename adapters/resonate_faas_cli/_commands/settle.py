"""``resonate-faas resolve``, ``reject`` and ``cancel``: promises settled from outside."""

from __future__ import annotations

from typing import Annotated, Any, Final

import typer

from resonate_faas_cli._api import Json
from resonate_faas_cli._exits import Exit, Failure, command
from resonate_faas_cli._promises import show
from resonate_faas_cli._session import DEFAULT_URL, AsJson, Token, Url, examples, session
from resonate_faas_cli._values import parse_json_or_text

RANK = 30

_STATES: Final = {"resolve": "resolved", "reject": "rejected", "cancel": "rejected_canceled"}

PromiseId = Annotated[str, typer.Argument(metavar="ID", help="An external promise, or an execution.")]
Value = Annotated[str | None, typer.Argument(metavar="VALUE", help="JSON or text.", show_default=False)]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command(epilog=examples("resolve order-17:2 true", 'resolve order-17:2 \'{"by": "ada"}\''))(resolve)
    app.command(epilog=examples("reject order-17:2 'too expensive'"))(reject)
    app.command(epilog=examples("cancel order-17"))(cancel)


def resolve(
    promise_id: PromiseId,
    value: Value = None,
    url: Url = DEFAULT_URL,
    token: Token = None,
    as_json: AsJson = False,
) -> None:
    """Resolve a promise with a value.

    The workflow that awaits it goes on. The same value again is no error, another one is refused.
    """
    _settle("resolve", promise_id, value, url=url, token=token, as_json=as_json)


def reject(
    promise_id: PromiseId,
    value: Value = None,
    url: Url = DEFAULT_URL,
    token: Token = None,
    as_json: AsJson = False,
) -> None:
    """Reject a promise with a message.

    The workflow that awaits it sees an error with VALUE as its message.
    """
    _settle("reject", promise_id, value, url=url, token=token, as_json=as_json)


def cancel(
    promise_id: PromiseId,
    value: Value = None,
    url: Url = DEFAULT_URL,
    token: Token = None,
    as_json: AsJson = False,
) -> None:
    """Cancel a promise or an execution."""
    _settle("cancel", promise_id, value, url=url, token=token, as_json=as_json)


def _settle(
    action: str, promise_id: str, text: str | None, *, url: str, token: str | None, as_json: bool
) -> None:
    value: Any = None if text is None else parse_json_or_text(text)
    if action == "reject" and text is not None and not isinstance(value, str):
        value = text  # a message is a text: reject ID 404
    body = {} if text is None else {"value": value}
    with session(url, token, as_json=as_json) as asked:
        promise = asked.api.post("promises", promise_id, action, body=body)
        state = promise.get("state")
        if state != _STATES[action] or _holds_other(promise, action, value):
            other = "" if state != _STATES[action] else ", with another value"
            message = f"{promise_id!r} was {state} already{other}; it stays so"
            raise Failure(
                Exit.REFUSED, message, hint=f"See it with: {command('get', promise_id)}", code="settled"
            )
        show(promise, asked.out)


def _holds_other(promise: Json, action: str, value: Any) -> bool:
    """True if the promise was settled before with something else; the same again is no conflict."""
    if action == "resolve":
        return "value" in promise and promise["value"] != value
    error = promise.get("error")
    return action == "reject" and isinstance(error, dict) and error.get("message") != (value or "")
