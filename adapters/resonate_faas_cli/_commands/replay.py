"""``resonate-faas replay --check``: whether new code goes on with what is on record."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from resonate_faas_cli._api import Api, Json
from resonate_faas_cli._exits import Exit, Failure
from resonate_faas_cli._output import Output
from resonate_faas_cli._payloads import plain
from resonate_faas_cli._recorded import ORIGIN, TARGET, fetch_tree, load, pending_promises, read_file
from resonate_faas_cli._session import DEFAULT_URL, AsJson, Token, Url, examples, reporting
from resonate_faas_cli._tree import call_of, tags_of

if TYPE_CHECKING:
    from resonate_faas import Resonate
    from resonate_faas._histories import RecordedTree
    from resonate_faas._replay_check import Verdict

RANK = 46

LIVE_MAX: Final = 100
"""Live executions, unless --limit asks for more."""

AGAIN_MAX: Final = 3
"""Further readings of an execution that goes on while it is read, page after page."""

PROGRESS_EACH: Final = 25

_WAYS_OUT: Final = (
    "where it diverges, leave running executions the code that they began with: "
    "make the change a branch with ctx.patched(name), or register it as another version"
)


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(
        epilog=examples(
            "replay --check --app workflows.py",
            "replay --check order-17.json order-18.json --app workflows.py",
            "replay --check --app workflows.py --function order --limit 500 --json",
        )
    )(replay)


def replay(
    app: Annotated[
        str,
        typer.Option("--app", metavar="FILE|MODULE", help="The new code; :NAME picks its Resonate object."),
    ],
    files: Annotated[
        list[Path] | None,
        typer.Argument(metavar="FILE", help="Exported executions. None: the live ones of the server."),
    ] = None,
    is_check: Annotated[
        bool, typer.Option("--check", help="Only look: no step runs, nothing is written.")
    ] = False,
    functions: Annotated[
        list[str] | None, typer.Option("--function", metavar="NAME", help="Only these; repeatable.")
    ] = None,
    limit: Annotated[int, typer.Option(min=1, help="Live executions, at most.")] = LIVE_MAX,
    is_skipping: Annotated[
        bool, typer.Option("--skip-unknown", help="Pass over functions that the code has in no version.")
    ] = False,
    url: Url = DEFAULT_URL,
    token: Token = None,
    as_json: AsJson = False,
) -> None:
    """Replay what is on record against new code.

    Says for each execution whether the code does what was recorded, up to the first call that is not on record yet,
    and if not, where the two part. The workflows' own code runs here; their steps do not. The exit code is 1 if any
    diverges.
    """
    if not is_check:
        raise typer.BadParameter(
            "say --check: replaying without running anything is all that this command does"
        )
    with reporting(as_json=as_json) as out:
        resonate = load(app)
        check = _Check(resonate, out, is_skipping=is_skipping)
        if files:
            for path in files:
                check.add(check.verdicts(read_file(path)))
        else:
            with Api(url, token) as api:
                _check_live(check, api, functions=functions, limit=limit)
        check.conclude()


def _check_live(check: _Check, api: Api, *, functions: list[str] | None, limit: int) -> None:
    """Check live executions, each read again if it went on while it was read."""
    for count, root_id in enumerate(_live(api, functions)):
        if count == limit:
            check.out.note(f"there are more than {limit}: --limit, or --function")
            return
        if count and count % PROGRESS_EACH == 0:
            check.out.note(f"{count} executions checked")
        check.add(_settled_verdicts(check, api, root_id))


def _settled_verdicts(check: _Check, api: Api, root_id: str) -> list[Verdict]:
    """Return the verdicts of an execution; of one that diverges, and changed meanwhile, those of another reading."""
    tree = fetch_tree(api, root_id)
    verdicts = check.verdicts(tree)
    for _ in range(AGAIN_MAX):
        if all(one.divergence is None for one in verdicts):
            break
        before, tree = tree, fetch_tree(api, root_id)
        if before.records == tree.records:
            break
        verdicts = check.verdicts(tree)
    return verdicts


def _live(api: Api, functions: list[str] | None) -> Iterator[str]:
    """Yield the ids of live roots."""
    for record in pending_promises(api):
        tags, promise_id = tags_of(record), str(record["id"])
        is_root = bool(tags.get(TARGET)) and tags.get(ORIGIN, promise_id) == promise_id
        if is_root and (not functions or call_of(record).function in functions):
            yield promise_id


class _Check:
    """The verdicts so far.

    Args:
        resonate: the code.
        out: the terminal.
        is_skipping: functions that the code does not know are somebody else's.
    """

    def __init__(self, resonate: Resonate, out: Output, *, is_skipping: bool) -> None:
        self.out = out
        self._resonate = resonate
        self._is_skipping = is_skipping
        self._known = {name for name, _ in resonate.registry.names()}
        self._counts: Counter[str] = Counter()
        self._documents: list[Json] = []

    def verdicts(self, tree: RecordedTree) -> list[Verdict]:
        """Check an execution and what it called.

        Raises:
            Failure: there is none in it.
        """
        from resonate_faas._replay_check import replay_check  # noqa: PLC0415 - only this command needs it

        if not tree.tasks:
            raise Failure(Exit.USAGE, f"{tree.root_id!r} is no execution")
        with redirect_stdout(sys.stderr):  # what the workflows print is no output of ours
            return replay_check(self._resonate, tree)

    def add(self, verdicts: list[Verdict]) -> None:
        """Say what came of an execution."""
        for verdict in verdicts:
            is_skipped = (
                self._is_skipping and verdict.outcome == "missing" and verdict.function not in self._known
            )
            said = "skipped" if is_skipped else verdict.outcome.value
            self._counts[said] += 1
            if said not in {"clean", "skipped"}:
                self.out.exit_code = Exit.FAILED
            if self.out.as_json:
                self._documents.append(_document(verdict, said))
            else:
                self.out.lines(_lines(verdict, said))

    def conclude(self) -> None:
        """Say how many there were of each."""
        if self.out.as_json:
            is_ok = self.out.exit_code is Exit.OK
            self.out.document({"ok": is_ok, "counts": dict(self._counts), "executions": self._documents})
            return
        if self._counts["diverged"]:
            self.out.note(_WAYS_OUT)
        counts = ", ".join(f"{count} {said}" for said, count in sorted(self._counts.items()))
        total = self._counts.total()
        noun = "execution" if total == 1 else "executions"
        self.out.note(f"{total} {noun}: {counts}" if counts else "there is nothing to check")


def _lines(verdict: Verdict, said: str) -> Iterator[str]:
    name = f"{verdict.function} (version {verdict.version})" if verdict.function else "no function"
    far = f": {verdict.until}" if verdict.until else ""
    yield plain(f"{said:<10} {verdict.promise_id} {name}, {verdict.records} records{far}")
    found = verdict.divergence
    if found is None:
        fields = [("why", verdict.reason)]
    else:
        where = f" ({found.defined})" if found.defined else ""
        at = ": ".join(part for part in (found.line, found.source) if part)
        fields = [
            ("id", found.promise_id),
            ("recorded", f"{found.recorded}{where}"),
            ("now", found.present),
            ("at", at),
            ("cause", found.cause),
        ]
    for title, text in (*fields, *(("note", note) for note in verdict.notes)):
        if text:
            yield f"  {title:<9}{plain(text)}"


def _document(verdict: Verdict, said: str) -> Json:
    found = verdict.divergence
    body: Json = {
        "id": verdict.promise_id,
        "function": verdict.function,
        "version": verdict.version,
        "outcome": said,
        "until": verdict.until,
        "reason": verdict.reason,
        "notes": list(verdict.notes),
        "records": verdict.records,
    }
    if found is not None:
        body["divergence"] = {
            "id": found.promise_id,
            "recorded": found.recorded,
            "defined": found.defined,
            "now": found.present,
            "line": found.line,
            "source": found.source,
            "cause": found.cause,
        }
    return body
