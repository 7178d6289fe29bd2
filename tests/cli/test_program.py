"""The program itself: help, usage errors, completion, what it imports, how it writes to terminals and pipes."""

from __future__ import annotations

import errno
import inspect
import json
import os
import pty
import re
import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
import typer
from tests.cli.terminal import APP, BOUND_S, PROGRAM, Cli, ended, environment, eventually, fresh

from resonate_faas_cli import _app, _commands, _exits
from resonate_faas_cli._commands import dev, schedules
from resonate_faas_cli._exits import Exit
from resonate_faas_cli._payloads import plain
from resonate_faas_cli._session import DEFAULT_URL

ROOT = typer.main.get_command(APP)


def commands(command: Any = ROOT, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Every command with the words that call it, groups too."""
    yield path, command
    for name, below in getattr(command, "commands", {}).items():
        yield from commands(below, (*path, name))


LEAVES = [path for path, command in commands() if not hasattr(command, "commands")]


@pytest.fixture
def cli() -> Cli:
    """No server: nothing here asks one."""
    return Cli("http://127.0.0.1:1")


def test_the_commands_are_these() -> None:
    assert [" ".join(path) for path in LEAVES] == [
        "dev",
        "worker",
        "invoke",
        "get",
        "wait",
        "resolve",
        "reject",
        "cancel",
        "tree",
        "explain",
        "drain-report",
        "replay",
        "check",
        "doctor",
        "cost",
        "history export",
        "history import",
        "promises list",
        "promises search",
        "tasks list",
        "tasks halt",
        "tasks continue",
        "schedules create",
        "schedules list",
        "schedules delete",
    ]


HERE_ONLY = {("dev",), ("worker",), ("check",), ("doctor",), ("cost",), ("history", "import"), ("replay",)}
"""Commands that ask no server of ours, or for as long as they live, or that read a file first."""


@pytest.mark.parametrize("path", LEAVES, ids=" ".join)
def test_every_command_has_help_with_examples_that_parse(cli: Cli, path: tuple[str, ...]) -> None:
    text = cli.ok(*path, "--help").out
    assert cli.ok(*path, "-h").out == text
    examples = re.findall(r"^ +resonate-faas (.+)$", text, re.MULTILINE)
    assert examples
    assert all(example.startswith(" ".join(path)) for example in examples)
    if path == ("check",):
        assert "Exit codes: 0 clean, 1 findings, 2 wrong usage." in text
        return
    assert "Exit codes:\n" in text
    for code in Exit:
        assert re.search(rf"^ +{int(code)}  ", text, re.MULTILINE), code


@pytest.mark.parametrize("path", [path for path in LEAVES if path not in HERE_ONLY], ids=" ".join)
def test_examples_are_accepted_as_they_stand(cli: Cli, path: tuple[str, ...]) -> None:
    """Each gets as far as the server, which is not there."""
    import shlex  # noqa: PLC0415 - next to its only use

    for example in re.findall(r"^ +resonate-faas (.+)$", cli.ok(*path, "--help").out, re.MULTILINE):
        ran = cli(*shlex.split(example))
        assert ran.code == Exit.UNREACHABLE, (example, ran)


@pytest.mark.parametrize("path", [path for path in LEAVES if path not in HERE_ONLY], ids=" ".join)
def test_every_command_that_asks_takes_url_token_and_json(path: tuple[str, ...]) -> None:
    (command,) = [found for where, found in commands() if where == path]
    options = {option for parameter in command.params for option in parameter.opts}
    assert {"--url", "--token", "--json"} <= options


def test_short_helps_fit_their_line(cli: Cli) -> None:
    for path, command in commands():
        if hasattr(command, "commands"):
            assert (
                "..." not in cli.ok(*path, "--help").out.partition("Commands:")[2].partition("Examples:")[0]
            )


def test_the_exit_codes_of_the_help_are_those_of_the_module() -> None:
    documented = re.findall(r"^([0-9]) ", inspect.getdoc(_exits) or "", re.MULTILINE)
    assert [int(code) for code in documented] == [int(code) for code in Exit]


@pytest.mark.parametrize(
    "args",
    [
        [],
        ["nonsense"],
        ["--nonsense"],
        ["get"],
        ["get", "a", "b"],
        ["get", "a", "--nonsense"],
        ["get", "a", "--url"],
        ["get", "a", "--url", "localhost:8001"],
        ["get", "a", "--url", "ftp://localhost"],
        ["get", "a", "--url", "http://[::1"],
        ["get", "a", "--token", "geheim-ü"],
        ["invoke"],
        ["invoke", "f", "-3"],
        ["invoke", "f", "1", "--json-args", "[]"],
        ["invoke", "f", "--json-args", "{}"],
        ["invoke", "f", "--kw", "x"],
        ["invoke", "f", "--timeout", "soon"],
        ["invoke", "f", "--delay", "1x"],
        ["invoke", "f", "--version", "-1"],
        ["invoke", "f", '"\\ud800"'],
        ["wait", "x", "--timeout", ""],
        ["promises"],
        ["promises", "list", "--state", "open"],
        ["promises", "list", "--limit", "0"],
        ["promises", "list", "--limit", "1001"],
        ["promises", "search"],
        ["promises", "search", "--tag", "x"],
        ["tasks", "list", "--state", "resolved"],
        ["schedules", "create", "x", "--cron", "* * * * *"],
        ["schedules", "create", "x", "--function", "f"],
        ["dev"],
        ["dev", "f.py", "--port", "65536"],
        ["dev", "f.py", "--workers", "0"],
        ["doctor"],
        ["doctor", "f"],
        ["doctor", "f", "--aws", "--gcp"],
        ["doctor", "f", "--gcp"],
    ],
    ids=" ".join,
)
def test_wrong_usage_is_told_without_a_traceback(cli: Cli, args: list[str]) -> None:
    ran = cli(*args)
    assert ran.code == 2, ran
    assert ran.err or "Usage:" in ran.out
    assert "Traceback" not in ran.err


def test_the_version_is_the_distributions(cli: Cli) -> None:
    assert cli.ok("--version").out == f"resonate-faas {version('resonate-faas')}\n"


def test_defaults_are_the_dev_servers_own() -> None:
    from resonate_faas_local import _local_node, serve  # noqa: PLC0415 - the web server's, for this alone

    ours = inspect.signature(dev.dev).parameters
    theirs = inspect.signature(serve).parameters
    assert set(ours) == set(theirs)
    for name, parameter in theirs.items():
        assert (ours[name].default or ()) == (parameter.default or ()), name
    assert f"http://{theirs['host'].default}:{theirs['port'].default}" == DEFAULT_URL
    assert _local_node.TARGET == schedules.LOCAL_TARGET


IMPORTS = """
import sys
from resonate_faas_cli import main
sys.argv[1:] = {args!r}
try:
    main()
except SystemExit as ended:
    assert not ended.code, ended
print("MODULES", *sys.modules)
"""

HEAVY = {"starlette", "uvicorn", "anyio", "httpx", "rich", "asyncio", "resonate_faas", "resonate_faas_local"}
"""Not pydantic: newer versions of typer read options by it."""


@pytest.mark.parametrize(
    "args", [["--help"], ["dev", "--help"], ["tree", "--help"], ["--version"]], ids=" ".join
)
def test_help_imports_no_server_no_client_and_no_engine(args: list[str]) -> None:
    script = IMPORTS.format(args=args)
    ran = subprocess.run(
        [sys.executable, "-P", "-c", script], capture_output=True, text=True, check=True, env=environment()
    )
    modules = set(ran.stdout.rpartition("MODULES ")[2].split())
    assert not modules & HEAVY


def test_completion_scripts_are_written_and_complete() -> None:
    for shell in ("bash", "zsh", "fish"):
        script = run({"_RESONATE_FAAS_COMPLETE": f"source_{shell}"})
        assert "_RESONATE_FAAS_COMPLETE" in script
        assert "resonate-faas" in script
    words = {"COMP_WORDS": "resonate-faas pro", "COMP_CWORD": "1"}
    assert run({"_RESONATE_FAAS_COMPLETE": "complete_bash", **words}).split() == ["promises"]
    words = {"COMP_WORDS": "resonate-faas tasks list --state h", "COMP_CWORD": "4"}
    assert run({"_RESONATE_FAAS_COMPLETE": "complete_bash", **words}).split() == ["halted"]


def test_completion_can_be_shown_and_installed(cli: Cli) -> None:
    text = cli.ok("--help").out
    assert "--install-completion" in text
    assert "--show-completion" in text


def run(env: dict[str, str]) -> str:
    ran = subprocess.run(PROGRAM, capture_output=True, text=True, check=True, env=environment(**env))
    return ran.stdout


def test_a_command_is_one_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, cli: Cli) -> None:
    (tmp_path / "hello.py").write_text(
        "import typer\nRANK = 1\n\n"
        "def register(app: typer.Typer) -> None:\n    app.command()(hello)\n\n"
        "def hello() -> None:\n    '''Say hello.'''\n    print('hello')\n"
    )
    monkeypatch.setattr(_commands, "__path__", [*_commands.__path__, str(tmp_path)])
    names = list(typer.main.get_command(_app.build()).commands)  # type: ignore[attr-defined]
    assert names[0] == "hello"
    assert len(names) == len(ROOT.commands) + 1  # type: ignore[attr-defined]
    del cli


BUG = """
import sys
from resonate_faas_cli import _app
from resonate_faas_cli._commands import tasks
def fetch(*_, **__):
    secret = "hunter2"
    raise KeyError("a bug")
tasks.search = fetch
sys.argv[1:] = ["tasks", "list"]
_app.main()
"""


def test_a_bug_shows_pythons_own_traceback_and_no_values() -> None:
    ran = subprocess.run(
        [sys.executable, "-P", "-c", BUG], capture_output=True, text=True, check=False, env=environment()
    )
    assert ran.returncode == 1
    assert ran.stderr.startswith("Traceback (most recent call last):")
    assert ran.stderr.endswith("KeyError: 'a bug'\n")
    assert "hunter2" not in ran.stderr


# ---- terminals and pipes, with the server of conftest


@pytest.fixture
def live(server_url: str) -> Cli:
    return Cli(server_url)


def on_terminal(cli: Cli, *args: str, env: dict[str, str] | None = None) -> tuple[int, str]:
    """Run a command on a pseudo-terminal; return its exit code and what it wrote there."""
    leader, follower = pty.openpty()
    process = subprocess.Popen(
        [*PROGRAM, *args],
        stdin=subprocess.DEVNULL,
        stdout=follower,
        stderr=subprocess.PIPE,
        env=environment(RESONATE_FAAS_URL=cli.url, COLUMNS="200", LINES="50", **(env or {})),
    )
    os.close(follower)
    written = b""
    try:
        while chunk := read(leader):
            written += chunk
        process.communicate(timeout=BOUND_S)
    finally:
        process.kill()
        process.communicate()
        os.close(leader)
    return process.returncode, written.decode().replace("\r\n", "\n")


def read(leader: int) -> bytes:
    try:
        return os.read(leader, 65_536)
    except OSError as error:
        if error.errno != errno.EIO:  # what Linux says when the other end is closed
            raise
        return b""


def test_a_terminal_sees_colours_and_a_pipe_none(live: Cli) -> None:
    root = fresh("colour")
    live.ok("invoke", "greet", "ada", "--id", root, "--wait")
    search = ("promises", "search", "--origin", root)
    code, text = on_terminal(live, *search)
    assert code == 0
    assert "\x1b[32mresolved\x1b[0m" in text
    piped = live.ok(*search).out
    assert "\x1b" not in piped
    for env in ({"NO_COLOR": "1"}, {"TERM": "dumb"}):
        assert on_terminal(live, *search, env=env) == (0, piped)


def test_a_terminal_follows_a_tree_and_keeps_its_end(live: Cli) -> None:
    root = fresh("screen")
    live.ok("invoke", "fail", "no luck", "--id", root)
    code, text = on_terminal(live, "tree", root, "--follow", env={"NO_COLOR": "1"})
    assert code == 1
    assert re.search(rf"{root} 🔴 \(rpc fail\) [0-9.]+m?s LookupError: no luck\n└── {root}:1 🔴", text)
    assert "\x1b[3" not in re.sub(r"\x1b\[[0-9;?]*[A-Zhl]", "", text), "only the cursor moves"


def test_a_result_can_not_steer_the_terminal_but_reaches_a_pipe_as_it_is(live: Cli) -> None:
    root = fresh("evil")
    evil = "\x1b[2Jx\ny"
    live.ok("invoke", "approval", evil, "--id", root)
    eventually(lambda: live("get", f"{root}:1").code == 0)
    live.ok("resolve", f"{root}:1", "z")
    assert on_terminal(live, "wait", root) == (0, "\\x1b[2Jx\ny: z\n")
    assert live.ok("wait", root).out == f"{evil}: z\n"
    assert plain(evil) == "\\x1b[2Jx\\ny"


def test_a_terminal_without_the_signs_gets_substitutes(live: Cli) -> None:
    root = fresh("ascii")
    live.ok("invoke", "echo", "ü", "--id", root, "--wait")
    ascii_only = {"PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0", "LC_ALL": "C"}
    ran = ended(live.process("tree", root, env=ascii_only))
    assert (ran.code, ran.out.split()[:3]) == (0, [root, "?", "(rpc"])
    ran = ended(live.process("wait", root, env=ascii_only))
    assert (ran.code, json.loads(ran.out)) == (0, ["ü"])


@pytest.mark.parametrize("size", [1, 50_000])
def test_a_reader_that_goes_away_is_no_traceback(live: Cli, size: int) -> None:
    root = fresh("pipe")
    live.ok("invoke", "echo", "x" * size, "--id", root, "--wait")
    process = live.process("wait", root)
    assert process.stdout is not None
    process.stdout.close()
    assert process.wait(BOUND_S) == 141
    assert process.stderr is not None
    assert process.stderr.read() == ""
    process.stderr.close()


def test_ctrl_c_ends_a_wait_quietly(live: Cli) -> None:
    root = fresh("interrupted")
    live.ok("invoke", "approval", "lamp", "--id", root)
    process = live.process("wait", root)
    assert process.stderr is not None
    assert process.stderr.readline() == f"waiting for {root}\n"
    process.send_signal(2)
    ran = ended(process)
    assert (ran.code, ran.out) == (130, "")
    assert "Traceback" not in ran.err
