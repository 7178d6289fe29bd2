"""A client's hand: envelopes as bytes, and a tiny server that is nothing but the machine over a dict."""

from __future__ import annotations

import json
from typing import Any, Final

from resonate_faas._addresses import AddressPolicy
from resonate_faas._machine import decide, handler_of, keys_of
from resonate_faas._machine.objects import DEFAULT_RULES, Object, Promise
from resonate_faas._machine.requests import Need, Reply, Request, ScheduleCreate
from resonate_faas._protocol import (
    Answer,
    Decoded,
    Refused,
    WireSettings,
    decode_request,
    encode_refusal,
    encode_reply,
)
from resonate_faas._requests import (
    DebugReset,
    DebugSnap,
    DebugStart,
    DebugStop,
    DebugTick,
    Page,
    PromiseSearch,
    ScheduleCreateRequest,
    ScheduleSearch,
    Snapshot,
    TaskSearch,
)

ALLOWED: Final = ("http://localhost:8080/run", "poll://default")
SETTINGS: Final = WireSettings(permits=AddressPolicy(ALLOWED).permits)
DEBUG: Final = WireSettings(permits=AddressPolicy(ALLOWED).permits, debug=True)
VERSION: Final = "2026-04-01"
TARGET_TAG: Final = {"resonate:target": "poll://any@default"}


def envelope(kind: Any, data: Any, **head: Any) -> bytes:
    """Return the body of a request; ``head`` overrides or adds head fields."""
    full = {"corrId": "c-1", "version": VERSION, **head}
    return json.dumps({"kind": kind, "head": full, "data": data}).encode()


def resonate(**fields: Any) -> Any:
    """Return the ``resonate:`` fields of a head, to be spread into :func:`ask` and :func:`refusal`."""
    return {f"resonate:{name}": value for name, value in fields.items()}


def ask(kind: str, data: Any, *, settings: WireSettings = SETTINGS, **head: Any) -> Decoded:
    """Return the decoded request of a body that must be right."""
    decoded = decode_request(envelope(kind, data, **head), settings=settings)
    assert isinstance(decoded, Decoded), decoded
    return decoded


def refusal(kind: str, data: Any, *, settings: WireSettings = SETTINGS, **head: Any) -> str:
    """Return the text of the 400 that a body must meet."""
    refused = decode_request(envelope(kind, data, **head), settings=settings)
    assert isinstance(refused, Refused), refused
    assert (refused.kind, refused.corr_id, refused.status) == (kind, "c-1", 400)
    return refused.error


class TinyServer:
    """The machine over a dict, behind the wire."""

    def __init__(self, settings: WireSettings = SETTINGS) -> None:
        self.settings = settings
        self.objects: dict[str, Object] = {}

    def post(self, body: object, *, now_ms: int, preload: tuple[Promise, ...] = ()) -> dict[str, Any]:
        """Answer a body; the HTTP status must equal the head's."""
        decoded = decode_request(body, settings=self.settings)
        if isinstance(decoded, Refused):
            status, answer = encode_refusal(decoded)
        else:
            status, answer = encode_reply(decoded, self._answer(decoded, now_ms), preload=preload)
        assert answer["head"]["status"] == status
        return answer

    def _answer(self, decoded: Decoded, now_ms: int) -> Answer:
        request = decoded.request
        if isinstance(request, PromiseSearch | TaskSearch | ScheduleSearch):
            return Page(objects=())
        if isinstance(request, DebugSnap):
            return Snapshot(objects=tuple(self.objects.values()))
        if isinstance(request, DebugStart | DebugStop | DebugReset | DebugTick):
            return Reply(status=200)
        if isinstance(request, ScheduleCreateRequest):
            return self._step(
                ScheduleCreate(
                    id=request.id,
                    cron=request.cron,
                    promise_id=request.promise_id,
                    promise_timeout=request.promise_timeout,
                    promise_param=request.promise_param,
                    promise_tags=request.promise_tags,
                    zone=request.zone,
                    next_run_at=now_ms + 60_000,
                ),
                now_ms,
            )
        return self._step(request, now_ms)

    def _step(self, request: Request, now_ms: int) -> Reply:
        keys = set(keys_of(request))
        while True:
            given = {key: self.objects.get(key) for key in keys}
            outcome = decide(handler_of(request), given, now_ms=now_ms, rules=DEFAULT_RULES)
            if isinstance(outcome, Need):
                keys |= outcome.ids
                continue
            for key, written in outcome.writes.items():
                if written is None:
                    del self.objects[key]
                else:
                    self.objects[key] = written
            return outcome.reply
