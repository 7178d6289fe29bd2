"""``resonate-faas doctor --aws``: a deployment on Lambda, looked at from outside. Nothing is changed.

What belongs to it is found from the function: table and queue by its environment, the rest by what points at them.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from functools import cached_property
from typing import Any, Final

from resonate_faas._diagnosis import Check, failed, ok, skipped
from resonate_faas_aws._calls import dynamodb_client
from resonate_faas_aws._doctor_url import ask_unsigned, look_at_url
from resonate_faas_aws._dynamodb_store import DynamoDBStore
from resonate_faas_aws._dynamodb_table import TTL_ATTRIBUTE, table_definition

TICK: Final = {"resonate": "tick"}
HALTED_SHOWN: Final = 5
HALTED_MAX: Final = 1_000
ATTEMPTS_MAX: Final = 3
CONNECT_TIMEOUT_S: Final = 5.0
READ_TIMEOUT_S: Final = 10.0

_RIGHTS: Final = "Give these credentials the right to look (the AWS policy ReadOnlyAccess has it)."
_TERRAFORM: Final = "Apply terraform/aws again."


def diagnose(function: str, *, region: str | None = None, url: str | None = None) -> Iterator[Check]:
    """Look at a deployment with the credentials that boto3 finds.

    Args:
        function: name of the Lambda function.
        region: by default the one of the environment.
        url: where the function answers, if it is not at its own function URL.

    Yields:
        The checks. The last of them reads the whole table once.
    """
    from botocore.exceptions import BotoCoreError, ClientError  # noqa: PLC0415 - boto3 comes with a client

    from resonate_faas import StoreError  # noqa: PLC0415 - as above

    seen = Deployment(function, region, url)
    looks: tuple[tuple[str, Callable[[Deployment], Iterator[Check]]], ...] = (
        ("function", _look_at_function),
        ("loops", _look_at_loops),
        ("url", _look_at_url),
        ("table", _look_at_table),
        ("queue", _look_at_queue),
        ("dead letters", _look_at_dead_letters),
        ("event source", _look_at_event_source),
        ("tick", _look_at_tick),
        ("halted tasks", _look_at_halted),
    )
    for name, look in looks:
        try:
            yield from look(seen)
        except (BotoCoreError, ClientError, StoreError) as error:
            cure = "Check name, region and credentials." if name == "function" else _RIGHTS
            yield failed(name, f"{type(error).__name__}: {error}"[:500], cure)
            if name == "function":
                return


class Deployment:
    """The function, and what is found from it; each is asked for once.

    Args:
        name: of the function.
        region: by default the environment's.
        url: where it answers; by default its function URL.
    """

    def __init__(self, name: str, region: str | None, url: str | None) -> None:
        import boto3  # noqa: PLC0415 - 300 ms, and only where somebody looks
        from botocore.config import Config  # noqa: PLC0415

        self.name = name
        self.url = url
        self.session = boto3.Session(region_name=region)
        self._config = Config(
            retries={"total_max_attempts": ATTEMPTS_MAX, "mode": "standard"},
            connect_timeout=CONNECT_TIMEOUT_S,
            read_timeout=READ_TIMEOUT_S,
        )

    def client(self, service: str) -> Any:
        """Return a client of a service."""
        return self.session.client(service, config=self._config)

    @cached_property
    def function(self) -> dict[str, Any]:
        """The function's configuration."""
        found: dict[str, Any] = self.client("lambda").get_function_configuration(FunctionName=self.name)
        return found

    def setting(self, name: str) -> str:
        """Return an environment variable of the function, without its prefix; "" if it is not set."""
        variables = self.function.get("Environment", {}).get("Variables", {})
        return str(variables.get(f"RESONATE_FAAS_{name}", ""))

    def is_own(self, arn: str) -> bool:
        """True if the ARN names this function, or an alias or version of it."""
        own = str(self.function["FunctionArn"])
        return arn == own or arn.startswith(f"{own}:")

    @cached_property
    def queue(self) -> dict[str, str]:
        """The queue's attributes."""
        return self.attributes(self.setting("QUEUE_URL"))

    def attributes(self, url: str) -> dict[str, str]:
        """Return all attributes of a queue."""
        answer = self.client("sqs").get_queue_attributes(QueueUrl=url, AttributeNames=["All"])
        found: dict[str, str] = answer["Attributes"]
        return found


def _look_at_function(seen: Deployment) -> Iterator[Check]:
    found = seen.function
    timeout, lease = int(found["Timeout"]), int(seen.setting("LEASE_SECONDS") or 30)
    what = f"{found['FunctionArn']}: {found.get('Runtime', 'image')}, {timeout} s, {found['MemorySize']} MB"
    missing = [name for name in ("TABLE", "QUEUE_URL") if not seen.setting(name)]
    if found.get("State", "Active") != "Active":
        yield failed("function", f"{what}, {found['State']}: {found.get('StateReason', '')}", _TERRAFORM)
    elif missing:
        names = ", ".join(f"RESONATE_FAAS_{name}" for name in missing)
        yield failed(
            "function", f"{what}; {names} not set", "Set what the handler reads: see docs/deploy-aws.md."
        )
    elif lease >= timeout:
        yield failed(
            "function",
            f"lease of {lease} s, time-out of {timeout} s",
            "The lease must be shorter than the time-out.",
        )
    else:
        yield ok("function", f"{what}, lease {lease} s")


def _look_at_loops(seen: Deployment) -> Iterator[Check]:
    """Look whether Lambda lets a function call itself through a queue: by default it stops that after 16 rounds."""
    allowed = seen.client("lambda").get_function_recursion_config(FunctionName=seen.name)["RecursiveLoop"]
    if allowed == "Allow":
        yield ok("loops", "a workflow may go round through its queue")
    else:
        cure = "Set the function's recursive loop detection to Allow: a workflow would be stopped at its 16th sleep."
        yield failed("loops", f"RecursiveLoop is {allowed}", cure)


def _look_at_url(seen: Deployment) -> Iterator[Check]:
    """Look whether the trigger refuses strangers, and answers to whom IAM lets in."""
    urls = seen.client("lambda").list_function_url_configs(FunctionName=seen.name)["FunctionUrlConfigs"]
    if not urls and seen.url is None:
        yield skipped("url", "the function has none")
        return
    kind = urls[0]["AuthType"] if urls else "unknown"
    url = (seen.url or urls[0]["FunctionUrl"]).rstrip("/")
    yield from ask_unsigned(url, kind)
    yield from look_at_url(url, kind, seen.session)


def _look_at_table(seen: Deployment) -> Iterator[Check]:
    name = seen.setting("TABLE")
    if not name:
        yield skipped("table", "the function names none")
        return
    client = seen.client("dynamodb")
    found = client.describe_table(TableName=name)["Table"]
    wrong = list(differences(found))
    if wrong:
        yield failed(
            "table", f"{name}: {'; '.join(wrong)}", f"Keys can't be changed: make a new table. {_TERRAFORM}"
        )
    else:
        yield ok(
            "table", f"{name}: {found['TableStatus']}, {found.get('ItemCount', 0)} items at the last count"
        )
    expiry = client.describe_time_to_live(TableName=name)["TimeToLiveDescription"]
    status, attribute = expiry["TimeToLiveStatus"], expiry.get("AttributeName")
    if status == "ENABLED" and attribute == TTL_ATTRIBUTE:
        yield ok("time to live", f"on, attribute {attribute}")
    else:
        yield failed(
            "time to live", f"{status}, attribute {attribute}", f"Enable it on {TTL_ATTRIBUTE}. {_TERRAFORM}"
        )
    backups = client.describe_continuous_backups(TableName=name)["ContinuousBackupsDescription"]
    status = backups.get("PointInTimeRecoveryDescription", {}).get("PointInTimeRecoveryStatus", "DISABLED")
    if status == "ENABLED":
        yield ok("recovery", "point in time")
    else:
        yield failed(
            "recovery", f"point in time: {status}", f"Enable it: a mistake costs all promises. {_TERRAFORM}"
        )


def differences(found: dict[str, Any]) -> Iterator[str]:
    """Yield in what a described table differs from the one that the store needs."""
    needed = table_definition(str(found["TableName"]))
    if _keys(found) != _keys(needed):
        yield f"its keys are {_keys(found)}, not {_keys(needed)}"
    there = {one["IndexName"]: one for one in found.get("GlobalSecondaryIndexes", [])}
    for index in needed["GlobalSecondaryIndexes"]:
        name = index["IndexName"]
        if name not in there:
            yield f"the index {name} is missing"
            continue
        if _keys(there[name]) != _keys(index) or _projection(there[name]) != _projection(index):
            yield f"the index {name} has other keys or attributes"
        if there[name].get("IndexStatus", "ACTIVE") != "ACTIVE":
            yield f"the index {name} is {there[name]['IndexStatus']}"


def _keys(described: dict[str, Any]) -> list[str]:
    return [key["AttributeName"] for key in described["KeySchema"]]


def _projection(index: dict[str, Any]) -> tuple[str, list[str]]:
    projected = index["Projection"]
    return projected["ProjectionType"], sorted(projected.get("NonKeyAttributes", []))


def _look_at_queue(seen: Deployment) -> Iterator[Check]:
    if not seen.setting("QUEUE_URL"):
        yield skipped("queue", "the function names none")
        return
    found, timeout = seen.queue, int(seen.function["Timeout"])
    visibility = int(found["VisibilityTimeout"])
    waiting = found.get("ApproximateNumberOfMessages", "?")
    later = found.get("ApproximateNumberOfMessagesDelayed", "?")
    what = f"{found['QueueArn']}: visibility {visibility} s, {waiting} messages ready, {later} for later"
    if visibility < timeout:
        yield failed(
            "queue", what, f"A message returns while it is handled: visibility must be over {timeout} s."
        )
    else:
        yield ok("queue", what)


def _look_at_dead_letters(seen: Deployment) -> Iterator[Check]:
    if not seen.setting("QUEUE_URL"):
        yield skipped("dead letters", "the function names no queue")
        return
    policy = json.loads(seen.queue.get("RedrivePolicy") or "{}")
    arn = policy.get("deadLetterTargetArn")
    if not arn:
        yield failed(
            "dead letters",
            "the queue has no dead-letter queue",
            f"Poison messages return for ever. {_TERRAFORM}",
        )
        return
    url = seen.client("sqs").get_queue_url(QueueName=arn.rpartition(":")[2])["QueueUrl"]
    count = int(seen.attributes(url).get("ApproximateNumberOfMessages", 0))
    what = f"{arn}: {count} messages, after {policy.get('maxReceiveCount')} tries"
    if count:
        cure = f"Read one and the function's log, mend the cause, then: aws sqs start-message-move-task --source-arn {arn}"
        yield failed("dead letters", what, cure)
    else:
        yield ok("dead letters", what)


def _look_at_event_source(seen: Deployment) -> Iterator[Check]:
    if not seen.setting("QUEUE_URL"):
        yield skipped("event source", "the function names no queue")
        return
    arn = seen.queue["QueueArn"]
    found = seen.client("lambda").list_event_source_mappings(EventSourceArn=arn)["EventSourceMappings"]
    own = [one for one in found if seen.is_own(one["FunctionArn"])]
    if not own:
        yield failed(
            "event source", f"{arn} triggers nothing of this function", f"No task is run. {_TERRAFORM}"
        )
        return
    mapping = own[0]
    what = f"{mapping['FunctionArn']}: {mapping['State']}, batches of {mapping['BatchSize']}"
    if len(own) > 1:
        yield failed(
            "event source",
            f"{len(own)} mappings of one queue",
            "Keep the one to the alias: others run other code.",
        )
    elif mapping["State"] not in {"Enabled", "Updating"}:
        yield failed("event source", what, "No task is run: enable the mapping.")
    elif "ReportBatchItemFailures" not in mapping.get("FunctionResponseTypes", []):
        yield failed(
            "event source", what, "Turn ReportBatchItemFailures on: without, a failed message counts as done."
        )
    else:
        yield ok("event source", what)


def _look_at_tick(seen: Deployment) -> Iterator[Check]:
    client = seen.client("scheduler")
    pages = client.get_paginator("list_schedules").paginate()
    own = [one for page in pages for one in page["Schedules"] if seen.is_own(one["Target"]["Arn"])]
    if not own:
        yield failed(
            "tick",
            "no schedule of EventBridge Scheduler calls the function",
            f"No sweep: what is lost stays lost. {_TERRAFORM}",
        )
        return
    found = client.get_schedule(Name=own[0]["Name"], GroupName=own[0]["GroupName"])
    what = f"{found['Name']}: {found['ScheduleExpression']}, {found['State']}"
    try:
        sent = json.loads(found["Target"].get("Input") or "null")
    except ValueError:
        sent = None
    if found["State"] != "ENABLED":
        yield failed("tick", what, "No sweep: enable the schedule.")
    elif sent != TICK:
        yield failed(
            "tick", f"{what}, sends {found['Target'].get('Input')}", f"It must send {json.dumps(TICK)}."
        )
    else:
        yield ok("tick", what)


def _look_at_halted(seen: Deployment) -> Iterator[Check]:
    table = seen.setting("TABLE")
    if not table:
        yield skipped("halted tasks", "the function names no table")
        return
    store = DynamoDBStore(table, client=dynamodb_client(session=seen.session))
    found = store.search("task", state="halted", limit=HALTED_MAX)
    if not found:
        yield ok("halted tasks", "none")
        return
    shown = ", ".join(str(one.id) for one in found[:HALTED_SHOWN])
    more = "" if len(found) <= HALTED_SHOWN else f" and {len(found) - HALTED_SHOWN} more"
    cure = "See why (resonate-faas tree ID), mend it, then: resonate-faas tasks continue ID"
    yield failed("halted tasks", f"{shown}{more}", cure)
