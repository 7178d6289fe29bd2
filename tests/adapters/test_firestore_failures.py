"""What goes wrong between the store and Firestore, and what the store makes of it."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import grpc
import pytest
from tests.emulators.firestore import running

from resonate_faas import (
    ConflictError,
    LimitExceededError,
    OutcomeUnknownError,
    StoreUnavailableError,
)
from resonate_faas._machine.objects import Value
from resonate_faas._optimistic import MovedError
from resonate_faas.testing._kit import count, counting, look_at, promise_object, put, together
from resonate_faas_gcp import FirestoreStore, firestore_channel

CODES = grpc.StatusCode


class Failure(grpc.RpcError):  # type: ignore[misc]
    def __init__(self, code: Any, details: str = "told by a test") -> None:
        self._code, self._details = code, details

    def code(self) -> Any:
        return self._code

    def details(self) -> str:
        return self._details


class Failing:
    """A channel whose calls fail as it is told; without an inner one they find nothing when they do not."""

    def __init__(self, inner: Any = None) -> None:
        self._inner = inner
        self.before: list[Failure] = []
        """Failures of the next calls, which then do not arrive."""
        self.lost: list[Failure] = []
        """Failures of the next calls, which arrive all the same."""
        self.calls: list[str] = []
        self.routes: list[str] = []

    def unary_unary(self, method: str, **kinds: Any) -> Any:
        return self._call(method, self._inner and self._inner.unary_unary(method, **kinds))

    def unary_stream(self, method: str, **kinds: Any) -> Any:
        return self._call(method, self._inner and self._inner.unary_stream(method, **kinds))

    def _call(self, method: str, inner: Callable[..., Any] | None) -> Any:
        def call(request: Any, **options: Any) -> Any:
            self.calls.append(method.rpartition("/")[2])
            self.routes += [text for name, text in options["metadata"] if name == "x-goog-request-params"]
            if self.before:
                raise self.before.pop(0)
            answer = inner(request, **options) if inner else iter(())
            if self.lost and method.endswith("Commit"):
                raise self.lost.pop(0)
            return answer

        return call


def store_over(channel: Any) -> FirestoreStore:
    return FirestoreStore("project", channel=channel, pause=lambda _: None)


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        (CODES.ABORTED, MovedError),
        (CODES.ALREADY_EXISTS, MovedError),
        (CODES.FAILED_PRECONDITION, MovedError),
        (CODES.NOT_FOUND, MovedError),
        (CODES.CANCELLED, OutcomeUnknownError),
        (CODES.DATA_LOSS, OutcomeUnknownError),
        (CODES.DEADLINE_EXCEEDED, OutcomeUnknownError),
        (CODES.INTERNAL, OutcomeUnknownError),
        (CODES.UNAVAILABLE, OutcomeUnknownError),
        (CODES.UNKNOWN, OutcomeUnknownError),
        (CODES.INVALID_ARGUMENT, StoreUnavailableError),
        (CODES.OUT_OF_RANGE, StoreUnavailableError),
        (CODES.PERMISSION_DENIED, StoreUnavailableError),
        (CODES.RESOURCE_EXHAUSTED, StoreUnavailableError),
        (CODES.UNAUTHENTICATED, StoreUnavailableError),
        (CODES.UNIMPLEMENTED, StoreUnavailableError),
    ],
)
def test_a_commit_is_sent_once_and_its_failure_says_what_is_known(
    code: Any, expected: type[Exception]
) -> None:
    channel = Failing()
    channel.before = [Failure(code)]
    with pytest.raises(expected):
        store_over(channel).write({"a": 0}, {"a": promise_object("a")}, "nonce")
    assert channel.calls == ["Commit"]


def test_each_call_names_its_database_for_the_front_ends() -> None:
    """Without it, a database that is not the default one is not found."""
    channel = Failing()
    store = FirestoreStore("project", database="other", channel=channel)
    store.read(("a",))
    store.due(1, 0, 1)
    channel.before = [Failure(CODES.ABORTED)]
    with pytest.raises(MovedError):
        store.write({"a": 0}, {"a": None}, "nonce")
    database = "projects/project/databases/other"
    assert channel.routes == [f"database={database}", f"parent={database}/documents", f"database={database}"]


def test_every_status_code_is_told() -> None:
    """A new one would be taken for a refusal: the table above must have it."""
    assert len(list(CODES)) == 17


@pytest.mark.parametrize(
    "code",
    [CODES.ABORTED, CODES.DEADLINE_EXCEEDED, CODES.INTERNAL, CODES.RESOURCE_EXHAUSTED, CODES.UNAVAILABLE],
)
def test_a_read_is_tried_again(code: Any) -> None:
    channel = Failing()
    channel.before = [Failure(code)] * 5
    assert store_over(channel).read(("a",))["a"].object is None
    assert channel.calls == ["BatchGetDocuments"] * 6


def test_a_read_gives_up_in_the_end() -> None:
    channel = Failing()
    channel.before = [Failure(CODES.UNAVAILABLE, "gone")] * 6
    with pytest.raises(StoreUnavailableError, match="gone"):
        store_over(channel).due(1, 0, 1)


@pytest.mark.parametrize("code", [CODES.PERMISSION_DENIED, CODES.FAILED_PRECONDITION, CODES.NOT_FOUND])
def test_a_read_that_never_passes_is_not_tried_again(code: Any) -> None:
    """As one for which an index is missing."""
    channel = Failing()
    channel.before = [Failure(code)]
    with pytest.raises(StoreUnavailableError):
        store_over(channel).search("promise")
    assert channel.calls == ["RunQuery"]


def test_a_commit_that_is_too_large_is_refused_before_it_is_sent() -> None:
    """Firestore would say RESOURCE_EXHAUSTED, as it does of what passes later."""
    channel = Failing()
    draw = random.Random(7)
    data = "".join(draw.choices("".join(map(chr, range(32, 127))), k=300_000))
    large = [
        promise_object(f"root:{place}", param=Value(data=data), value=Value(data=data)) for place in range(9)
    ]
    with pytest.raises(LimitExceededError, match="bytes"):
        store_over(channel).write({one.id: 0 for one in large}, {one.id: one for one in large}, "nonce")
    many = [promise_object(f"root:{place}") for place in range(501)]
    with pytest.raises(LimitExceededError, match="500"):
        store_over(channel).write({one.id: 0 for one in many}, {one.id: one for one in many}, "nonce")
    assert channel.calls == []


def test_an_answer_that_is_lost_on_the_wire_counts_once() -> None:
    """The commit is found by its nonce; it is not sent again."""
    emulator = running()
    inner = firestore_channel(emulator.address)
    channel = Failing(inner)
    store = FirestoreStore(emulator.project(), channel=channel)
    put(store, promise_object("a"))
    for code in (CODES.UNAVAILABLE, CODES.DEADLINE_EXCEEDED, CODES.INTERNAL):
        channel.lost = [Failure(code)]
        channel.calls.clear()
        store.transact(("a",), counting("a"))
        assert channel.calls.count("Commit") == 1
    assert count(look_at(store, "a")) == 3
    inner.close()


def test_a_database_that_is_not_there_is_told_as_such() -> None:
    """Nobody moved anything, although a commit alone could not tell."""
    channel = Failing()
    channel.before = [Failure(CODES.NOT_FOUND, "The database (default) does not exist")]
    with pytest.raises(StoreUnavailableError, match="does not exist"):
        put(store_over(channel), promise_object("a"))


def test_eight_clients_of_their_own_lose_no_increment() -> None:
    """Each with a channel, as eight instances have."""
    emulator = running()
    project = emulator.project()
    channels = [firestore_channel(emulator.address) for _ in range(8)]

    def client(channel: Any) -> Callable[[], int]:
        store = FirestoreStore(project, channel=channel)

        def write() -> int:
            acknowledged = 0
            for _ in range(15):
                try:
                    store.transact(("hot",), counting("hot"))
                except ConflictError:
                    continue
                acknowledged += 1
            return acknowledged

        return write

    acknowledged = sum(together([client(channel) for channel in channels]))
    assert acknowledged == 120
    assert count(look_at(FirestoreStore(project, channel=channels[0]), "hot")) == acknowledged
    for channel in channels:
        channel.close()
