"""The face of the package: what business code registers with. It knows no platform and does no I/O."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any, TypeVar, overload

from resonate_faas._engine.codec import Codec, Encryptor
from resonate_faas._engine.registry import Registry
from resonate_faas._engine.retry import RetryPolicy
from resonate_faas._guards import GUARDS, Guard

F = TypeVar("F", bound=Callable[..., Any])
E = TypeVar("E", bound=type[Exception])


class Resonate:
    """Durable functions, their dependencies and errors; handed to a platform's handler.

    Args:
        encryptor: encrypts every param and value that holds user data.
        guard: what becomes of a workflow that does, outside its steps, what a replay can't repeat (clock, random
            numbers, files, network, processes, threads): "warn" logs it once a place, "error" stops the workflow at
            the line (for tests), "off" looks at nothing.
        url: of an official Resonate server to work for, in place of a store of our own; handlers and
            ``resonate-faas worker`` take it, else the environment's RESONATE_URL.

    Raises:
        ValueError: no such guard.

    Example:
        ``resonate = Resonate()``, then ``@resonate.register`` on each workflow.
    """

    def __init__(
        self, *, encryptor: Encryptor | None = None, guard: Guard = "warn", url: str | None = None
    ) -> None:
        if guard not in GUARDS:
            raise ValueError(f"guard must be one of {', '.join(GUARDS)}, got {guard!r}")
        self.guard = guard
        self.url = url
        self.registry = Registry()
        self.codec = Codec(encryptor=encryptor, resolve_error=self.registry.resolve_error)
        self.dependencies: dict[str, Any] = {}

    @overload
    def register(self, fn: F, /) -> F: ...
    @overload
    def register(
        self,
        fn: None = None,
        /,
        *,
        name: str | None = None,
        version: int = 1,
        retry: RetryPolicy | None = None,
        timeout: timedelta | None = None,
    ) -> Callable[[F], F]: ...
    def register(
        self,
        fn: Callable[..., Any] | None = None,
        /,
        *,
        name: str | None = None,
        version: int = 1,
        retry: RetryPolicy | None = None,
        timeout: timedelta | None = None,
    ) -> Any:
        """Register a function, as ``@resonate.register`` or ``@resonate.register(name=..., version=2)``.

        Args:
            fn: the function; returned as it is.
            name: what it is invoked by; its own name by default.
            version: 1 and up; a running execution stays on its version.
            retry: replaces the default policy of its kind.
            timeout: the default deadline of a call; one day by default.

        Raises:
            InvalidNameError: no usable name or version.
            AlreadyRegisteredError: the name has this version.
        """

        def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
            self.registry.register(function, name=name, version=version, retry=retry, timeout=timeout)
            return function

        return decorate if fn is None else decorate(fn)

    def error(self, kind: E) -> E:
        """Let rejections be rebuilt as this exception class, from their message alone; usable as a decorator.

        Builtin exceptions, and those that stand in the module of a registered function, need no registration.
        """
        self.registry.register_error(kind)
        return kind

    def set_dependency(self, name: str, value: Any) -> None:
        """Set what ``get_dependency(name)`` gives: a client, a connection pool."""
        self.dependencies[name] = value
