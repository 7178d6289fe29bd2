"""What every route is given."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final
from urllib.parse import quote

from resonate_faas._http.access import Access, Right
from resonate_faas._http.messages import BODY_BYTES_MAX, HttpRequest, HttpResponse
from resonate_faas._node import Node

if TYPE_CHECKING:
    from resonate_faas._http.debug import Debug

WAIT_S_MAX: Final = 20
"""A long poll ends below the idle limit of common proxies (30 s)."""

TICK_MS: Final = 20_000
"""How long one sweep over HTTP works before it leaves the rest to the next."""

ANSWER_MS: Final = 1_000
"""Kept free before the deadline of the process: an answer must still get out."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpSettings:
    """What a deployment decides about its routes.

    Attributes:
        base_url: where the routes are reached, for the URLs in answers; "": they are relative.
        body_bytes_max: a longer body is refused with 413.
        tick_ms: bounds the work of one POST /tick.
    """

    base_url: str = ""
    body_bytes_max: int = BODY_BYTES_MAX
    tick_ms: int = TICK_MS

    def promise_url(self, promise_id: str) -> str:
        """Return the URL of a promise."""
        return f"{self.base_url.rstrip('/')}/promises/{quote(promise_id, safe='')}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One request on its way through a route.

    Attributes:
        node: the deployment.
        access: who may do what.
        settings: of the routes.
        debug: None: debug mode is off.
        request: as it came.
        params: the path's, decoded; None where one is not UTF-8.
        deadline_mono_ms: when this process may be stopped.
    """

    node: Node
    access: Access
    settings: HttpSettings
    debug: Debug | None
    request: HttpRequest
    params: Mapping[str, str | None] = field(default_factory=dict)
    deadline_mono_ms: int | None = None

    def check(self, right: Right) -> None:
        """Raise AccessDeniedError unless the request may use the right."""
        self.access.check(self.request, right)

    def bounded_ms(self, duration_ms: int) -> int:
        """Return how much of a duration this process may spend before it answers."""
        if self.deadline_mono_ms is None:
            return duration_ms
        left_ms = self.deadline_mono_ms - ANSWER_MS - self.node.clock.monotonic_ms()
        return max(min(duration_ms, left_ms), 0)

    def param(self, name: str) -> str:
        """Return a path parameter; "" for one that is not UTF-8, which nothing is named."""
        return self.params.get(name) or ""


Handler = Callable[[Call], HttpResponse]
