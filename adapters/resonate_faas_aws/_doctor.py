"""``resonate-faas doctor --aws``: a deployment on Lambda, looked at from outside."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from resonate_faas._diagnosis import Check, failed, ok


def diagnose(function: str, *, region: str | None = None) -> Iterator[Check]:
    """Look at a deployment with the credentials and the region that boto3 finds.

    Args:
        function: name of the Lambda function.
        region: by default the one of the environment.

    Yields:
        The checks, in the order in which a message travels.
    """
    import boto3  # noqa: PLC0415 - 300 ms, and only where somebody looks
    from botocore.exceptions import BotoCoreError, ClientError  # noqa: PLC0415

    session = boto3.Session(region_name=region)
    try:
        found: dict[str, Any] = session.client("lambda").get_function_configuration(FunctionName=function)
    except (BotoCoreError, ClientError) as error:
        yield failed("function", str(error), "Check the name, the region and the credentials.")
        return
    yield ok("function", f"{found['FunctionArn']}, {found['State']}")
