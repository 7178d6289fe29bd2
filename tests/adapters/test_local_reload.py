"""--reload: the code of a running dev server changes, executions and requests do not notice."""

from __future__ import annotations

import os
import signal
import threading
from pathlib import Path

import httpx
import pytest
from tests.adapters.dev_server import APP, DevServer, dev_server, until

EXTRA = """

@resonate.register
async def extra(ctx: Context) -> str:
    return await ctx.run(note, "extra")
"""


def change(app: Path, text: str) -> None:
    """Write the file, with a time of change that differs however coarse the file system's clock is."""
    before = app.stat().st_mtime_ns
    app.write_text(text)
    os.utime(app, ns=(before + 1_000_000_000, before + 1_000_000_000))


def has_function(server: DevServer, name: str) -> bool:
    try:
        return httpx.post(f"{server.url}/invoke/{name}", json={"id": name}, timeout=20).status_code == 202
    except httpx.TransportError:
        return False  # its connection belonged to the server that ended


@pytest.mark.slow
def test_a_change_restarts_the_server_and_loses_nothing(tmp_path: Path) -> None:
    app = tmp_path / "reloaded_app.py"
    app.write_text(APP.read_text())
    with dev_server(tmp_path, "--reload", app=app) as server:
        server.invoke("count", "r", 2, 4.0, id="r")
        server.invoke("slow", 3.0, id="s")
        until(lambda: "r-0" in server.steps() and "holding" in server.steps())
        url = server.url
        change(app, APP.read_text() + EXTRA)
        until(lambda: has_function(server, "extra"))
        assert server.result("extra") == "extra"
        assert server.result("r") == 2
        assert server.result("s") == "done"
        assert [step for step in server.steps() if step.startswith("r-")] == ["r-0", "r-1"]
        assert server.url == url
        assert server.end(signal.SIGTERM) == 0
    with pytest.raises(httpx.TransportError):
        httpx.get(f"{url}/health")


@pytest.mark.slow
def test_a_change_that_does_not_load_is_said_and_the_next_one_is_taken(tmp_path: Path) -> None:
    app = tmp_path / "broken_app.py"
    app.write_text(APP.read_text())
    with dev_server(tmp_path, "--reload", app=app) as server:
        server.invoke("approve", id="a")
        change(app, "def f(:\n")
        until(lambda: "broken_app.py, line 1" in server.errors.read_text())
        waiting: list[httpx.Response] = []
        asking = threading.Thread(
            target=lambda: waiting.append(httpx.get(f"{server.url}/promises/a", timeout=60))
        )
        asking.start()  # taken by the socket, answered by the server that comes
        change(app, APP.read_text())
        asking.join(60)
        assert waiting[0].json()["state"] == "pending"
        assert server.end(signal.SIGINT) == 0


def test_a_file_in_a_hidden_folder_or_an_environment_is_not_watched(tmp_path: Path) -> None:
    from resonate_faas_local._reload import _stamps  # noqa: PLC0415

    watched = [tmp_path / "a.py", tmp_path / "package" / "b.py"]
    ignored = [
        tmp_path / ".git" / "c.py",
        tmp_path / "node_modules" / "d.py",
        tmp_path / "env" / "lib" / "e.py",
        tmp_path / "package" / "__pycache__" / "f.py",
        tmp_path / "notes.txt",
    ]
    for path in (*watched, *ignored):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    (tmp_path / "env" / "pyvenv.cfg").touch()
    assert set(_stamps(tmp_path)) == set(watched)
    before = _stamps(tmp_path)
    change(watched[1], "x = 1\n")
    assert _stamps(tmp_path) != before
