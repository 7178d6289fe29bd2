"""``resonate-faas doctor``: a deployment in a cloud, checked from outside."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Annotated

import typer

from resonate_faas_cli._exits import Exit
from resonate_faas_cli._output import Output
from resonate_faas_cli._session import AsJson, Token, examples, reporting

if TYPE_CHECKING:
    from resonate_faas._diagnosis import Check

RANK = 92


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(
        epilog=examples(
            "doctor countdown --aws",
            "doctor countdown --aws --region eu-central-1",
            "doctor countdown --gcp --region us-central1 --project my-project",
        )
    )(doctor)


def doctor(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Of the deployed function.")],
    is_aws: Annotated[bool, typer.Option("--aws", help="It is on AWS Lambda.")] = False,
    is_gcp: Annotated[bool, typer.Option("--gcp", help="It is on Google Cloud Functions.")] = False,
    region: Annotated[
        str | None, typer.Option(metavar="REGION", help="By default the environment's.", show_default=False)
    ] = None,
    url: Annotated[
        str | None,
        typer.Option("--url", metavar="URL", help="If it is reached at another one than its own."),
    ] = None,
    project: Annotated[
        str | None,
        typer.Option(metavar="PROJECT", help="Google's; by default the credentials'.", show_default=False),
    ] = None,
    token: Token = None,
    as_json: AsJson = False,
) -> None:
    """Check a deployment from outside.

    Says what is wrong and what to do about it. Nothing is changed; the whole store is read once, for halted tasks.
    The exit code is 1 if a check failed.
    """
    if is_aws == is_gcp:
        raise typer.BadParameter("Say where it is deployed: --aws or --gcp")
    if is_gcp and region is None:
        raise typer.BadParameter("Say in which region: --region REGION")
    with reporting(as_json=as_json) as out:
        if is_aws:
            from resonate_faas_aws import _doctor as on_aws  # noqa: PLC0415 - an extra

            _show(on_aws.diagnose(name, region=region, url=url), out)
        else:
            from resonate_faas_gcp import _doctor as on_gcp  # noqa: PLC0415 - an extra

            found = on_gcp.diagnose(name, region=region or "", project=project, url=url, token=token)
            _show(found, out)


def _show(checks: Iterable[Check], out: Output) -> None:
    """Write the checks as a table, and below it the cures; or all of it as JSON."""
    made = list(checks)
    wrong = [check for check in made if check.verdict.value == "failed"]
    if wrong:
        out.exit_code = Exit.FAILED
    if out.as_json:
        rows = [
            {"name": check.name, "verdict": check.verdict.value, "saw": check.saw, "cure": check.cure}
            for check in made
        ]
        out.document({"ok": not wrong, "checks": rows})
        return
    out.table(("check", "verdict", "saw"), [(check.name, check.verdict.value, check.saw) for check in made])
    out.lines(f"\n{check.name}: {check.cure}" for check in wrong)
