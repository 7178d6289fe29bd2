"""The function behind a server that sets no handlers of its own. Usage: plain_server.py PORT."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from functions_framework import create_app


def main(port: int) -> None:
    app: Any = create_app("handler", str(Path(__file__).with_name("cloud_function.py")))  # type: ignore[no-untyped-call]
    app.run("127.0.0.1", port, threaded=True)


if __name__ == "__main__":
    main(int(sys.argv[1]))
