"""``python -m resonate_faas_local workflows.py``: the dev server without the command line's package."""

from __future__ import annotations

import argparse
import sys

from resonate_faas._errors import ResonateFaasError
from resonate_faas_local import _reload
from resonate_faas_local._load import load_app
from resonate_faas_local._local_node import WORKERS
from resonate_faas_local._serve import DB, PORT, serve


def main(arguments: list[str]) -> int:
    """Run the server; return the exit status: 0 when told to end, 1 when it can't start."""
    try:
        if arguments == ["--child"]:
            _run_child()
        else:
            serve(**vars(_parser().parse_args(arguments)))
    except (ResonateFaasError, OSError, ValueError) as error:
        print(error, file=sys.stderr)  # noqa: T201 - a command tells why it failed
        return 1
    return 0


def _run_child() -> None:
    from resonate_faas_local import _dev_server  # noqa: PLC0415 - as in serve

    target, listening, settings = _reload.child_arguments(sys.stdin.read())
    _dev_server.run(load_app(target), listening, settings)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m resonate_faas_local", allow_abbrev=False)
    parser.add_argument("target", help="workflows.py, package.module, or either with :name")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=PORT)
    parser.add_argument("--db", default=DB)
    parser.add_argument("--reload", action="store_true")
    parser.add_argument("--workers", type=int, default=WORKERS)
    parser.add_argument("--debug", action="store_true")
    parser.add_argument("--debug-token")
    parser.add_argument("--strict", action="store_true")
    parser.add_argument("--allow", action="append", default=[])
    parser.add_argument("--token")
    parser.add_argument("--jwt-key")
    parser.add_argument("--cors", action="append", default=[])
    parser.add_argument("--push-token")
    return parser


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
