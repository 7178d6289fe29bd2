"""Which handler answers a request, and which objects it reads first."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from resonate_faas._machine import promises, requests, schedules, session, tasks
from resonate_faas._machine.objects import schedule_key
from resonate_faas._machine.turn import Handler, Turn

_HANDLERS: Final[Mapping[type[Any], Callable[[Turn, Any], requests.Reply]]] = {
    requests.PromiseGet: promises.get,
    requests.PromiseCreate: promises.create,
    requests.PromiseSettle: promises.settle,
    requests.RegisterCallback: promises.register_callback,
    requests.RegisterListener: promises.register_listener,
    requests.TaskGet: tasks.get,
    requests.TaskCreate: tasks.create,
    requests.TaskAcquire: tasks.acquire,
    requests.TaskFence: tasks.fence,
    requests.TaskHeartbeat: tasks.heartbeat,
    requests.TaskSuspend: tasks.suspend,
    requests.TaskFulfill: tasks.fulfill,
    requests.TaskRelease: tasks.release,
    requests.TaskHalt: tasks.halt,
    requests.TaskContinue: tasks.resume,
    requests.ScheduleGet: schedules.get,
    requests.ScheduleCreate: schedules.create,
    requests.ScheduleDelete: schedules.delete,
    requests.Claim: session.claim,
    requests.Commit: session.commit,
    requests.Park: session.park,
    requests.Yield: session.give_back,
    requests.Observe: promises.observe,
}


def handler_of(request: requests.Request) -> Handler:
    """Return the pure handler of a request, to be run by :func:`decide`."""
    handle = _HANDLERS[type(request)]
    return lambda turn: handle(turn, request)


def keys_of(request: requests.Request) -> tuple[str, ...]:
    """Return the store keys that the request's handler reads first; it may ask for more (``Need``)."""
    match request:
        case requests.RegisterCallback(awaited=awaited, awaiter=awaiter):
            return (awaited, awaiter)
        case requests.RegisterListener(awaited=awaited):
            return (awaited,)
        case requests.TaskCreate(action=action):
            return (action.id,)
        case requests.TaskFence(id=task_id, action=action):
            return (task_id, action.id)
        case requests.TaskHeartbeat(tasks=refs):
            return tuple(dict.fromkeys(ref.id for ref in refs))
        case (
            requests.TaskSuspend(id=task_id, awaited=awaited_ids)
            | requests.Park(id=task_id, awaited=awaited_ids)
        ):
            return tuple(dict.fromkeys((task_id, *awaited_ids)))
        case requests.Commit(id=task_id, effects=effects):
            return tuple(dict.fromkeys((task_id, *(effect.id for effect in effects))))
        case requests.ScheduleGet(id=key) | requests.ScheduleCreate(id=key) | requests.ScheduleDelete(id=key):
            return (schedule_key(key),)
        case requests.Observe(ids=ids):
            return ids
        case _:
            return (request.id,)
