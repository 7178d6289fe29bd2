"""The data of task requests and their nested actions (protocol section 3.2)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal

from resonate_faas._machine.objects import DELAY
from resonate_faas._machine.requests import (
    TaskAcquire,
    TaskContinue,
    TaskCreate,
    TaskFulfill,
    TaskGet,
    TaskHalt,
    TaskHeartbeat,
    TaskRef,
    TaskRelease,
    TaskSuspend,
)
from resonate_faas._protocol.fields import (
    ACTIONS_MAX,
    TASKS_MAX,
    AnyTaskState,
    Cursor,
    Limit,
    ProcessId,
    TaskId,
    Ttl,
    Version,
    Wire,
    at_most,
    tags_of,
)
from resonate_faas._protocol.promises import (
    PromiseCreateData,
    PromiseSettleData,
    RegisterCallbackData,
    RequestData,
    Scope,
)
from resonate_faas._requests import TaskSearch

FENCE_ACTIONS: Final[Mapping[str, type[PromiseCreateData | PromiseSettleData]]] = {
    "promise.create": PromiseCreateData,
    "promise.settle": PromiseSettleData,
}


class CreateAction(Wire):
    """A nested promise.create; its head may be anything, but must be there."""

    kind: Literal["promise.create"]
    head: Any
    data: PromiseCreateData


class SettleAction(Wire):
    """A nested promise.settle."""

    kind: Literal["promise.settle"]
    head: Any
    data: PromiseSettleData


class CallbackAction(Wire):
    """A nested promise.register_callback."""

    kind: Literal["promise.register_callback"]
    head: Any
    data: RegisterCallbackData


class FenceAction(Wire):
    """A fence's action; its data has rules of its own and a status of its own (D10)."""

    kind: str
    head: Any = None
    data: dict[str, Any]


class TaskGetData(RequestData):
    """task.get."""

    id: TaskId

    def to_request(self) -> TaskGet:
        """Return the plain request."""
        return TaskGet(id=self.id)


class TaskCreateData(RequestData):
    """task.create. That the action has a target is the machine's guard."""

    pid: ProcessId
    ttl: Ttl
    action: CreateAction

    def broken_rule(self, scope: Scope) -> str | None:
        """Refuse a delay (the task is held at once), then ask the create's own rules."""
        if DELAY in tags_of(self.action.data.tags):
            return "Action must not have a resonate:delay tag"
        return self.action.data.broken_rule(scope)

    def to_request(self) -> TaskCreate:
        """Return the plain request."""
        return TaskCreate(pid=self.pid, ttl=self.ttl, action=self.action.data.to_request())


class TaskAcquireData(RequestData):
    """task.acquire."""

    id: TaskId
    version: Version
    pid: ProcessId
    ttl: Ttl

    def to_request(self) -> TaskAcquire:
        """Return the plain request."""
        return TaskAcquire(id=self.id, version=self.version, pid=self.pid, ttl=self.ttl)


class TaskFenceData(RequestData):
    """task.fence. Its request is made by the decoder, which validates the action's data apart."""

    id: TaskId
    version: Version
    action: FenceAction

    def broken_rule(self, scope: Scope) -> str | None:
        """Refuse an action that is neither a create nor a settle."""
        del scope
        return None if self.action.kind in FENCE_ACTIONS else "Invalid fence action kind"


class TaskRefData(Wire):
    """One task of a heartbeat."""

    id: TaskId
    version: Version


class TaskHeartbeatData(RequestData):
    """task.heartbeat; an empty list is accepted (D7)."""

    pid: ProcessId
    tasks: Annotated[list[TaskRefData], at_most(TASKS_MAX)]

    def to_request(self) -> TaskHeartbeat:
        """Return the plain request."""
        refs = tuple(TaskRef(id=ref.id, version=ref.version) for ref in self.tasks)
        return TaskHeartbeat(pid=self.pid, tasks=refs)


class TaskSuspendData(RequestData):
    """task.suspend. Empty, self-awaiting and repeated actions are the machine's guards."""

    id: TaskId
    version: Version
    actions: Annotated[list[CallbackAction], at_most(ACTIONS_MAX)]

    def broken_rule(self, scope: Scope) -> str | None:
        """Refuse an action that would resume another task (D9)."""
        del scope
        if any(action.data.awaiter != self.id for action in self.actions):
            return "All action awaiter IDs must match the task ID"
        return None

    def to_request(self) -> TaskSuspend:
        """Return the plain request."""
        awaited = tuple(action.data.awaited for action in self.actions)
        return TaskSuspend(id=self.id, version=self.version, awaited=awaited)


class TaskFulfillData(RequestData):
    """task.fulfill. That the action names the task is the machine's guard (D9)."""

    id: TaskId
    version: Version
    action: SettleAction

    def to_request(self) -> TaskFulfill:
        """Return the plain request."""
        return TaskFulfill(id=self.id, version=self.version, action=self.action.data.to_request())


class TaskReleaseData(RequestData):
    """task.release."""

    id: TaskId
    version: Version

    def to_request(self) -> TaskRelease:
        """Return the plain request."""
        return TaskRelease(id=self.id, version=self.version)


class TaskHaltData(RequestData):
    """task.halt."""

    id: TaskId

    def to_request(self) -> TaskHalt:
        """Return the plain request."""
        return TaskHalt(id=self.id)


class TaskContinueData(RequestData):
    """task.continue."""

    id: TaskId

    def to_request(self) -> TaskContinue:
        """Return the plain request."""
        return TaskContinue(id=self.id)


class TaskSearchData(RequestData):
    """task.search."""

    state: AnyTaskState | None = None
    limit: Limit | None = None
    cursor: Cursor | None = None

    def to_request(self) -> TaskSearch:
        """Return the plain request."""
        limit = 100 if self.limit is None else self.limit
        return TaskSearch(state=self.state, limit=limit, cursor=self.cursor)
