"""Start executions, read them, settle external promises: what the triggers, the command line and tests call."""

from __future__ import annotations

import re
import secrets
from collections.abc import Mapping, Sequence
from typing import Any, Final, Protocol

from resonate_faas._engine.calls import marks_of
from resonate_faas._engine.codec import NO_HINT, Codec
from resonate_faas._engine.invocation import invocation
from resonate_faas._engine.options import milliseconds
from resonate_faas._engine.registry import DEFAULT_TIMEOUT, Registry
from resonate_faas._errors import ApplicationError, InvocationConflictError, RequestRefusedError
from resonate_faas._invocation import Invocation
from resonate_faas._machine.ids import id_error
from resonate_faas._machine.objects import (
    BRANCH,
    DELAY,
    EMPTY,
    ORIGIN,
    PARENT,
    SCOPE,
    TARGET,
    Promise,
    PromiseObject,
    PromiseState,
)
from resonate_faas._machine.requests import PromiseCreate, PromiseSettle, Request
from resonate_faas._ports import Clock, Result

_UNSAFE = re.compile(r"[^A-Za-z0-9_-]+")
NAME_PART_MAX: Final = 64


class Asked(Protocol):
    """What a client asks: our own server, or one somewhere else."""

    @property
    def clock(self) -> Clock:
        """The time."""

    def ask(self, request: Request, /) -> Result:
        """Run one request."""

    def observe(self, ids: Sequence[str], /) -> Mapping[str, PromiseObject]:
        """Return the promises that exist."""

    def wait(self, promise_id: str, timeout_ms: int, /) -> PromiseObject | None:
        """Return the promise once it is settled, or as it stands when the time is up; None: unknown."""


class Client:
    """Executions of the functions registered here.

    Args:
        server: where they live.
        registry: the functions.
        codec: of payloads.
        target: where their tasks are delivered.
    """

    def __init__(self, server: Asked, registry: Registry, codec: Codec, *, target: str) -> None:
        self._server = server
        self._registry = registry
        self._codec = codec
        self._target = target

    def invoke(self, wanted: Invocation) -> PromiseObject:
        """Start an execution, or find the one of the same id, function and arguments.

        Returns:
            Its root promise, as it stands.

        Raises:
            FunctionNotFoundError: the name or version is not registered; nothing was stored.
            ArgumentsError: the arguments do not fit the signature; nothing was stored.
            EncodingError: they are too large.
            InvocationConflictError: the id exists with another function or other arguments.
            RequestRefusedError: the id is not usable.
        """
        function = self._registry.get(wanted.function, wanted.version)
        kwargs = dict(wanted.kwargs or {})
        function.load(wanted.args, kwargs)
        promise_id = wanted.id if wanted.id is not None else fresh_id(function.name)
        reason = id_error(promise_id) or ("a root id must not hold ':'" if ":" in promise_id else None)
        if reason is not None:
            raise RequestRefusedError(400, f"id {promise_id!r}: {reason}")
        param = invocation(
            function.name,
            wanted.args,
            kwargs,
            version=function.version,
            codec=self._codec,
            function=function,
            code=self._registry.fingerprint(function),
        )
        now = self._server.clock.now_ms()
        delay_ms = 0 if wanted.delay is None else milliseconds(wanted.delay, "delay")
        timeout = wanted.timeout if wanted.timeout is not None else function.timeout or DEFAULT_TIMEOUT
        tags = {
            SCOPE: "global",
            TARGET: self._target,
            ORIGIN: promise_id,
            BRANCH: promise_id,
            PARENT: promise_id,
        }
        if delay_ms:
            tags[DELAY] = str(now + delay_ms)
        timeout_at = now + delay_ms + max(milliseconds(timeout, "timeout"), 1)
        found = self._promise(PromiseCreate(id=promise_id, timeout_at=timeout_at, param=param, tags=tags))
        recorded = marks_of(promise_id, found.promise.param, self._codec)
        asked = marks_of(promise_id, param, self._codec)
        if (
            recorded is None
            or asked is None
            or not _same_call(recorded, asked, any_version=wanted.version == 0)
        ):
            raise InvocationConflictError(
                409,
                f"execution {promise_id!r} exists with another function or other arguments; choose another id",
            )
        return found

    def get(self, promise_id: str) -> PromiseObject | None:
        """Return a promise as it stands; None: unknown."""
        return self._server.observe((promise_id,)).get(promise_id)

    def wait(self, promise_id: str, timeout_ms: int) -> PromiseObject | None:
        """Return a promise once it is settled, or as it stands when the time is up; None: unknown."""
        return self._server.wait(promise_id, timeout_ms)

    def settle(self, promise_id: str, state: PromiseState, value: Any = None) -> PromiseObject:
        """Settle a promise from outside; a settled one keeps its record, which is returned.

        Args:
            promise_id: the promise.
            state: resolved, rejected or rejected_canceled.
            value: JSON data; of a rejection, the message.

        Raises:
            EncodingError: the value is too large.
            RequestRefusedError: unknown.
        """
        encoded = EMPTY
        if state is PromiseState.REJECTED:
            message = value if isinstance(value, str) else "" if value is None else repr(value)
            encoded = self._codec.encode_error(ApplicationError(message), promise_id)
        elif value is not None:
            encoded = self._codec.encode(value, NO_HINT, f"the value of {promise_id!r}")
        return self._promise(PromiseSettle(id=promise_id, state=state, value=encoded))

    def result(self, promise: Promise) -> Any:
        """Return the value of a resolved promise, as JSON data; raise what a rejected one holds.

        Raises:
            DurableError: rejected, timed out or cancelled; or the exception the function raised, if allow-listed.
            DecodingError: the record can't be read.
            RequestRefusedError: it is still pending.
        """
        if promise.state is PromiseState.PENDING:
            raise RequestRefusedError(409, f"promise {promise.id!r} is still pending: wait for it first")
        if promise.state is PromiseState.RESOLVED:
            return self._codec.decode(promise.value, NO_HINT, promise.id)
        raise self._codec.decode_error(promise)

    def _promise(self, request: Request) -> PromiseObject:
        reply = self._ask(request).reply
        if not reply.ok or reply.promise is None:
            raise RequestRefusedError(reply.status, reply.error or "refused")
        return reply.promise

    def _ask(self, request: Request) -> Result:
        return self._server.ask(request)


def fresh_id(function: str) -> str:
    """Return an id nobody else has: the function's name, made safe for URLs, and 80 random bits."""
    return f"{_UNSAFE.sub('-', function)[:NAME_PART_MAX]}-{secrets.token_hex(10)}"


def _same_call(recorded: Mapping[str, Any], asked: Mapping[str, Any], *, any_version: bool) -> bool:
    """A running execution stays on its version: asking for the newest finds it all the same."""
    names = ("func", "digest") if any_version else ("func", "digest", "version")
    return all(recorded[name] == asked[name] for name in names)
