"""``resonate-faas drain-report``: which functions and versions still have live executions."""

from __future__ import annotations

import re
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Annotated, Final

import typer

from resonate_faas_cli._api import Api, Json
from resonate_faas_cli._exits import Exit
from resonate_faas_cli._output import Output
from resonate_faas_cli._promises import instant
from resonate_faas_cli._recorded import ORIGIN, TARGET, load, pending_promises
from resonate_faas_cli._search import every_page
from resonate_faas_cli._session import DEFAULT_URL, AsJson, Token, Url, examples, session, usage
from resonate_faas_cli._tree import tags_of
from resonate_faas_cli._values import format_duration

if TYPE_CHECKING:
    from resonate_faas._called import Called
    from resonate_faas._engine.codec import Codec

RANK = 45

EXAMPLES_MAX: Final = 3
PROGRESS_EACH: Final = 10_000

_VERSION: Final = re.compile(r"(?P<name>.+?)(?:@(?P<version>[0-9]{1,9}))?")


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("drain-report", epilog=examples("drain-report", "drain-report --version-gone order@1"))(
        drain_report
    )


def drain_report(
    gone: Annotated[
        list[str] | None,
        typer.Option(
            "--version-gone",
            metavar="NAME@VERSION",
            help="Exit with 1 while anything needs it; repeatable. NAME alone: any version.",
        ),
    ] = None,
    app: Annotated[
        str | None,
        typer.Option("--app", metavar="FILE|MODULE", help="Code whose encryptor reads encrypted records."),
    ] = None,
    url: Url = DEFAULT_URL,
    token: Token = None,
    as_json: AsJson = False,
) -> None:
    """Say which functions and versions are still needed.

    Counts executions that have not ended, by function, version and the fingerprint of the code that they began with,
    and the schedules that start more. All pending promises are read, a page at a time.
    """
    wanted = [usage(partial(_wanted, text)) for text in gone or ()]
    with session(url, token, as_json=as_json) as asked:
        report = _report(asked.api, asked.out, None if app is None else load(app).codec)
        needed = [text for text, one in zip(gone or (), wanted, strict=True) if _is_needed(report, one)]
        unread = sum(row.live for row in report if not row.function)
        if wanted and (needed or unread):
            asked.out.exit_code = Exit.FAILED
        _show(report, asked.out, needed=needed if wanted else None)
        if unread:
            asked.out.note(
                f"{unread} can't be read: they are encrypted, or not ours; --app gives the code that reads them"
            )


def _wanted(text: str) -> tuple[str, int | None]:
    found = _VERSION.fullmatch(text)
    if found is None:
        raise ValueError("write NAME or NAME@VERSION")
    version = found["version"]
    return found["name"], None if version is None else int(version)


def _is_needed(report: Iterable[Row], wanted: tuple[str, int | None]) -> bool:
    name, version = wanted
    return any(row.function == name and version in {None, row.version} for row in report)


@dataclass(slots=True, kw_only=True)
class Row:
    """What is live of one version of a function.

    Attributes:
        function: the name; "" of records that can't be read.
        version: of the function.
        codes: how many roots began with which fingerprint; "" where it is not on record.
        roots: executions that nobody else awaits.
        children: executions that others called (ctx.rpc).
        calls: calls inside executions that are on record as not ended (ctx.run).
        halted: executions that stand still until somebody continues them.
        schedules: that start more.
        oldest: when the first one was created, epoch milliseconds; None: there are only schedules.
        examples: ids, the oldest first.
    """

    function: str
    version: int
    codes: Counter[str] = field(default_factory=Counter)
    roots: int = 0
    children: int = 0
    calls: int = 0
    halted: int = 0
    schedules: int = 0
    oldest: int | None = None
    examples: list[tuple[int, str]] = field(default_factory=list)

    @property
    def live(self) -> int:
        """How many executions and calls there are."""
        return self.roots + self.children + self.calls

    def add(self, record: Json, call: Called, *, is_halted: bool) -> None:
        """Count a pending promise."""
        tags, promise_id, created = tags_of(record), str(record["id"]), int(record["createdAt"])
        if not tags.get(TARGET):
            self.calls += 1
        elif tags.get(ORIGIN, promise_id) == promise_id:
            self.roots += 1
            self.codes[call.code] += 1
        else:
            self.children += 1
        self.halted += is_halted
        self.oldest = created if self.oldest is None else min(self.oldest, created)
        self.examples = sorted([*self.examples, (created, promise_id)])[:EXAMPLES_MAX]

    def document(self) -> Json:
        """Return the row as JSON data."""
        return {
            "function": self.function or None,
            "version": self.version,
            "roots": self.roots,
            "children": self.children,
            "calls": self.calls,
            "halted": self.halted,
            "schedules": self.schedules,
            "codes": {code: count for code, count in self.codes.items() if code},
            "oldest": self.oldest,
            "examples": [promise_id for _, promise_id in self.examples],
        }


def _report(api: Api, out: Output, codec: Codec | None) -> list[Row]:
    from resonate_faas._called import called  # noqa: PLC0415 - only these commands need the engine
    from resonate_faas._engine.codec import Codec  # noqa: PLC0415 - as above
    from resonate_faas._histories import promise_of  # noqa: PLC0415 - as above

    reader = codec or Codec()
    halted = {one["id"] for one in every_page(api, "task", {"state": "halted"}).records}
    rows: dict[tuple[str, int], Row] = {}

    def row_of(call: Called) -> Row:
        key = call.function, call.version
        return rows.setdefault(key, Row(function=call.function, version=call.version))

    for count, record in enumerate(pending_promises(api), 1):
        if count % PROGRESS_EACH == 0:
            out.note(f"{count:,} promises read")
        call = called(promise_of(record), reader)
        if tags_of(record).get(TARGET) or call.kind == "run":
            row_of(call).add(record, call, is_halted=record["id"] in halted)
    for schedule in every_page(api, "schedule", {}).records:
        call = called(promise_of(_started(schedule)), reader)
        if tags_of(_started(schedule)).get(TARGET):
            row_of(call).schedules += 1
    return sorted(rows.values(), key=lambda row: (row.function, row.version))


def _started(schedule: Json) -> Json:
    """Return what a schedule starts, as if it were a promise."""
    return {
        "id": schedule["id"],
        "state": "pending",
        "param": schedule.get("promiseParam", {}),
        "tags": schedule.get("promiseTags", {}),
        "timeoutAt": 0,
        "createdAt": 0,
    }


def _show(report: list[Row], out: Output, *, needed: list[str] | None) -> None:
    if out.as_json:
        body: Json = {"functions": [row.document() for row in report]}
        out.document(body if needed is None else {**body, "stillNeeded": needed})
        return
    now_ms = time.time_ns() // 1_000_000
    titles = (
        "FUNCTION",
        "VERSION",
        "ROOTS",
        "CHILDREN",
        "CALLS",
        "HALTED",
        "SCHEDULES",
        "CODE",
        "OLDEST",
        "EXAMPLES",
    )
    out.table(titles, [tuple(_cells(row, now_ms)) for row in report])
    for name in needed or ():
        out.note(f"{name} is still needed")


def _cells(row: Row, now_ms: int) -> Iterator[str]:
    yield row.function or "(can't be read)"
    yield str(row.version or "")
    yield from (str(count) for count in (row.roots, row.children, row.calls, row.halted, row.schedules))
    yield " ".join(f"{code}:{count}" for code, count in row.codes.most_common(EXAMPLES_MAX) if code)
    yield (
        ""
        if row.oldest is None
        else f"{instant(row.oldest)} ({format_duration(max(now_ms - row.oldest, 0))})"
    )
    yield " ".join(promise_id for _, promise_id in row.examples)
