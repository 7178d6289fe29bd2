"""Executions with all their records, fetched from a server, and the code that they are held against."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING, Final

from resonate_faas_cli._api import Api, Json
from resonate_faas_cli._exits import Exit, Failure
from resonate_faas_cli._search import PAGE_MAX, every_page, page
from resonate_faas_cli._tree import tags_of

if TYPE_CHECKING:
    from resonate_faas import Resonate
    from resonate_faas._histories import RecordedTree

TARGET: Final = "resonate:target"
ORIGIN: Final = "resonate:origin"


def fetch_tree(api: Api, promise_id: str) -> RecordedTree:
    """Return an execution and all that it called; of a part of one, that part.

    Raises:
        Failure: unknown, or it is no execution.
    """
    from resonate_faas import DecodingError  # noqa: PLC0415 - only these commands need the engine
    from resonate_faas._histories import tree_of  # noqa: PLC0415 - as above

    root = api.ask("promise.get", {"id": promise_id})["promise"]
    tags = tags_of(root)
    if not tags.get(TARGET):
        hint = f"It is a call of {tags.get('resonate:parent', 'another one')}: give the id of an execution"
        raise Failure(Exit.REFUSED, f"{promise_id!r} is no execution", hint=hint)
    origin = tags.get(ORIGIN, promise_id)
    records = {root["id"]: root}
    for record in every_page(api, "promise", {"tags": {ORIGIN: origin}}).records:
        if origin == promise_id or str(record["id"]).startswith((f"{promise_id}:", f"{promise_id}.")):
            records[record["id"]] = record
    try:
        return tree_of(promise_id, records.values(), exported_at=time.time_ns() // 1_000_000)
    except DecodingError as error:
        raise Failure(Exit.UNREACHABLE, f"The server's records can't be read: {error}") from error


def read_file(path: Path) -> RecordedTree:
    """Return an exported execution.

    Raises:
        Failure: the file can't be read, or is none.
    """
    from resonate_faas import DecodingError  # noqa: PLC0415 - as above
    from resonate_faas._histories import read_tree  # noqa: PLC0415 - as above

    try:
        return read_tree(path.read_bytes(), where=str(path))
    except OSError as error:
        raise Failure(Exit.USAGE, f"Can't read {path}: {error.strerror}") from error
    except DecodingError as error:
        raise Failure(Exit.USAGE, str(error), code=error.code) from error


def pending_promises(api: Api) -> Iterator[Json]:
    """Yield all pending promises, a page at a time in memory."""
    cursor: str | None = None
    while True:
        found = page(api, "promise", {"state": "pending"}, limit=PAGE_MAX, cursor=cursor)
        yield from found.records
        if found.cursor is None or found.cursor == cursor:
            return
        cursor = found.cursor


def load(target: str) -> Resonate:
    """Return the business code of a file or module; what it prints when it is imported goes to stderr.

    Raises:
        Failure: it can't be loaded.
    """
    try:
        from resonate_faas_local import AppLoadError, load_app  # noqa: PLC0415 - an extra
    except ImportError as error:
        hint = "Install it with: pip install 'resonate-faas[local]'"
        raise Failure(Exit.USAGE, f"Code can't be loaded: {error}", hint=hint) from error
    try:
        with redirect_stdout(sys.stderr):
            return load_app(target)
    except AppLoadError as error:
        raise Failure(Exit.USAGE, str(error), code=error.code) from error
