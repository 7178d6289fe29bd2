"""Every error: where it stands in the tree, its stable code, what to do about it, and that it pickles."""

from __future__ import annotations

import inspect
import pickle
import pkgutil
import re
from collections.abc import Iterator
from importlib import import_module
from typing import Any

import pytest
from tests.packaging.tree import PACKAGES

from resonate_faas import Disposition, ResonateFaasError, WorkflowInterrupt, _errors

# Written by hand: a code stands in JSON problems, logs and users' dashboards, so that changing one breaks them.
CODES = {
    "ResonateFaasError": "resonate-faas",
    "StoreError": "store",
    "ConflictError": "store-conflict",
    "OutcomeUnknownError": "store-outcome-unknown",
    "StoreUnavailableError": "store-unavailable",
    "QueueError": "queue",
    "TaskNotAcquiredError": "1199",
    "RequestRefusedError": "refused",
    "InvocationConflictError": "invocation-conflict",
    "HttpError": "http",
    "AccessDeniedError": "access-denied",
    "RouteNotFoundError": "route-not-found",
    "PromiseNotFoundError": "promise-not-found",
    "MethodNotAllowedError": "method-not-allowed",
    "BodyTooLargeError": "body-too-large",
    "ContentTypeError": "content-type",
    "MalformedBodyError": "malformed-body",
    "InvalidFieldError": "invalid-field",
    "CodecError": "codec",
    "EncodingError": "encoding",
    "DecodingError": "decoding",
    "RegistryError": "registry",
    "AlreadyRegisteredError": "1102",
    "InvalidNameError": "1101",
    "FunctionNotFoundError": "1103",
    "ArgumentsError": "arguments",
    "CronError": "cron",
    "DependencyNotFoundError": "1105",
    "ConfigurationError": "configuration",
    "LimitExceededError": "limit",
    "DurableError": "durable",
    "ApplicationError": "application",
    "PromiseTimeoutError": "timeout",
    "PromiseCanceledError": "canceled",
    "WorkflowInterrupt": "interrupt",
    "NonDeterminismError": "non-determinism",
    "ForeignAwaitError": "foreign-await",
    "GuardError": "guard",
    "HistoryNotReadError": "history-not-read",
    "ContextClosedError": "context-closed",
    "AppLoadError": "app-load",
    "UnknownEventError": "unknown-event",
    "DirectInvocationError": "direct-invocation",
    "PublicUrlError": "public-url",
}
CORE = "resonate_faas"
SAMPLES: dict[str, Any] = {
    "str": "some text",
    "int": 7,
    "tuple[str, ...]": ("one", "two"),
    "str | None": "name",
}


def subclasses(base: type[BaseException]) -> Iterator[type[BaseException]]:
    """Yield the class and every one below it that the distribution defines."""
    yield base
    for child in base.__subclasses__():
        if child.__module__.partition(".")[0] in PACKAGES:
            yield from subclasses(child)


def all_errors() -> list[type[BaseException]]:
    """Return every class of the two trees, after importing every module that could define one."""
    for package, folder in PACKAGES.items():
        for one in pkgutil.walk_packages([str(folder)], prefix=f"{package}."):
            if not one.name.endswith("__main__"):
                import_module(one.name)
    return [*subclasses(ResonateFaasError), *subclasses(WorkflowInterrupt)]


ERRORS = all_errors()


def made(kind: type[BaseException]) -> BaseException:
    """Return an instance, with a sample for each field by its annotation."""
    if "__init__" not in vars(kind) and kind.__init__ in {Exception.__init__, BaseException.__init__}:
        return kind("some text")
    fields = list(inspect.signature(kind.__init__).parameters.values())[1:]
    return kind(*[SAMPLES[field.annotation] for field in fields])


def drawn() -> dict[str, str]:
    """Return the tree of the docstring: the base of each class; "" for a root."""
    bases: dict[str, str] = {}
    above: dict[int, str] = {}
    for line in (_errors.__doc__ or "").splitlines():
        found = re.match(r"((?:│   |    )*)(?:[├└]── )?([A-Z]\w+)(?: |$)", line)
        if found is None or not line.startswith(("│", "├", "└", " ", "ResonateFaas", "Workflow")):
            continue
        depth = len(found[1]) // 4 + (1 if "── " in line else 0)
        bases[found[2]] = above[depth - 1] if depth else ""
        above[depth] = found[2]
    return bases


@pytest.mark.parametrize("kind", ERRORS, ids=lambda kind: kind.__name__)
class TestEveryError:
    def test_has_its_stable_code(self, kind: type[Any]) -> None:
        assert kind.code == CODES[kind.__name__]

    def test_says_what_to_do(self, kind: type[Any]) -> None:
        if issubclass(kind, ResonateFaasError):
            assert isinstance(kind.disposition, Disposition)
            assert 400 <= kind.status <= 599

    def test_pickles_with_its_fields_and_its_text(self, kind: type[BaseException]) -> None:
        error = made(kind)
        again = pickle.loads(pickle.dumps(error))
        assert type(again) is kind
        assert vars(again) == vars(error)
        assert again.args == error.args
        assert str(again) == str(error)
        assert str(error)

    def test_is_exported_from_its_package(self, kind: type[BaseException]) -> None:
        package = import_module(kind.__module__.partition(".")[0])
        assert kind.__name__ in package.__all__
        assert getattr(package, kind.__name__) is kind

    def test_is_documented(self, kind: type[BaseException]) -> None:
        assert (kind.__doc__ or "").strip()


def test_codes_are_unique() -> None:
    assert sorted(CODES) == sorted(kind.__name__ for kind in ERRORS)
    assert len(set(CODES.values())) == len(CODES)


def test_the_tree_at_the_top_of_the_module_is_the_tree_of_classes() -> None:
    names = {kind.__name__ for kind in ERRORS}
    bases = {
        kind.__name__: next((base.__name__ for base in kind.__bases__ if base.__name__ in names), "")
        for kind in ERRORS
        if kind.__module__.partition(".")[0] == CORE  # core names no adapter
    }
    assert drawn() == bases
