"""The process that serves moto's backends, one request at a time. Usage: moto_program.py PORT."""

from __future__ import annotations

import logging
import sys

TRANSACTION_MAX = 100
"""Of TransactGetItems since 2022; moto still has the 25 from before."""


def main(port: int) -> None:
    """Serve until the process is ended."""
    from moto.dynamodb import responses  # noqa: PLC0415 - a second
    from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app  # noqa: PLC0415 - a second
    from werkzeug.serving import run_simple  # noqa: PLC0415

    responses.TRANSACTION_MAX_ITEMS = TRANSACTION_MAX
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    application = DomainDispatcherApplication(create_backend_app)
    run_simple("127.0.0.1", port, application, threaded=False)


if __name__ == "__main__":
    main(int(sys.argv[1]))
