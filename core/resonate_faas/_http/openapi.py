"""The OpenAPI document of the routes, written by hand and compared with them by a test."""

from __future__ import annotations

from typing import Any, Final

from resonate_faas._http.invoke import ARGUMENTS_MAX, DURATION_S_MAX, VERSION_MAX
from resonate_faas._http.room import WAIT_S_MAX
from resonate_faas._machine.ids import ID_BYTES_MAX, ROOT_ID_BYTES_MAX
from resonate_faas._machine.objects import PromiseState, TaskState

Schema = dict[str, Any]

_TEXT: Final = {"type": "string"}
_INSTANT: Final = {"type": "integer", "description": "Epoch milliseconds."}


def _object(required: list[str], properties: Schema, **more: Any) -> Schema:
    return {"type": "object", "required": required, "properties": properties, **more}


_SCHEMAS: Final[Schema] = {
    "Problem": _object(
        ["type", "title", "status", "detail", "code"],
        {
            "type": {**_TEXT, "format": "uri"},
            "title": _TEXT,
            "status": {"type": "integer"},
            "detail": _TEXT,
            "code": {**_TEXT, "description": "Stable; what a program compares."},
            "field": {**_TEXT, "description": "The field that broke its rule."},
        },
        description="RFC 9457 problem document.",
    ),
    "Invoke": _object(
        [],
        {
            "id": {
                **_TEXT,
                "minLength": 1,
                "maxLength": ROOT_ID_BYTES_MAX,
                "pattern": r"^[^:\u0000-\u001f\u007f]+$",
                "description": "Of the execution; the same id answers the same execution. None: a fresh one is made.",
            },
            "args": {"type": "array", "items": {}, "maxItems": ARGUMENTS_MAX},
            "kwargs": {"type": "object", "maxProperties": ARGUMENTS_MAX},
            "timeout": {
                "type": "number",
                "exclusiveMinimum": 0,
                "maximum": DURATION_S_MAX,
                "description": "Seconds until its deadline.",
            },
            "delay": {
                "type": "number",
                "minimum": 0,
                "maximum": DURATION_S_MAX,
                "description": "Seconds before it starts.",
            },
            "version": {
                "type": "integer",
                "minimum": 0,
                "maximum": VERSION_MAX,
                "description": "Of the function; 0: the newest.",
            },
        },
        additionalProperties=False,
    ),
    "Invoked": _object(
        ["id", "state", "url", "links"],
        {
            "id": _TEXT,
            "state": {"enum": [state.value for state in PromiseState]},
            "url": _TEXT,
            "links": _object(["self", "wait", "cancel"], {"self": _TEXT, "wait": _TEXT, "cancel": _TEXT}),
        },
    ),
    "Promise": _object(
        ["id", "state", "tags", "createdAt", "timeoutAt"],
        {
            "id": _TEXT,
            "state": {"enum": [state.value for state in PromiseState]},
            "value": {"description": "Of a resolved promise: any JSON."},
            "error": _object(["code", "name", "message"], {"code": _TEXT, "name": _TEXT, "message": _TEXT}),
            "undecodable": {**_TEXT, "description": "Why the record could not be read; see raw."},
            "raw": {"type": "object"},
            "tags": {"type": "object", "additionalProperties": _TEXT},
            "createdAt": _INSTANT,
            "timeoutAt": _INSTANT,
            "settledAt": _INSTANT,
            "task": _object(
                ["state", "version"],
                {
                    "state": {"enum": [state.value for state in TaskState]},
                    "version": {"type": "integer", "minimum": 0},
                    "nextDispatchAt": _INSTANT,
                    "leaseExpiresAt": _INSTANT,
                },
            ),
            "reason": {**_TEXT, "description": "Why the task is halted or backing off."},
        },
    ),
    "Call": _object(
        [],
        {
            "kind": {**_TEXT, "description": "run, rpc, detached, sleep, promise, now, race, retry, patch."},
            "function": _TEXT,
            "version": {"type": "integer"},
            "code": {
                **_TEXT,
                "description": "The fingerprint of the code that an execution was started with.",
            },
            "attempt": {"type": "integer", "description": "Of a retry: how many attempts have failed."},
            "error": {"description": "Of a retry: what the last attempt failed with."},
            "parent": _TEXT,
        },
    ),
    "Waiting": _object(
        ["id", "state", "call", "createdAt", "timeoutAt"],
        {
            "id": _TEXT,
            "state": {"enum": [state.value for state in PromiseState]},
            "call": {"$ref": "#/components/schemas/Call"},
            "createdAt": _INSTANT,
            "timeoutAt": _INSTANT,
            "taskState": {"enum": [state.value for state in TaskState]},
            "reason": _TEXT,
        },
    ),
    "WaitingList": _object(
        ["count", "promises"],
        {
            "count": {"type": "integer"},
            "promises": {"type": "array", "items": {"$ref": "#/components/schemas/Waiting"}, "maxItems": 100},
        },
    ),
    "Explanation": _object(
        ["promise", "at", "call", "callbacks", "listeners"],
        {
            "promise": {"$ref": "#/components/schemas/Promise"},
            "at": _INSTANT,
            "call": {"$ref": "#/components/schemas/Call"},
            "callbacks": _object(
                ["count", "ids"], {"count": {"type": "integer"}, "ids": {"type": "array", "items": _TEXT}}
            ),
            "listeners": _object(
                ["count", "addresses"],
                {"count": {"type": "integer"}, "addresses": {"type": "array", "items": _TEXT}},
            ),
            "nextDueAt": {
                **_INSTANT,
                "description": "When time alone does something to it, epoch milliseconds.",
            },
            "holder": {
                "$ref": "#/components/schemas/Waiting",
                "description": "Whose activations record it.",
            },
            "task": _object(
                ["state", "version", "dispatches", "barren", "barrenMax", "resumes"],
                {
                    "state": {"enum": [state.value for state in TaskState]},
                    "version": {"type": "integer"},
                    "dispatches": {"type": "integer", "description": "Since it last became pending."},
                    "barren": {"type": "integer", "description": "Acquisitions since its last new record."},
                    "barrenMax": {"type": "integer", "description": "At which it is halted."},
                    "resumes": {"type": "integer"},
                    "target": _TEXT,
                    "pid": {**_TEXT, "description": "Of the activation that holds the lease."},
                    "leaseMs": {"type": "integer"},
                    "leaseExpiresAt": _INSTANT,
                    "nextDispatchAt": _INSTANT,
                    "backsOffUntil": _INSTANT,
                },
            ),
            "budget": _object(
                ["promises", "promisesMax", "leaseMs", "replayMs"],
                {
                    "promises": {"type": "integer", "description": "Records that an activation replays."},
                    "promisesMax": {"type": "integer"},
                    "leaseMs": {"type": "integer", "description": "A replay must end well within it."},
                    "replayMs": {
                        "type": "integer",
                        "description": "What the last one took; 0: less than a ms, or none yet.",
                    },
                },
            ),
            "awaits": {"$ref": "#/components/schemas/WaitingList"},
            "retries": {"$ref": "#/components/schemas/WaitingList"},
            "calls": {"$ref": "#/components/schemas/WaitingList"},
        },
    ),
    "Settle": _object(
        [],
        {"value": {"description": "Any JSON; of a rejection, the message."}},
        additionalProperties=False,
    ),
    "Envelope": _object(
        ["kind", "head", "data"],
        {
            "kind": {**_TEXT, "minLength": 1},
            "head": _object(
                ["corrId", "version"],
                {"corrId": _TEXT, "version": _TEXT, "auth": {"type": ["string", "null"]}},
            ),
            "data": {"type": "object"},
        },
        description="A request of the Resonate protocol, or a message pushed to this worker.",
    ),
    "EnvelopeAnswer": _object(
        ["kind", "head", "data"],
        {
            "kind": _TEXT,
            "head": _object(
                ["corrId", "status", "version"],
                {"corrId": _TEXT, "status": {"type": "integer"}, "version": _TEXT},
            ),
            "data": {"description": "An object or array; of an error, its text."},
        },
    ),
    "Delivered": _object(["status"], {"status": {"enum": ["completed", "suspended"]}}),
    "Sweep": _object(
        ["pokes", "failures", "complete"],
        {"pokes": {"type": "integer"}, "failures": {"type": "integer"}, "complete": {"type": "boolean"}},
    ),
    "Health": _object(["status"], {"status": {"const": "ok"}}),
}


def _ref(name: str) -> Schema:
    return {"$ref": f"#/components/schemas/{name}"}


def _json(*names: str) -> Schema:
    schema = _ref(names[0]) if len(names) == 1 else {"anyOf": [_ref(name) for name in names]}
    return {"application/json": {"schema": schema}}


_PROBLEM: Final = {
    "description": "A problem document.",
    "content": {"application/problem+json": {"schema": _ref("Problem")}},
}


def _answers(status: int, description: str, content: Schema, *problems: int) -> Schema:
    return {
        str(status): {"description": description, "content": content},
        **{str(problem): _PROBLEM for problem in (*problems, 401, 403, 503)},
    }


def _body(name: str, *, required: bool) -> Schema:
    return {"required": required, "content": _json(name)}


def _in_path(name: str, schema: Schema) -> Schema:
    return {"name": name, "in": "path", "required": True, "schema": schema}


def _in_query(name: str, schema: Schema, description: str) -> Schema:
    return {"name": name, "in": "query", "required": False, "schema": schema, "description": description}


_ID: Final = _in_path("id", {**_TEXT, "minLength": 1, "maxLength": ID_BYTES_MAX})
_ACTION: Final = _in_path("action", {"enum": ["resolve", "reject", "cancel"]})
_TOKEN: Final = _in_query("token", _TEXT, "The capability of this promise's link, instead of a credential.")


def _root() -> Schema:
    statuses = ("300", "400", "401", "403", "404", "409", "422", "500")
    envelope = {"description": "The protocol's own answer.", "content": _json("EnvelopeAnswer")}
    either = {
        "description": "A problem document for a message, the protocol's own answer for a request.",
        "content": {**_json("EnvelopeAnswer"), **_PROBLEM["content"]},  # type: ignore[dict-item]
    }
    return {
        "summary": "Ask in the Resonate protocol, or push a message to this worker",
        "operationId": "protocol",
        "requestBody": _body("Envelope", required=True),
        "responses": {
            **_answers(200, "Done.", _json("EnvelopeAnswer", "Delivered"), 413, 415),
            **dict.fromkeys(statuses, either),
            "300": envelope,
        },
    }


_PATHS: Final[Schema] = {
    "/": {"post": _root()},
    "/health": {
        "get": {
            "summary": "Say that the process lives",
            "operationId": "health",
            "responses": _answers(200, "It lives.", _json("Health")),
        }
    },
    "/openapi.json": {
        "get": {
            "summary": "This document",
            "operationId": "openapi",
            "responses": _answers(200, "OpenAPI 3.1.", {"application/json": {"schema": {"type": "object"}}}),
        }
    },
    "/tick": {
        "post": {
            "summary": "Sweep: send a poke for everything that is due",
            "operationId": "tick",
            "responses": _answers(200, "What the sweep did.", _json("Sweep"), 413),
        }
    },
    "/invoke/{function}": {
        "post": {
            "summary": "Start an execution, or find the one of the same id",
            "operationId": "invoke",
            "parameters": [_in_path("function", {**_TEXT, "minLength": 1})],
            "requestBody": _body("Invoke", required=True),
            "responses": _answers(
                202, "It is found at its URL.", _json("Invoked"), 400, 404, 409, 413, 415, 422
            ),
        }
    },
    "/promises/{id}": {
        "get": {
            "summary": "Read a promise, waiting for its end if asked to",
            "operationId": "read",
            "parameters": [
                _ID,
                _in_query(
                    "wait",
                    {"type": "number", "minimum": 0, "maximum": WAIT_S_MAX},
                    "Seconds to wait at most.",
                ),
            ],
            "responses": _answers(200, "As it stands.", _json("Promise"), 404, 422),
        }
    },
    "/promises/{id}/explain": {
        "get": {
            "summary": "Say why a promise waits: what it awaits, who holds it, what comes next",
            "operationId": "explain",
            "parameters": [_ID],
            "responses": _answers(200, "As it stands.", _json("Explanation"), 404),
        }
    },
    "/promises/{id}/{action}": {
        "post": {
            "summary": "Settle an external promise or an execution",
            "operationId": "settle",
            "parameters": [_ID, _ACTION, _TOKEN],
            "requestBody": _body("Settle", required=False),
            "responses": _answers(200, "As it stands now.", _json("Promise"), 400, 404, 409, 413, 415, 422),
        },
        "get": {
            "summary": "The page behind a link; its button settles",
            "operationId": "confirm",
            "parameters": [_ID, _ACTION, _TOKEN, _in_query("value", _TEXT, "JSON to settle with.")],
            "responses": _answers(200, "A page.", {"text/html": {"schema": _TEXT}}, 404, 422),
        },
    },
}


def document(base_url: str) -> Schema:
    """Return the OpenAPI 3.1 document.

    Args:
        base_url: where the routes are reached; "": where the document was found.
    """
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "resonate-faas",
            "version": "1",
            "description": "Durable functions: start them, wait for them, settle what they wait for.",
        },
        "servers": [{"url": base_url or "/"}],
        "paths": _PATHS,
        "components": {"schemas": _SCHEMAS},
    }
