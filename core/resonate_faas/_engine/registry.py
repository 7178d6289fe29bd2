"""What can be called: functions described once, registered by name and version."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import partial
from types import NoneType
from typing import Any, Final, get_args, get_origin, get_type_hints

from resonate_faas._engine.codec import NO_HINT, OWN_ERRORS, builtin_error, load_argument, type_name
from resonate_faas._engine.fingerprint import fingerprint
from resonate_faas._engine.retry import Exponential, Never, RetryPolicy
from resonate_faas._errors import (
    AlreadyRegisteredError,
    ArgumentsError,
    FunctionNotFoundError,
    InvalidNameError,
)

NAME_BYTES_MAX: Final = 256
DEFAULT_TIMEOUT: Final = timedelta(days=1)
_CONTEXT_NAMES: Final = frozenset({"ctx", "context"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Function:
    """A callable, described.

    Attributes:
        name: what is recorded of it.
        call: the callable itself.
        takes_context: its first parameter is the context.
        is_declared_step: that context is a StepContext.
        is_async: a coroutine function.
        is_generator: a generator function.
        hints: declared types by parameter name; a parameter without one is absent.
        result: the declared type of the result, ``Any`` if there is none.
        signature: without the context parameter; None: the callable has none to inspect.
        version: 1 and up.
        retry: None: the default of its kind.
        timeout: the default deadline of a call.
    """

    name: str
    call: Callable[..., Any]
    takes_context: bool
    is_async: bool
    is_generator: bool
    hints: Mapping[str, Any]
    result: Any
    signature: inspect.Signature | None
    is_declared_step: bool = False
    version: int = 1
    retry: RetryPolicy | None = None
    timeout: timedelta | None = None

    @property
    def is_workflow(self) -> bool:
        """True if the driver runs it: it takes the context and can be suspended."""
        return self.takes_context and not self.is_declared_step and (self.is_async or self.is_generator)

    @property
    def retry_policy(self) -> RetryPolicy:
        """Its own policy, else Never for a workflow (its steps retry), Exponential for a step."""
        if self.retry is not None:
            return self.retry
        return Never() if self.is_workflow else Exponential()

    def spelled(
        self, args: Sequence[Any], kwargs: Mapping[str, Any]
    ) -> tuple[tuple[Any, ...], Mapping[str, Any]]:
        """Return the arguments by position as far as that goes: ``f(1, b=2)`` is the call ``f(1, 2)``.

        What does not fit the signature stays as it is, for :meth:`check` to refuse. Defaults are not filled in.
        """
        if not kwargs or self.signature is None:
            return tuple(args), kwargs
        try:
            bound = self.signature.bind(*args, **kwargs)
        except TypeError:
            return tuple(args), kwargs
        return bound.args, bound.kwargs

    def check(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> None:
        """Check that the arguments fit the signature.

        Raises:
            ArgumentsError: one is missing, unknown or doubled; names it.
        """
        if self.signature is None:
            return
        try:
            self.signature.bind(*args, **kwargs)
        except TypeError as error:
            raise ArgumentsError(self.name, str(error), _named(str(error))) from error

    def load(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Return JSON arguments as the declared types; defaults stay untouched.

        Raises:
            ArgumentsError: they do not fit the signature or a type; names the parameter.
        """
        self.check(args, kwargs)
        if self.signature is None:
            return tuple(args), dict(kwargs)
        bound = self.signature.bind(*args, **kwargs)
        for name, value in bound.arguments.items():
            hint = self.hints.get(name, NO_HINT)
            kind = self.signature.parameters[name].kind
            if kind is inspect.Parameter.VAR_POSITIONAL:
                bound.arguments[name] = tuple(load_argument(one, hint, self.name, name) for one in value)
            elif kind is inspect.Parameter.VAR_KEYWORD:
                bound.arguments[name] = {
                    key: load_argument(one, hint, self.name, key) for key, one in value.items()
                }
            else:
                bound.arguments[name] = load_argument(value, hint, self.name, name)
        return bound.args, bound.kwargs


def spelled(
    function: Function | None, args: Sequence[Any], kwargs: Mapping[str, Any]
) -> tuple[tuple[Any, ...], Mapping[str, Any]]:
    """Return arguments in the one spelling by which equal calls are told; as they are, if nothing is known of it."""
    return (tuple(args), kwargs) if function is None else function.spelled(args, kwargs)


def _named(text: str) -> str | None:
    """Return the parameter that an argument error of Python quotes."""
    parts = text.split("'")
    return parts[1] if len(parts) >= 3 else None


_described: dict[Any, Function] = {}


def describe(call: Callable[..., Any]) -> Function:
    """Return the description of a callable, cached by its code: a lambda in a loop is inspected once.

    The description's own ``call`` may be another object with the same code: callers keep theirs.

    Raises:
        TypeError: it is not callable.
    """
    key = _code_key(call)
    if key is None:
        return _describe(call)
    known = _described.get(key)
    if known is None:
        known = _described[key] = _describe(call)
    return known


def _code_key(call: Any) -> Any:
    """Return what the description of a callable depends on; None: more than can be told without inspecting it.

    Functions made by one factory share their code: a wrapper's signature is that of what it wraps, and the
    annotations of a nested function may hold types of its own.
    """
    function = getattr(call, "__func__", call)
    code = getattr(function, "__code__", None)
    marks = getattr(function, "__dict__", None)
    if code is None or marks is None or "__signature__" in marks:
        return None
    wrapped = _code_key(marks["__wrapped__"]) if "__wrapped__" in marks else ()
    if wrapped is None or ("<locals>" in function.__qualname__ and _is_annotated(function)):
        return None
    # By identity: equal code may stand in two modules. The description keeps the function, and so its code, alive.
    return id(code), function.__qualname__, function is call, wrapped


def _is_annotated(function: Any) -> bool:
    lazily = getattr(function, "__annotate__", None)  # Python 3.14: the annotations are not evaluated yet
    return lazily is not None if hasattr(function, "__annotate__") else bool(function.__annotations__)


def _describe(call: Callable[..., Any]) -> Function:
    if not callable(call):
        if inspect.iscoroutine(call):
            call.close()  # it will not be awaited: the error below says what to do instead
        raise TypeError(
            f"{call!r} is not callable: pass a function, a method, or the name of a registered one"
        )
    inner = call.func if isinstance(call, partial) else call
    hints = _hints(inner)
    try:
        signature: inspect.Signature | None = inspect.signature(call)
    except (ValueError, TypeError):
        signature = None
    takes_context = signature is not None and _takes_context(signature, hints)
    is_declared_step = False
    if signature is not None and takes_context:
        is_declared_step = _is_step_context(next(iter(signature.parameters.values())), hints)
        signature = signature.replace(parameters=list(signature.parameters.values())[1:])
    body = inner if inspect.isroutine(inner) else type(inner).__call__
    is_generator = inspect.isgeneratorfunction(body)
    return Function(
        name=_name(inner),
        call=call,
        takes_context=takes_context,
        is_declared_step=is_declared_step,
        is_async=inspect.iscoroutinefunction(body),
        is_generator=is_generator,
        hints={name: _plain(hint) for name, hint in hints.items() if name != "return"},
        result=_result(hints.get("return", NO_HINT), is_generator=is_generator),
        signature=signature,
    )


def _hints(call: Callable[..., Any]) -> dict[str, Any]:
    """Return the resolved annotations; none, if one can't be resolved (a name under TYPE_CHECKING, say)."""
    target = call if inspect.isroutine(call) else type(call).__call__
    try:
        return get_type_hints(target, include_extras=True)
    except Exception:  # noqa: BLE001 - evaluating a user's annotations may raise anything
        return {}


def _takes_context(signature: inspect.Signature, hints: Mapping[str, Any]) -> bool:
    first = next(iter(signature.parameters.values()), None)
    if first is None or first.kind not in (first.POSITIONAL_ONLY, first.POSITIONAL_OR_KEYWORD):
        return False
    hint = hints.get(first.name, first.annotation)
    if hint in (inspect.Parameter.empty, Any):
        return first.name in _CONTEXT_NAMES
    if isinstance(hint, str):
        return hint.rpartition(".")[2] in {"Context", "StepContext"}
    return getattr(hint, "__resonate_context__", False) is True


def _is_step_context(first: inspect.Parameter, hints: Mapping[str, Any]) -> bool:
    hint = hints.get(first.name, first.annotation)
    if isinstance(hint, str):
        return hint.rpartition(".")[2] == "StepContext"
    return getattr(hint, "__resonate_step__", False) is True


def _plain(hint: Any) -> Any:
    return NoneType if hint is None else hint


def _result(hint: Any, *, is_generator: bool) -> Any:
    if is_generator:
        arguments = get_args(hint)
        return _plain(arguments[2]) if get_origin(hint) is not None and len(arguments) == 3 else NO_HINT
    return _plain(hint)


def _name(call: Callable[..., Any]) -> str:
    name = getattr(call, "__qualname__", None) or type(call).__qualname__
    return str(name).rpartition("<locals>.")[2] or str(name)


class Registry:
    """Functions by name and version, and the exception classes that rejections may be rebuilt as."""

    def __init__(self) -> None:
        self._functions: dict[str, dict[int, Function]] = {}
        self._names: dict[Any, Function] = {}
        self._fingerprints: dict[tuple[str, int], str] = {}
        self._errors: dict[str, type[Exception]] = dict(OWN_ERRORS)

    def register(
        self,
        call: Callable[..., Any],
        *,
        name: str | None = None,
        version: int = 1,
        retry: RetryPolicy | None = None,
        timeout: timedelta | None = None,
    ) -> Function:
        """Register a function.

        Args:
            call: the function.
            name: what it is invoked by; its own name by default.
            version: 1 and up. Running executions stay on the version they started with.
            retry: replaces the default policy of its kind.
            timeout: the default deadline of a call.

        Raises:
            InvalidNameError: no usable name, or a version below 1.
            AlreadyRegisteredError: the name has this version.
        """
        described = describe(call)
        chosen = name if name is not None else described.name
        if not chosen or "<lambda>" in chosen or any(ord(char) < 32 for char in chosen):
            raise InvalidNameError(chosen, "give it a name: register(fn, name=...)")
        if len(chosen.encode()) > NAME_BYTES_MAX:
            raise InvalidNameError(chosen, f"a name has at most {NAME_BYTES_MAX} bytes")
        if version < 1:
            raise InvalidNameError(chosen, f"a version must be greater than zero ({version} provided)")
        if described.is_generator and not described.takes_context:
            raise InvalidNameError(
                chosen, "a generator function is a workflow: its first parameter must be the context"
            )
        versions = self._functions.setdefault(chosen, {})
        if version in versions:
            raise AlreadyRegisteredError(chosen, version)
        function = replace(described, call=call, name=chosen, version=version, retry=retry, timeout=timeout)
        versions[version] = self._names[_identity(call)] = function
        return function

    def register_error(self, kind: type[Exception]) -> None:
        """Allow rejections to be rebuilt as this class, from their message alone."""
        self._errors[type_name(kind)] = kind

    def get(self, name: str, version: int = 0) -> Function:
        """Return a registered function; version 0 is the newest.

        Raises:
            FunctionNotFoundError: there is none.
        """
        versions = self._functions.get(name)
        found = None if not versions else versions.get(version or max(versions))
        if found is None:
            raise FunctionNotFoundError(name, version, tuple(sorted(self._functions)))
        return found

    def find(self, name: str, version: int = 0) -> Function | None:
        """Return a registered function, or None."""
        versions = self._functions.get(name)
        return None if not versions else versions.get(version or max(versions))

    def of(self, call: Callable[..., Any]) -> Function | None:
        """Return the registration of a function object, or None if it has none."""
        try:
            return self._names.get(_identity(call))
        except TypeError:
            return None

    def resolve_error(self, name: str) -> type[Exception] | None:
        """Return the allow-listed exception class of a recorded type name.

        Allowed are builtins, registered classes, and the exception classes found in the modules of registered
        functions: an error that stands next to the workflow can be caught by type without further ado.
        """
        known = self._errors.get(name)
        if known is not None:
            return known
        module, colon, qualname = name.partition(":")
        if not colon:
            return builtin_error(name)
        if module not in {function.call.__module__ for function in self._names.values()}:
            return None
        found = getattr(sys.modules.get(module), qualname, None)
        return found if isinstance(found, type) and issubclass(found, Exception) else None

    def fingerprint(self, function: Function) -> str:
        """Return the fingerprint of a function's code, computed once if it is registered."""
        known = self._fingerprints.get((function.name, function.version))
        if known is None:
            known = fingerprint(function.call)
            self._fingerprints[function.name, function.version] = known
        return known

    def names(self) -> list[tuple[str, int]]:
        """Return every (name, version), sorted."""
        return sorted((name, version) for name, versions in self._functions.items() for version in versions)


def _identity(call: Callable[..., Any]) -> Any:
    """Bound methods are made anew on every access: they are known by function and object."""
    bound = getattr(call, "__func__", None)
    return call if bound is None else (bound, id(call.__self__))  # type: ignore[attr-defined]
