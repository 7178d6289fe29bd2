"""What steps did: each run of each step with its inputs, and the effects that fakes declare."""

from __future__ import annotations

from collections.abc import Mapping
from contextvars import ContextVar
from dataclasses import dataclass, field
from inspect import signature
from typing import Any, Final

from resonate_faas._engine.steps import Launch
from resonate_faas.testing._harness.cuts import EFFECT, Cut, Knife
from resonate_faas.testing._harness.texts import called, exact


@dataclass(frozen=True, slots=True, kw_only=True)
class Effect:
    """Something a step did to the world outside, as its fake declared it.

    Attributes:
        name: what was done.
        key: two effects of one name and key are one: the world outside drops the second; None: it can't.
        payload: what it was done with.
        step_id: the step that did it; None: no step did, the workflow's own code or the test.
        function: of the step; "" where there is none.
        attempt: of the step, from 1.
    """

    name: str
    key: str | None
    payload: Any
    step_id: str | None
    function: str
    attempt: int

    @property
    def text(self) -> str:
        """The effect in words."""
        key = "without a key" if self.key is None else f"key {self.key!r}"
        return f"{self.name} {exact(self.payload)}, {key}"


@dataclass(frozen=True, slots=True, kw_only=True)
class StepRun:
    """One execution of one attempt of a step.

    Attributes:
        id: the step's promise.
        function: its name.
        attempt: from 1.
        args: as the workflow gave them; a step may have changed them since.
        kwargs: as args.
        inputs: the arguments when the step began, as text that is equal for equal arguments.
        call: the call in words.
    """

    id: str
    function: str
    attempt: int
    args: tuple[Any, ...]
    kwargs: Mapping[str, Any]
    inputs: str
    call: str


@dataclass(eq=False, slots=True)
class Ledger:
    """What one world's steps did, in order.

    Args:
        knife: cuts at effects, too: a step can die between two of them.

    Attributes:
        runs: each execution of a step.
        effects: as they were declared.
        strays: those of them that the workflow's own code did.
        is_driving: an activation is under way, or a replay.
        current: the step that runs; steps run one after another, so an effect is its, whichever thread declares it.
    """

    knife: Knife
    runs: list[StepRun] = field(default_factory=list)
    effects: list[Effect] = field(default_factory=list)
    strays: list[Effect] = field(default_factory=list)
    is_driving: bool = False
    current: StepRun | None = None

    def begin(self, launch: Launch) -> StepRun:
        """Note that a step is run."""
        self.knife.steps += 1
        run = StepRun(
            id=launch.id,
            function=launch.function.name,
            attempt=launch.info.attempt,
            args=launch.args,
            kwargs=launch.kwargs,
            inputs=exact([launch.args, launch.kwargs]),
            call=called(launch.function.name, launch.args, launch.kwargs),
        )
        self.runs.append(run)
        return run

    def declare(self, name: str, payload: Any, key: str | None) -> bool:
        """Note an effect; return whether the world outside sees it for the first time.

        Raises:
            Crash: the process dies here.
        """
        run = self.current
        cut = self.knife.meet(f"effect {name}", EFFECT) if run is not None else None
        is_new = key is None or all((one.name, one.key) != (name, key) for one in self.effects)
        effect = Effect(
            name=name,
            key=key,
            payload=payload,
            step_id=None if run is None else run.id,
            function="" if run is None else run.function,
            attempt=1 if run is None else run.attempt,
        )
        self.effects.append(effect)
        if run is None and self.is_driving:
            self.strays.append(effect)
        if cut is Cut.AFTER:
            self.knife.die()
        return is_new


CURRENT: Final[ContextVar[Ledger | None]] = ContextVar("resonate_faas_ledger", default=None)
"""The ledger of the world whose step runs: an effect finds it, whichever harness object the fake holds."""


class Watched:
    """A dependency whose named methods declare their calls as effects.

    Args:
        name: of the dependency.
        inner: the fake itself.
        methods: which of its methods have effects; the others are looked at only.
        key: the parameter that holds the idempotency key.
        declare: takes (name, payload, key).
    """

    def __init__(self, name: str, inner: Any, methods: tuple[str, ...], key: str, declare: Any) -> None:
        self._name = name
        self._inner = inner
        self._methods = methods
        self._key = key
        self._declare = declare

    def __getattr__(self, method: str) -> Any:
        if method.startswith("__"):  # copying asks for these before there is an inner object
            raise AttributeError(method)
        found = getattr(self._inner, method)
        if method not in self._methods:
            return found

        def watched(*args: Any, **kwargs: Any) -> Any:
            bound = signature(found).bind(*args, **kwargs)
            given = dict(bound.arguments)
            key = given.pop(self._key, None)
            self._declare(f"{self._name}.{method}", given, None if key is None else str(key))
            return found(*args, **kwargs)

        return watched
