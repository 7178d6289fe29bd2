"""Where the simulation takes the place of the interpreter: threads, queues, randomness; and notes why a write is made."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from random import Random
from types import SimpleNamespace
from typing import Any, Final

import pytest
from tests.simulation.audit import Audit
from tests.simulation.fibres import Scheduler
from tests.simulation.workloads import PATCHED, STEADY

from resonate_faas import NonDeterminismError, _embedded, _optimistic, _runner, _server, _worker
from resonate_faas._embedded import EmbeddedSession
from resonate_faas._machine.requests import Claim
from resonate_faas._ports import Lease
from resonate_faas._server import Server
from resonate_faas.testing import _memory_store

PAGE: Final = 5
"""Records of a page of history: others write between two pages."""


@contextmanager
def seams(scheduler: Scheduler, audit: Audit) -> Iterator[None]:
    """Let everything under test run on the scheduler's fibres, with the scheduler's dice."""
    with pytest.MonkeyPatch.context() as patch:
        draw = Random(scheduler.random.random())
        dice = SimpleNamespace(token_hex=lambda count: draw.randbytes(count).hex())
        for module in (_worker, _runner, _embedded, _optimistic):
            patch.setattr(module, "threading", scheduler.threading())
        for module in (_worker, _optimistic, _server):
            patch.setattr(module, "secrets", dice)
        patch.setattr(_optimistic, "random", draw)
        patch.setattr(_runner, "queue", scheduler.queues())
        patch.setattr(_memory_store, "HISTORY_PAGE", PAGE)
        _note_causes(patch, scheduler)
        _note_divergence(patch, audit)
        yield


def _note_causes(patch: pytest.MonkeyPatch, scheduler: Scheduler) -> None:
    """Note the request that each write follows from; what follows from a settlement is an internal step."""
    ask, run, acquire = Server.ask, Server.run, EmbeddedSession.acquire

    @contextmanager
    def caused(cause: Any) -> Iterator[None]:
        fibre = scheduler.current
        assert fibre is not None
        outer, fibre.cause = fibre.cause, cause
        try:
            yield
        finally:
            fibre.cause = outer

    def noted_ask(server: Server, request: Any, **options: Any) -> Any:
        with caused(request):
            return ask(server, request, **options)

    def noted_run(server: Server, keys: Any, handler: Any, *, drain: bool = True, **options: Any) -> Any:
        fibre = scheduler.current
        with caused(fibre.cause if drain and fibre is not None else None):
            return run(server, keys, handler, drain=drain, **options)

    def noted_acquire(session: EmbeddedSession, version: int | None = None) -> Lease | None:
        with caused(Claim(id=session._id, pid=session._pid, ttl=session._ttl_ms)):
            return acquire(session, version)

    patch.setattr(Server, "ask", noted_ask)
    patch.setattr(Server, "run", noted_run)
    patch.setattr(EmbeddedSession, "acquire", noted_acquire)


def _note_divergence(patch: pytest.MonkeyPatch, audit: Audit) -> None:
    """Releases change two of the workflows as they run: a divergence of any other is a bug of ours."""
    begin = NonDeterminismError.__init__

    def noted(error: NonDeterminismError, *args: Any, **options: Any) -> None:
        begin(error, *args, **options)
        if error.promise_id.partition(":")[0] not in {STEADY, PATCHED}:
            audit.violations.append(f"diverged: {error}")

    patch.setattr(NonDeterminismError, "__init__", noted)
