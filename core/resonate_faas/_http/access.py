"""Who may do what: each route names a right, a platform's handler decides. Closed by default (design section 8)."""

from __future__ import annotations

from enum import Enum
from typing import Protocol

from resonate_faas._http.messages import HttpRequest
from resonate_faas._http_errors import AccessDeniedError


class Right(Enum):
    """What a request asks to do."""

    PUBLIC = "public"  # GET /health, GET /openapi.json
    PROTOCOL = "protocol"  # POST / with an envelope: everything a Resonate server offers
    DELIVER = "deliver"  # POST / with an execute or a poke
    INVOKE = "invoke"
    READ = "read"
    SETTLE = "settle"
    LINK = "link"  # settle or see the page of one promise, by the capability token in the query
    TICK = "tick"
    POLL = "poll"  # GET /poll/{group}/{id}: receive the messages of a group; the dev server's
    DEBUG = "debug"  # debug.* and resonate:debug_time, where debug mode is on


class Access(Protocol):
    """Decides from the method, the path, the query and the headers: the body is not parsed yet."""

    def check(self, request: HttpRequest, right: Right) -> None:
        """Return if the request may use the right.

        A token that travels in the envelope's head comes as the Authorization header (D23). For
        ``Right.LINK`` the token of the query is checked by the route: only say whether links are in use.

        Raises:
            AccessDeniedError: 401: who is it; 403: not this one.
        """


class ClosedAccess:
    """Refuses everything: what an app does whose handler forgot to say who may come in."""

    def check(self, request: HttpRequest, right: Right) -> None:
        """Refuse."""
        del request
        raise AccessDeniedError(403, f"nobody was given the right {right.value!r}")
