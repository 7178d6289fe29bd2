"""``resonate-faas schedules``: functions started by the clock."""

from __future__ import annotations

from typing import Annotated, Any, Final

import typer

from resonate_faas_cli._calls import Args, ExtraArgs, JsonArgs, Kwargs, call_of
from resonate_faas_cli._exits import Exit, Failure, command
from resonate_faas_cli._payloads import invocation, payload
from resonate_faas_cli._promises import instant
from resonate_faas_cli._search import All, Cursor, Limit, search
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

RANK = 70

TEMPLATE: Final = "{{.id}}-{{.timestamp}}"
LOCAL_TARGET: Final = "local://default"
"""Where the dev server runs what no address is given for."""

DAY_MS: Final = 86_400_000

ScheduleId = Annotated[str, typer.Argument(metavar="ID", help="The schedule's own name.")]


def register(app: typer.Typer) -> None:
    """Add the group."""
    group = typer.Typer(no_args_is_help=True, help="Start functions by the clock.", rich_markup_mode=None)
    group.command(
        "create",
        epilog=examples(
            "schedules create nightly --cron '30 2 * * *' --function report",
            "schedules create greet --cron '*/5 * * * MON-FRI' --tz Europe/Paris --function greet ada",
        ),
    )(create)
    group.command("list", epilog=examples("schedules list", "schedules list --json"))(list_schedules)
    group.command("delete", epilog=examples("schedules delete nightly"))(delete)
    app.add_typer(group, name="schedules")


def create(
    schedule_id: ScheduleId,
    cron: Annotated[str, typer.Option(help="Minute, hour, day, month, weekday.")],
    function: Annotated[str, typer.Option(help="A registered name.")],
    args: Args = None,
    extra: ExtraArgs = None,
    json_args: JsonArgs = None,
    kwargs: Kwargs = None,
    zone: Annotated[str, typer.Option("--tz", metavar="ZONE", help="IANA name.")] = "UTC",
    version: Annotated[int, typer.Option(min=1, help="Of the function.")] = 1,
    timeout: Annotated[
        int | None,
        typer.Option(parser=milliseconds, metavar="DURATION", help="Of each execution. Default: 1d."),
    ] = None,
    target: Annotated[
        str | None,
        typer.Option(metavar="ADDRESS", help="Where it runs. Default: the server's own.", show_default=False),
    ] = None,
    template: Annotated[
        str, typer.Option("--promise-id", metavar="TEMPLATE", help="Ids of the executions.")
    ] = TEMPLATE,
    url: Url = DEFAULT_URL,
    token: Token = None,
    as_json: AsJson = False,
) -> None:
    """Start a function by the clock.

    A schedule that exists already is left as it is; another one of the same id is refused.
    """
    call = call_of(args, extra, json_args, kwargs)
    with session(url, token, as_json=as_json) as asked:
        address = target or _own_target(asked)
        wanted: dict[str, Any] = {
            "id": schedule_id,
            "cron": cron,
            "zone": zone,
            "promiseId": template,
            "promiseTimeout": DAY_MS if timeout is None else timeout,
            "promiseParam": invocation(function, call.args, call.kwargs, version),
            "promiseTags": {"resonate:target": address, "resonate:scope": "global"},
        }
        schedule = asked.api.ask("schedule.create", wanted)["schedule"]
        differing = [name for name, value in wanted.items() if schedule.get(name, "UTC") != value]
        if differing:
            message = f"schedule {schedule_id!r} exists with another {' and '.join(differing)}"
            hint = f"Delete it first ({command('schedules', 'delete', schedule_id)}), or choose another id"
            raise Failure(Exit.REFUSED, message, hint=hint, code="schedule-conflict")
        if as_json:
            asked.out.document(schedule)
        else:
            asked.out.lines([f"{schedule_id} next runs at {instant(schedule.get('nextRunAt'))}"])


def list_schedules(
    limit: Limit = 100,
    cursor: Cursor = None,
    is_all: All = False,
    url: Url = DEFAULT_URL,
    token: Token = None,
    as_json: AsJson = False,
) -> None:
    """List schedules by id, a page at a time."""
    with session(url, token, as_json=as_json) as asked:
        found = search(asked.api, "schedule", {}, limit=limit, cursor=cursor, is_all=is_all)
        if as_json:
            asked.out.document(found.document("schedules"))
            return
        rows = [
            (
                str(one.get("id")),
                str(one.get("cron")),
                str(one.get("zone", "UTC")),
                _function(one),
                instant(one.get("nextRunAt")),
                instant(one.get("lastRunAt")),
            )
            for one in found.records
        ]
        asked.out.table(("ID", "CRON", "ZONE", "FUNCTION", "NEXT", "LAST"), rows)
        found.note_more(asked.out)


def delete(
    schedule_id: ScheduleId, url: Url = DEFAULT_URL, token: Token = None, as_json: AsJson = False
) -> None:
    """Delete a schedule; what it started goes on."""
    with session(url, token, as_json=as_json) as asked:
        asked.api.ask("schedule.delete", {"id": schedule_id})
        if as_json:
            asked.out.document({"id": schedule_id, "deleted": True})
        else:
            asked.out.lines([f"{schedule_id} deleted"])


def _function(schedule: dict[str, Any]) -> str:
    call = payload(schedule.get("promiseParam"))
    name = call.get("func") if isinstance(call, dict) else None
    return name if isinstance(name, str) else ""


def _own_target(asked: Session) -> str:
    """Return the address of the server's own functions.

    Raises:
        Failure: it does not tell.
    """
    told = asked.api.get("health").get("target")
    if isinstance(told, str) and told:
        return told
    if asked.api.is_local:
        return LOCAL_TARGET
    message = f"{asked.api.url} does not tell where its functions run"
    raise Failure(Exit.USAGE, message, hint="Give the address with --target")
