"""Requests over more objects than a transaction holds, as several requests that do the same one after another.

Each part keeps its own guards, so whoever sends one reads the same states; what they are not is one instant.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Final, TypeVar

from resonate_faas._machine.requests import Observe, Park, Request, TaskHeartbeat, TaskSuspend
from resonate_faas._ports import TRANSACTION_MAX, Result

AWAITED_MAX: Final = TRANSACTION_MAX - 2
"""Promises awaited by one part: next to the task, and to one promise of an earlier part that settled meanwhile."""

_T = TypeVar("_T")


def parts(request: Request) -> tuple[Request, ...]:
    """Return the requests to be run in order until one is refused or redirected; mostly it is the request itself.

    A suspension on more promises than a transaction holds registers on all but the last of them first, each time
    only while the task is held, and suspends last. So one that is refused or redirected on the way leaves callbacks
    behind: the task may be resumed by one of them later, which replay takes for a wake like any other.

    Source: design section 4 (above 98 awaited: in conditional chunks, the task last).
    """
    match request:
        case TaskSuspend(awaited=awaited) if len(awaited) > AWAITED_MAX:
            return _registrations(Park(id=request.id, version=request.version, awaited=awaited))
        case Park(awaited=awaited) if len(awaited) > AWAITED_MAX:
            return _registrations(request)
        case Observe(ids=ids) if len(ids) > TRANSACTION_MAX:
            return tuple(Observe(ids=chunk) for chunk in _chunks(ids, TRANSACTION_MAX))
        case TaskHeartbeat(tasks=tasks) if len(tasks) > TRANSACTION_MAX:
            return tuple(replace(request, tasks=chunk) for chunk in _chunks(tasks, TRANSACTION_MAX))
    return (request,)


def joined(before: Result, after: Result) -> Result:
    """Return the result of a part, with the objects and records of those before it."""
    records = {**(before.reply.records or {}), **(after.reply.records or {})}
    reply = replace(after.reply, records=records or after.reply.records)
    return Result(outcome=replace(after.outcome, reply=reply), objects={**before.objects, **after.objects})


def _registrations(park: Park) -> tuple[Park, ...]:
    chunks = _chunks(park.awaited, AWAITED_MAX)
    return tuple(
        replace(
            park,
            awaited=chunk,
            registered=park.awaited[: number * AWAITED_MAX],
            register_only=number < len(chunks) - 1,
        )
        for number, chunk in enumerate(chunks)
    )


def _chunks(whole: Sequence[_T], size: int) -> list[tuple[_T, ...]]:
    return [tuple(whole[start : start + size]) for start in range(0, len(whole), size)]
