"""The function's own URL, for the links of external promises: told by a setting, else asked of Lambda once."""

from __future__ import annotations

import os
import threading
from typing import Any, Final

from resonate_faas._errors import WorkflowInterrupt

ATTEMPTS_MAX: Final = 3
CONNECT_TIMEOUT_S: Final = 2.0
READ_TIMEOUT_S: Final = 5.0
_LATEST: Final = "$LATEST"
_ARN_PARTS: Final = 7
"""arn:aws:lambda:REGION:ACCOUNT:function:NAME, and the qualifier behind it."""


class PublicUrlError(WorkflowInterrupt):
    """No link can be made, since the function's URL is not known: the task backs off, and is halted in the end."""

    code = "public-url"

    def __init__(self, cause: str) -> None:
        super().__init__(cause)
        self.cause = cause

    def __str__(self) -> str:
        return (
            f"RESONATE_FAAS_PUBLIC_URL is not set, and the function's own URL can't be read ({self.cause}): set it, or "
            "give the function a URL and its role lambda:GetFunctionUrlConfig; then continue the task"
        )


class OwnUrl:
    """Gives the URL; asks for it when it is first needed, once for the life of the process.

    Args:
        told: the setting; None: Lambda is asked.
    """

    def __init__(self, told: str | None) -> None:
        self._url = told
        self._arn = ""
        self._lock = threading.Lock()

    def heard(self, arn: str | None) -> None:
        """Remember under which name this function was invoked: an alias has a URL of its own, a version has none."""
        self._arn = arn or self._arn

    def __call__(self) -> str:
        """Return the URL.

        Raises:
            PublicUrlError: Lambda does not tell it.
        """
        with self._lock:
            if self._url is None:
                self._url = self._asked()
            return self._url

    def _asked(self) -> str:
        import boto3  # noqa: PLC0415 - imported by the store long ago
        from botocore.config import Config  # noqa: PLC0415
        from botocore.exceptions import BotoCoreError, ClientError  # noqa: PLC0415

        parts = self._arn.split(":")
        name = ":".join(parts[:_ARN_PARTS]) or os.environ.get("AWS_LAMBDA_FUNCTION_NAME", "")
        request = {"FunctionName": name}
        qualifier = parts[_ARN_PARTS] if len(parts) > _ARN_PARTS else _LATEST
        if qualifier != _LATEST and not qualifier.isdigit():
            request["Qualifier"] = qualifier
        try:
            config = Config(
                retries={"total_max_attempts": ATTEMPTS_MAX, "mode": "standard"},
                connect_timeout=CONNECT_TIMEOUT_S,
                read_timeout=READ_TIMEOUT_S,
            )
            answer: dict[str, Any] = boto3.client("lambda", config=config).get_function_url_config(**request)
        except (BotoCoreError, ClientError) as error:
            raise PublicUrlError(f"{type(error).__name__}: {error}"[:500]) from error
        return str(answer["FunctionUrl"]).rstrip("/")
