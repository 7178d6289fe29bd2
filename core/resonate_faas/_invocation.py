"""What to start: the request that clients and triggers make."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Invocation:
    """What to start.

    Attributes:
        function: a registered name.
        args: JSON data.
        kwargs: JSON data.
        id: the execution's; None: a fresh one is made.
        version: 0: the newest.
        timeout: seconds or timedelta until the execution's deadline; None: the function's own, else one day.
        delay: seconds or timedelta before it starts.
    """

    function: str
    args: Sequence[Any] = ()
    kwargs: Mapping[str, Any] | None = None
    id: str | None = None
    version: int = 0
    timeout: timedelta | float | None = None
    delay: timedelta | float | None = None
