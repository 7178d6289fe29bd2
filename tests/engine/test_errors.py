"""Errors across run and rpc: caught by type where the type is known, by name where it is not; nothing is pickled."""

from __future__ import annotations

import json
from base64 import b64decode
from collections.abc import Callable
from typing import Any

import pytest

from resonate_faas import (
    ApplicationError,
    Context,
    DecodingError,
    DependencyNotFoundError,
    LimitExceededError,
    Never,
    PromiseTimeoutError,
    Resonate,
)
from resonate_faas._machine.objects import PromiseState
from resonate_faas._machine.requests import PromiseSettle
from resonate_faas.testing._deployment import MemoryDeployment


class CardDeclinedError(Exception):
    """Stands in the module of a registered function."""


class TwoPartError(Exception):
    """Can't be built from a message alone."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(code, text)
        self.code, self.text = code, text


class PrefixedError(Exception):
    """Builds its message from its argument."""

    def __init__(self, what: str) -> None:
        super().__init__(f"no {what}")


class UnprintableError(Exception):
    """Has no text."""

    def __str__(self) -> str:
        raise RuntimeError("no text")


def foreign(name: str) -> type[Exception]:
    """Return an exception class of a module that registers nothing."""
    return type(name, (Exception,), {"__module__": "some.library"})


_EMPTY: dict[str, str] = {}
ForeignError = foreign("ForeignError")
AllowedError = foreign("AllowedError")


async def raiser(ctx: Context, index: int) -> None:
    """Raise an error as a workflow."""
    await ctx.sleep(0)
    error = CASES[index][0]()
    raise error


def failing(index: int) -> None:
    """Raise an error as a step or a task."""
    error = CASES[index][0]()
    raise error


CASES: list[tuple[Callable[[], BaseException], type[BaseException], str]] = [
    (lambda: ValueError("no"), ValueError, "no"),
    (ValueError, ValueError, ""),
    (lambda: ZeroDivisionError("division by zero"), ZeroDivisionError, "division by zero"),
    (lambda: KeyError("name"), KeyError, "'name'"),
    (lambda: FileNotFoundError(2, "gone", "f"), FileNotFoundError, "[Errno 2] gone: 'f'"),
    (lambda: TimeoutError("late"), TimeoutError, "late"),
    (lambda: CardDeclinedError("declined"), CardDeclinedError, "declined"),
    (lambda: PrefixedError("money"), PrefixedError, "no money"),
    (lambda: TwoPartError(7, "both"), ApplicationError, "TwoPartError: (7, 'both')"),
    (lambda: ForeignError("who"), ApplicationError, "ForeignError: who"),
    (lambda: AllowedError("known"), AllowedError, "known"),
    (lambda: UnicodeDecodeError("utf-8", b"x", 0, 1, "why"), ApplicationError, "UnicodeDecodeError: "),
    (lambda: ExceptionGroup("two", [ValueError("a")]), ApplicationError, "ExceptionGroup: two"),
    (lambda: ApplicationError("plain"), ApplicationError, "plain"),
    (lambda: PromiseTimeoutError("p"), PromiseTimeoutError, "promise 'p' was not"),
    (lambda: DecodingError("x", "y"), DecodingError, "the record of x can't be read: y"),
    (lambda: LimitExceededError("size", 3, "less"), LimitExceededError, "size is limited to 3: less"),
    (lambda: DependencyNotFoundError("db"), DependencyNotFoundError, "dependency 'db' is not set"),
    (lambda: ValueError("\ud800 lone"), ValueError, "? lone"),
    (lambda: ValueError("x" * 1_000_000), ValueError, "x" * 16_384),
    (UnprintableError, ApplicationError, "UnprintableError: "),
]
NAMES = [kind.__name__ + text[:12] for _, kind, text in CASES]


@pytest.mark.parametrize("how", ["run", "rpc", "workflow"])
@pytest.mark.parametrize(("index", "kind", "text"), [(i, c[1], c[2]) for i, c in enumerate(CASES)], ids=NAMES)
def test_an_error_is_caught_alike_live_and_in_a_replay(
    how: str, index: int, kind: type[Exception], text: str
) -> None:
    resonate = Resonate()
    resonate.error(AllowedError)
    resonate.register(name="failing", retry=Never())(failing)
    caught: list[BaseException] = []

    @resonate.register
    async def flow(ctx: Context) -> str:
        steady = ctx.options(retry=Never())
        try:
            if how == "run":
                await steady.run(failing, index)
            elif how == "rpc":
                await ctx.rpc(failing, index)
            else:
                await ctx.run(raiser, index)
        except Exception as error:  # noqa: BLE001 - which one it is stands in the assertion
            caught.append(error)
        await ctx.sleep(60)
        return "caught"

    assert MemoryDeployment(resonate).run("flow") == "caught"
    assert len(caught) >= 2
    for error in caught:
        assert type(error) is kind
        assert str(error).startswith(text)
        if not isinstance(error, ApplicationError):
            assert str(error) == text or kind.__module__.startswith("resonate_faas")


def test_an_application_error_keeps_the_name_of_what_was_raised_through_every_level() -> None:
    resonate = Resonate()

    async def middle(ctx: Context) -> None:
        await ctx.options(retry=Never()).run(failing, 9)

    @resonate.register
    async def top(ctx: Context) -> None:
        await ctx.run(middle)

    with pytest.raises(ApplicationError, match=r"^ForeignError: who$") as caught:
        MemoryDeployment(resonate).run("top")
    assert (caught.value.name, caught.value.message) == ("ForeignError", "who")


def test_a_rejection_is_recorded_as_plain_json_without_pickle_or_cause() -> None:
    resonate = Resonate()

    @resonate.register
    async def flow(_ctx: Context) -> None:
        try:
            _EMPTY["secret"]
        except KeyError as error:
            raise CardDeclinedError("declined") from error

    deployment = MemoryDeployment(resonate)
    with pytest.raises(CardDeclinedError):
        deployment.run("flow")
    found = deployment.client.get("root")
    assert found is not None
    body = json.loads(b64decode(found.promise.value.data or ""))
    assert body == {
        "__type": "error",
        "name": "CardDeclinedError",
        "message": "declined",
        "type": f"{__name__}:CardDeclinedError",
    }


@pytest.mark.parametrize(
    ("body", "kind", "text"),
    [
        (
            {"__type": "error", "message": "card", "name": "PaymentError", "stack": "..."},
            "PaymentError",
            "card",
        ),
        ({"message": "only"}, "Error", "only"),
        ({"message": "m", "__py_pickle": "gASVBAAAAAAAAAAu", "type": "os:system"}, "Error", "m"),
        ({"message": "m", "type": "builtins:eval"}, "Error", "m"),
        ({"message": "m", "type": "SystemExit"}, "Error", "m"),
        ({"message": "m", "type": "open"}, "Error", "m"),
        ({"message": "m", "type": f"{__name__}:foreign"}, "Error", "m"),
        (7, "Error", "rejected with 7"),
        (None, "Error", "rejected with None"),
    ],
)
def test_what_others_rejected_with_is_an_application_error(body: Any, kind: str, text: str) -> None:
    resonate = Resonate()
    seen: list[tuple[str, str]] = []

    @resonate.register
    async def flow(ctx: Context) -> None:
        try:
            await ctx.options(id="gate").promise()
        except ApplicationError as error:
            seen.append((error.name, error.message))

    deployment = MemoryDeployment(resonate)
    deployment.start("flow")
    deployment.deliver_due()
    value = resonate.codec.encode(body, Any, "a test")
    deployment.client._ask(_settle("gate", value))
    deployment.settle()
    assert deployment.result() is None
    assert seen == [(kind, text)]


def _settle(promise_id: str, value: Any) -> Any:
    return PromiseSettle(id=promise_id, state=PromiseState.REJECTED, value=value)


def test_the_same_error_can_be_awaited_twice() -> None:
    resonate = Resonate()

    @resonate.register
    async def flow(ctx: Context) -> list[str]:
        future = ctx.options(retry=Never()).run(failing, 0)
        seen = []
        for _ in range(2):
            try:
                await future
            except ValueError as error:
                seen.append(str(error))
        return seen

    assert MemoryDeployment(resonate).run("flow") == ["no", "no"]
