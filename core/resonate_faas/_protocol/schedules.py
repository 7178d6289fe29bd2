"""The data of schedule and debug requests (protocol sections 3.3 and 3.4)."""

from __future__ import annotations

from resonate_faas._machine.ids import id_error
from resonate_faas._machine.objects import DELAY, TARGET
from resonate_faas._machine.requests import ScheduleDelete, ScheduleGet
from resonate_faas._protocol.fields import (
    CLOCK_MAX,
    Cron,
    Cursor,
    Limit,
    Payload,
    PromiseTimeout,
    ScheduleId,
    Tags,
    Template,
    TickTime,
    Zone,
    tags_of,
    value_of,
)
from resonate_faas._protocol.promises import RequestData, Scope, delay_of
from resonate_faas._requests import (
    DebugReset,
    DebugSnap,
    DebugStart,
    DebugStop,
    DebugTick,
    ScheduleCreateRequest,
    ScheduleSearch,
)


class ScheduleGetData(RequestData):
    """schedule.get."""

    id: ScheduleId

    def to_request(self) -> ScheduleGet:
        """Return the plain request."""
        return ScheduleGet(id=self.id)


class ScheduleCreateData(RequestData):
    """schedule.create. The cron expression is looked at by the server; ``zone`` is ours (D20)."""

    id: ScheduleId
    cron: Cron
    promise_id: Template
    promise_timeout: PromiseTimeout
    promise_param: Payload = None
    promise_tags: Tags = None
    zone: Zone | None = None

    def broken_rule(self, scope: Scope) -> str | None:
        """Require a target (D19) and what every occurrence would need: a right id, delay and address."""
        tags = tags_of(self.promise_tags)
        if TARGET not in tags:
            return "promiseTags must include a resonate:target tag"
        if DELAY in tags and delay_of(tags) is None:
            return "resonate:delay must be a non-negative integer"
        if not scope.permits(tags[TARGET]):
            return "Invalid resonate:target address"
        longest = self.promise_id.replace("{{.id}}", self.id).replace("{{.timestamp}}", str(CLOCK_MAX))
        reason = id_error(longest)
        return None if reason is None else f"Promise ID template: {reason}"

    def to_request(self) -> ScheduleCreateRequest:
        """Return the plain request."""
        return ScheduleCreateRequest(
            id=self.id,
            cron=self.cron,
            promise_id=self.promise_id,
            promise_timeout=self.promise_timeout,
            promise_param=value_of(self.promise_param),
            promise_tags=tags_of(self.promise_tags),
            zone="UTC" if self.zone is None else self.zone,
        )


class ScheduleDeleteData(RequestData):
    """schedule.delete."""

    id: ScheduleId

    def to_request(self) -> ScheduleDelete:
        """Return the plain request."""
        return ScheduleDelete(id=self.id)


class ScheduleSearchData(RequestData):
    """schedule.search."""

    tags: Tags = None
    limit: Limit | None = None
    cursor: Cursor | None = None

    def to_request(self) -> ScheduleSearch:
        """Return the plain request."""
        limit = 10 if self.limit is None else self.limit
        return ScheduleSearch(tags=tags_of(self.tags), limit=limit, cursor=self.cursor)


class DebugStartData(RequestData):
    """debug.start."""

    def to_request(self) -> DebugStart:
        """Return the plain request."""
        return DebugStart()


class DebugStopData(RequestData):
    """debug.stop."""

    def to_request(self) -> DebugStop:
        """Return the plain request."""
        return DebugStop()


class DebugResetData(RequestData):
    """debug.reset."""

    def to_request(self) -> DebugReset:
        """Return the plain request."""
        return DebugReset()


class DebugTickData(RequestData):
    """debug.tick."""

    time: TickTime

    def broken_rule(self, scope: Scope) -> str | None:
        """Refuse two different instants in one request."""
        if scope.debug_time not in {None, self.time}:
            return "resonate:debug_time must equal data.time"
        return None

    def to_request(self) -> DebugTick:
        """Return the plain request."""
        return DebugTick(time=self.time)


class DebugSnapData(RequestData):
    """debug.snap."""

    def to_request(self) -> DebugSnap:
        """Return the plain request."""
        return DebugSnap()
