"""docs/deploy-aws.md and the module's README are held to what there is: paths, outputs, options, checks, alarms, prices."""

from __future__ import annotations

import json
import logging
import re
import shlex
from typing import Any

import pytest
import typer.main
from awslambdaric.lambda_runtime_log_utils import JsonFormatter
from tests.cli.terminal import Cli
from tests.packaging.tree import ROOT
from tests.terraform.terraform import MODULES

from resonate_faas_cli._app import build

GUIDE = (ROOT / "docs" / "deploy-aws.md").read_text(encoding="utf-8")
README = (MODULES / "aws" / "README.md").read_text(encoding="utf-8")
EXAMPLE = MODULES / "examples" / "aws-countdown"
BLOCKS = [found[1].strip() for found in re.finditer(r"```shell\n(.*?)```", GUIDE, re.DOTALL)]
COMMANDS = [command for block in BLOCKS for command in block.replace("\\\n", " ").splitlines()]


def source(*parts: str) -> str:
    """Return the text of all files of a folder that match."""
    *folder, pattern = parts
    return "\n".join(
        path.read_text(encoding="utf-8") for path in sorted(ROOT.joinpath(*folder).rglob(pattern))
    )


def first_cells(text: str, header: str) -> list[str]:
    """Return what is named in the first column of the table with this header."""
    _, _, rest = text.partition(f"{header}\n")
    assert rest, header
    rows = rest.split("\n\n")[0].splitlines()[1:]
    return [name for row in rows for name in re.findall(r"`([^`]+)`", row.split(" | ")[0])]


def declared(kind: str, *parts: str) -> set[str]:
    """Return the names of a module's variables or outputs."""
    return set(re.findall(rf'^{kind} "(\w+)"', source("terraform", *parts), re.MULTILINE))


def test_there_are_ten_commands_to_a_running_countdown() -> None:
    assert "ten commands" in GUIDE
    assert len(BLOCKS[0].splitlines()) == 10


def test_paths_and_extras_exist() -> None:
    for command in COMMANDS:
        for path in re.findall(r"\b(?:terraform|samples)/[\w./-]+", command):
            assert (ROOT / path).exists(), command
    project = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    (extras,) = re.findall(r"pip install '\.\[([a-z,]+)\]'", "\n".join(COMMANDS))
    assert all(f"\n{extra} = [" in project for extra in extras.split(","))
    assert (EXAMPLE / "build.sh").stat().st_mode & 0o100


def test_outputs_are_those_of_the_example() -> None:
    used = set(re.findall(r"output -raw (\w+)", "\n".join(COMMANDS)))
    assert used <= declared("output", "examples", "aws-countdown", "*.tf")


@pytest.mark.parametrize("command", [one for one in COMMANDS if one.startswith("resonate-faas ")])
def test_commands_of_ours_are_understood(command: str) -> None:
    program: Any = typer.main.get_command(build())
    args = shlex.split(command)[1:]
    while hasattr(program, "commands"):
        program = program.commands[args.pop(0)]
    program.make_context(program.name, args)


def test_the_readme_lists_every_variable_and_output() -> None:
    assert set(first_cells(README, "| variable | default | |")) == declared("variable", "aws", "*.tf")
    assert set(first_cells(README, "| output | |")) == declared("output", "aws", "*.tf")


def test_the_readme_lists_every_right() -> None:
    table = README.partition("| role | may | on | because |")[2].partition("\n\n")[0]
    listed = set(re.findall(r"\b([A-Z]\w+)`", table)) | set(re.findall(r":([A-Z]\w+)", table))
    policy = (MODULES / "aws" / "iam.tf").read_text(encoding="utf-8").replace("sts:AssumeRole", "")
    assert listed == set(re.findall(r'"(?:dynamodb|sqs|lambda|logs|kms):(\w+)"', policy))


def test_every_check_of_the_doctor_is_explained() -> None:
    checks = source("adapters", "resonate_faas_aws", "_doctor*.py")
    named = set(re.findall(r"\b(?:ok|failed|skipped)\(\s*\"([a-z ]+)\"", checks))
    named |= set(re.findall(r"\bname = \"([a-z ]+)\"", checks))
    assert set(first_cells(GUIDE, "| check | is wrong if |")) == named - {"url"}


def test_every_event_that_is_explained_or_counted_is_logged() -> None:
    logged = source("core", "resonate_faas", "*.py")
    counted = re.findall(r'event += "([^"]+)"', source("terraform", "aws", "alarms.tf"))
    explained = first_cells(GUIDE, "| event | means |")
    assert len(counted) == 2
    assert set(counted) <= set(explained)
    for event in explained:
        assert f'"{event}"' in logged, event


@pytest.mark.parametrize("event", ["task halted", "task not acquired"])
def test_lambda_logs_an_event_as_the_filters_read_it(event: str) -> None:
    """By the formatter of the real runtime: the event is the message, its fields stand beside it."""
    fields = {
        "name": "resonate_faas.worker",
        "levelno": logging.WARNING,
        "msg": event,
        "promise_id": "launch",
    }
    record = logging.makeLogRecord(fields)
    line = json.loads(JsonFormatter().format(record))
    assert (line["message"], line["promise_id"]) == (event, "launch")


def test_every_alarm_is_explained() -> None:
    text = source("terraform", "aws", "alarms.tf")
    keys = set(re.findall(r"^    (\w+) = \{$", text, re.MULTILINE))
    keys |= set(re.findall(r'alarm_name += "\$\{var\.name\}-([a-z-]+)"', text))
    alarms = first_cells(GUIDE, "| alarm | is raised by |")
    assert set(alarms) == {f"countdown-{key}" for key in keys}


def test_costs_are_what_the_command_says() -> None:
    header = "| 1,000 of | write units |"
    _, _, rest = GUIDE.partition(header)
    rows = [row.strip("| ").split(" | ") for row in rest.split("\n\n")[0].splitlines()[2:]]
    told = Cli("http://unused").ok("cost", "--json").json
    money = ("dollars", "step_functions_dollars", "durable_functions_dollars")
    counts = ("write_units", "read_units", "messages", "invocations")
    assert rows == [
        [row["shape"], *(f"{row[name]:,.0f}" for name in counts), *(f"${row[name]:.3f}" for name in money)]
        for row in told["shapes"]
    ]
    assert f"costs ${told['standing_dollars_a_month']:.2f} a month" in GUIDE
