"""Pages of records: one, or all of them within a bound."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from shlex import quote
from typing import Annotated, Any, Final

import typer

from resonate_faas_cli._api import Api, Json
from resonate_faas_cli._exits import Exit, Failure
from resonate_faas_cli._output import Output

PAGE_MAX: Final = 1_000
"""The most records that a server gives at a time (protocol section 3.1)."""

RECORDS_MAX: Final = 100_000
"""The most that ``--all`` and ``tree`` collect: ten times what one root may record."""

Limit = Annotated[int, typer.Option(min=1, max=PAGE_MAX, help="Records on a page.")]
Cursor = Annotated[str | None, typer.Option(help="Where an earlier page ended.", show_default=False)]
All = Annotated[bool, typer.Option("--all", help=f"Every page, up to {RECORDS_MAX:,} records.")]


@dataclass(frozen=True, slots=True)
class Found:
    """Records, and where the next page begins; None: there is none."""

    records: list[Json]
    cursor: str | None = None

    def document(self, name: str) -> Json:
        """Return the page as JSON data, in the protocol's form."""
        return {name: self.records} | ({} if self.cursor is None else {"cursor": self.cursor})

    def note_more(self, out: Output) -> None:
        """Say how to get the rest."""
        if self.cursor is not None:
            out.note(f"there are more: --cursor {quote(self.cursor)}, or --all")


def page(api: Api, kind: str, filters: Mapping[str, Any], *, limit: int, cursor: str | None) -> Found:
    """Return one page of a search.

    Args:
        api: the server.
        kind: promise, task or schedule.
        filters: of the request (protocol section 3); None leaves one out.
        limit: records on it.
        cursor: where the page before ended.
    """
    data: Json = {name: value for name, value in filters.items() if value}
    data["limit"] = limit
    if cursor is not None:
        data["cursor"] = cursor
    answer = api.ask(f"{kind}.search", data)
    records, following = answer.get(f"{kind}s"), answer.get("cursor")
    if not isinstance(records, list):
        raise Failure(Exit.UNREACHABLE, f"The server's answer to {kind}.search holds no {kind}s")
    return Found(records, following if isinstance(following, str) else None)


def every_page(api: Api, kind: str, filters: Mapping[str, Any], *, cursor: str | None = None) -> Found:
    """Return all records of a search.

    Raises:
        Failure: there are more than 100,000.
    """
    records: list[Json] = []
    while True:
        found = page(api, kind, filters, limit=PAGE_MAX, cursor=cursor)
        records += found.records
        if found.cursor is None or found.cursor == cursor:
            return Found(records)
        cursor = found.cursor
        if len(records) >= RECORDS_MAX:
            hint = f"Ask for a part of them, or go on from here with --cursor {quote(cursor)}"
            raise Failure(Exit.REFUSED, f"There are more than {RECORDS_MAX:,} {kind}s", hint=hint)


def search(
    api: Api,
    kind: str,
    filters: Mapping[str, Any],
    *,
    limit: int,
    cursor: str | None,
    is_all: bool,
) -> Found:
    """Return one page, or all of them from the cursor on."""
    if is_all:
        return every_page(api, kind, filters, cursor=cursor)
    return page(api, kind, filters, limit=limit, cursor=cursor)
