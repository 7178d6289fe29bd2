"""Every error of the project, one tree.

ResonateFaasError (Exception)
├── StoreError                      the store port
│   ├── ConflictError               another writer moved first, retries are used up: nothing was written
│   ├── OutcomeUnknownError         the write may or may not have happened
│   └── StoreUnavailableError       the store can't serve: nothing was written
├── QueueError                      a message was not taken; the sweep repairs it
├── TaskNotAcquiredError (1199)     the lease is not, or no longer, ours
├── RequestRefusedError             the machine refused a request (its HTTP status is ``status``)
│   └── InvocationConflictError     the id exists with another function or other arguments
├── HttpError                       a request that a route refuses (in _http_errors)
│   ├── AccessDeniedError           not known (401), or known and not allowed (403)
│   ├── RouteNotFoundError          404
│   ├── PromiseNotFoundError        404; the same answer whether the promise is unknown or forbidden
│   ├── MethodNotAllowedError       405
│   ├── BodyTooLargeError           413
│   ├── ContentTypeError            415
│   ├── MalformedBodyError          400
│   └── InvalidFieldError           422; names the field
├── CodecError
│   ├── EncodingError               a value can't be recorded
│   └── DecodingError               a record can't be read
├── RegistryError
│   ├── AlreadyRegisteredError
│   ├── InvalidNameError
│   └── FunctionNotFoundError
├── ArgumentsError                  a call does not fit the function's signature
├── CronError                       a schedule's expression or time zone can't be used
├── DependencyNotFoundError
├── ConfigurationError              a setting of the deployment is missing or wrong
├── LimitExceededError              a named bound was met (promise count, size, waiters)
└── DurableError                    what a workflow can catch: how a durable promise ended
    ├── ApplicationError            the step's own exception, of a type that is not allow-listed
    ├── PromiseTimeoutError         its deadline passed
    └── PromiseCanceledError        it was cancelled

WorkflowInterrupt (BaseException)   never to be swallowed by ``except Exception``
├── NonDeterminismError             the code no longer does what was recorded
├── ForeignAwaitError               a workflow awaited something that is not durable
├── GuardError                      a workflow did what a replay can't repeat
├── HistoryNotReadError             ctx.patched over a server that does not tell what is recorded
└── ContextClosedError              a context was used after its activation ended

A leaf's ``code`` is stable and stands in JSON problems and logs. Errors pickle: fields go to ``args``.
"""

from __future__ import annotations

from enum import Enum
from typing import ClassVar


class Disposition(Enum):
    """What a caller should do about an error."""

    RETRY = "retry"  # try the same again
    FIX = "fix"  # change the request or the code first
    STOP = "stop"  # not ours any more: stop quietly


class ResonateFaasError(Exception):
    """The base of every error that this package raises for callers to handle."""

    code: ClassVar[str] = "resonate-faas"
    disposition: ClassVar[Disposition] = Disposition.FIX
    status: int = 500


class StoreError(ResonateFaasError):
    """The store could not do what was asked."""

    code = "store"
    disposition = Disposition.RETRY
    status = 503


class ConflictError(StoreError):
    """Other writers kept moving the objects: nothing was written; try again."""

    code = "store-conflict"

    def __init__(self, ids: tuple[str, ...], attempts: int) -> None:
        super().__init__(ids, attempts)
        self.ids, self.attempts = ids, attempts

    def __str__(self) -> str:
        return f"{self.attempts} attempts to write {_some(self.ids)} met other writers; nothing was written, try again"


class OutcomeUnknownError(StoreError):
    """The answer of a write was lost, and reading did not tell whether it happened."""

    code = "store-outcome-unknown"

    def __init__(self, ids: tuple[str, ...], cause: str) -> None:
        super().__init__(ids, cause)
        self.ids, self.cause = ids, cause

    def __str__(self) -> str:
        return f"a write to {_some(self.ids)} may or may not have happened ({self.cause}); read before you try again"


class StoreUnavailableError(StoreError):
    """The store can't serve now: nothing was written."""

    code = "store-unavailable"

    def __init__(self, operation: str, cause: str) -> None:
        super().__init__(operation, cause)
        self.operation, self.cause = operation, cause

    def __str__(self) -> str:
        return f"the store can't {self.operation}: {self.cause}; nothing was written"


class QueueError(ResonateFaasError):
    """A message was not taken. The task stays due and the sweep sends it again."""

    code = "queue"
    disposition = Disposition.RETRY
    status = 503

    def __init__(self, message_id: str, cause: str) -> None:
        super().__init__(message_id, cause)
        self.message_id, self.cause = message_id, cause

    def __str__(self) -> str:
        return (
            f"the message for {self.message_id!r} was not sent ({self.cause}); the sweep will send it again"
        )


class TaskNotAcquiredError(ResonateFaasError):
    """The task's lease is not, or no longer, ours: nothing more may be recorded by this activation (error 1199)."""

    code = "1199"
    disposition = Disposition.STOP
    status = 409

    def __init__(self, task_id: str, version: int, reason: str) -> None:
        super().__init__(task_id, version, reason)
        self.task_id, self.version, self.reason = task_id, version, reason

    def __str__(self) -> str:
        return (
            f"task {self.task_id!r} is not acquired at version {self.version}: {self.reason}. "
            "Another activation goes on from the records; if this repeats, the replay is longer than the lease: "
            "split the loop with ctx.detached or raise the lease"
        )


class RequestRefusedError(ResonateFaasError):
    """The machine refused a request; nothing was changed."""

    code = "refused"

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(status, reason)
        self.status, self.reason = status, reason

    def __str__(self) -> str:
        return self.reason


class InvocationConflictError(RequestRefusedError):
    """An execution with this id exists, with another function or other arguments; nothing was changed."""

    code = "invocation-conflict"


class CodecError(ResonateFaasError):
    """A value could not cross between Python and its record."""

    code = "codec"
    status = 422


class EncodingError(CodecError):
    """A value can't be recorded: not serialisable, not of its declared type, or too large."""

    code = "encoding"

    def __init__(self, where: str, reason: str) -> None:
        super().__init__(where, reason)
        self.where, self.reason = where, reason

    def __str__(self) -> str:
        return f"{self.where} can't be recorded: {self.reason}"


class DecodingError(CodecError):
    """A record can't be read as the type the code asks for."""

    code = "decoding"

    def __init__(self, where: str, reason: str) -> None:
        super().__init__(where, reason)
        self.where, self.reason = where, reason

    def __str__(self) -> str:
        return f"the record of {self.where} can't be read: {self.reason}"


class RegistryError(ResonateFaasError):
    """A function's registration is wrong."""

    code = "registry"
    status = 400


class AlreadyRegisteredError(RegistryError):
    """The name is taken at this version."""

    code = "1102"

    def __init__(self, name: str, version: int) -> None:
        super().__init__(name, version)
        self.name, self.version = name, version

    def __str__(self) -> str:
        return f"function {self.name!r} (version {self.version}) is already registered; give it another name or version"


class InvalidNameError(RegistryError):
    """The name or version can't be registered."""

    code = "1101"

    def __init__(self, name: str, reason: str) -> None:
        super().__init__(name, reason)
        self.name, self.reason = name, reason

    def __str__(self) -> str:
        return f"can't register {self.name!r}: {self.reason}"


class FunctionNotFoundError(RegistryError):
    """No function of this name and version is registered here."""

    code = "1103"
    status = 404

    def __init__(self, name: str, version: int, known: tuple[str, ...] = ()) -> None:
        super().__init__(name, version, known)
        self.name, self.version, self.known = name, version, known

    def __str__(self) -> str:
        version = f" (version {self.version})" if self.version else ""
        known = f"; registered: {_some(self.known)}" if self.known else "; nothing is registered"
        return f"function {self.name!r}{version} is not registered{known}"


class ArgumentsError(ResonateFaasError):
    """The arguments do not fit the function's signature; nothing was stored.

    ``field`` names the parameter (None: the call as a whole).
    """

    code = "arguments"
    status = 422

    def __init__(self, function: str, reason: str, field: str | None = None) -> None:
        super().__init__(function, reason, field)
        self.function, self.reason, self.field = function, reason, field

    def __str__(self) -> str:
        where = f" (parameter {self.field!r})" if self.field else ""
        return f"the arguments do not fit {self.function}{where}: {self.reason}"


class CronError(ResonateFaasError):
    """The cron expression or its time zone can't be used; nothing was stored."""

    code = "cron"
    status = 400

    def __init__(self, expression: str, reason: str) -> None:
        super().__init__(expression, reason)
        self.expression, self.reason = expression, reason

    def __str__(self) -> str:
        return f"Invalid cron expression {self.expression!r}: {self.reason}"


class DependencyNotFoundError(ResonateFaasError):
    """No dependency of this name was set."""

    code = "1105"

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.name = name

    def __str__(self) -> str:
        return (
            f"dependency {self.name!r} is not set; call resonate.set_dependency({self.name!r}, ...) at start"
        )


class ConfigurationError(ResonateFaasError):
    """A setting of the deployment is missing or wrong; raised at start, before anything is served."""

    code = "configuration"

    def __init__(self, setting: str, reason: str) -> None:
        super().__init__(setting, reason)
        self.setting, self.reason = setting, reason

    def __str__(self) -> str:
        return f"{self.setting} {self.reason}"


class LimitExceededError(ResonateFaasError):
    """A named bound was met; nothing beyond it was recorded."""

    code = "limit"
    status = 422

    def __init__(self, limit: str, bound: int, cure: str) -> None:
        super().__init__(limit, bound, cure)
        self.limit, self.bound, self.cure = limit, bound, cure

    def __str__(self) -> str:
        return f"{self.limit} is limited to {self.bound}: {self.cure}"


class DurableError(ResonateFaasError):
    """How a durable promise ended, if not with a value."""

    code = "durable"


class ApplicationError(DurableError):
    """A step or workflow failed with an error whose type is not allow-listed here.

    ``name`` is the original type's name. Register the class (``@resonate.error``) to catch it by type.
    """

    code = "application"

    def __init__(self, message: str, name: str = "Error") -> None:
        super().__init__(message, name)
        self.message, self.name = message, name

    def __str__(self) -> str:
        return self.message if self.name in {"Error", "ApplicationError"} else f"{self.name}: {self.message}"


class PromiseTimeoutError(DurableError, TimeoutError):
    """The promise's deadline passed before anyone settled it."""

    code = "timeout"

    def __init__(self, promise_id: str) -> None:
        super().__init__(promise_id)
        self.promise_id = promise_id

    def __str__(self) -> str:
        return f"promise {self.promise_id!r} was not settled before its deadline"


class PromiseCanceledError(DurableError):
    """The promise was cancelled."""

    code = "canceled"

    def __init__(self, promise_id: str) -> None:
        super().__init__(promise_id)
        self.promise_id = promise_id

    def __str__(self) -> str:
        return f"promise {self.promise_id!r} was cancelled"


class WorkflowInterrupt(BaseException):
    """The activation ends here; the code of the workflow must not go on."""

    code: ClassVar[str] = "interrupt"


class NonDeterminismError(WorkflowInterrupt):
    """The code does something else than was recorded: nothing is overwritten, the task backs off and is halted.

    Attributes:
        promise_id: where the two differ.
        recorded: the call on record.
        present: the call the code makes now, or what it does instead.
        line: "file:line" of the present call; "" if unknown.
        source: the text of that line, where it is known.
        defined: "file:line" of the recorded function, where it is registered.
        cause: why, probably.
    """

    code = "non-determinism"

    def __init__(
        self,
        promise_id: str,
        recorded: str,
        present: str,
        line: str = "",
        source: str = "",
        defined: str = "",
        cause: str = "",
    ) -> None:
        super().__init__(promise_id, recorded, present, line, source, defined, cause)
        self.promise_id, self.recorded, self.present, self.line = promise_id, recorded, present, line
        self.source, self.defined, self.cause = source, defined, cause

    def __str__(self) -> str:
        defined = f" (defined at {self.defined})" if self.defined else ""
        at = f" at {self.line}" if self.line else ""
        source = f": {self.source}" if self.source else ""
        cause = self.cause or "the code changed under a running execution, or it is not deterministic"
        return (
            f"{self.promise_id!r} was recorded as {self.recorded}{defined}, but the code now does "
            f"{self.present}{at}{source}. Probable cause: {cause}. Ways out: deploy the code that recorded it; or make "
            "the change a branch that this execution does not take, by ctx.patched(name) or by registering the new "
            "code as another version. The task is tried again with back-off and halted in the end; then "
            "`resonate-faas tasks continue ID`"
        )


class ForeignAwaitError(WorkflowInterrupt):
    """A workflow awaited something that only an event loop can settle; a replay could not repeat it."""

    code = "foreign-await"

    def __init__(self, what: str, line: str) -> None:
        super().__init__(what, line)
        self.what, self.line = what, line

    def __str__(self) -> str:
        return (
            f"a workflow awaited {self.what} at {self.line}: await only what its context returns; "
            "put I/O into a step (ctx.run(fn, ...)) and waits into ctx.sleep"
        )


class GuardError(WorkflowInterrupt):
    """A workflow did, outside its steps, what a replay can't repeat, and its guard refuses that.

    Attributes:
        promise_id: the workflow's promise.
        function: its name.
        what: completes "the workflow ...": reads the clock (time.time).
        line: "file:line".
        cure: what to write instead.
    """

    code = "guard"

    def __init__(self, promise_id: str, function: str, what: str, line: str, cure: str) -> None:
        super().__init__(promise_id, function, what, line, cure)
        self.promise_id, self.function, self.what, self.line, self.cure = (
            promise_id,
            function,
            what,
            line,
            cure,
        )

    def __str__(self) -> str:
        return (
            f"workflow {self.function!r} ({self.promise_id!r}) {self.what} at {self.line}, which a replay does not "
            f"repeat: {self.cure}"
        )


class HistoryNotReadError(WorkflowInterrupt):
    """``ctx.patched`` needs what earlier activations recorded, and the server does not tell it."""

    code = "history-not-read"

    def __init__(self, promise_id: str, name: str) -> None:
        super().__init__(promise_id, name)
        self.promise_id, self.name = promise_id, name

    def __str__(self) -> str:
        return (
            f"ctx.patched({self.name!r}) in {self.promise_id!r}: whether an earlier activation went past it can't be "
            "told, for the server does not search (promise.search). Register the new code as another version instead"
        )


class ContextClosedError(WorkflowInterrupt):
    """A context was used after its activation ended (in a finally block, a thread, or a kept reference)."""

    code = "context-closed"

    def __init__(self, promise_id: str, operation: str) -> None:
        super().__init__(promise_id, operation)
        self.promise_id, self.operation = promise_id, operation

    def __str__(self) -> str:
        return (
            f"{self.operation} on the context of {self.promise_id!r} after its activation ended; nothing was recorded. "
            "A finally block runs at every suspension: use try/except for durable clean-up"
        )


def _some(names: tuple[str, ...]) -> str:
    """Return a few of the names, quoted; a message stays short however many there are."""
    shown = ", ".join(repr(name) for name in names[:5])
    return shown if len(names) <= 5 else f"{shown} and {len(names) - 5} more"
