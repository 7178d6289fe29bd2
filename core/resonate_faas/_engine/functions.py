"""The operations that call functions: in this process, as tasks of their own, as fresh roots, for each item."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from resonate_faas._engine.calls import (
    Call,
    DetachedCall,
    Kind,
    local_param,
    marks_of,
)
from resonate_faas._engine.codec import digest, plain
from resonate_faas._engine.futures import Map, RecordFuture
from resonate_faas._engine.guard import caller_line
from resonate_faas._engine.ids import detached_id
from resonate_faas._engine.invocation import invocation
from resonate_faas._engine.options import Options, milliseconds
from resonate_faas._engine.placing import Placing
from resonate_faas._engine.registry import DEFAULT_TIMEOUT, Function, describe, spelled
from resonate_faas._engine.retry import Never
from resonate_faas._engine.steps import StepCall, WorkflowCall
from resonate_faas._errors import ArgumentsError
from resonate_faas._machine.objects import (
    BRANCH,
    ORIGIN,
    PARENT,
    SCOPE,
    TARGET,
    Value,
)
from resonate_faas._machine.requests import Record


class Asked(NamedTuple):
    """What a workflow asks for: a function, its arguments, and what is to be done differently."""

    options: Options
    target: Callable[..., Any] | str
    args: tuple[Any, ...]
    kwargs: Mapping[str, Any]


class Functions(Placing):
    """run, rpc, detached and map of one frame."""

    __slots__ = ()

    # ---- in this process

    def run(self, asked: Asked) -> RecordFuture[Any]:
        """ctx.run."""
        self.enter("run")
        return self._run(asked, self.next_id())

    def _run(self, asked: Asked, promise_id: str) -> RecordFuture[Any]:
        options, args, kwargs = asked.options, asked.args, asked.kwargs
        function = self._local_function(asked, promise_id)
        marks = digest(*function.spelled(args, kwargs), function.name)
        param = Value(data=local_param(Kind.RUN, function.name, function.version, marks))
        settled = self.recorded(promise_id, function.result, param)
        if settled is not None:
            return settled
        if options.id is not None or options.target is not None:
            raise ValueError("ctx.run runs in this process: use ctx.rpc for a call with its own id or target")
        function.check(args, kwargs)
        return self.place(self._local(asked, function, promise_id, param))

    def _local_function(self, asked: Asked, promise_id: str = "") -> Function:
        options, target, registry = asked.options, asked.target, self.execution.registry
        if isinstance(target, str):
            version = self._version(options, target, promise_id)
            recorded = self.execution.history.get(promise_id)
            if recorded is not None and registry.find(target, version) is None:
                self.execution.diverge(
                    self.execution.history.unserved(recorded, target, version, caller_line())
                )
            return registry.get(target, version)
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

    def _local(self, asked: Asked, function: Function, promise_id: str, param: Value) -> Call[Any]:
        options, target = asked.options, asked.target
        timeout_at = self.deadline(options, function)
        common: dict[str, Any] = {
            "kind": Kind.RUN,
            "param": param,
            "tags": {**options.tags, **self.frame.local_tags} if options.tags else self.frame.local_tags,
            "timeout_at": timeout_at,
            "function": function,
            "call": function.call if isinstance(target, str) or options.version else target,
            "call_args": asked.args,
            "call_kwargs": asked.kwargs,
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

    # ---- as tasks of their own

    def rpc(self, asked: Asked) -> RecordFuture[Any]:
        """ctx.rpc."""
        self.enter("rpc")
        return self._rpc(asked, self.next_id("r"))

    def _rpc(self, asked: Asked, promise_id: str) -> RecordFuture[Any]:
        options = asked.options
        name, version, function = self._remote(asked, promise_id)
        hint = function.result if function is not None else Any
        promise_id = self._explicit(options) or promise_id
        param = self._invocation(asked, name, version, function)
        settled = self.recorded(promise_id, hint, param)
        if settled is not None:
            return settled
        self._check(function, asked.args, asked.kwargs)
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

    def detached(self, asked: Asked) -> RecordFuture[str]:
        """ctx.detached: a fresh root, and a record of it in this history."""
        self.enter("detached")
        execution, options = self.execution, asked.options
        promise_id = self.next_id()
        name, version, function = self._remote(asked, promise_id)
        marks = digest(*spelled(function, asked.args, asked.kwargs), name)
        place = Value(data=local_param(Kind.DETACHED, name, version, marks))
        settled = self.recorded(promise_id, str, place)
        if settled is not None:
            return settled
        self._check(function, asked.args, asked.kwargs)
        root_id = self._explicit(options) or detached_id(execution.root.id, execution.birth, promise_id)
        timeout = options.timeout or (function.timeout if function is not None else None) or DEFAULT_TIMEOUT
        root = Record(
            id=root_id,
            timeout_at=execution.now + milliseconds(timeout, "timeout"),
            created_at=execution.now,
            param=self._invocation(asked, name, version, function, kind=Kind.DETACHED),
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

    def _invocation(
        self, asked: Asked, name: str, version: int, function: Function | None, *, kind: Kind = Kind.RPC
    ) -> Value:
        return invocation(
            name,
            asked.args,
            asked.kwargs,
            version=version,
            codec=self.execution.codec,
            kind=kind,
            function=function,
            code=self._code(function) if kind is Kind.DETACHED else "",
        )

    def _code(self, function: Function | None) -> str:
        return "" if function is None else self.execution.registry.fingerprint(function)

    def _remote(self, asked: Asked, promise_id: str = "") -> tuple[str, int, Function | None]:
        """Return name, version and, if it is registered here, the description of a function to be run as a task."""
        options, target, registry = asked.options, asked.target, self.execution.registry
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

    # ---- for each item

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
        asked = [Asked(options, target, (item,), {}) for item in items]
        self._try([asked[index] for index in fresh], remote=remote)
        self.execution.reserve([ids[index] for index in fresh])
        self.frame.counter += len(items)
        start = self._rpc if remote else self._run
        every = Map(
            lambda index: start(asked[index], ids[index]),
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

    def _try(self, items: list[Asked], *, remote: bool) -> None:
        """Refuse at the call what would be refused when an item's turn comes: nobody could catch it then.

        Raises:
            ArgumentsError: an item does not fit the function.
            EncodingError: an item is not serialisable.
        """
        for asked in items:
            if remote:
                name, version, function = self._remote(asked)
                self._invocation(asked, name, version, function)
                self._check(function, asked.args, asked.kwargs)
            else:
                local = self._local_function(asked)
                digest(asked.args, asked.kwargs, local.name)
                local.check(asked.args, asked.kwargs)
