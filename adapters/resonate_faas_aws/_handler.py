"""The handler of a Lambda function: a whole deployment over one table and one queue."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from typing import Final, Unpack

from resonate_faas import Resonate
from resonate_faas._addresses import AddressPolicy
from resonate_faas._clock import SystemClock
from resonate_faas._deployment import DeploymentOptions, DeploymentSettings, Source, wrong
from resonate_faas._http import App, HttpSettings
from resonate_faas._node import Node
from resonate_faas._worker import WorkerSettings
from resonate_faas_aws._access import VerifiedAccess
from resonate_faas_aws._dynamodb_store import DynamoDBStore
from resonate_faas_aws._function import LambdaFunction
from resonate_faas_aws._own_url import OwnUrl
from resonate_faas_aws._sqs_queue import SCHEME, SqsQueue

DEFAULT_GROUP: Final = "default"
"""What ``target="default"`` of a call means everywhere: this deployment's own queue."""

OWN_TARGET: Final = f"{SCHEME}://"
"""The own queue, whatever it is called: promises outlive a renaming."""

_QUEUE_URL: Final = re.compile(r"https?://[^/]+/(?:.+/)?[A-Za-z0-9_-]{1,80}")


def lambda_handler(
    resonate: Resonate,
    *,
    table: str | None = None,
    queue_url: str | None = None,
    url: str | None = None,
    token: str | None = None,
    worker: WorkerSettings | None = None,
    **options: Unpack[DeploymentOptions],
) -> LambdaFunction:
    """Return the handler of a Lambda function that runs these workflows.

    One function serves everything: its SQS queue (an event source mapping with ReportBatchItemFailures), HTTP requests
    of a function URL or of API Gateway, the tick, and direct invocations. docs/configuration.md has all settings.

    Clients are made here, in Lambda's init phase, and kept by the process: warm invocations pay for nothing.

    Args:
        resonate: the business code.
        table: the DynamoDB table; by default RESONATE_FAAS_TABLE.
        queue_url: of the SQS queue; by default RESONATE_FAAS_QUEUE_URL.
        url: of an official Resonate server to work for, in place of table and queue; by default the business code's,
            else RESONATE_URL. The function then takes what that server pushes (docs/interop.md).
        token: the bearer token for that server; by default RESONATE_TOKEN.
        worker: replaces the settings of activations, ``lease_seconds`` among them, which may be lower then.
        options: each by default the environment variable of its name.

    Raises:
        ConfigurationError: a setting is missing or wrong; Lambda reports it as an error of the init phase.

    Example:
        ``handler = lambda_handler(resonate)`` in lambda_function.py; the function's handler is lambda_function.handler.
    """
    source = Source(os.environ, {"table": table, "queue_url": queue_url, **options})
    server = url or resonate.url or os.environ.get("RESONATE_URL")
    if server:
        from resonate_faas_aws._working_for import working_for  # noqa: PLC0415 - an extra, and another way to work

        return working_for(resonate, server, source, token=token, worker=worker)
    settings = DeploymentSettings.read(source)
    table_name, own_queue = source.required("TABLE"), source.required("QUEUE_URL")
    permits = _permits(own_queue, settings.queues)
    clock, own_url = SystemClock(), OwnUrl(settings.public_url)
    activations = worker or settings.worker
    node = Node(
        resonate,
        DynamoDBStore(table_name, rules=settings.rules),
        SqsQueue(own_queue, others=settings.queues, clock=clock),
        clock=clock,
        target=OWN_TARGET,
        resolve_target=_address,
        server=settings.server(permits),
        worker=activations,
        promises_max=settings.promises_max,
        guard=settings.guard,
        links=settings.links(own_url),
    )
    routes = HttpSettings(base_url=settings.public_url or "")
    return LambdaFunction(
        answers=App(node, VerifiedAccess(), settings=routes),
        outside=App(node, settings.access(), settings=routes),
        takes=node,
        stop=node.worker.stop,
        clock=clock,
        activations=activations,
        public_url=settings.public_url,
        heard=own_url.heard,
    )


def _address(group: str) -> str:
    """Return the address of a group: that of a queue, by the name that the settings give it."""
    if "://" in group:
        return group
    return OWN_TARGET if group == DEFAULT_GROUP else f"{SCHEME}://{group}"


def _permits(url: str, others: Mapping[str, str]) -> Callable[[str], bool]:
    """Return the allow-list of addresses: the queues that are known here, the own one also without its name."""
    for name, one in (("QUEUE_URL", url), *(("QUEUES", one) for one in others.values())):
        if not _QUEUE_URL.fullmatch(one):
            raise wrong(name, f"must be the URL of an SQS queue, not {one[:80]!r}")
    try:
        names = [url.rpartition("/")[2], *others]
        return AddressPolicy((OWN_TARGET, *(f"{SCHEME}://{name}" for name in names))).permits
    except ValueError as error:
        raise wrong("QUEUES", f"has a name that no target can have: {error}") from error
