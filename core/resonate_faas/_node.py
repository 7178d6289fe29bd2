"""What every adapter assembles: a server, a worker and a client over one store and one queue."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Any

from resonate_faas._client import Client
from resonate_faas._embedded import EmbeddedSession
from resonate_faas._engine.execution import PROMISES_MAX, EngineSettings
from resonate_faas._guards import Guard, source_of, watch_of
from resonate_faas._links import Links
from resonate_faas._machine.objects import Execute, Message, Poke
from resonate_faas._ports import Clock, Queue, Store
from resonate_faas._resonate import Resonate
from resonate_faas._runner import Runner
from resonate_faas._server import Server, ServerSettings
from resonate_faas._worker import Ended, Worker, WorkerSettings

workflow_log = logging.getLogger("resonate_faas.workflow")


class Node:
    """One process of a deployment.

    Args:
        resonate: the business code.
        store: where promises live.
        queue: how messages travel.
        clock: the time.
        target: the address of this deployment's own tasks.
        resolve_target: gives the address of a group name; the own target by default.
        server: the server's settings.
        worker: the worker's settings.
        promises_max: records of one root.
        links: makes the links of external promises; None: there is no public URL.
        runner: makes the runner of an activation (simulations).
        guard: replaces the guard that the business code asks for.
    """

    def __init__(
        self,
        resonate: Resonate,
        store: Store,
        queue: Queue,
        *,
        clock: Clock,
        target: str,
        resolve_target: Callable[[str], str] | None = None,
        server: ServerSettings | None = None,
        worker: WorkerSettings | None = None,
        promises_max: int = PROMISES_MAX,
        links: Links | None = None,
        runner: Callable[[], Runner] | None = None,
        guard: Guard | None = None,
    ) -> None:
        self.resonate = resonate
        self.links = links
        self.clock = clock
        self.server = Server(store, queue, clock=clock, settings=server)
        settings = worker or WorkerSettings()
        engine = engine_settings(
            resonate,
            promises_max=promises_max,
            resolve_target=resolve_target or (lambda _: target),
            links=links,
            guard=guard,
        )
        self.worker = Worker(
            lambda task_id, pid: EmbeddedSession(self.server, task_id, pid=pid, ttl_ms=settings.lease_ms),
            resonate.registry,
            resonate.codec,
            clock=clock,
            settings=settings,
            engine=engine,
            runner=runner,
        )
        self.client = Client(self.server, resonate.registry, resonate.codec, target=target)

    def deliver(self, message: Message, *, deadline_mono_ms: int | None = None) -> Ended:
        """Take one message off the queue and do what it hints at.

        Args:
            message: execute or poke; early, late, duplicate and stale ones are harmless.
            deadline_mono_ms: when this process may be stopped.

        Raises:
            StoreError: try again later; the sweep will, in any case.
        """
        match message:
            case Execute(id=task_id, version=version):
                return self.worker.activate(task_id, version=version, deadline_mono_ms=deadline_mono_ms)
            case Poke(id=key, not_before=instant):
                self.server.advance(key, not_before_ms=instant)
        return Ended.NOTHING


def engine_settings(
    resonate: Resonate,
    *,
    promises_max: int,
    resolve_target: Callable[[str], str],
    links: Links | None = None,
    guard: Guard | None = None,
    creates_first: bool = False,
) -> EngineSettings:
    """Return how this business code is replayed; see :class:`Node` and :class:`EngineSettings`."""
    return EngineSettings(
        promises_max=promises_max,
        resolve_target=resolve_target,
        link=links.link if links is not None else None,
        dependencies=resonate.dependencies,
        log=_log,
        watch=watch_of(guard or resonate.guard, _log),
        source=source_of,
        creates_first=creates_first,
    )


def _log(level: int, event: str, fields: Mapping[str, Any]) -> None:
    workflow_log.log(level, event, extra={"fields": dict(fields), "promise_id": fields.get("promise_id")})
