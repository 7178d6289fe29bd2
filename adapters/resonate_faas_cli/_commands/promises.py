"""``resonate-faas promises``: what is on record."""

from __future__ import annotations

import time
from enum import StrEnum
from typing import Annotated

import typer

from resonate_faas_cli._promises import instant
from resonate_faas_cli._search import All, Cursor, Found, Limit, search
from resonate_faas_cli._session import DEFAULT_URL, AsJson, Session, Token, Url, examples, session, usage
from resonate_faas_cli._tree import call_of, tags_of
from resonate_faas_cli._values import format_duration
from resonate_faas_cli._values import tags as parse_tags

RANK = 50


class PromiseState(StrEnum):
    """What ``--state`` takes."""

    PENDING = "pending"
    RESOLVED = "resolved"
    REJECTED = "rejected"
    CANCELED = "rejected_canceled"
    TIMEDOUT = "rejected_timedout"


State = Annotated[PromiseState | None, typer.Option(help="Only those in this state.", show_default=False)]


def register(app: typer.Typer) -> None:
    """Add the group."""
    group = typer.Typer(no_args_is_help=True, help="List and search promises.", rich_markup_mode=None)
    group.command("list", epilog=examples("promises list", "promises list --state pending --roots --all"))(
        list_promises
    )
    group.command(
        "search",
        epilog=examples(
            "promises search --tag team=billing", "promises search --origin order-17 --state rejected --json"
        ),
    )(search_promises)
    app.add_typer(group, name="promises")


def list_promises(
    state: State = None,
    is_roots: Annotated[bool, typer.Option("--roots", help="Executions only, no steps.")] = False,
    limit: Limit = 100,
    cursor: Cursor = None,
    is_all: All = False,
    url: Url = DEFAULT_URL,
    token: Token = None,
    as_json: AsJson = False,
) -> None:
    """List promises by id, a page at a time."""
    with session(url, token, as_json=as_json) as asked:
        found = search(asked.api, "promise", {"state": state}, limit=limit, cursor=cursor, is_all=is_all)
        if is_roots:
            roots = [
                one for one in found.records if tags_of(one).get("resonate:parent", one["id"]) == one["id"]
            ]
            found = Found(roots, found.cursor)
        _show(found, asked)


def search_promises(
    tags: Annotated[
        list[str] | None, typer.Option("--tag", metavar="NAME=VALUE", help="With this tag; repeatable.")
    ] = None,
    origin: Annotated[
        str | None, typer.Option(metavar="ID", help="Of this execution and its steps.", show_default=False)
    ] = None,
    state: State = None,
    limit: Limit = 100,
    cursor: Cursor = None,
    is_all: All = False,
    url: Url = DEFAULT_URL,
    token: Token = None,
    as_json: AsJson = False,
) -> None:
    """Search promises by tags; all that are given must be there."""
    wanted = usage(lambda: parse_tags((*(tags or ()), *([f"resonate:origin={origin}"] if origin else ()))))
    if not wanted:
        raise typer.BadParameter("say what to search for with --tag or --origin, or use: promises list")
    filters = {"state": state, "tags": wanted}
    with session(url, token, as_json=as_json) as asked:
        _show(search(asked.api, "promise", filters, limit=limit, cursor=cursor, is_all=is_all), asked)


def _show(found: Found, asked: Session) -> None:
    if asked.out.as_json:
        asked.out.document(found.document("promises"))
        return
    now_ms = time.time_ns() // 1_000_000
    rows = [
        (
            str(one.get("id")),
            str(one.get("state")),
            call_of(one).text.strip("()"),
            instant(one.get("createdAt")),
            format_duration(one.get("settledAt", now_ms) - one.get("createdAt", now_ms)),
        )
        for one in found.records
    ]
    asked.out.table(("ID", "STATE", "CALL", "CREATED", "TIME"), rows)
    found.note_more(asked.out)
