"""What a harness puts around workflows: stubs, dependencies, declared effects, people who answer."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from types import MappingProxyType
from typing import Any, Final

from resonate_faas._machine.objects import PromiseState
from resonate_faas._resonate import Resonate
from resonate_faas.testing._harness.deployed import Deployment
from resonate_faas.testing._harness.ledger import CURRENT, Effect, Watched
from resonate_faas.testing._harness.places import Place, skip
from resonate_faas.testing._harness.stubs import NOT_GIVEN, Stub, make_stub
from resonate_faas.testing._harness.world import Answer, Plan, World, milliseconds_of

NO_TAGS: Final[Mapping[str, str]] = MappingProxyType({})


class Outside:
    """The world around the workflows of one harness.

    Args:
        plan: what it was told.
        place: where the workflows run.
    """

    def __init__(self, plan: Plan, place: Place) -> None:
        self._plan = plan
        self._place = place

    @property
    def world(self) -> World:
        """The world in memory.

        Raises:
            pytest.skip.Exception: there is a deployment instead.
        """
        if isinstance(self._place, Deployment):
            skip("look into the store, skip time, use stubs or crash", self._place)
        return self._place

    @property
    def place(self) -> Place:
        """Where it runs: a world in memory or a deployment."""
        return self._place

    @property
    def resonate(self) -> Resonate:
        """The business code."""
        return self._plan.resonate

    @property
    def is_virtual(self) -> bool:
        """True in memory: time skips, stubs and crashes are there."""
        return isinstance(self._place, World)

    def stub(
        self,
        target: Callable[..., Any] | str,
        *,
        returns: Any = NOT_GIVEN,
        raises: BaseException | type[BaseException] | None = None,
        does: Callable[..., Any] | None = None,
        each: Sequence[Any] | None = None,
    ) -> Stub:
        """Put something in the place of a function: a step, a child workflow, or one that is served elsewhere.

        Args:
            target: the function, or the name it is recorded under.
            returns: every call returns this.
            raises: every call raises this; the step's retry policy counts.
            does: called with the step's arguments; may be a coroutine function, may take a StepContext first.
            each: one outcome for each call, in order: exceptions are raised, anything else is returned.

        Returns:
            The stub, which records its calls.

        Raises:
            ValueError: not exactly one of the four was given.
        """
        _ = self.world
        stub = make_stub(
            target,
            returns=returns,
            raises=raises,
            does=does,
            each=each,
            registry=self._plan.resonate.registry,
        )
        self._plan.stubs[stub.name] = stub
        return stub

    def set_dependency(self, name: str, value: Any) -> None:
        """Set what ``get_dependency(name)`` gives, in this harness alone."""
        _ = self.world
        self._plan.dependencies[name] = value

    def watch(self, name: str, *methods: str, key: str = "key") -> None:
        """Let the calls of some methods of a dependency count as effects, with the parameter ``key`` as their key.

        Args:
            name: of the dependency, which is set already.
            methods: those that do something; the others are not watched.
            key: the name of the parameter that holds the idempotency key, if the method has one.

        Raises:
            KeyError: there is no such dependency.
        """
        inner = self.world.dependencies[name]
        self.set_dependency(name, Watched(name, inner, methods, key, self._declare))

    def effect(self, name: str, payload: Any = None, *, key: str | None = None) -> bool:
        """Declare that a step does something to the world outside; a fake calls this.

        Args:
            name: what is done: "charge".
            payload: what it is done with.
            key: the idempotency key that the real service would be given; None: it takes none.

        Returns:
            True if the world outside sees it for the first time: a fake that honours keys acts only then.
        """
        return self._declare(name, payload, key)

    def _declare(self, name: str, payload: Any, key: str | None) -> bool:
        current = CURRENT.get()
        if current is None and isinstance(self._place, World):
            current = self._place.ledger
        return current is None or current.declare(name, payload, key)

    @property
    def effects(self) -> tuple[Effect, ...]:
        """The effects declared so far, in order, repeated ones too."""
        return tuple(self.world.ledger.effects)

    def respond(
        self,
        *,
        resolve: Any = NOT_GIVEN,
        reject: str | None = None,
        tags: Mapping[str, str] = NO_TAGS,
        id: str | None = None,  # noqa: A002 - the protocol's word
        after: timedelta | float = 0,
    ) -> None:
        """Settle external promises as they appear: what people outside would do. The last one that fits counts.

        Args:
            resolve: resolve them with this.
            reject: or reject them with this message.
            tags: only those with these tags.
            id: only this one.
            after: how long after each one's creation.

        Raises:
            ValueError: not exactly one of ``resolve`` and ``reject`` was given.
        """
        if (resolve is NOT_GIVEN) == (reject is None):
            raise ValueError("an answer does one thing: give one of resolve=, reject=")
        state = PromiseState.RESOLVED if reject is None else PromiseState.REJECTED
        value = resolve if reject is None else reject
        answer = Answer(
            state=state, value=value, tags=dict(tags), promise_id=id, after_ms=milliseconds_of(after)
        )
        self.world.plan.answers.append(answer)
