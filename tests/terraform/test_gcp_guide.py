"""docs/deploy-gcp.md: no test has a Google Cloud project, so its commands are held to what there is: paths, variables, outputs, options."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import typer.main
from tests.packaging.tree import ROOT
from tests.terraform.gcp_module import EXAMPLE
from tests.terraform.hcl import module

from resonate_faas_cli._app import build

GUIDE = (ROOT / "docs" / "deploy-gcp.md").read_text(encoding="utf-8")
BLOCKS = [found[1].strip().splitlines() for found in re.finditer(r"```shell\n(.*?)```", GUIDE, re.DOTALL)]
COMMANDS = [command for block in BLOCKS for command in block]


def events() -> str:
    """Return the source of everything that logs in a function."""
    core = ROOT / "core" / "resonate_faas"
    return "\n".join(path.read_text(encoding="utf-8") for path in core.glob("*.py"))


def test_there_are_ten_commands_to_a_running_countdown() -> None:
    assert "these ten commands" in GUIDE
    assert len(BLOCKS[0]) == 10


def test_paths_exist() -> None:
    for command in COMMANDS:
        for path in re.findall(r"\b(?:terraform|samples)/[\w./-]+", command):
            assert (ROOT / path).exists(), command


def test_extras_exist() -> None:
    project = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    (extras,) = re.findall(r"pip install '\.\[([a-z,]+)\]'", "\n".join(COMMANDS))
    for extra in extras.split(","):
        assert f"\n{extra} = [" in project


def test_variables_and_outputs_are_those_of_the_example() -> None:
    example = module(EXAMPLE)
    text = "\n".join(COMMANDS)
    assert set(re.findall(r"-var \"?(\w+)=", text)) == {"project_id", "callers"} <= set(example.variables)
    assert set(re.findall(r"output -raw (\w+)", text)) == set(example.outputs)


@pytest.mark.parametrize("command", [one for one in COMMANDS if one.startswith("resonate-faas ")])
def test_commands_of_ours_are_understood(command: str) -> None:
    program: Any = typer.main.get_command(build())
    args = shlex.split(command)[1:]
    while hasattr(program, "commands"):
        program = program.commands[args.pop(0)]
    program.make_context(program.name, args)


def test_the_database_that_is_deleted_is_the_one_that_is_made() -> None:
    call = module(EXAMPLE).calls["countdown"]
    assert f"--database={call['name'].strip(chr(34))}" in GUIDE


def test_every_event_that_is_explained_is_logged() -> None:
    table = GUIDE.partition("| event | means |")[2].partition("\n\n")[0]
    listed = re.findall(r"^\| `([^`]+)` \|", table, re.MULTILINE)
    assert len(listed) > 3
    for event in listed:
        assert f'"{event}"' in events(), event


def test_every_check_of_the_doctor_is_explained() -> None:
    table = GUIDE.partition("| check | is wrong if |")[2].partition("\n\n")[0]
    listed = set(re.findall(r"^\| `([^`]+)` \|", table, re.MULTILINE))
    folder = ROOT / "adapters" / "resonate_faas_gcp"
    source = "".join(path.read_text(encoding="utf-8") for path in sorted(folder.glob("_doctor*.py")))
    named = set(re.findall(r"\b(?:ok|failed|skipped|unseen)\(\s*\"([a-z ]+)\"", source))
    assert named - {"project"} | {"queue"} == listed


def test_the_build_script_can_be_run() -> None:
    assert Path(EXAMPLE / "build.sh").stat().st_mode & 0o100
