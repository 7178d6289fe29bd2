"""Stubs: what a test puts in the place of a function, by the function or by its name."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any, Final

from resonate_faas._engine.registry import Function, Registry, describe
from resonate_faas._engine.retry import Never
from resonate_faas._engine.steps import Launch

NOT_GIVEN: Final = object()


class StubExhaustedError(AssertionError):
    """A stub was called more often than its sequence has outcomes: the test fails at once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StubCall:
    """One call of a stub.

    Attributes:
        id: the step's promise.
        attempt: from 1.
        args: as the workflow gave them; the context left out.
        kwargs: as args.
    """

    id: str
    attempt: int
    args: tuple[Any, ...]
    kwargs: Mapping[str, Any]


@dataclass(slots=True)
class Stub:
    """Stands in for a function; made by :meth:`Harness.stub`.

    Attributes:
        name: of the function.
        does: called in its place; None: the outcomes are given out.
        outcomes: exceptions are raised, anything else is returned.
        repeats: there is one outcome, for every call.
        calls: every call so far, in order; one attempt of one step counts once, however often a crash repeats it.
    """

    name: str
    does: Callable[..., Any] | None = None
    outcomes: Sequence[Any] = ()
    repeats: bool = True
    calls: list[StubCall] = field(default_factory=list)
    _seen: dict[tuple[str, int], int] = field(default_factory=dict)

    def fresh(self) -> Stub:
        """Return the same stub, never called."""
        return Stub(self.name, self.does, self.outcomes, self.repeats)

    def perform(self, launch: Launch, context: Callable[[], Any]) -> Any:
        """Note the call and return the outcome; a callable's may be a coroutine.

        Raises:
            StubExhaustedError: the sequence is at its end.
        """
        key = (launch.id, launch.info.attempt)
        if key not in self._seen:
            self._seen[key] = len(self.calls)
            attempt = launch.info.attempt
            self.calls.append(StubCall(id=launch.id, attempt=attempt, args=launch.args, kwargs=launch.kwargs))
        if self.does is not None:
            first = (context(),) if describe(self.does).takes_context else ()
            return self.does(*first, *launch.args, **launch.kwargs)
        place = 0 if self.repeats else self._seen[key]
        if place >= len(self.outcomes):
            text = f"the stub of {self.name!r} has {len(self.outcomes)} outcomes and was called once more"
            raise StubExhaustedError(f"{text} (by {launch.id!r}): give it as many as the workflow asks for")
        outcome = self.outcomes[place]
        if isinstance(outcome, BaseException) or (
            isinstance(outcome, type) and issubclass(outcome, BaseException)
        ):
            raise outcome
        return outcome


def make_stub(
    target: Callable[..., Any] | str,
    *,
    returns: Any,
    raises: BaseException | type[BaseException] | None,
    does: Callable[..., Any] | None,
    each: Sequence[Any] | None,
    registry: Registry,
) -> Stub:
    """Return a stub of a function; exactly one of the four says what it does.

    Raises:
        ValueError: none, or more than one.
    """
    given = [returns is not NOT_GIVEN, raises is not None, does is not None, each is not None]
    if sum(given) != 1:
        raise ValueError("a stub does one thing: give one of returns=, raises=, does=, each=")
    name = target if isinstance(target, str) else name_of(target, registry)
    if does is not None:
        return Stub(name, does=does)
    if each is not None:
        return Stub(name, outcomes=tuple(each), repeats=False)
    return Stub(name, outcomes=(raises if returns is NOT_GIVEN else returns,))


def name_of(target: Callable[..., Any], registry: Registry) -> str:
    """Return the name a function is recorded under."""
    registered = registry.of(target)
    return registered.name if registered is not None else describe(target).name


class StubbedRegistry(Registry):
    """A registry in which stubbed functions are steps that the harness runs.

    Args:
        inner: the functions of the business code; shared, never changed.
        stubs: by name.
    """

    def __init__(self, inner: Registry, stubs: Mapping[str, Stub]) -> None:
        super().__init__()
        self.__dict__.update(vars(inner))
        self._inner = inner
        self._stubs = stubs

    def get(self, name: str, version: int = 0) -> Function:
        """Return a function; a stub stands for one that is registered elsewhere, too."""
        if name in self._stubs and self._inner.find(name, version) is None:
            return _unknown(name, version or 1)
        return self._replaced(self._inner.get(name, version))

    def find(self, name: str, version: int = 0) -> Function | None:
        """Return a function, or None."""
        found = self._inner.find(name, version)
        return None if found is None else self._replaced(found)

    def of(self, call: Callable[..., Any]) -> Function | None:
        """Return the registration of a function; a stubbed one needs none."""
        found = self._inner.of(call)
        if found is None and self._stubs and callable(call):
            described = describe(call)
            return self._replaced(described) if described.name in self._stubs else None
        return None if found is None else self._replaced(found)

    def _replaced(self, function: Function) -> Function:
        if function.name not in self._stubs:
            return function
        retry = function.retry if function.retry is not None or not function.is_workflow else Never()
        return replace(
            function,
            takes_context=False,
            is_declared_step=False,
            is_async=False,
            is_generator=False,
            retry=retry,
        )


def _never_called() -> None:
    raise NotImplementedError("the harness runs the stub instead")


def _unknown(name: str, version: int) -> Function:
    return Function(
        name=name,
        call=_never_called,
        takes_context=False,
        is_async=False,
        is_generator=False,
        hints={},
        result=Any,
        signature=None,
        version=version,
        retry=Never(),
        timeout=timedelta(days=1),
    )
