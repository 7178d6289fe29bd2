"""The dev server's log lines: event, fields, and the reason behind an exception."""

from __future__ import annotations

import logging
from typing import Final, TextIO

_OWN: Final = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "color_message"}


class FieldsFormatter(logging.Formatter):
    """A line of time, level, event and its fields."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(name)s: %(message)s", datefmt="%H:%M:%S")

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - logging's name
        """Return the line, the record's extra fields behind the event."""
        fields = {key: value for key, value in vars(record).items() if key not in _OWN and value is not None}
        text = "".join(f" {key}={value}" for key, value in fields.items())
        return super().formatMessage(record) + text


def log_to(stream: TextIO) -> None:
    """Write log lines to the stream, unless the application has set its own handlers up."""
    root = logging.getLogger()
    if root.handlers:
        return
    handler = logging.StreamHandler(stream)
    handler.setFormatter(FieldsFormatter())
    root.addHandler(handler)
    root.setLevel(logging.INFO)
