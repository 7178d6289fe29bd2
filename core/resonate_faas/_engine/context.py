"""The context: what a workflow may do. Every call starts now and is awaited later."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Generator, Iterable, Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, TypeVar, cast, overload
from uuid import UUID

from resonate_faas._engine.calls import Call, Race
from resonate_faas._engine.functions import Asked
from resonate_faas._engine.futures import Future, Gather
from resonate_faas._engine.ids import DeterministicRandom
from resonate_faas._engine.operations import Operations, check_futures
from resonate_faas._engine.options import NO_OPTIONS, Options, milliseconds
from resonate_faas._engine.retry import RetryPolicy
from resonate_faas._engine.steps import Info
from resonate_faas._errors import DependencyNotFoundError

if TYPE_CHECKING:
    from resonate_faas._engine.execution import Execution
    from resonate_faas._engine.frames import Frame

P = ParamSpec("P")
T = TypeVar("T")


class ExternalPromise(Call[T]):
    """A promise settled from outside: by a person, a webhook, another system. Its id is known before it is awaited."""

    __slots__ = ()

    def link(self, action: str = "resolve") -> str:
        """Return the URL that settles it: with a capability token for this promise alone.

        Args:
            action: resolve, reject or cancel.

        Raises:
            RuntimeError: the deployment gave no public URL.
        """
        make = self._execution.settings.link
        if make is None:
            raise RuntimeError("this deployment has no public URL: settle the promise by its id over the API")
        return make(self.id, self._execution.lineage.own_birth(self.id) or self._execution.birth, action)


class ContextLog:
    """A logger that is silent while recorded steps are replayed. Event name and fields, no payloads."""

    __slots__ = ("_execution", "_frame")

    def __init__(self, execution: Execution, frame: Frame) -> None:
        self._execution = execution
        self._frame = frame

    def debug(self, event: str, **fields: Any) -> None:
        """Log at DEBUG."""
        self.log(10, event, **fields)

    def info(self, event: str, **fields: Any) -> None:
        """Log at INFO."""
        self.log(20, event, **fields)

    def warning(self, event: str, **fields: Any) -> None:
        """Log at WARNING."""
        self.log(30, event, **fields)

    def error(self, event: str, **fields: Any) -> None:
        """Log at ERROR."""
        self.log(40, event, **fields)

    def log(self, level: int, event: str, **fields: Any) -> None:
        """Log at a level of the logging module, unless this is a replay."""
        sink, frame = self._execution.settings.log, self._frame
        if sink is not None and not frame.closed:
            frame.say(partial(sink, level, event, {"promise_id": frame.id, **fields}))


class Context:
    """What a workflow may do durably. Calls start at once and return futures; await them, or yield them.

    A context belongs to its frame: using it in a step, another thread, or after the activation ended raises
    ContextClosedError, which ``except Exception`` does not catch.

    Attributes:
        info: ids, function, deadline.
        log: a logger that is silent during replay.
    """

    __slots__ = ("_execution", "_frame", "_operations", "_options", "info", "log")
    __resonate_context__ = True

    def __init__(self, execution: Execution, frame: Frame, info: Info) -> None:
        self._execution = execution
        self._frame = frame
        self._operations = Operations(execution, frame)
        self._options = NO_OPTIONS
        self.info = info
        self.log = ContextLog(execution, frame)

    def options(
        self,
        *,
        timeout: timedelta | float | None = None,
        retry: RetryPolicy | None = None,
        non_retryable: tuple[type[BaseException], ...] = (),
        target: str | None = None,
        version: int = 0,
        id: str | None = None,  # noqa: A002 - the protocol's word
        tags: Mapping[str, str] | None = None,
    ) -> Context:
        """Return this context with options for the calls made on it.

        Args:
            timeout: seconds or timedelta from now; the caller's own deadline caps it (not for detached).
            retry: replaces the step's policy.
            non_retryable: exceptions that reject at once.
            target: an address, or the name of a group of workers.
            version: of the function; 0 is the newest registered.
            id: for rpc, detached, promise: a root id of your own, so that equal ids share one execution.
            tags: added to the promise's.

        Raises:
            ValueError: the timeout is negative or over 100 years.
        """
        copy: Context = object.__new__(type(self))
        for name in ("_execution", "_frame", "_operations", "info", "log"):
            setattr(copy, name, getattr(self, name))
        duration = None
        if timeout is not None:
            duration = timedelta(milliseconds=milliseconds(timeout, "timeout"))
        copy._options = Options(
            timeout=duration,
            retry=retry,
            non_retryable=non_retryable,
            target=target,
            version=version,
            id=id,
            tags={name: text for name, text in (tags or {}).items() if not name.startswith("resonate:")},
        )
        return copy

    @overload
    def run(
        self,
        fn: Callable[Concatenate[Context, P], Coroutine[Any, Any, T]],
        /,
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> Future[T]: ...
    @overload
    def run(
        self,
        fn: Callable[Concatenate[Context, P], Generator[Any, Any, T]],
        /,
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> Future[T]: ...
    @overload
    def run(
        self,
        fn: Callable[Concatenate[StepContext, P], Coroutine[Any, Any, T]],
        /,
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> Future[T]: ...
    @overload
    def run(
        self, fn: Callable[Concatenate[StepContext, P], T], /, *args: P.args, **kwargs: P.kwargs
    ) -> Future[T]: ...
    @overload
    def run(
        self, fn: Callable[P, Coroutine[Any, Any, T]], /, *args: P.args, **kwargs: P.kwargs
    ) -> Future[T]: ...
    @overload
    def run(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]: ...
    @overload
    def run(self, fn: str, /, *args: Any, **kwargs: Any) -> Future[Any]: ...
    def run(self, fn: Callable[..., Any] | str, /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Run a function in this process, recorded.

        A coroutine or generator function whose first parameter is the context runs as a workflow; anything else,
        a coroutine function of a StepContext too, is a step: run once, in a thread or on the event loop, retried by its policy, replayed from its record.

        Args:
            fn: any callable, or the name of a registered function.
            args: positional arguments, serialisable.
            kwargs: keyword arguments, serialisable.

        Raises:
            ArgumentsError: they do not fit the signature.
            EncodingError: an argument is not serialisable.
            FunctionNotFoundError: the name is not registered.
            LimitExceededError: the root has too many promises.
        """
        return self._operations.run(Asked(self._options, fn, args, kwargs))

    @overload
    def rpc(
        self,
        fn: Callable[Concatenate[Context, P], Coroutine[Any, Any, T]],
        /,
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> Future[T]: ...
    @overload
    def rpc(
        self,
        fn: Callable[Concatenate[Context, P], Generator[Any, Any, T]],
        /,
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> Future[T]: ...
    @overload
    def rpc(
        self,
        fn: Callable[Concatenate[StepContext, P], Coroutine[Any, Any, T]],
        /,
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> Future[T]: ...
    @overload
    def rpc(
        self, fn: Callable[Concatenate[StepContext, P], T], /, *args: P.args, **kwargs: P.kwargs
    ) -> Future[T]: ...
    @overload
    def rpc(
        self, fn: Callable[P, Coroutine[Any, Any, T]], /, *args: P.args, **kwargs: P.kwargs
    ) -> Future[T]: ...
    @overload
    def rpc(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]: ...
    @overload
    def rpc(self, fn: str, /, *args: Any, **kwargs: Any) -> Future[Any]: ...
    def rpc(self, fn: Callable[..., Any] | str, /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Run a registered function as a task of its own, anywhere its target is served.

        Args:
            fn: a registered function, or the name of one here or elsewhere.
            args: positional arguments, serialisable.
            kwargs: keyword arguments, serialisable.

        Raises:
            FunctionNotFoundError: the function object is not registered.
            ArgumentsError: the arguments do not fit a function registered here.
            EncodingError: an argument is not serialisable.
            LimitExceededError: the root has too many promises.
        """
        return self._operations.rpc(Asked(self._options, fn, args, kwargs))

    def detached(self, fn: Callable[..., Any] | str, /, *args: Any, **kwargs: Any) -> Future[str]:
        """Start a registered function as a fresh root, with an empty history; not joined, not cancelled.

        As the last call it is a tail call: how a loop that runs for ever keeps its replay short (rule 4). Its
        deadline is not capped by the caller's.

        Returns:
            The new root's id, once it is durable.

        Raises:
            FunctionNotFoundError: the function object is not registered.
            ArgumentsError: the arguments do not fit.
            EncodingError: an argument is not serialisable.
            LimitExceededError: the root has too many promises.
        """
        return self._operations.detached(Asked(self._options, fn, args, kwargs))

    def sleep(self, duration: timedelta | float) -> Future[None]:
        """Sleep durably: the invocation ends, nothing runs meanwhile. Never beyond the caller's deadline.

        Args:
            duration: seconds or timedelta.

        Raises:
            ValueError: negative or over 100 years.
        """
        return self._operations.sleep_until(self._execution.now + milliseconds(duration, "sleep"))

    def sleep_until(self, instant: datetime) -> Future[None]:
        """Sleep durably until an instant; one in the past returns at once.

        Args:
            instant: with a time zone.

        Raises:
            ValueError: it has no time zone.
        """
        if instant.tzinfo is None:
            raise ValueError("sleep_until needs an instant with a time zone (datetime.now(UTC), for one)")
        return self._operations.sleep_until(int(instant.timestamp() * 1000))

    @overload
    def promise(self, of: type[T], *, timeout: timedelta | float | None = None) -> ExternalPromise[T]: ...
    @overload
    def promise(self, of: Any = Any, *, timeout: timedelta | float | None = None) -> ExternalPromise[Any]: ...
    def promise(self, of: Any = Any, *, timeout: timedelta | float | None = None) -> ExternalPromise[Any]:
        """Create a promise that somebody else settles: a person, a webhook.

        Args:
            of: the type its value must have; a value of another type raises DecodingError when awaited.
            timeout: seconds or timedelta; then awaiting raises PromiseTimeoutError. One day by default.

        Returns:
            A future whose ``id`` is known at once. It is durable before any step started after it runs.
        """
        options = self._options
        if timeout is not None:
            options = replace(options, timeout=timedelta(milliseconds=milliseconds(timeout, "timeout")))
        return cast("ExternalPromise[Any]", self._operations.promise(options, of, ExternalPromise))

    def now(self) -> Future[datetime]:
        """Return the time (UTC), recorded: a replay sees the same instant."""
        instant = datetime.fromtimestamp(self._execution.now / 1000, tz=UTC)
        return self._operations.instant(instant, datetime)

    def patched(self, name: str) -> bool:
        """Tell whether this execution takes a change of the code, so that running ones keep the way they began.

        True where no earlier activation went on past this point, and in every replay of it, by a record outside the
        numbers of the calls. False where an earlier activation, of code without the patch, did go on. The first
        question decides for the whole workflow call: loops and branches of one name get one answer.

        Args:
            name: of the change; 1 to 64 letters, digits, ``-`` and ``_``.

        Raises:
            ValueError: the name is not usable.
            LimitExceededError: the root has too many promises.
        """
        return self._operations.patched(name)

    def deprecate_patch(self, name: str) -> None:
        """Accept the records of a patch whose old branch is gone; once those executions have ended, remove it too.

        Raises:
            ValueError: the name is not usable.
        """
        self._operations.deprecate_patch(name)

    @property
    def random(self) -> DeterministicRandom:
        """Random draws that a replay repeats: ``ctx.random()``, ``ctx.random.randint(1, 6)``. Not for secrets."""
        return self._frame.random

    def uuid4(self) -> UUID:
        """Return a UUID that a replay repeats."""
        return self._frame.random.uuid4()

    def gather(self, *futures: Future[Any], return_exceptions: bool = False) -> Future[list[Any]]:
        """Wait for all; their values in argument order.

        Args:
            futures: of this context; a bare coroutine is refused.
            return_exceptions: give errors as values instead of raising the first one in argument order.
        """
        self._operations.enter("gather")
        if futures:
            check_futures(futures, "gather")
        return Gather(futures, self._execution, return_exceptions=return_exceptions)

    def race(self, *futures: Future[T], cancel: bool = True) -> Race[T]:
        """Wait for the first one settled: its value, or its error. The choice is recorded.

        Args:
            futures: of this context.
            cancel: settle the losers as cancelled in the same commit; False keeps them running.

        Returns:
            A future; after it was awaited, its ``winner`` is the index of the first one.
        """
        return self._operations.race(futures, cancel=cancel)

    def as_completed(self, *futures: Future[T]) -> Iterator[Future[T]]:
        """Yield futures that give the members' outcomes in the order they settle; await each before the next."""
        rest = list(futures)
        while rest:
            race = self.race(*rest, cancel=False)
            yield race
            del rest[race.winner]

    def map(
        self,
        fn: Callable[..., Any] | str,
        items: Iterable[Any],
        *,
        concurrency: int | None = None,
        remote: bool = False,
    ) -> Future[list[Any]]:
        """Call a function for each item, and wait for all; values in item order, the first rejection raised.

        Args:
            fn: takes one item (after the context, if it has one).
            items: the arguments.
            concurrency: at most this many at a time, across suspensions and crashes; None: all at once.
            remote: start them with rpc instead of run.
        """
        return self._operations.map(self._options, fn, list(items), concurrency=concurrency, remote=remote)

    def get_dependency(self, name: str) -> Any:
        """Return what ``resonate.set_dependency`` gave: a client, a connection pool. Use it in steps only.

        Raises:
            DependencyNotFoundError: nothing was set.
        """
        return dependency(self._execution.settings.dependencies, name)


class StepContext:
    """What a step may know: its info and the dependencies.

    Declare it as the first parameter of a plain or coroutine function, which is a step all the same.
    """

    __slots__ = ("_dependencies", "info")
    __resonate_context__ = True
    __resonate_step__ = True

    def __init__(self, info: Info, dependencies: Mapping[str, Any]) -> None:
        self.info = info
        self._dependencies = dependencies

    def get_dependency(self, name: str) -> Any:
        """Return what ``resonate.set_dependency`` gave.

        Raises:
            DependencyNotFoundError: nothing was set.
        """
        return dependency(self._dependencies, name)


def dependency(dependencies: Mapping[str, Any], name: str) -> Any:
    """Return a dependency by name.

    Raises:
        DependencyNotFoundError: nothing was set.
    """
    try:
        return dependencies[name]
    except KeyError:
        raise DependencyNotFoundError(name) from None
