"""The handler of a Cloud Function: a whole deployment over one Firestore collection and one Cloud Tasks queue."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Final, Unpack

from resonate_faas import Resonate
from resonate_faas._addresses import AddressPolicy
from resonate_faas._clock import SystemClock
from resonate_faas._deployment import DeploymentOptions, Source, wrong
from resonate_faas._http import App, HttpSettings
from resonate_faas._node import Node
from resonate_faas._worker import WorkerSettings
from resonate_faas_gcp._cloud_tasks_queue import SCHEME, CloudTasksQueue
from resonate_faas_gcp._cloud_tasks_rpc import cloud_tasks_channel
from resonate_faas_gcp._firestore_messages import messages
from resonate_faas_gcp._firestore_rpc import firestore_channel
from resonate_faas_gcp._firestore_store import FirestoreStore
from resonate_faas_gcp._function import Answers, Function, served
from resonate_faas_gcp._log import log_to_cloud
from resonate_faas_gcp._oidc import google_transport
from resonate_faas_gcp._settings import CloudSettings

log = logging.getLogger("resonate_faas_gcp")

if TYPE_CHECKING:
    from resonate_faas_gcp._working_for import Auth

DEFAULT_GROUP: Final = "default"
"""What ``target="default"`` of a call means everywhere: this deployment's own queue."""

OWN_TARGET: Final = f"{SCHEME}://"
"""The default queue, whatever it is called: promises outlive a renaming."""


def http_handler(
    resonate: Resonate,
    *,
    project: str | None = None,
    database: str | None = None,
    collection: str | None = None,
    queue: str | None = None,
    queue_account: str | None = None,
    tick_account: str | None = None,
    callers: Iterable[str] | None = None,
    timeout_seconds: int | None = None,
    dispatch_deadline_seconds: int | None = None,
    url: str | None = None,
    auth: Auth = "auto",
    token: str | None = None,
    audience: str | None = None,
    worker: WorkerSettings | None = None,
    **options: Unpack[DeploymentOptions],
) -> Function:
    """Return the HTTP function that runs these workflows.

    In main.py: ``handler = http_handler(resonate)``. It serves everything: its Cloud Tasks queue, Cloud Scheduler's tick,
    and all the routes of docs/http.md. Nobody may do anything unless a setting says so; docs/configuration.md has them all.

    Settings are checked and libraries imported here; clients are made at the first request, since functions-framework
    starts its worker process after it has imported the function.

    Args:
        resonate: the business code.
        project: of the database; by default RESONATE_FAAS_PROJECT, else the queue's.
        database: of Firestore; by default RESONATE_FAAS_DATABASE, else ``(default)``.
        collection: of the objects; by default RESONATE_FAAS_COLLECTION, else ``resonate``.
        queue: ``projects/P/locations/L/queues/Q``; by default RESONATE_FAAS_QUEUE.
        queue_account: the service account whose token Cloud Tasks sends; by default RESONATE_FAAS_QUEUE_ACCOUNT.
        tick_account: that of Cloud Scheduler; by default RESONATE_FAAS_TICK_ACCOUNT.
        callers: accounts that may use the other routes; by default RESONATE_FAAS_CALLERS.
        timeout_seconds: the function's; by default RESONATE_FAAS_TIMEOUT_SECONDS.
        dispatch_deadline_seconds: how long Cloud Tasks waits; by default the variable of its name, else the timeout.
        url: of an official Resonate server to work for (docs/interop.md); by default the business code's, else RESONATE_URL.
        auth: how that server learns who asks: "auto" (an ID token over https), "none", "bearer", "oidcIdToken".
        token: the bearer token for that server; by default RESONATE_TOKEN.
        audience: of the ID token; by default the server's URL.
        worker: replaces the settings of activations, ``lease_seconds`` among them, which may be lower then.
        options: each by default the environment variable of its name.

    Raises:
        ConfigurationError: a setting is missing or wrong; the instance does not start.
    """
    log_to_cloud()
    source = Source(
        os.environ,
        {
            "project": project,
            "database": database,
            "collection": collection,
            "queue": queue,
            "queue_account": queue_account,
            "tick_account": tick_account,
            "callers": callers,
            "timeout_seconds": timeout_seconds,
            "dispatch_deadline_seconds": dispatch_deadline_seconds,
            **options,
        },
    )
    server = url or resonate.url or os.environ.get("RESONATE_URL")
    if not server:
        return _over_own_store(resonate, source, worker)
    from resonate_faas_gcp._working_for import working_for  # noqa: PLC0415 - an extra

    return working_for(resonate, server, source, auth=auth, token=token, audience=audience, worker=worker)


def _over_own_store(resonate: Resonate, source: Source, worker: WorkerSettings | None) -> Function:
    settings = CloudSettings.read(source, os.environ)
    messages()
    deployment = _Deployment(resonate, settings, worker or settings.common.worker, _permits(settings))
    return served(deployment, settings.timeout_ms)


class _Deployment:
    """What one process holds of a deployment: see :class:`resonate_faas_gcp._function.Instance`. Thread-safe."""

    def __init__(
        self,
        resonate: Resonate,
        settings: CloudSettings,
        worker: WorkerSettings,
        permits: Callable[[str], bool],
    ) -> None:
        self._resonate = resonate
        self._settings = settings
        self._worker = worker
        self._permits = permits
        self._lock = threading.Lock()
        self._app: App | None = None

    def answers(self) -> Answers:
        with self._lock:
            if self._app is None:
                self._app = self._made()
            return self._app

    def stop(self) -> None:
        """Release the tasks, and dispatch them at once: what is sent goes to a queue that outlives this process."""
        with self._lock:
            app = self._app
        if app is not None:
            app.node.worker.stop()

    def _made(self) -> App:
        settings, common, clock = self._settings, self._settings.common, SystemClock()
        queue = CloudTasksQueue(
            settings.queue,
            url=settings.url,
            account=settings.queue_account,
            others=common.queues,
            dispatch_deadline_s=settings.dispatch_deadline_s,
            channel=lambda: cloud_tasks_channel(settings.tasks_emulator),
            clock=clock,
        )
        node = Node(
            self._resonate,
            FirestoreStore(
                settings.project,
                database=settings.database,
                collection=settings.collection,
                channel=firestore_channel(settings.firestore_emulator),
                rules=common.rules,
            ),
            queue,
            clock=clock,
            target=OWN_TARGET,
            resolve_target=_address_of,
            server=common.server(self._permits),
            worker=self._worker,
            promises_max=common.promises_max,
            guard=common.guard,
            links=common.links(settings.url),
        )
        return App(node, settings.access(google_transport), settings=HttpSettings(base_url=settings.url))


def _address_of(group: str) -> str:
    """Return the address of a group: a queue's, by the name that the settings give it."""
    if "://" in group:
        return group
    return OWN_TARGET if group == DEFAULT_GROUP else f"{SCHEME}://{group}"


def _permits(settings: CloudSettings) -> Callable[[str], bool]:
    """Return the allow-list of addresses: the queues that are known here, the own one also without its name, and our URL."""
    names = (settings.queue.rpartition("/")[2], *settings.common.queues)
    try:
        return AddressPolicy((OWN_TARGET, *(f"{SCHEME}://{name}" for name in names), settings.url)).permits
    except ValueError as error:
        raise wrong("QUEUES", f"has a name that no target can have: {error}") from error
