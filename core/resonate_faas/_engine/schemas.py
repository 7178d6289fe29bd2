"""Declared types that need pydantic whole (models, dataclasses, dates, unions): JSON by a cached type adapter.

The codec imports this when it meets the first such type, so that a cold start whose functions take and return
plain values does not pay for pydantic: it is 70 of the 150 milliseconds that pydantic and one model take.
"""

from __future__ import annotations

from dataclasses import is_dataclass
from typing import Any, Final, NewType, cast

from pydantic import ConfigDict, PydanticUserError, TypeAdapter

_BYTES: Final = ConfigDict(ser_json_bytes="base64", val_json_bytes="base64", ser_json_inf_nan="constants")

_adapters: dict[Any, TypeAdapter[Any]] = {}


def dump_json(value: Any, hint: Any) -> bytes:
    """Return the value as JSON; bytes travel as base64, infinities as JSON constants.

    Raises:
        PydanticSerializationError: the value is not of the type.
        TypeError: pydantic has no schema for the type.
    """
    try:
        return _adapter(hint).dump_json(value, warnings="error")
    except PydanticUserError as error:
        raise TypeError(str(error)) from error


def validate_json(encoded: bytes, hint: Any) -> Any:
    """Return JSON as a value of the type, strictly.

    Raises:
        ValidationError: not JSON, or not of the type.
        TypeError: pydantic has no schema for the type.
    """
    try:
        return _adapter(hint).validate_json(encoded, strict=True)
    except PydanticUserError as error:
        raise TypeError(str(error)) from error


def _adapter(hint: Any) -> TypeAdapter[Any]:
    try:
        return _adapters[hint]
    except KeyError:
        pass
    except TypeError:
        return _new_adapter(hint)
    made = _adapters[hint] = _new_adapter(hint)
    return made


def _new_adapter(hint: Any) -> TypeAdapter[Any]:
    # pydantic takes no configuration for a bare dataclass or typed dict; one inside something else inherits it
    if _is_plain_record(hint):
        renamed = cast(Any, NewType)(hint.__name__, hint)
        return TypeAdapter(renamed, config=_BYTES)
    try:
        return TypeAdapter(hint, config=_BYTES)
    except PydanticUserError:
        return TypeAdapter(hint)  # a model brings its own configuration


def _is_plain_record(hint: Any) -> bool:
    """True for a dataclass or typed dict (of any origin: typing's or its backport's) without pydantic's settings."""
    if not isinstance(hint, type) or hasattr(hint, "__pydantic_config__"):
        return False
    return is_dataclass(hint) or hasattr(hint, "__required_keys__")
