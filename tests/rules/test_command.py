"""The command: exit status, formats, settings, what is read and what is silenced."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from resonate_faas.checks import RULES, Options, check_paths, run
from resonate_faas.checks._command import main
from resonate_faas_cli._app import build

ROOT = Path(__file__).resolve().parents[2]
BROKEN = """\
import time

from resonate_faas import Context


async def job(ctx: Context, n: int) -> float:
    await ctx.run(print, n)
    return time.time()
"""
CLEAN = BROKEN.replace("return time.time()", "return (await ctx.now()).timestamp()")


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "workflows.py").write_text(BROKEN)
    return tmp_path


def settings(project: Path, text: str) -> None:
    (project / "pyproject.toml").write_text(f"[tool.resonate-faas]\n{text}\n")


# ---- exit status


@pytest.mark.usefixtures("project")
def test_findings_are_status_1(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["workflows.py"]) == 1
    first, summary = capsys.readouterr().out.splitlines()
    assert first.startswith("workflows.py:8:12: RF103 time.time() in workflow 'job' reads the clock")
    assert first.endswith("use await ctx.now(), recorded once")
    assert summary == "1 finding in 1 file with 1 workflow"


def test_clean_is_status_0(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (project / "workflows.py").write_text(CLEAN)
    assert main([]) == 0
    assert capsys.readouterr().out == "no findings in 1 file with 1 workflow\n"


@pytest.mark.usefixtures("project")
@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["missing.py"], "there is no file or folder missing.py"),
        (["--select", "RF9", "."], "'RF9' is no code of a rule"),
        (["--max-promises", "0", "."], "max-promises must be at least 1"),
        (["--config", "other.toml", "."], "there is no file other.toml"),
        (["--output", "missing/out.json", "."], "missing/out.json"),
    ],
)
def test_wrong_usage_is_status_2(capsys: pytest.CaptureFixture[str], arguments: list[str], said: str) -> None:
    assert main(arguments) == 2
    captured = capsys.readouterr()
    assert said in captured.err
    assert captured.out == ""


def test_an_unknown_option_is_status_2(project: Path) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--nonsense"])
    assert ended.value.code == 2
    assert run(Options(paths=(project,), format="xml")) == 2


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("colour = true", "unknown setting 'colour'"),
        ('select = "RF1"', "select must be a list of strings"),
        ('ignore = ["E501"]', "'E501' is no code of a rule"),
        ("max-promises = true", "max-promises must be a whole number"),
        ("per-file-ignores = []", "per-file-ignores must be a table of lists"),
        ("select = [", "pyproject.toml"),
    ],
)
def test_a_wrong_setting_is_status_2(
    project: Path, capsys: pytest.CaptureFixture[str], text: str, said: str
) -> None:
    settings(project, text)
    assert main(["."]) == 2
    assert said in capsys.readouterr().err


def test_a_file_that_cannot_be_parsed_is_a_finding(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (project / "workflows.py").write_text("def broken(:\n")
    (project / "other.py").write_bytes(b"\xff\xfe\x00")
    assert main(["--select", "RF4", "."]) == 1
    out = capsys.readouterr().out
    assert "workflows.py:1:12: RF001 this file cannot be parsed" in out
    assert "other.py:1:1: RF001" in out


# ---- settings


def test_select_and_ignore_the_longer_beginning_wins(project: Path) -> None:
    for text, status in (
        ('select = ["RF1"]', 1),
        ('select = ["RF2"]', 0),
        ('ignore = ["RF103"]', 0),
        ('ignore = ["RF1"]', 0),
        ('select = ["RF103"]\nignore = ["RF1"]', 1),
        ('select = ["RF1"]\nignore = ["RF103"]', 0),
    ):
        settings(project, text)
        assert main(["."]) == status, text


def test_options_override_settings(project: Path) -> None:
    settings(project, 'select = ["RF2"]')
    assert main(["--select", "rf103,RF4", "."]) == 1
    settings(project, "")
    assert main(["--ignore", "RF103", "."]) == 0


def test_per_file_ignores_hold_from_the_settings_folder(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings(project, '[tool.resonate-faas.per-file-ignores]\n"jobs/**" = ["RF1"]')
    jobs = project / "jobs"
    jobs.mkdir()
    (jobs / "night.py").write_text(BROKEN)
    assert main(["jobs"]) == 0
    assert main(["workflows.py"]) == 1
    monkeypatch.chdir(jobs)
    assert main(["night.py"]) == 0


def test_excluded_files_are_not_read(project: Path) -> None:
    for folder in ("legacy", ".venv", "node_modules", "kept"):
        (project / folder).mkdir()
        (project / folder / "one.py").write_text(BROKEN)
    settings(project, 'exclude = ["legacy/**", "workflows.py"]')
    assert main(["."]) == 1
    report = check_paths([Path("kept"), Path("kept/one.py")])
    assert report.files == 1
    settings(project, 'exclude = ["legacy", "workflows.py", "k*/one.py"]')
    assert main(["."]) == 0


def test_the_limit_of_promises_is_a_setting(project: Path) -> None:
    text = CLEAN.replace("await ctx.run(print, n)", "for i in range(50):\n        await ctx.run(print, i)")
    (project / "workflows.py").write_text(text)
    assert main(["."]) == 0
    assert main(["--max-promises", "50", "."]) == 1
    settings(project, "max-promises = 50")
    assert main(["."]) == 1
    settings(project, "max-promises = 51")
    assert main(["."]) == 0


# ---- noqa


@pytest.mark.parametrize(
    ("comment", "status"),
    [
        ("# noqa: RF103", 0),
        ("# noqa: RF103 - only logged", 0),
        ("# noqa: E501, RF103", 0),
        ("# noqa:rf103", 0),
        ("# noqa", 0),
        ("# noqa: RF101", 1),
        ("# noqa: RF10", 1),
        ("# no qa: RF103", 1),
    ],
)
def test_a_line_is_silenced_by_its_code(project: Path, comment: str, status: int) -> None:
    (project / "workflows.py").write_text(BROKEN.replace("time.time()", f"time.time()  {comment}"))
    assert main(["."]) == status


def test_noqa_in_a_string_silences_nothing(project: Path) -> None:
    (project / "workflows.py").write_text(BROKEN.replace("time.time()", 'time.time(), "# noqa: RF103"'))
    assert main(["."]) == 1


def test_silenced_findings_are_counted_and_the_last_line_counts_too(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (project / "workflows.py").write_text(BROKEN.replace("time.time()", "time.time(\n    )  # noqa: RF103"))
    assert main(["."]) == 0
    assert capsys.readouterr().out.endswith(", 1 silenced\n")


# ---- formats


def output(capsys: pytest.CaptureFixture[str], format_: str) -> str:
    assert main(["--format", format_, "."]) == 1
    return capsys.readouterr().out


@pytest.mark.usefixtures("project")
def test_json(capsys: pytest.CaptureFixture[str]) -> None:
    document = json.loads(output(capsys, "json"))
    assert {name: document[name] for name in ("version", "files", "workflows", "silenced")} == {
        "version": 1,
        "files": 1,
        "workflows": 1,
        "silenced": 0,
    }
    (one,) = document["findings"]
    assert one.pop("message").startswith("time.time()")
    assert one == {
        "code": "RF103",
        "rule": "clock read in workflow code",
        "path": "workflows.py",
        "line": 8,
        "column": 12,
        "end_line": 8,
        "end_column": 23,
    }


def test_github_escapes_what_its_commands_mean(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (project / "workflows.py").rename(project / "work,flows%.py")
    line = output(capsys, "github").rstrip("\n")
    assert line.startswith(
        "::error file=work%2Cflows%25.py,line=8,col=12,endLine=8,title=RF103 clock read in workflow code::RF103 "
    )
    assert "\n" not in line


def test_sarif_holds_what_code_scanning_asks_for(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (project / "workflows.py").rename(project / "my workflows.py")
    document: dict[str, Any] = json.loads(output(capsys, "sarif"))
    assert document["version"] == "2.1.0"
    assert document["$schema"].endswith("sarif-2.1.0.json")
    (scan,) = document["runs"]
    rules = scan["tool"]["driver"]["rules"]
    assert [one["id"] for one in rules] == list(RULES)
    assert all(one["shortDescription"]["text"] and one["help"]["text"] for one in rules)
    assert all(re.fullmatch(r"\w+", one["name"]) for one in rules)
    (result,) = scan["results"]
    assert rules[result["ruleIndex"]]["id"] == result["ruleId"] == "RF103"
    assert result["level"] == "error"
    place = result["locations"][0]["physicalLocation"]
    assert place["artifactLocation"] == {"uri": "my%20workflows.py"}
    assert place["region"] == {"startLine": 8, "startColumn": 12, "endLine": 8, "endColumn": 23}


def test_output_goes_to_a_file(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--format", "json", "--output", "out.json", "."]) == 1
    assert capsys.readouterr().out == ""
    assert len(json.loads((project / "out.json").read_text())["findings"]) == 1


# ---- both commands


@pytest.mark.usefixtures("project")
def test_the_command_line_gives_the_same(capsys: pytest.CaptureFixture[str]) -> None:
    main(["workflows.py", "--format", "json"])
    done = CliRunner().invoke(build(), ["check", "workflows.py", "--format", "json"])
    assert (done.exit_code, done.stdout) == (1, capsys.readouterr().out)
    for arguments, code in ((["missing.py"], 2), (["--format", "xml"], 2), ([".", "--ignore", "RF103"], 0)):
        assert CliRunner().invoke(build(), ["check", *arguments]).exit_code == code


@pytest.mark.usefixtures("project")
def test_the_module_runs_without_the_command_line() -> None:
    blocked = "import sys; sys.modules['typer'] = sys.modules['rich'] = None; "
    script = blocked + "from resonate_faas.checks._command import main; sys.exit(main(['.']))"
    for command in (["-m", "resonate_faas.checks", "."], ["-c", script]):
        done = subprocess.run([sys.executable, "-P", *command], capture_output=True, text=True, check=False)
        assert (done.returncode, done.stderr) == (1, "")
        assert "RF103" in done.stdout


def test_nothing_that_is_checked_is_imported(project: Path) -> None:
    (project / "workflows.py").write_text(f"raise SystemExit('imported')\n{CLEAN}")
    assert main(["."]) == 0


# ---- our own code


def test_the_samples_are_clean() -> None:
    report = check_paths([ROOT / "samples"])
    assert [f"{one.path}:{one.line} {one.code}" for one in report.findings] == []
    assert report.workflows >= 5
    assert report.silenced == 0
