"""A workflow as a plain function in this process: calls are calls, nothing is recorded, nothing fails."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

from tests.engine.stage import NAME

from resonate_faas import ApplicationError, PromiseCanceledError

PATIENT = 1_000_000


class _Stage:
    """What a step meets: nobody listens and no time passes; it is the last execution."""

    generation = 1

    def heard(self, step: Any) -> None:
        """Nobody listens."""

    def pause(self, duration_ms: int) -> None:
        """No time passes."""


@dataclass(frozen=True)
class PlainStep:
    """The context of a step: every retry but the last is over."""

    info: Any = field(default_factory=lambda: SimpleNamespace(id="plain", attempt=PATIENT))

    def get_dependency(self, _: str) -> Any:
        return _Stage()


@dataclass(frozen=True)
class PlainContext:
    """As much of the context as the workloads use; a promise is settled by what its name says."""

    name: str = ""

    def options(self, *, tags: dict[str, str] | None = None, **_: Any) -> PlainContext:
        return PlainContext((tags or {}).get(NAME, ""))

    async def run(self, fn: Callable[..., Any], *args: Any) -> Any:
        if not inspect.iscoroutinefunction(fn):
            return fn(PlainStep(), *args)
        return await fn(PlainContext(), *args)

    rpc = detached = run

    def patched(self, _: str) -> bool:
        return True

    async def sleep(self, _: float) -> None:
        """No time passes."""

    async def promise(self, _: type[Any]) -> str:
        if self.name.startswith("bad"):
            raise ApplicationError(f"{self.name}!")
        if self.name.startswith("cancel"):
            raise PromiseCanceledError("plain")
        return f"{self.name}!"

    async def gather(self, *futures: Coroutine[Any, Any, Any], return_exceptions: bool = False) -> list[Any]:
        values: list[Any] = []
        for future in futures:
            try:
                values.append(await future)
            except Exception as error:
                if not return_exceptions:
                    raise
                values.append(error)
        return values

    async def map(self, fn: Callable[..., Any], items: list[Any], **_: Any) -> list[Any]:
        return [await self.run(fn, item) for item in items]


def plainly(fn: Callable[..., Any], *args: Any) -> tuple[str, Any]:
    """Return what the workflow comes to: its value, or the type and text of its error."""
    running = fn(PlainContext(), *args)
    try:
        running.send(None)
    except StopIteration as stop:
        return "value", stop.value
    except Exception as error:  # noqa: BLE001 - whatever the workflow raises
        return type(error).__name__, str(error)
    raise AssertionError("a plain run waits for nothing")
