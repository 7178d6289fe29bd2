"""Values to records and back: JSON by type hints through pydantic, base64 on the wire (protocol section 7.2).

The first run sees exactly what a replay sees: whatever a step returns is encoded, decoded, and only then given
to the workflow. Exceptions cross as ``__type``, ``name``, ``message`` and a type name that only an allow-list
resolves; nothing is pickled (D26 to D28).
"""

from __future__ import annotations

import binascii
import builtins
import zlib
from base64 import b64decode, b64encode
from collections.abc import Callable, Mapping
from dataclasses import fields, is_dataclass
from hashlib import blake2b
from types import NoneType
from typing import Any, Final, Protocol

from pydantic_core import PydanticSerializationError, ValidationError, from_json, to_json, to_jsonable_python

from resonate_faas._errors import (
    ApplicationError,
    ArgumentsError,
    DecodingError,
    DependencyNotFoundError,
    EncodingError,
    InvocationConflictError,
    LimitExceededError,
    PromiseCanceledError,
    PromiseTimeoutError,
)
from resonate_faas._machine.ids import PAYLOAD_BYTES_MAX
from resonate_faas._machine.objects import EMPTY, Promise, PromiseState, Value

COMPRESS_FROM_BYTES: Final = 16_384
INFLATED_BYTES_MAX: Final = 64 * 1024 * 1024
DIGEST_INPUT_BYTES_MAX: Final = 65_536
ENCODING_HEADER: Final = "resonate-faas:encoding"

ERROR_CHARS_MAX: Final = 16_384

NO_HINT: Final = Any
_PLAIN: Final = frozenset({int, str, bool, float, NoneType})


class Encryptor(Protocol):
    """Encrypts payloads before base64 (D27). The same class must decrypt what older deployments wrote."""

    def encrypt(self, plaintext: bytes) -> bytes:
        """Return the ciphertext."""

    def decrypt(self, ciphertext: bytes) -> bytes:
        """Return the plaintext, or raise."""


ErrorResolver = Callable[[str], type[Exception] | None]


class Codec:
    """Encodes and decodes payloads.

    Args:
        encryptor: applied to every param and value that holds user data.
        resolve_error: gives the allow-listed exception class of a type name, or None.
    """

    def __init__(
        self, *, encryptor: Encryptor | None = None, resolve_error: ErrorResolver | None = None
    ) -> None:
        self._encryptor = encryptor
        self._resolve_error = resolve_error or (lambda _: None)

    def encode(self, value: Any, hint: Any, where: str) -> Value:
        """Return the payload of a value.

        Args:
            value: None, or anything JSON can carry by its type or its hint.
            hint: the declared type; ``Any``: inferred from the value.
            where: names the step in errors.

        Raises:
            EncodingError: not serialisable, not of its declared type, or over 300,000 bytes encoded.
        """
        if value is None:
            return EMPTY
        return self.pack(dump(value, hint, where), where)

    def pack(self, encoded: bytes, where: str) -> Value:
        """Return JSON bytes as a payload: compressed if large, encrypted if so set, base64, bounded."""
        headers: Mapping[str, str] = EMPTY.headers
        if len(encoded) > COMPRESS_FROM_BYTES:
            smaller = zlib.compress(encoded, 6)
            if len(smaller) < len(encoded):
                encoded, headers = smaller, {ENCODING_HEADER: "zlib"}
        if self._encryptor is not None:
            encoded = self._encryptor.encrypt(encoded)
        data = b64encode(encoded).decode()
        if len(data) > PAYLOAD_BYTES_MAX:
            limit = f"{len(data)} bytes encoded, the limit is {PAYLOAD_BYTES_MAX}"
            raise EncodingError(where, f"{limit}; store it elsewhere and pass a reference")
        return Value(headers=headers, data=data)

    def decode(self, value: Value, hint: Any, where: str) -> Any:
        """Return the value of a payload, as its declared type.

        Raises:
            DecodingError: not base64, not JSON, or not of the type.
        """
        encoded = self.unpack(value, where)
        if encoded is None:
            return None if hint in (NO_HINT, NoneType) else load(b"null", hint, where)
        return load(encoded, hint, where)

    def unpack(self, value: Value, where: str) -> bytes | None:
        """Return the JSON bytes of a payload; None: there is none."""
        if not value.data:
            return None
        try:
            encoded = b64decode(value.data, validate=True)
            if self._encryptor is not None:
                encoded = self._encryptor.decrypt(encoded)
            if value.headers.get(ENCODING_HEADER) == "zlib":
                encoded = zlib.decompressobj().decompress(encoded, INFLATED_BYTES_MAX)
        except (binascii.Error, ValueError, zlib.error) as error:
            raise DecodingError(where, str(error)) from error
        return encoded

    def encode_error(self, error: BaseException, where: str) -> Value:
        """Return the payload of a rejection."""
        return self.pack(to_json(error_body(error)), where)

    def decode_error(self, promise: Promise) -> Exception:
        """Return what awaiting this settled, not resolved, promise raises."""
        if promise.state is PromiseState.TIMEDOUT:
            return PromiseTimeoutError(promise.id)
        if promise.state is PromiseState.CANCELED and promise.value.data is None:
            return PromiseCanceledError(promise.id)
        body = self.decode(promise.value, NO_HINT, promise.id)
        if not isinstance(body, dict) or not isinstance(body.get("message"), str):
            return ApplicationError(f"rejected with {body!r}"[:4_096])
        message, kind, args = body["message"], body.get("type"), body.get("args")
        known = self._resolve_error(kind) if isinstance(kind, str) else None
        if known is not None:
            own = args if isinstance(args, list) and issubclass(known, _REBUILT) else [message]
            rebuilt = _rebuild(known, own, message)
            if rebuilt is not None:
                return rebuilt
        name = body.get("name")
        return ApplicationError(message, name if isinstance(name, str) else "Error")


def error_body(error: BaseException) -> dict[str, Any]:
    """Return an exception as JSON data; an over-long message is cut, never refused."""
    name = error.name if isinstance(error, ApplicationError) else type(error).__name__
    body: dict[str, Any] = {"__type": "error", "name": name, "message": _text(_message(error))}
    if not isinstance(error, ApplicationError):
        body["type"] = type_name(type(error))
    if isinstance(error, _REBUILT):
        body["args"] = [
            arg if isinstance(arg, int) else _text(str(arg)) for arg in error.args if arg is not None
        ]
    return body


def _message(error: BaseException) -> str:
    """Return the text that the exception can be built from again."""
    if isinstance(error, ApplicationError):
        return error.message
    if isinstance(error, KeyError) and len(error.args) == 1 and isinstance(error.args[0], str):
        return error.args[0]  # its str() is a repr of that, and would be one of itself once rebuilt
    try:
        return str(error)
    except Exception:  # noqa: BLE001 - a user's __str__ may raise anything
        return ""


def _text(text: str) -> str:
    """Return the text, cut to size, lone surrogates replaced: it must be storable."""
    return text[:ERROR_CHARS_MAX].encode(errors="replace").decode()


def type_name(kind: type[BaseException]) -> str:
    """Return the name an exception type is recorded under: ``module:qualname``, builtins bare."""
    return kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}:{kind.__qualname__}"


def builtin_error(name: str) -> type[Exception] | None:
    """Return a builtin exception class by name; None: there is none of this name that may be built."""
    found = getattr(builtins, name, None) if name.isidentifier() else None
    return found if isinstance(found, type) and issubclass(found, Exception) else None


_REBUILT: Final = (
    ArgumentsError,
    DecodingError,
    DependencyNotFoundError,
    EncodingError,
    InvocationConflictError,
    LimitExceededError,
    PromiseCanceledError,
    PromiseTimeoutError,
)
"""Our own errors that are rebuilt from their fields, texts and integers, instead of from the message."""

OWN_ERRORS: Final[Mapping[str, type[Exception]]] = {
    type_name(kind): kind for kind in (*_REBUILT, ApplicationError)
}


def _rebuild(kind: type[Exception], args: list[Any], message: str) -> Exception | None:
    """Build an allow-listed exception that says the message; a constructor that refuses that gives None."""
    try:
        rebuilt = kind(*args)
        if args == [message] and not isinstance(rebuilt, KeyError) and str(rebuilt) != message:
            rebuilt.args = (message,)  # its constructor made another text of what was its text already
    except Exception:  # noqa: BLE001 - a user's constructor may raise anything
        return None
    return rebuilt


def _dump_typed(value: Any, hint: Any) -> bytes:
    from resonate_faas._engine.schemas import dump_json  # noqa: PLC0415 - brings pydantic, needed for few types

    return dump_json(value, hint)


def _load_typed(encoded: bytes, hint: Any) -> Any:
    from resonate_faas._engine.schemas import validate_json  # noqa: PLC0415 - as above

    return validate_json(encoded, hint)


def dump(value: Any, hint: Any, where: str) -> bytes:
    """Return the value as JSON.

    Raises:
        EncodingError: not serialisable, or not of its declared type.
    """
    try:
        if hint is NO_HINT or (type(value) is hint and hint in _PLAIN):
            return to_json(value, inf_nan_mode="constants", bytes_mode="base64")
        return _dump_typed(value, hint)
    except (PydanticSerializationError, ValueError, TypeError, RecursionError) as error:
        raise EncodingError(where, _short(error)) from error


def load(encoded: bytes, hint: Any, where: str) -> Any:
    """Return JSON as a value of the declared type, strictly: no text becomes a number, a bool is not an int.

    Raises:
        DecodingError: not JSON, or not of the type.
    """
    try:
        if hint is NO_HINT:
            return from_json(encoded)
        if isinstance(hint, type) and hint in _PLAIN:
            plain = from_json(encoded)
            if type(plain) is hint:
                return plain
        return _load_typed(encoded, hint)
    except (ValidationError, ValueError) as error:
        raise DecodingError(where, _short(error)) from error


def load_argument(value: Any, hint: Any, function: str, field: str) -> Any:
    """Return one argument, given as plain JSON data, as its declared type.

    Raises:
        ArgumentsError: it is not of the type; names the parameter.
    """
    if hint is NO_HINT or (type(value) is hint and hint in _PLAIN):
        return value
    try:
        encoded = to_json(value, inf_nan_mode="constants", bytes_mode="base64")
        return _load_typed(encoded, hint)
    except (ValidationError, TypeError, ValueError) as error:
        raise ArgumentsError(function, _short(error), field) from error


def plain(value: Any, where: str) -> Any:
    """Return the value as the JSON data that another process reads.

    Raises:
        EncodingError: not serialisable, or not readable again (an integer of thousands of digits).
    """
    encoded = dump(value, NO_HINT, where)
    try:
        return from_json(encoded)
    except ValueError as error:
        raise EncodingError(where, _short(error)) from error


def _short(error: Exception) -> str:
    """Return an error's text in one line: pydantic's first finding, without its links."""
    if isinstance(error, ValidationError):
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        place = ".".join(str(part) for part in first["loc"])
        return f"{place}: {first['msg']}" if place else first["msg"]
    return " ".join(str(error).split())[:500]


def digest(args: tuple[Any, ...], kwargs: Mapping[str, Any], where: str) -> str:
    """Return the fingerprint of a call's arguments, over canonical JSON: what divergence is measured by.

    Only the first 64 KiB and the length count. Sets are ordered, keys sorted.

    Raises:
        EncodingError: an argument is not serialisable.
    """
    call: Any = args
    try:
        if kwargs or not all(type(arg) in _PLAIN for arg in args):
            call = [canonical(args), canonical(kwargs)]
        encoded = to_json(call, inf_nan_mode="constants", bytes_mode="base64")
    except (PydanticSerializationError, RecursionError, ValueError, TypeError) as error:
        raise EncodingError(f"the arguments of {where}", _short(error)) from error
    hashed = blake2b(encoded[:DIGEST_INPUT_BYTES_MAX], digest_size=8)
    if len(encoded) > DIGEST_INPUT_BYTES_MAX:
        hashed.update(str(len(encoded)).encode())
    return hashed.hexdigest()


def canonical(value: Any) -> Any:
    """Return the value as plain JSON data whose order does not depend on hashing."""
    if type(value) in _PLAIN:
        return value
    if isinstance(value, Mapping):
        items = (
            (key if isinstance(key, str) else str(canonical(key)), canonical(item))
            for key, item in value.items()
        )
        return dict(sorted(items))
    if isinstance(value, list | tuple):
        return [canonical(item) for item in value]
    if isinstance(value, set | frozenset):
        return sorted((canonical(item) for item in value), key=to_json)
    if is_dataclass(value) and not isinstance(value, type):
        return {one.name: canonical(getattr(value, one.name)) for one in fields(value)}
    if hasattr(type(value), "__pydantic_serializer__"):  # a model; asking for its class would import pydantic
        return canonical(value.__dict__)
    return to_jsonable_python(value, inf_nan_mode="constants", bytes_mode="base64")
