"""The routes: a request value in, a response value out; every platform's handler is a translation around this."""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Final

from resonate_faas._errors import ResonateFaasError
from resonate_faas._http.access import Access, ClosedAccess, Right
from resonate_faas._http.messages import HttpRequest, HttpResponse, decode_segment, json_response
from resonate_faas._http.problems import bug_response, problem_response
from resonate_faas._http.room import Call, Handler, HttpSettings
from resonate_faas._http.root import root
from resonate_faas._http_errors import BodyTooLargeError, MethodNotAllowedError, RouteNotFoundError
from resonate_faas._node import Node

if TYPE_CHECKING:
    from resonate_faas._http.debug import Debug

log = logging.getLogger("resonate_faas.http")


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """One route.

    Attributes:
        method: GET also answers HEAD, whose body the handler drops.
        template: as in the OpenAPI document; a slash in an id comes encoded.
        handle: answers.
        right: checked before anything else; None: the route checks, since it depends on the request.
    """

    method: str
    template: str
    handle: Handler
    right: Right | None

    @property
    def pattern(self) -> re.Pattern[str]:
        """The regular expression of the template."""
        return _PATTERNS[self.template]


def _health(call: Call) -> HttpResponse:
    del call
    return json_response(200, {"status": "ok"})


def _openapi(call: Call) -> HttpResponse:
    from resonate_faas._http.openapi import document  # noqa: PLC0415 - a cold start has no use for it

    return json_response(200, document(call.settings.base_url))


def _tick(call: Call) -> HttpResponse:
    """Sweep, for at most the configured time: the rest is left to the next tick."""
    left_ms = call.bounded_ms(call.settings.tick_ms)
    done = call.node.server.sweep(until_mono_ms=call.node.clock.monotonic_ms() + left_ms)
    return json_response(200, {"pokes": done.pokes, "failures": done.failures, "complete": done.complete})


def _room(module: str, name: str) -> Handler:
    """Return a handler whose room is imported at its first request: a cold start pays for the route it serves."""

    def handle(call: Call) -> HttpResponse:
        handler: Handler = getattr(import_module(f"resonate_faas._http.{module}"), name)
        return handler(call)

    return handle


_ACTION: Final = "/promises/{id}/{action}"
_PATTERNS: Final[Mapping[str, re.Pattern[str]]] = {
    "/": re.compile(r"/?"),
    "/health": re.compile(r"/health"),
    "/openapi.json": re.compile(r"/openapi\.json"),
    "/tick": re.compile(r"/tick"),
    "/invoke/{function}": re.compile(r"/invoke/(?P<function>[^/]+)"),
    _ACTION: re.compile(r"/promises/(?P<id>[^/]+)/(?P<action>resolve|reject|cancel)"),
    "/promises/{id}/explain": re.compile(r"/promises/(?P<id>[^/]+)/explain"),
    "/promises/{id}": re.compile(r"/promises/(?P<id>[^/]+)"),
}
"""In the order in which they are tried."""

ROUTES: Final = (
    Route(method="POST", template="/", handle=root, right=None),
    Route(method="GET", template="/health", handle=_health, right=Right.PUBLIC),
    Route(method="GET", template="/openapi.json", handle=_openapi, right=Right.PUBLIC),
    Route(method="POST", template="/tick", handle=_tick, right=Right.TICK),
    Route(method="POST", template="/invoke/{function}", handle=_room("invoke", "invoke"), right=Right.INVOKE),
    Route(method="POST", template=_ACTION, handle=_room("promises", "settle"), right=None),
    Route(method="GET", template=_ACTION, handle=_room("promises", "confirm"), right=None),
    Route(method="GET", template="/promises/{id}/explain", handle=_room("explain", "read"), right=Right.READ),
    Route(method="GET", template="/promises/{id}", handle=_room("promises", "read"), right=Right.READ),
)


class App:
    """All routes over one node.

    Args:
        node: the deployment.
        access: who may do what; nobody anything by default.
        settings: of the routes.
        debug: the debug surface; None: debug mode is off.
    """

    def __init__(
        self,
        node: Node,
        access: Access | None = None,
        *,
        settings: HttpSettings | None = None,
        debug: Debug | None = None,
    ) -> None:
        self.node = node
        self.access = access or ClosedAccess()
        self.settings = settings or HttpSettings()
        self.debug = debug

    def handle(self, request: HttpRequest, *, deadline_mono_ms: int | None = None) -> HttpResponse:
        """Answer a request. Never raises: a refusal is a problem document, so is a bug, which is logged.

        Args:
            request: the body may be cut one byte behind the limit.
            deadline_mono_ms: when this process may be stopped; an activation releases its task before.
        """
        try:
            return self._answer(request, deadline_mono_ms)
        except ResonateFaasError as error:
            if error.status >= 500:
                log.warning("request failed", extra={"code": error.code, "reason": str(error)})
            return problem_response(error)
        except Exception:
            log.exception("bug in a route", extra={"method": request.method})
            return bug_response()

    def _answer(self, request: HttpRequest, deadline_mono_ms: int | None) -> HttpResponse:
        route, params = _find(request)
        call = Call(
            node=self.node,
            access=self.access,
            settings=self.settings,
            debug=self.debug,
            request=request,
            params=params,
            deadline_mono_ms=deadline_mono_ms,
        )
        if route.right is not None:
            call.check(route.right)
        if len(request.body) > self.settings.body_bytes_max:
            raise BodyTooLargeError(self.settings.body_bytes_max)
        return route.handle(call)


def _find(request: HttpRequest) -> tuple[Route, Mapping[str, str | None]]:
    for template, pattern in _PATTERNS.items():
        found = pattern.fullmatch(request.path)
        if found is None:
            continue
        offered = {route.method: route for route in ROUTES if route.template == template}
        route = offered.get("GET" if request.method == "HEAD" else request.method)
        if route is None:
            allowed = [*offered, "HEAD"] if "GET" in offered else [*offered]
            raise MethodNotAllowedError(request.method, tuple(sorted(allowed)))
        return route, {name: decode_segment(segment) for name, segment in found.groupdict().items()}
    raise RouteNotFoundError(request.path)
