"""Every (state, request) pair: the answer and whether anything stored changed, written by hand from protocol section 3.

The clock stands at 1000. ``expired``: the deadline was 500 and no step has stored it. ``lapsed``: the lease ended
at 500 and R5 has not fired. An answer reads ``status[/inner status]``, then ``w`` (written) or ``=`` (untouched).
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import product
from typing import Final, Literal, get_args

import pytest
from tests.machine.world import (
    LOCAL,
    OUTSIDE,
    SLEEP,
    TARGETED,
    Internal,
    World,
    acquired,
    halted,
    pending,
    record,
    schedule_create,
    suspended,
)

from resonate_faas._machine.objects import PromiseObject, PromiseState, Task
from resonate_faas._machine.requests import (
    Claim,
    Commit,
    Observe,
    Park,
    PromiseCreate,
    PromiseGet,
    PromiseSettle,
    Record,
    RegisterCallback,
    RegisterListener,
    Request,
    ScheduleDelete,
    ScheduleGet,
    TaskAcquire,
    TaskContinue,
    TaskCreate,
    TaskFence,
    TaskFulfill,
    TaskGet,
    TaskHalt,
    TaskHeartbeat,
    TaskRef,
    TaskRelease,
    TaskSuspend,
    Yield,
)

NOW: Final = 1_000
PASSED: Final = 500


def expired(tags: Mapping[str, str], task: Task | None = None) -> PromiseObject:
    return record("s", tags, timeout_at=PASSED, task=task)


DONE: Final = PromiseState.RESOLVED
STATES: Final[Mapping[str, PromiseObject | None]] = {
    "absent": None,
    "local": record("s", LOCAL),
    "local-settled": record("s", LOCAL, state=DONE),
    "local-expired": expired(LOCAL),
    "external": record("s", OUTSIDE),
    "external-settled": record("s", OUTSIDE, state=PromiseState.CANCELED),
    "external-expired": expired(OUTSIDE),
    "timer": record("s", SLEEP),
    "timer-settled": record("s", SLEEP, state=DONE),
    "timer-expired": expired(SLEEP),
    "pending": record("s", task=pending()),
    "acquired": record("s", task=acquired()),
    "lapsed": record("s", task=acquired(expires_at=PASSED)),
    "suspended": record("s", task=suspended()),
    "halted": record("s", task=halted()),
    "fulfilled": record("s", state=DONE),
    "pending-expired": expired(TARGETED, pending()),
    "acquired-expired": expired(TARGETED, acquired()),
    "suspended-expired": expired(TARGETED, suspended()),
    "halted-expired": expired(TARGETED, halted()),
}

UNTARGETED: Final = (
    "local local-settled local-expired external external-settled external-expired "
    "timer timer-settled timer-expired"
)
TASKLESS: Final = "absent " + UNTARGETED
INTERNAL: Final = "local local-settled local-expired"
LIVE_TASKS: Final = "pending acquired lapsed suspended halted"
EXPIRED_TASKS: Final = "pending-expired acquired-expired suspended-expired halted-expired"
WAITABLE: Final = "external timer " + LIVE_TASKS
WAITABLE_SETTLED: Final = "external-settled timer-settled fulfilled"
WAITABLE_EXPIRED: Final = "external-expired timer-expired " + EXPIRED_TASKS
LIVE: Final = "local " + WAITABLE
SETTLED: Final = "local-settled " + WAITABLE_SETTLED
EXPIRED: Final = "local-expired " + WAITABLE_EXPIRED

HELD: Final[Mapping[str, str]] = {
    "404=": TASKLESS,
    "200w": "acquired lapsed",
    "409=": "pending suspended halted fulfilled " + EXPIRED_TASKS,
}
AWAITED: Final[Mapping[str, str]] = {
    "422=": "absent " + INTERNAL,
    "200w": WAITABLE,
    "300=": WAITABLE_SETTLED,
    "300w": WAITABLE_EXPIRED,
}

EXPECTED: Final[Mapping[str, Mapping[str, str]]] = {
    "promise.get": {"404=": "absent", "200=": f"{LIVE} {SETTLED}", "200w": EXPIRED},
    "promise.create": {"200w": f"absent {EXPIRED}", "200=": f"{LIVE} {SETTLED}"},
    "promise.settle": {"404=": "absent", "200w": f"{LIVE} {EXPIRED}", "200=": SETTLED},
    "promise.register_callback awaited": {
        "404=": "absent",
        "422=": INTERNAL,
        "200w": f"{WAITABLE} {WAITABLE_EXPIRED}",
        "200=": WAITABLE_SETTLED,
    },
    "promise.register_callback awaiter": {
        "422=": TASKLESS,
        "200w": LIVE_TASKS,
        "200=": f"fulfilled {EXPIRED_TASKS}",
    },
    "promise.register_listener": {
        "404=": "absent",
        "422=": INTERNAL,
        "200w": f"{WAITABLE} {WAITABLE_EXPIRED}",
        "200=": WAITABLE_SETTLED,
    },
    "task.get": {"404=": TASKLESS, "200=": f"{LIVE_TASKS} fulfilled", "200w": EXPIRED_TASKS},
    "task.create": {
        "422=": UNTARGETED,
        "200w": f"absent pending {EXPIRED_TASKS}",
        "200=": "fulfilled",
        "409=": "acquired lapsed suspended halted",
    },
    "task.acquire": {
        "404=": TASKLESS,
        "200w": "pending",
        "409=": f"acquired lapsed suspended halted fulfilled {EXPIRED_TASKS}",
    },
    "task.fence holder": {"404=": HELD["404="], "200/200w": HELD["200w"], "409=": HELD["409="]},
    "task.fence settles": {"200/404=": "absent", "200/200w": f"{LIVE} {EXPIRED}", "200/200=": SETTLED},
    "task.fence creates": {"200/200w": f"absent {EXPIRED}", "200/200=": f"{LIVE} {SETTLED}"},
    "task.heartbeat": {
        "200w": "acquired lapsed",
        "200=": f"{TASKLESS} pending suspended halted fulfilled {EXPIRED_TASKS}",
    },
    "task.suspend holder": HELD,
    "task.suspend awaited": AWAITED,
    "task.fulfill": HELD,
    "task.release": HELD,
    "task.halt": {
        "404=": TASKLESS,
        "200w": "pending acquired lapsed suspended",
        "200=": "halted",
        "409=": f"fulfilled {EXPIRED_TASKS}",
    },
    "task.continue": {
        "404=": TASKLESS,
        "200w": "halted",
        "409=": f"pending acquired lapsed suspended fulfilled {EXPIRED_TASKS}",
    },
    "claim": {
        "404=": TASKLESS,
        "200w": "pending",
        "409=": "acquired lapsed suspended halted fulfilled",
        "409w": EXPIRED_TASKS,
    },
    "claim again": {
        "404=": TASKLESS,
        "200w": "pending acquired lapsed",
        "409=": "suspended halted fulfilled",
        "409w": EXPIRED_TASKS,
    },
    "commit records": HELD,
    "commit finishes": HELD,
    "commit settles": {"404=": "absent", "200w": f"{LIVE} {EXPIRED}", "200=": SETTLED},
    "commit creates": {"200w": f"absent {EXPIRED}", "200=": f"{LIVE} {SETTLED}"},
    "park holder": HELD,
    "park awaited": AWAITED,
    "park registers": AWAITED,
    "yield": HELD,
    "observe": {"200=": f"absent {LIVE} {SETTLED}", "200w": EXPIRED},
}

SETTLE: Final = PromiseSettle(id="s", state=DONE)
OTHER: Final = PromiseSettle(id="y", state=DONE)
CREATE: Final = PromiseCreate(id="s", timeout_at=9_000, tags=TARGETED)
BORN: Final = Record(id="s:1", timeout_at=9_000, created_at=NOW)

REQUESTS: Final[Mapping[str, Request]] = {
    "promise.get": PromiseGet(id="s"),
    "promise.create": CREATE,
    "promise.settle": SETTLE,
    "promise.register_callback awaited": RegisterCallback(awaited="s", awaiter="z"),
    "promise.register_callback awaiter": RegisterCallback(awaited="y", awaiter="s"),
    "promise.register_listener": RegisterListener(awaited="s", address="http://l"),
    "task.get": TaskGet(id="s"),
    "task.create": TaskCreate(pid="w", ttl=10, action=CREATE),
    "task.acquire": TaskAcquire(id="s", version=1, pid="w", ttl=10),
    "task.fence holder": TaskFence(id="s", version=1, action=OTHER),
    "task.fence settles": TaskFence(id="z", version=1, action=SETTLE),
    "task.fence creates": TaskFence(id="z", version=1, action=CREATE),
    "task.heartbeat": TaskHeartbeat(pid="w", tasks=(TaskRef(id="s", version=1),)),
    "task.suspend holder": TaskSuspend(id="s", version=1, awaited=("y",)),
    "task.suspend awaited": TaskSuspend(id="z", version=1, awaited=("s",)),
    "task.fulfill": TaskFulfill(id="s", version=1, action=SETTLE),
    "task.release": TaskRelease(id="s", version=1),
    "task.halt": TaskHalt(id="s"),
    "task.continue": TaskContinue(id="s"),
    "claim": Claim(id="s", pid="v", ttl=10),
    "claim again": Claim(id="s", pid="w", ttl=10),
    "commit records": Commit(id="s", version=1, effects=(BORN,)),
    "commit finishes": Commit(id="s", version=1, effects=(), finish=SETTLE),
    "commit settles": Commit(id="z", version=1, effects=(SETTLE,)),
    "commit creates": Commit(
        id="z", version=1, effects=(Record(id="s", timeout_at=9_000, created_at=NOW, tags=TARGETED),)
    ),
    "park holder": Park(id="s", version=1, awaited=("y",)),
    "park awaited": Park(id="z", version=1, awaited=("s",)),
    "park registers": Park(id="z", version=1, awaited=("s",), register_only=True),
    "yield": Yield(id="s", version=1),
    "observe": Observe(ids=("s",)),
}

SCHEDULES: Final[Mapping[str, tuple[Request, str, str]]] = {
    "schedule.get": (ScheduleGet(id="c"), "404=", "200="),
    "schedule.create": (schedule_create("c", "every 100", NOW), "200w", "200="),
    "schedule.delete": (ScheduleDelete(id="c"), "404=", "200w"),
}

Step = Literal["R1", "R4", "R5", "R6", "advance"]
INTERNAL_STEPS: Final[Mapping[Step, str]] = {
    "R1": EXPIRED,
    "R4": EXPIRED,
    "R5": "lapsed",
    "R6": "pending",
    "advance": f"pending lapsed {EXPIRED}",
}


def expected_answer(request: str, state: str) -> str:
    found = [answer for answer, states in EXPECTED[request].items() if state in states.split()]
    assert len(found) == 1, f"({state}, {request}) must be listed exactly once, found {found}"
    return found[0]


def world_in(state: str) -> World:
    world = World()
    world.has(record("z", task=acquired(pid="w")), record("y", OUTSIDE))
    subject = STATES[state]
    if subject is not None:
        world.has(subject)
    return world


def answer_of(world: World, request: Request) -> str:
    before = dict(world.objects)
    reply = world.ask(request, NOW)
    status = str(reply.status) if reply.inner is None else f"{reply.status}/{reply.inner.status}"
    return status + ("=" if world.objects == before else "w")


@pytest.mark.parametrize(("state", "request_name"), list(product(STATES, REQUESTS)))
def test_pair(state: str, request_name: str) -> None:
    assert answer_of(world_in(state), REQUESTS[request_name]) == expected_answer(request_name, state)


def test_every_pair_is_listed_exactly_once() -> None:
    assert set(EXPECTED) == set(REQUESTS)
    for request, answers in EXPECTED.items():
        listed = sorted(state for states in answers.values() for state in states.split())
        assert listed == sorted(STATES), request


def test_every_kind_of_request_is_enumerated() -> None:
    kinds = {type(request) for request in REQUESTS.values()}
    kinds |= {type(request) for request, _, _ in SCHEDULES.values()}
    assert kinds == set(get_args(Request))


@pytest.mark.parametrize("name", SCHEDULES)
def test_schedule_pair(name: str) -> None:
    request, when_absent, when_present = SCHEDULES[name]
    world = World()
    assert answer_of(world, request) == when_absent
    world = World()
    world.ask(schedule_create("c", "every 100", 0), 0)
    assert answer_of(world, request) == when_present


@pytest.mark.parametrize(("state", "step"), list(product(STATES, INTERNAL_STEPS)))
def test_internal_step_acts_only_on_the_states_that_enable_it(state: str, step: Step) -> None:
    world = world_in(state)
    before = dict(world.objects)
    world.fire(Internal(step, "s"), NOW)
    assert (world.objects != before) == (state in INTERNAL_STEPS[step].split())


@pytest.mark.parametrize(("state", "request_name"), list(product(STATES, REQUESTS)))
def test_promise_and_task_never_part(state: str, request_name: str) -> None:
    """Section 4.4: whoever writes an object settles both or none."""
    world = world_in(state)
    world.ask(REQUESTS[request_name], NOW)
    for stored in world.objects.values():
        assert isinstance(stored, PromiseObject)
        if stored.task is not None:
            settled = stored.promise.state is not PromiseState.PENDING
            assert settled == (stored.task.state.value == "fulfilled")
