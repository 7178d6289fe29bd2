"""``resonate-faas history``: executions as files."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Annotated

import typer

from resonate_faas_cli._exits import Exit, Failure, command
from resonate_faas_cli._output import Output
from resonate_faas_cli._recorded import fetch_tree, read_file
from resonate_faas_cli._session import DEFAULT_URL, AsJson, Token, Url, examples, reporting, session

RANK = 44


def register(app: typer.Typer) -> None:
    """Add the group."""
    group = typer.Typer(no_args_is_help=True, help="Export and import executions.", rich_markup_mode=None)
    group.command(
        "export", epilog=examples("history export order-17", "history export order-17 --out order-17.json")
    )(export)
    group.command("import", epilog=examples("history import order-17.json --db state.db"))(import_)
    app.add_typer(group, name="history")


def export(
    promise_id: Annotated[str, typer.Argument(metavar="ID", help="An execution.")],
    out_path: Annotated[
        Path | None,
        typer.Option("--out", metavar="FILE", help="Where to; never over an existing file. Default: stdout."),
    ] = None,
    url: Url = DEFAULT_URL,
    token: Token = None,
    as_json: AsJson = False,
) -> None:
    """Write an execution, and all that it called, as JSON.

    Payloads are written as they are stored: what is encrypted stays so, everything else can be read in the file.
    """
    with session(url, token, as_json=as_json) as asked:
        tree = fetch_tree(asked.api, promise_id)
        if out_path is None:
            asked.out.document(tree.document())
            return
        _write(out_path, json.dumps(tree.document(), indent=1) + "\n")
        told = {"file": str(out_path), "root": tree.root_id, "records": len(tree.records)}
        _tell(asked.out, told, f"{out_path}: {len(tree.records)} records of {tree.root_id}")


def _write(path: Path, text: str) -> None:
    """Write a new file, for its owner alone: histories hold what executions were given."""
    try:
        path.touch(mode=0o600, exist_ok=False)
        path.write_text(text, encoding="utf-8")
    except FileExistsError:
        raise Failure(Exit.REFUSED, f"{path} exists", hint="Choose another file, or delete it") from None
    except OSError as error:
        raise Failure(Exit.USAGE, f"Can't write {path}: {error.strerror}") from error


def import_(
    path: Annotated[Path, typer.Argument(metavar="FILE", help="An exported execution.")],
    db: Annotated[str, typer.Option("--db", metavar="FILE", help="The SQLite file of a dev server.")],
    as_json: AsJson = False,
) -> None:
    """Put an exported execution into a dev server's file.

    What had not ended is halted, so that nothing runs before you say so; what is there already is left as it is, or,
    if it differs, nothing is imported at all.
    """
    with reporting(as_json=as_json) as out:
        tree = read_file(path)
        try:
            from resonate_faas_local import SqliteStore  # noqa: PLC0415 - an extra
        except ImportError as error:
            hint = "Install it with: pip install 'resonate-faas[local]'"
            raise Failure(Exit.USAGE, f"The dev server is not installed: {error}", hint=hint) from error
        from resonate_faas import RequestRefusedError, StoreError  # noqa: PLC0415 - as above
        from resonate_faas._history_import import import_tree  # noqa: PLC0415 - as above
        from resonate_faas_local._local_node import TARGET  # noqa: PLC0415 - as above

        store = None
        try:
            store = SqliteStore(db)
            count = import_tree(store, tree, target=TARGET, now_ms=time.time_ns() // 1_000_000)
        except RequestRefusedError as error:
            raise Failure(Exit.REFUSED, str(error), code=error.code) from error
        except StoreError as error:
            raise Failure(Exit.UNREACHABLE, str(error), code=error.code) from error
        finally:
            if store is not None:
                store.close()
        words = f"{db}: {count} of {len(tree.records)} records of {tree.root_id} are new there"
        _tell(out, {"db": db, "root": tree.root_id, "records": len(tree.records), "new": count}, words)
        if tree.records[tree.root_id].state == "pending":
            out.note(
                f"it is halted; let it go on with your code by: {command('tasks', 'continue', tree.root_id)}"
            )


def _tell(out: Output, document: dict[str, object], words: str) -> None:
    if out.as_json:
        out.document(document)
    else:
        out.lines([words])
