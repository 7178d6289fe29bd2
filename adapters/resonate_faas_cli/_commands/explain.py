"""``resonate-faas explain``: why it is waiting."""

from __future__ import annotations

import time
from typing import Annotated

import typer

from resonate_faas_cli._api import Api, Json
from resonate_faas_cli._exits import Exit, Failure
from resonate_faas_cli._promises import instant
from resonate_faas_cli._session import DEFAULT_URL, AsJson, Token, Url, examples, session
from resonate_faas_cli._values import format_duration
from resonate_faas_cli._why import lines, sentence

RANK = 42


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(epilog=examples("explain order-17", "explain order-17:2", "explain order-17 --json"))(explain)


def explain(
    promise_id: Annotated[
        str, typer.Argument(metavar="ID", help="An execution, a call within one, or a schedule.")
    ],
    url: Url = DEFAULT_URL,
    token: Token = None,
    as_json: AsJson = False,
) -> None:
    """Say why an execution is waiting.

    What it awaits and since when, who holds its lease, what is tried again and when, how much it has to replay, and
    who waits for it. The exit code is 0 however it stands.
    """
    with session(url, token, as_json=as_json) as asked:
        try:
            known = asked.api.get("promises", promise_id, "explain")
        except Failure as failure:
            if failure.exit_code is not Exit.NOT_FOUND:
                raise
            schedule = _schedule(asked.api, promise_id, failure)
            if as_json:
                asked.out.document({"why": _of_schedule(schedule), "schedule": schedule})
            else:
                asked.out.lines([f"{promise_id}: {_of_schedule(schedule)}"])
            return
        if as_json:
            asked.out.document({"why": sentence(known), **known})
        else:
            asked.out.lines(lines(known))


def _schedule(api: Api, schedule_id: str, missing: Failure) -> Json:
    """Return the schedule of this id.

    Raises:
        Failure: nothing has this id.
    """
    try:
        found = api.ask("schedule.get", {"id": schedule_id}).get("schedule")
    except Failure as failure:
        raise (missing if failure.exit_code in {Exit.NOT_FOUND, Exit.REFUSED} else failure) from None
    if not isinstance(found, dict):
        raise missing
    return found


def _of_schedule(schedule: Json) -> str:
    following, last = schedule.get("nextRunAt"), schedule.get("lastRunAt")
    left = following - time.time_ns() // 1_000_000 if isinstance(following, int) else 0
    fired = f"; it fired last at {instant(last)}" if last is not None else "; it has not fired yet"
    when = f"in {format_duration(left)}" if left > 0 else "within moments"
    return f"it is a schedule ({schedule.get('cron')}), which fires at {instant(following)}, {when}{fired}"
