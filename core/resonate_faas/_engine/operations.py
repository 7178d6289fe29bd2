"""The durable operations behind the context: give an id, compare with the record, or start the call."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from inspect import iscoroutine
from typing import TYPE_CHECKING, Any, Final

from resonate_faas._engine.calls import (
    Call,
    DetachedCall,
    InstantCall,
    Kind,
    Race,
    local_param,
    marks_of,
)
from resonate_faas._engine.codec import digest, plain
from resonate_faas._engine.futures import Future, Map, RecordFuture
from resonate_faas._engine.guard import caller_line
from resonate_faas._engine.ids import detached_id, twin_id
from resonate_faas._engine.invocation import invocation
from resonate_faas._engine.options import Options, milliseconds
from resonate_faas._engine.registry import DEFAULT_TIMEOUT, Function, describe
from resonate_faas._engine.retry import Never
from resonate_faas._engine.steps import StepCall, WorkflowCall
from resonate_faas._errors import ArgumentsError, ContextClosedError
from resonate_faas._machine.ids import id_error
from resonate_faas._machine.objects import (
    BRANCH,
    EXTERNAL,
    ORIGIN,
    PARENT,
    SCOPE,
    TARGET,
    TIMER,
    PromiseState,
    Value,
)
from resonate_faas._machine.requests import Record

if TYPE_CHECKING:
    from resonate_faas._engine.execution import Execution
    from resonate_faas._engine.frames import Frame


class Operations:
    """The operations of one frame, all of which draw their ids from its one counter, in call order."""

    __slots__ = ("execution", "frame")

    def __init__(self, execution: Execution, frame: Frame) -> None:
        self.execution = execution
        self.frame = frame

    # ---- ids

    def enter(self, operation: str) -> None:
        """Check that the frame is being run right now.

        Raises:
            ContextClosedError: it ended, or another frame or thread uses its context.
        """
        self.execution.fail(self.execution.fatal)
        if self.execution.current is not self.frame or self.frame.closed:
            raise ContextClosedError(self.frame.id, operation)

    def next_id(self, mark: str = "") -> str:
        """Return the next child's id."""
        self.frame.counter += 1
        return f"{self.frame.prefix}{self.frame.counter}{mark}"

    def recorded(self, promise_id: str, hint: Any, param: Value) -> RecordFuture[Any] | None:
        """Return the settled future of a call on record; None: there is no record, or it is pending.

        Raises:
            NonDeterminismError: the record is of another call.
        """
        history = self.execution.history
        promise = history.get(promise_id)
        if promise is None:
            twin = history.get(twin_id(promise_id))
            if twin is not None:  # a local call became remote, or a remote one local
                self.execution.fail(history.check(twin, param, caller_line))
            return None
        if promise.param.data != param.data:
            self.execution.fail(self.execution.history.check(promise, param, caller_line))
        self.frame.visited += 1
        self.frame.held.clear()  # said by the activation that made this call
        if promise.state is PromiseState.PENDING:
            return None
        return RecordFuture.settled(promise, hint, self.execution)

    def place(self, call: Call[Any]) -> Call[Any]:
        """Track a call that is not settled and start it.

        Raises:
            LimitExceededError: the root has too many promises; nothing is recorded.
        """
        execution = self.execution
        recorded = execution.history.get(call.id)
        if recorded is not None:  # the instants are those of the call, whichever activation goes on with it
            call.is_durable = True
            call.created_at, call.timeout_at = recorded.created_at, recorded.timeout_at
        else:
            if not call.birth:  # an id of the user's own is never in this history
                self.frame.go_live()
            execution.reserve([call.id])
        execution.track(call)
        call.begin()
        return call

    # ---- functions in this process

    def run(
        self,
        options: Options,
        call: Callable[..., Any] | str,
        args: tuple[Any, ...],
        kwargs: Mapping[str, Any],
    ) -> RecordFuture[Any]:
        """ctx.run."""
        self.enter("run")
        return self._run(options, call, args, kwargs, self.next_id())

    def _run(
        self,
        options: Options,
        target: Callable[..., Any] | str,
        args: tuple[Any, ...],
        kwargs: Mapping[str, Any],
        promise_id: str,
    ) -> RecordFuture[Any]:
        function = self._local_function(options, target, promise_id)
        if isinstance(target, str) or options.version:
            target = function.call
        marks = digest(args, kwargs, function.name)
        param = Value(data=local_param(Kind.RUN, function.name, function.version, marks))
        settled = self.recorded(promise_id, function.result, param)
        if settled is not None:
            return settled
        if options.id is not None or options.target is not None:
            raise ValueError("ctx.run runs in this process: use ctx.rpc for a call with its own id or target")
        function.check(args, kwargs)
        return self.place(self._local(options, function, target, args, kwargs, promise_id, param))

    def _local_function(
        self, options: Options, target: Callable[..., Any] | str, promise_id: str = ""
    ) -> Function:
        registry = self.execution.registry
        if isinstance(target, str):
            return registry.get(target, self._version(options, target, promise_id))
        function = registry.of(target)
        if function is None:
            return describe(target)
        if options.version and options.version != function.version:
            return registry.get(function.name, options.version)
        return function

    def _version(self, options: Options, name: str, promise_id: str) -> int:
        """Return the version that a call by name means: the newest when it was made, whatever was deployed since."""
        recorded = self.execution.history.get(promise_id)
        if options.version or recorded is None or self.execution.registry.find(name) is None:
            return options.version
        marks = marks_of(promise_id, recorded.param, self.execution.codec)
        if marks is None or marks["func"] != name or not isinstance(marks["version"], int):
            return 0
        return marks["version"]

    def _local(
        self,
        options: Options,
        function: Function,
        target: Callable[..., Any],
        args: tuple[Any, ...],
        kwargs: Mapping[str, Any],
        promise_id: str,
        param: Value,
    ) -> Call[Any]:
        timeout_at = self.deadline(options, function)
        common: dict[str, Any] = {
            "kind": Kind.RUN,
            "param": param,
            "tags": {**options.tags, **self.frame.local_tags} if options.tags else self.frame.local_tags,
            "timeout_at": timeout_at,
            "function": function,
            "call": target,
            "call_args": args,
            "call_kwargs": kwargs,
        }
        if function.is_workflow:
            if options.retry is not None and not isinstance(options.retry, Never):
                raise ValueError(f"{function.name} is a workflow: its steps retry, it does not")
            return WorkflowCall(promise_id, function.result, self.execution, self.frame, **common)
        if function.is_generator:
            raise ArgumentsError(
                function.name, "a generator function is a workflow: its first parameter must be ctx"
            )
        policy = options.retry or function.retry_policy
        call = StepCall(
            promise_id,
            function.result,
            self.execution,
            self.frame,
            policy=policy,
            non_retryable=options.non_retryable,
            **common,
        )
        call.rides = options.timeout is not None or function.timeout is not None
        return call

    # ---- functions as tasks of their own

    def rpc(
        self,
        options: Options,
        call: Callable[..., Any] | str,
        args: tuple[Any, ...],
        kwargs: Mapping[str, Any],
    ) -> RecordFuture[Any]:
        """ctx.rpc."""
        self.enter("rpc")
        return self._rpc(options, call, args, kwargs, self.next_id("r"))

    def _rpc(
        self,
        options: Options,
        target: Callable[..., Any] | str,
        args: tuple[Any, ...],
        kwargs: Mapping[str, Any],
        promise_id: str,
    ) -> RecordFuture[Any]:
        name, version, function = self._remote(target, options, promise_id)
        hint = function.result if function is not None else Any
        promise_id = self._explicit(options) or promise_id
        param = invocation(name, args, kwargs, version=version, codec=self.execution.codec)
        settled = self.recorded(promise_id, hint, param)
        if settled is not None:
            return settled
        self._check(function, args, kwargs)
        tags = self._remote_tags(options, promise_id, root=options.id is not None)
        deadline = self.deadline(options, function)
        call: Call[Any] = Call(
            promise_id,
            hint,
            self.execution,
            self.frame,
            kind=Kind.RPC,
            param=param,
            tags=tags,
            timeout_at=deadline,
        )
        call.birth = self.execution.lineage.own_birth(promise_id)
        return self.place(call)

    def detached(
        self,
        options: Options,
        target: Callable[..., Any] | str,
        args: tuple[Any, ...],
        kwargs: Mapping[str, Any],
    ) -> RecordFuture[str]:
        """ctx.detached: a fresh root, and a record of it in this history."""
        self.enter("detached")
        execution = self.execution
        promise_id = self.next_id()
        name, version, function = self._remote(target, options, promise_id)
        place = Value(data=local_param(Kind.DETACHED, name, version, digest(args, kwargs, name)))
        settled = self.recorded(promise_id, str, place)
        if settled is not None:
            return settled
        self._check(function, args, kwargs)
        root_id = self._explicit(options) or detached_id(execution.root.id, execution.birth, promise_id)
        timeout = options.timeout or (function.timeout if function is not None else None) or DEFAULT_TIMEOUT
        root = Record(
            id=root_id,
            timeout_at=execution.now + milliseconds(timeout, "timeout"),
            created_at=execution.now,
            param=invocation(name, args, kwargs, version=version, codec=execution.codec, kind=Kind.DETACHED),
            tags=self._remote_tags(options, root_id, root=True),
            birth=f"{execution.now}-{root_id[-32:]}",
        )
        call = DetachedCall(
            promise_id,
            str,
            execution,
            self.frame,
            kind=Kind.DETACHED,
            param=place,
            tags=self.frame.local_tags,
            timeout_at=self.frame.timeout_at,
            root=root,
            has_own_id=options.id is not None,
        )
        return self.place(call)

    @staticmethod
    def _check(function: Function | None, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> None:
        """Refuse at the call what the task would refuse later: it reads its arguments as JSON data.

        Raises:
            ArgumentsError: they do not fit the signature or a declared type.
            EncodingError: the task could not read one.
        """
        if function is not None:
            function.check(args, kwargs)
            function.load(*plain([args, kwargs], f"the arguments of {function.name}"))

    def _remote(
        self, target: Callable[..., Any] | str, options: Options, promise_id: str = ""
    ) -> tuple[str, int, Function | None]:
        """Return name, version and, if it is registered here, the description of a function to be run as a task."""
        registry = self.execution.registry
        if isinstance(target, str):
            version = self._version(options, target, promise_id)
            known = registry.find(target, version)
            return target, known.version if known is not None else version or 1, known
        function = registry.of(target)
        if function is None:
            function = registry.get(describe(target).name, options.version)
        if options.version and options.version != function.version:
            function = registry.get(function.name, options.version)
        return function.name, function.version, function

    def _remote_tags(self, options: Options, promise_id: str, *, root: bool) -> dict[str, str]:
        """Return the tags of a targeted child; a fresh root is its own origin (design section 10, D5)."""
        execution = self.execution
        address = options.target
        if address is None:
            address = execution.root.tags.get(TARGET, "")
        elif "://" not in address:
            address = execution.settings.resolve_target(address)
        origin = promise_id if root else self.frame.global_tags[ORIGIN]
        return {
            **options.tags,
            SCOPE: "global",
            TARGET: address,
            ORIGIN: origin,
            BRANCH: promise_id,
            PARENT: self.frame.id,
        }

    def _explicit(self, options: Options) -> str | None:
        """Return the id the user chose, checked: it becomes a root of its own."""
        chosen = options.id
        if chosen is None:
            return None
        reason = id_error(chosen) or ("a root id must not hold ':'" if ":" in chosen else None)
        if reason is not None:
            raise ValueError(f"options(id={chosen!r}): {reason}")
        return chosen

    # ---- time and the outside world

    def sleep_until(self, instant_ms: int) -> RecordFuture[Any]:
        """ctx.sleep and ctx.sleep_until: a timer promise, never beyond the frame's deadline."""
        self.enter("sleep")
        promise_id = self.next_id()
        param = Value(data=_SLEEP_PARAM)
        settled = self.recorded(promise_id, Any, param)
        if settled is not None:
            return settled
        tags = {**self.frame.global_tags, TIMER: "true", BRANCH: promise_id}
        timeout_at = min(max(instant_ms, 0), self.frame.timeout_at)
        return self.place(
            self._call(Call, promise_id, Any, kind=Kind.SLEEP, param=param, tags=tags, timeout_at=timeout_at)
        )

    def promise(
        self, options: Options, hint: Any, factory: Callable[..., RecordFuture[Any]]
    ) -> RecordFuture[Any]:
        """ctx.promise: settled from outside."""
        self.enter("promise")
        promise_id = self._explicit(options) or self.next_id()
        param = Value(data=_PROMISE_PARAM)
        execution = self.execution
        promise = execution.history.get(promise_id)
        settled = self.recorded(promise_id, hint, param)
        if settled is not None and promise is not None:
            return factory.settled(promise, hint, execution)  # type: ignore[attr-defined, no-any-return]
        tags = {**options.tags, **self.frame.global_tags, EXTERNAL: "true", BRANCH: promise_id}
        call: Call[Any] = self._call(
            factory,
            promise_id,
            hint,
            kind=Kind.PROMISE,
            param=param,
            tags=tags,
            timeout_at=self.deadline(options, None),
        )
        call.birth = self.execution.lineage.own_birth(promise_id)
        return self.place(call)

    def instant(self, value: Any, hint: Any) -> RecordFuture[Any]:
        """ctx.now: a value fixed here and now, recorded before it is given out."""
        self.enter("now")
        promise_id = self.next_id()
        param = Value(data=_NOW_PARAM)
        settled = self.recorded(promise_id, hint, param)
        if settled is not None:
            return settled
        call = self._call(
            InstantCall,
            promise_id,
            hint,
            kind=Kind.NOW,
            param=param,
            tags=self.frame.local_tags,
            timeout_at=self.frame.timeout_at,
            value=value,
        )
        return self.place(call)

    # ---- combinations

    def race(self, members: tuple[Future[Any], ...], *, cancel: bool) -> Race[Any]:
        """ctx.race: the choice is a record."""
        self.enter("race")
        check_futures(members, "race")
        promise_id = self.next_id()
        execution = self.execution
        param = Value(data=local_param(Kind.RACE, "race", 1, str(len(members))))
        race: Race[Any] = self._call(
            Race,
            promise_id,
            int,
            kind=Kind.RACE,
            param=param,
            tags=self.frame.local_tags,
            timeout_at=self.frame.timeout_at,
            members=members,
            cancels=cancel,
        )
        settled = self.recorded(promise_id, int, param)
        promise = execution.history.get(promise_id)
        if settled is not None and promise is not None:
            race._settle(promise)
            if cancel and race._chosen is not None:
                race.drop_losers(
                    race._chosen
                )  # a crash between the commits of a large race may have left some
            return race
        self.place(race)
        return race

    def map(
        self,
        options: Options,
        target: Callable[..., Any] | str,
        items: list[Any],
        *,
        concurrency: int | None,
        remote: bool,
    ) -> Map:
        """ctx.map: one id per item, given out at the call, so that ids do not depend on who ends first."""
        self.enter("map")
        if concurrency is not None and concurrency < 1:
            raise ValueError(f"concurrency must be at least 1, got {concurrency}")
        if options.id is not None:
            raise ValueError("ctx.map gives each item its own id: options(id=...) is for one call")
        first, mark = self.frame.counter + 1, "r" if remote else ""
        ids = [f"{self.frame.prefix}{first + index}{mark}" for index in range(len(items))]
        history = self.execution.history
        known = [index for index, promise_id in enumerate(ids) if promise_id in history]
        fresh = [index for index, promise_id in enumerate(ids) if promise_id not in history]
        self._try(options, target, [items[index] for index in fresh], remote=remote)
        self.execution.reserve([ids[index] for index in fresh])
        self.frame.counter += len(items)
        start = self._rpc if remote else self._run
        every = Map(
            lambda index: start(options, target, (items[index],), {}, ids[index]),
            ids,
            self.execution,
            self.frame,
            limit=concurrency or max(len(items), 1),
            known=known,
        )
        if known:
            self.frame.unfilled.append(
                every
            )  # an earlier activation may have cancelled it: that call comes first
        else:
            every.fill()
        return every

    def _try(
        self, options: Options, target: Callable[..., Any] | str, items: list[Any], *, remote: bool
    ) -> None:
        """Refuse at the call what would be refused when an item's turn comes: nobody could catch it then.

        Raises:
            ArgumentsError: an item does not fit the function.
            EncodingError: an item is not serialisable.
        """
        if remote:
            name, version, function = self._remote(target, options)
            for item in items:
                invocation(name, (item,), {}, version=version, codec=self.execution.codec)
                self._check(function, (item,), {})
            return
        function = self._local_function(options, target)
        for item in items:
            digest((item,), {}, function.name)
            function.check((item,), {})

    # ---- shared

    def deadline(self, options: Options, function: Function | None) -> int:
        """Return a child's deadline: its timeout from now, never beyond the frame's (protocol section 7.7)."""
        timeout = options.timeout or (function.timeout if function is not None else None) or DEFAULT_TIMEOUT
        return min(self.execution.now + milliseconds(timeout, "timeout"), self.frame.timeout_at)

    def _call(self, factory: Callable[..., Any], promise_id: str, hint: Any, **fields: Any) -> Any:
        return factory(promise_id, hint, self.execution, self.frame, **fields)


def check_futures(members: tuple[Any, ...], operation: str) -> None:
    """Refuse anything but futures of the context: a bare coroutine has no id and no place in the call order.

    Raises:
        TypeError: names the member and the cure.
    """
    if not members:
        raise ValueError(f"ctx.{operation} needs at least one future")
    strangers = [member for member in members if not isinstance(member, Future)]
    for stranger in strangers:
        if iscoroutine(stranger):
            stranger.close()  # it will not be awaited: the error below says what to do instead
    if strangers:
        raise TypeError(
            f"ctx.{operation} takes futures of the context, got {type(strangers[0]).__name__}: "
            "start it with ctx.run(fn, ...) and pass what that returns"
        )


def _plain_param(kind: Kind) -> str:
    return local_param(kind, str(kind), 1, "")


_SLEEP_PARAM: Final = _plain_param(Kind.SLEEP)
_PROMISE_PARAM: Final = _plain_param(Kind.PROMISE)
_NOW_PARAM: Final = _plain_param(Kind.NOW)
