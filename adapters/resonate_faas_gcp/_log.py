"""Log lines as Cloud Logging reads them: one JSON object a line, with a severity.

Source: cloud.google.com/run/docs/logging (structured logs): ``severity`` and ``message`` are taken for what they say, the
other members are kept as ``jsonPayload``, which log-based metrics, and with them the alerts of terraform/gcp, look at.
"""

from __future__ import annotations

import json
import logging
from typing import Any, Final

_OWN: Final = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime"}


class CloudFormatter(logging.Formatter):
    """A record as a JSON object: severity, message, logger, the record's own fields, and the traceback if it has one."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line; a field that JSON has no form for is shown as Python does."""
        entry: dict[str, Any] = {name: value for name, value in vars(record).items() if name not in _OWN}
        entry |= {"severity": record.levelname, "message": record.getMessage(), "logger": record.name}
        if record.exc_info:
            entry["exception"] = self.formatException(record.exc_info)
        return json.dumps(entry, default=repr)


def log_to_cloud() -> None:
    """Let what is logged in this process be structured, from INFO on; handlers that the user has given a form keep it.

    functions-framework may have set a handler up, which adds an execution's id to JSON lines.
    """
    root = logging.getLogger()
    if not root.handlers:
        root.addHandler(logging.StreamHandler())
        root.setLevel(logging.INFO)
    for handler in root.handlers:
        if handler.formatter is None:
            handler.setFormatter(CloudFormatter())
