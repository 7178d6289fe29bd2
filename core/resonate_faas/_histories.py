"""Executions as files: the records of a call tree in JSON, payloads as stored, for replays in another place.

The document is ``{"format": "resonate-faas-history", "version": 1, "root": ID, "exportedAt": MS, "records": [...]}``;
its records are promises as they stand on the wire (protocol section 2.2), each once.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic.alias_generators import to_camel

from resonate_faas._errors import DecodingError
from resonate_faas._machine.ids import owner
from resonate_faas._machine.objects import Promise, PromiseState, Value
from resonate_faas._protocol.records import Json, promise_record

FORMAT: Final = "resonate-faas-history"
VERSION: Final = 1
RECORDS_MAX: Final = 100_000
"""Ten times what one root may record: a tree has several of those."""


class _Model(BaseModel):
    model_config = ConfigDict(
        strict=True, frozen=True, alias_generator=to_camel, populate_by_name=False, hide_input_in_errors=True
    )


class _Value(_Model):
    headers: dict[str, str] = {}
    data: str | None = None


class _Record(_Model):
    id: Annotated[str, Field(min_length=1)]
    state: Annotated[PromiseState, Field(strict=False)]
    param: _Value = _Value()
    value: _Value = _Value()
    tags: dict[str, str] = {}
    timeout_at: Annotated[int, Field(ge=0)]
    created_at: Annotated[int, Field(ge=0)]
    settled_at: Annotated[int, Field(ge=0)] | None = None


class _Document(_Model):
    format: Literal["resonate-faas-history"]
    version: Literal[1]
    root: Annotated[str, Field(min_length=1)]
    exported_at: Annotated[int, Field(ge=0)]
    records: Annotated[list[_Record], Field(max_length=RECORDS_MAX)]


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordedTree:
    """The records of an execution and of all that it called.

    Attributes:
        root_id: the execution that was exported.
        exported_at: when, epoch milliseconds.
        records: by id, the root among them.
    """

    root_id: str
    exported_at: int
    records: Mapping[str, Promise]

    @property
    def tasks(self) -> list[Promise]:
        """The records that run as tasks of their own, each of which is replayed by itself; the root first."""
        found = [one for one in self.records.values() if one.target is not None]
        return sorted(found, key=lambda one: (one.id != self.root_id, one.created_at, one.id))

    def history(self, task_id: str) -> dict[str, Promise]:
        """Return what the activations of a task have recorded, by id, the task itself left out.

        What is older than the task was left behind by an earlier execution of the same id, and is not its.
        """
        born = self.records[task_id].created_at
        return {
            one.id: one
            for one in self.records.values()
            if one.id != task_id and owner(one.id) == task_id and one.created_at >= born
        }

    def document(self) -> Json:
        """Return the tree as JSON data."""
        return {
            "format": FORMAT,
            "version": VERSION,
            "root": self.root_id,
            "exportedAt": self.exported_at,
            "records": [promise_record(one) for one in self.records.values()],
        }


def tree_of(root_id: str, records: Iterable[Mapping[str, Any]], *, exported_at: int) -> RecordedTree:
    """Return a tree of promises as they came over the wire.

    Raises:
        DecodingError: the root is not among them, an id stands there twice, or a record is none.
    """
    return read_tree(
        {
            "format": FORMAT,
            "version": VERSION,
            "root": root_id,
            "exportedAt": exported_at,
            "records": [dict(one) for one in records],
        },
        where=root_id,
    )


def read_tree(document: str | bytes | Mapping[str, Any], *, where: str = "the history") -> RecordedTree:
    """Return the tree of an exported document.

    Args:
        document: JSON text, or its data.
        where: for messages; the file.

    Raises:
        DecodingError: it is none, or of a newer version of the format.
    """
    try:
        fields = json.loads(document) if isinstance(document, str | bytes) else document
        found = _Document.model_validate(fields)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(map(str, first["loc"])) or "the document"
        reason = f"no {FORMAT} of version {VERSION}: {place}: {first['msg']}"
        raise DecodingError(where, reason) from error
    except (ValueError, RecursionError) as error:
        raise DecodingError(where, f"it is not JSON: {error}") from error
    records = {one.id: _promise(one) for one in found.records}
    if len(records) != len(found.records):
        raise DecodingError(where, "an id stands in it twice")
    if found.root not in records:
        raise DecodingError(where, f"its root {found.root!r} is not among its records")
    return RecordedTree(root_id=found.root, exported_at=found.exported_at, records=records)


def promise_of(record: Mapping[str, Any]) -> Promise:
    """Return a promise as it came over the wire.

    Raises:
        DecodingError: it is none.
    """
    try:
        return _promise(_Record.model_validate(record))
    except ValidationError as error:
        raise DecodingError(
            str(record.get("id")), f"it is no promise: {error.error_count()} errors"
        ) from error


def _promise(record: _Record) -> Promise:
    return Promise(
        id=record.id,
        state=record.state,
        param=Value(headers=record.param.headers, data=record.param.data),
        value=Value(headers=record.value.headers, data=record.value.data),
        tags=record.tags,
        timeout_at=record.timeout_at,
        created_at=record.created_at,
        settled_at=record.settled_at,
    )


__all__ = ["FORMAT", "RECORDS_MAX", "VERSION", "RecordedTree", "promise_of", "read_tree", "tree_of"]
