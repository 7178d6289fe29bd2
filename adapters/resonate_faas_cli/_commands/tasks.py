"""``resonate-faas tasks``: what runs, what waits, what was stopped."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from resonate_faas_cli._search import All, Cursor, Limit, search
from resonate_faas_cli._session import DEFAULT_URL, AsJson, Token, Url, examples, session

RANK = 60


class TaskState(StrEnum):
    """What ``--state`` takes."""

    PENDING = "pending"
    ACQUIRED = "acquired"
    SUSPENDED = "suspended"
    HALTED = "halted"
    FULFILLED = "fulfilled"


TaskId = Annotated[str, typer.Argument(metavar="ID", help="The id of its promise.")]


def register(app: typer.Typer) -> None:
    """Add the group."""
    group = typer.Typer(no_args_is_help=True, help="List, halt and continue tasks.", rich_markup_mode=None)
    group.command("list", epilog=examples("tasks list --state halted", "tasks list --all --json"))(list_tasks)
    group.command("halt", epilog=examples("tasks halt order-17"))(halt)
    group.command("continue", epilog=examples("tasks continue order-17"))(continue_)
    app.add_typer(group, name="tasks")


def list_tasks(
    state: Annotated[
        TaskState | None, typer.Option(help="Only those in this state.", show_default=False)
    ] = None,
    limit: Limit = 100,
    cursor: Cursor = None,
    is_all: All = False,
    url: Url = DEFAULT_URL,
    token: Token = None,
    as_json: AsJson = False,
) -> None:
    """List tasks by id, a page at a time."""
    with session(url, token, as_json=as_json) as asked:
        found = search(asked.api, "task", {"state": state}, limit=limit, cursor=cursor, is_all=is_all)
        if as_json:
            asked.out.document(found.document("tasks"))
            return
        rows = [
            (
                str(one.get("id")),
                str(one.get("state")),
                str(one.get("version")),
                str(one.get("resumes", 0)),
                str(one.get("pid", "")),
            )
            for one in found.records
        ]
        asked.out.table(("ID", "STATE", "VERSION", "RESUMES", "HOLDER"), rows)
        found.note_more(asked.out)


def halt(task_id: TaskId, url: Url = DEFAULT_URL, token: Token = None, as_json: AsJson = False) -> None:
    """Halt a task: it runs no more until it is continued.

    Whoever runs it now loses the lease: what it does next is not recorded.
    """
    _operate("halt", task_id, url=url, token=token, as_json=as_json)


def continue_(task_id: TaskId, url: Url = DEFAULT_URL, token: Token = None, as_json: AsJson = False) -> None:
    """Continue a halted task, from what is on record.

    The way out for a task that was halted because its code diverged or failed to get on, once that is fixed.
    """
    _operate("continue", task_id, url=url, token=token, as_json=as_json)


def _operate(operation: str, task_id: str, *, url: str, token: str | None, as_json: bool) -> None:
    with session(url, token, as_json=as_json) as asked:
        asked.api.ask(f"task.{operation}", {"id": task_id})
        task = asked.api.ask("task.get", {"id": task_id})["task"]
        if as_json:
            asked.out.document(task)
        else:
            asked.out.lines([f"{task_id} {task.get('state')}"])
