"""The one call behind ``resonate-faas dev``."""

from __future__ import annotations

import secrets
from collections.abc import Iterable
from dataclasses import replace
from typing import Final

from resonate_faas_local._dev_settings import DevSettings
from resonate_faas_local._load import app_folder, load_app
from resonate_faas_local._local_node import WORKERS

PORT: Final = 8001
DB: Final = "resonate-faas.db"


def serve(
    target: str,
    *,
    host: str = "127.0.0.1",
    port: int = PORT,
    db: str = DB,
    reload: bool = False,
    workers: int = WORKERS,
    debug: bool = False,
    debug_token: str | None = None,
    strict: bool = False,
    allow: Iterable[str] = (),
    token: str | None = None,
    jwt_key: str | None = None,
    cors: Iterable[str] = (),
    push_token: str | None = None,
) -> None:
    """Run the dev server until SIGINT or SIGTERM; then every held task is released, and this returns.

    Prints to standard output, a line each: the URL; ``db: PATH``; ``functions: ...``; in debug mode
    ``debug token: ...``. Logs go to standard error.

    Args:
        target: what :func:`load_app` takes.
        host: 127.0.0.1, localhost or ::1; nothing else, since whoever reaches the server may use it.
        port: 0: a free one.
        db: the SQLite file. Start again on the same file to go on where things stood.
        reload: restart the server, executions going on, when a .py file of the application's folder changes.
        workers: activations at a time.
        debug: offer the debug operations and honour ``resonate:debug_time``.
        debug_token: what debug operations must carry; None: a fresh one is printed; "": nothing.
        strict: answer exactly as the specification where official SDKs deviate from it.
        allow: address patterns that may be stored as target or listener, next to ``local://`` and ``poll://``.
        token: what every caller must show as bearer token; None: callers need none.
        jwt_key: callers may also show a token that this key has signed: a public key in PEM, or a secret.
        cors: origins of the pages that may call the routes; ``*``: any.
        push_token: the bearer token of messages pushed to allowed http and https addresses.

    Raises:
        AppLoadError: the application can't be loaded.
        StoreUnavailableError: the file can't be used.
        ValueError: the host is not this machine's own, workers below 1, or no pattern in ``allow``.
        OSError: the port is taken.
    """
    from resonate_faas_local import _dev_server, _reload  # noqa: PLC0415 - scripts without HTTP need no web server

    settings = DevSettings(
        db=db,
        workers=workers,
        debug=debug,
        debug_token=debug_token,
        strict=strict,
        allow=tuple(allow),
        token=token,
        jwt_key=jwt_key,
        cors=tuple(cors),
        push_token=push_token,
    )
    if not reload:
        resonate = load_app(target)
        _dev_server.run(resonate, _dev_server.listen(host, port), settings)
        return
    if settings.debug_token is None:  # the same for every restart
        settings = replace(settings, debug_token=secrets.token_urlsafe(16))
    _reload.supervise(target, app_folder(target), _dev_server.listen(host, port), settings)
