"""Output: text for people, JSON for programs, annotations for GitHub, SARIF 2.1.0 for code scanning."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path, PurePath
from typing import Any, Final
from urllib.parse import quote

from resonate_faas.checks._catalog import RULES
from resonate_faas.checks._check import Report
from resonate_faas.checks._findings import Finding

_SCHEMA: Final = "https://json.schemastore.org/sarif-2.1.0.json"


def render(report: Report, format_: str) -> str:
    """Return a report in one of ``FORMATS``; ends with a line break, unless it is empty."""
    return FORMATS[format_](report)


def _text(report: Report) -> str:
    lines = [f"{one.path}:{one.line}:{one.column}: {one.code} {one.message}" for one in report.findings]
    return "".join(f"{line}\n" for line in [*lines, _summary(report)])


def _summary(report: Report) -> str:
    count = len(report.findings)
    found = f"{count} finding{'' if count == 1 else 's'}" if count else "no findings"
    silenced = f", {report.silenced} silenced" if report.silenced else ""
    files = f"{report.files} file{'' if report.files == 1 else 's'}"
    workflows = f"{report.workflows} workflow{'' if report.workflows == 1 else 's'}"
    return f"{found} in {files} with {workflows}{silenced}"


def _json(report: Report) -> str:
    findings = [
        {
            "code": one.code,
            "rule": RULES[one.code].name,
            "message": one.message,
            "path": one.path.as_posix(),
            "line": one.line,
            "column": one.column,
            "end_line": one.end_line,
            "end_column": one.end_column,
        }
        for one in report.findings
    ]
    document = {
        "version": 1,
        "findings": findings,
        "files": report.files,
        "workflows": report.workflows,
        "silenced": report.silenced,
    }
    return _dump(document)


def _github(report: Report) -> str:
    """Workflow commands; GitHub shows them at the lines of a pull request."""
    return "".join(
        f"::error file={_property(one.path.as_posix())},line={one.line},col={one.column},endLine={one.end_line},"
        f"title={_property(f'{one.code} {RULES[one.code].name}')}::{_data(f'{one.code} {one.message}')}\n"
        for one in report.findings
    )


def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")


def _sarif(report: Report) -> str:
    codes = list(RULES)
    rules = [
        {
            "id": code,
            "name": "".join(word.capitalize() for word in re.findall(r"\w+", rule.name)),
            "shortDescription": {"text": rule.name},
            "fullDescription": {"text": f"{rule.why}. Use {rule.cure}."},
            "help": {
                "text": f"{rule.name}: {rule.why}. Use {rule.cure}. The page docs/rules/{code}.md has examples."
            },
            "defaultConfiguration": {"level": "error"},
        }
        for code, rule in RULES.items()
    ]
    driver: dict[str, Any] = {"name": "resonate-faas check", "rules": rules, **_version()}
    results = [_result(one, codes.index(one.code)) for one in report.findings]
    run = {"tool": {"driver": driver}, "columnKind": "unicodeCodePoints", "results": results}
    return _dump({"$schema": _SCHEMA, "version": "2.1.0", "runs": [run]})


def _version() -> dict[str, str]:
    try:
        return {"semanticVersion": version("resonate-faas")}
    except PackageNotFoundError:  # run from a source tree that is not installed
        return {}


def _result(one: Finding, index: int) -> dict[str, Any]:
    region = {
        "startLine": one.line,
        "startColumn": one.column,
        "endLine": one.end_line,
        "endColumn": one.end_column,
    }
    place = {"artifactLocation": {"uri": _uri(one.path)}, "region": region}
    return {
        "ruleId": one.code,
        "ruleIndex": index,
        "level": "error",
        "message": {"text": one.message},
        "locations": [{"physicalLocation": place}],
    }


def _uri(path: PurePath) -> str:
    """A relative path is relative to the folder the command ran in, as code scanning expects."""
    return Path(path).as_uri() if path.is_absolute() else quote(path.as_posix())


def _dump(document: Mapping[str, Any]) -> str:
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


FORMATS: Final[Mapping[str, Callable[[Report], str]]] = {
    "text": _text,
    "json": _json,
    "github": _github,
    "sarif": _sarif,
}
