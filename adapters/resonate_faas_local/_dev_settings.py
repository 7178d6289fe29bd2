"""What the dev server is started with."""

from __future__ import annotations

from dataclasses import dataclass

from resonate_faas_local._local_node import WORKERS


@dataclass(frozen=True, slots=True, kw_only=True)
class DevSettings:
    """What ``serve`` was asked for; its docstring says what each means."""

    db: str
    workers: int = WORKERS
    debug: bool = False
    debug_token: str | None = None
    strict: bool = False
    allow: tuple[str, ...] = ()
    token: str | None = None
    jwt_key: str | None = None
    cors: tuple[str, ...] = ()
    push_token: str | None = None
