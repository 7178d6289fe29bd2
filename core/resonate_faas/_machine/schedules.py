"""Schedule requests (protocol section 3.3). The cron expression is opaque: its next instant comes in as data."""

from __future__ import annotations

from resonate_faas._machine.objects import TARGET, TIMER, Schedule, ScheduleObject, schedule_key
from resonate_faas._machine.promises import refuse
from resonate_faas._machine.requests import Reply, ScheduleCreate, ScheduleDelete, ScheduleGet
from resonate_faas._machine.turn import Turn


def get(turn: Turn, request: ScheduleGet) -> Reply:
    """schedule.get."""
    found = turn.schedule(request.id)
    if found is None:
        return refuse(404, "Schedule not found")
    return Reply(status=200, schedule=found.schedule)


def create(turn: Turn, request: ScheduleCreate) -> Reply:
    """schedule.create: idempotent by id alone."""
    if request.promise_tags.get(TIMER) == "true" and TARGET in request.promise_tags:
        return refuse(400, "A timer must not have a resonate:target tag")
    found = turn.schedule(request.id)
    if found is not None:
        return Reply(status=200, schedule=found.schedule)
    schedule = Schedule(
        id=request.id,
        cron=request.cron,
        promise_id=request.promise_id,
        promise_timeout=request.promise_timeout,
        promise_param=request.promise_param,
        promise_tags=request.promise_tags,
        created_at=turn.now,
        next_run_at=request.next_run_at,
        zone=request.zone,
    )
    turn.put(ScheduleObject(schedule=schedule, at=turn.now))
    return Reply(status=200, schedule=schedule)


def delete(turn: Turn, request: ScheduleDelete) -> Reply:
    """schedule.delete: promises already fired stay."""
    if turn.schedule(request.id) is None:
        return refuse(404, "Schedule not found")
    turn.delete(schedule_key(request.id))
    return Reply(status=200)
