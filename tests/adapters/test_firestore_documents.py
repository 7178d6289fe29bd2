"""Firestore documents: ids that Firestore takes, records that come back, and nothing imported before it is used."""

from __future__ import annotations

import random
import subprocess
import sys
from dataclasses import replace
from typing import Any

import pytest

from resonate_faas import LimitExceededError
from resonate_faas._machine.ids import ID_BYTES_MAX, PAYLOAD_BYTES_MAX
from resonate_faas._machine.objects import DEFAULT_RULES, Object, PromiseObject, Value, schedule_key
from resonate_faas.testing._contract_limits import HOSTILE_ROOTS, LONG_CHILDREN
from resonate_faas.testing._kit import promise_object
from resonate_faas_gcp._document_ids import document_id
from resonate_faas_gcp._documents import fill_document, object_of, revision_of, set_update_time
from resonate_faas_gcp._firestore_messages import messages
from resonate_faas_gcp._indexes import TTL_FIELD

CUT = "r:" + "." * (ID_BYTES_MAX - 3)
"""An id of empty segments, which are longest in a place."""

KEYS = [
    *HOSTILE_ROOTS,
    *(f"{root}:1" for root in HOSTILE_ROOTS),
    *(schedule_key(root) for root in HOSTILE_ROOTS),
    *LONG_CHILDREN,
    "r:/",
    "r:%2F",
    "r:%",
    "r:" + "/" * 890,
    CUT + "1",
    CUT + "2",
    CUT[:-1],
]


def document_of(stored: Object) -> Any:
    document = messages().commit_request().writes.add().update
    fill_document(document, stored, "nonce", DEFAULT_RULES)
    return document


def test_each_key_has_an_id_of_its_own_that_firestore_takes() -> None:
    ids = [document_id(key) for key in KEYS]
    assert len(set(ids)) == len(KEYS)
    for one in ids:
        assert len(one.encode()) <= 1_500
        assert "/" not in one
        assert not one.startswith((".", "__"))


def test_a_time_to_live_is_the_timestamp_of_the_documents_ttl_policy() -> None:
    """A policy deletes by one field alone, and spares documents without it."""
    marked = replace(promise_object("root:1"), kept_until=1_795_348_678_284)
    expires = document_of(marked).fields[TTL_FIELD].timestamp_value
    assert (expires.seconds, expires.nanos) == (1_795_348_678, 284_000_000)
    assert TTL_FIELD not in document_of(promise_object("root:1")).fields


def test_a_place_of_numbered_segments_is_never_cut() -> None:
    """Their order would end where the cut is."""
    deepest = "r:" + ".".join(["1"] * 449)
    assert "%!" not in document_id(deepest)
    assert "%!" in document_id(CUT + "1")


@pytest.mark.parametrize("revision", [1, 999_999, 1_000_000, 1_795_348_678_284_106])
def test_a_revision_is_an_update_time_to_the_microsecond(revision: int) -> None:
    write = messages().commit_request().writes.add()
    set_update_time(write.current_document.update_time, revision)
    assert revision_of(write.current_document.update_time) == revision


@pytest.mark.parametrize("text", ["\x00", '"', "\\", "x", "é", "\U0001f600", "\ud800", "\x7f", "random"])
def test_two_largest_payloads_fit_a_document_whatever_they_hold(text: str) -> None:
    if text == "random":
        draw = random.Random(7)
        data = "".join(draw.choices("".join(map(chr, range(32, 127))), k=PAYLOAD_BYTES_MAX))
    else:
        data = text * (PAYLOAD_BYTES_MAX // len(text.encode("utf-8", "surrogatepass")))
    stored = promise_object("root:1", param=Value(data=data), value=Value(data=data))
    found = object_of(document_of(stored))
    assert isinstance(found, PromiseObject)
    assert found == stored


def test_what_is_larger_than_a_document_is_refused() -> None:
    draw = random.Random(7)
    data = "".join(draw.choices("".join(map(chr, range(32, 127))), k=1_400_000))
    with pytest.raises(LimitExceededError, match="1040000"):
        document_of(promise_object("root:1", param=Value(data=data)))


def test_the_package_is_imported_without_the_google_libraries() -> None:
    program = (
        "import sys, resonate_faas_gcp; "
        "print([name for name, module in sys.modules.items() if getattr(module, '__file__', None)"
        " and name.split('.')[0] in {'google', 'grpc', 'proto'}])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    # Namespace packages, which have no file, may be set up at start by a .pth file.
    assert done.stdout.strip() == "[]"
