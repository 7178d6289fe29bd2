"""A call tree that is watched until it has ended."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol

from resonate_faas_cli._api import Api
from resonate_faas_cli._exits import Exit
from resonate_faas_cli._lineage import Lineage, fetch
from resonate_faas_cli._output import Output, console
from resonate_faas_cli._tree import PENDING, line
from resonate_faas_cli._waiting import Patience

if TYPE_CHECKING:
    from rich.console import Console
    from rich.live import Live


class View(Protocol):
    """Shows a tree as it changes."""

    def show(self, lineage: Lineage) -> None:
        """Show how it stands now."""


def follow(api: Api, promise_id: str, out: Output) -> None:
    """Show a call tree until the promise on top is settled, then the whole of it once more.

    Raises:
        Failure: unknown, or the server is gone for longer than a minute.
    """
    patience = Patience(out.note)
    with _view(out) as view:
        while True:
            found = patience.ask(lambda: fetch(api, promise_id))
            if found is not None:
                view.show(found)
                if found.state != PENDING:
                    break
            patience.pause()
            patience.ask(lambda: api.get("promises", promise_id, params={"wait": "1"}))
    if out.as_json:
        out.document(found.document())
    else:
        out.lines(found.lines())
    if found.state != "resolved":
        out.exit_code = Exit.FAILED


class Silent:
    """Shows nothing before the end: a document is written once."""

    def show(self, lineage: Lineage) -> None:
        """Show nothing."""


class Log:
    """One line for each promise whose state has changed: for pipes and build logs.

    Args:
        out: where to.
    """

    def __init__(self, out: Output) -> None:
        self._out = out
        self._known: dict[str, tuple[object, str]] = {}

    def show(self, lineage: Lineage) -> None:
        """Write what is new."""
        for node in lineage.nodes:
            state = None if node.record is None else node.record.get("state")
            remark = lineage.remarks.get(node.id, "")
            if self._known.get(node.id) != (state, remark):
                self._known[node.id] = (state, remark)
                text = line(node, now_ms=lineage.now_ms, remark=remark)
                self._out.lines([text.removeprefix(node.prefix)])
        self._out.flush()


class Screen:
    """The tree, drawn over itself; of one that is too tall its end is shown.

    Args:
        live: rich's.
        screen: what it draws on.
    """

    def __init__(self, live: Live, screen: Console) -> None:
        self._live = live
        self._screen = screen

    def show(self, lineage: Lineage) -> None:
        """Draw it anew."""
        from rich.text import Text  # noqa: PLC0415 - only a terminal needs it

        lines = cropped(lineage.lines(), self._screen.height - 1)
        self._live.update(Text("\n".join(lines), no_wrap=True, overflow="ellipsis"), refresh=True)


def cropped(lines: list[str], height: int) -> list[str]:
    """Return the top line and as many of the last ones as there is room for."""
    if len(lines) <= max(height, 3):
        return lines
    shown = max(height, 3) - 2
    return [lines[0], f"… {len(lines) - 1 - shown} lines", *lines[-shown:]]


@contextmanager
def _view(out: Output) -> Iterator[View]:
    """Give what fits the output; a screen is empty again at the end."""
    if out.as_json:
        yield Silent()
    elif not out.is_terminal:
        yield Log(out)
    else:
        from rich.live import Live  # noqa: PLC0415 - only a terminal needs it

        screen = console()
        with Live(console=screen, auto_refresh=False, transient=True) as live:
            yield Screen(live, screen)
