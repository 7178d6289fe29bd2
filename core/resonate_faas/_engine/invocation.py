"""The param of a targeted promise: which function to run, with what (protocol section 7.1)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pydantic_core import from_json

from resonate_faas._engine.codec import Codec, digest, dump
from resonate_faas._engine.registry import Function, Registry, spelled
from resonate_faas._errors import DecodingError
from resonate_faas._machine.objects import Promise, Value


def invocation(
    name: str,
    args: Sequence[Any],
    kwargs: Mapping[str, Any],
    *,
    version: int,
    codec: Codec,
    kind: str = "rpc",
    function: Function | None = None,
    code: str = "",
) -> Value:
    """Return the param that invokes a function.

    Args:
        name: of the function.
        args: serialisable by their own types.
        kwargs: as args; left out when empty, so that a TypeScript worker reads it.
        version: of the function.
        codec: of payloads.
        kind: what the caller did.
        code: the fingerprint of a fresh root's code: tells later whether it changed under the execution.
        function: the function, if it is registered here: tells that two spellings are the same call.

    Raises:
        EncodingError: an argument is not serialisable, or together they are too large.
    """
    where = f"the arguments of {name}"
    fields: dict[str, Any] = {"func": name, "args": list(args)}
    if kwargs:
        fields["kwargs"] = dict(sorted(kwargs.items()))
    if code:
        fields["code"] = code
    marks = {"version": version, "kind": kind, "digest": digest(*spelled(function, args, kwargs), name)}
    return codec.pack(dump({**fields, **marks}, Any, where), where)


def invoked(
    root: Promise, registry: Registry, codec: Codec
) -> tuple[Function, tuple[Any, ...], dict[str, Any]]:
    """Return what a root promise asks for: the function, and its arguments as declared types.

    Raises:
        DecodingError: the param is not an invocation.
        FunctionNotFoundError: not registered here at this version.
        ArgumentsError: the arguments do not fit.
    """
    fields = codec.unpack(root.param, root.id)
    try:
        body = from_json(fields) if fields is not None else None
    except ValueError as error:
        raise DecodingError(root.id, str(error)) from error
    if not isinstance(body, dict) or not isinstance(body.get("func"), str):
        raise DecodingError(root.id, "its param names no function")
    args, kwargs, version = body.get("args") or [], body.get("kwargs") or {}, body.get("version") or 1
    if not isinstance(args, list) or not isinstance(kwargs, dict) or not isinstance(version, int):
        raise DecodingError(root.id, "args must be an array, kwargs an object, version an integer")
    function = registry.get(body["func"], version)
    loaded_args, loaded_kwargs = function.load(args, kwargs)
    return function, loaded_args, loaded_kwargs
