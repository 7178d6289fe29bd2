"""What a record's param and value hold, read for display only; what can't be read is simply not shown."""

from __future__ import annotations

import binascii
import json
import zlib
from base64 import b64decode, b64encode
from collections.abc import Mapping, Sequence
from typing import Any, Final

_ENCODING_HEADER: Final = "resonate-faas:encoding"
_INFLATED_BYTES_MAX: Final = 16 * 1024 * 1024
_TEXT_CHARS_MAX: Final = 120


def payload(value: object) -> Any:
    """Return what a wire value holds; None: nothing, or nothing that we can read (encrypted, foreign)."""
    if not isinstance(value, Mapping) or not isinstance(value.get("data"), str):
        return None
    headers = value.get("headers")
    try:
        encoded = b64decode(value["data"], validate=True)
        if isinstance(headers, Mapping) and headers.get(_ENCODING_HEADER) == "zlib":
            encoded = zlib.decompressobj().decompress(encoded, _INFLATED_BYTES_MAX)
        return json.loads(encoded)
    except (binascii.Error, zlib.error, ValueError, RecursionError):
        return None


def invocation(function: str, args: Sequence[Any], kwargs: Mapping[str, Any], version: int) -> dict[str, Any]:
    """Return the param that invokes a function (protocol section 7.1)."""
    call: dict[str, Any] = {"func": function, "args": list(args), "version": version}
    if kwargs:
        call["kwargs"] = dict(kwargs)
    return {"data": b64encode(json.dumps(call, separators=(",", ":")).encode()).decode()}


def error_text(body: object) -> str:
    """Return a rejection's body in one short line: ``ValueError: card declined``; "" if it says nothing."""
    if not isinstance(body, Mapping):
        return "" if body is None else short(json.dumps(body, ensure_ascii=False))
    message, name = body.get("message"), body.get("name")
    if not isinstance(message, str):
        return short(json.dumps(dict(body), ensure_ascii=False))
    named = f"{name}: {message}" if isinstance(name, str) and name not in {"", "Error"} else message
    return short(named.removesuffix(": "))


def short(text: str) -> str:
    """Return the text in one line of at most 120 characters."""
    line = " ".join(text.split())
    return line if len(line) <= _TEXT_CHARS_MAX else f"{line[: _TEXT_CHARS_MAX - 1]}…"


def plain(text: str) -> str:
    """Return the text with whatever could steer a terminal escaped; records are written by others."""
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)
