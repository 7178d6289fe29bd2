"""``resonate-faas check``: the linter of the four rules."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from resonate_faas_cli._session import examples

RANK = 90


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(
        epilog=examples(
            "check workflows.py",
            "check . --select RF1,RF4",
            "check . --format sarif --output findings.sarif",
            exits=False,
        )
    )(check)


def check(
    paths: Annotated[list[Path] | None, typer.Argument(metavar="PATH...", help="Files and folders.")] = None,
    format_: Annotated[
        Literal["text", "json", "github", "sarif"], typer.Option("--format", help="Of the output.")
    ] = "text",
    select: Annotated[
        str | None, typer.Option(metavar="CODES", help="Only these, or their beginnings: RF101,RF4.")
    ] = None,
    ignore: Annotated[str, typer.Option(metavar="CODES", help="All but these.")] = "",
    max_promises: Annotated[
        int | None, typer.Option(metavar="N", help="Limit of one root, for RF405.")
    ] = None,
    config: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Settings, in place of the nearest pyproject.toml.")
    ] = None,
    output: Annotated[Path | None, typer.Option(metavar="FILE", help="Write there.")] = None,
) -> None:
    """Check code against the four rules.

    Nothing is run. Exit codes: 0 clean, 1 findings, 2 wrong usage. A line is silenced with "# noqa: RF101".
    """
    from resonate_faas.checks import Options, codes, run  # noqa: PLC0415 - only this command checks

    options = Options(
        paths=tuple(paths or ()),
        format=format_,
        select=None if select is None else codes(select),
        ignore=codes(ignore),
        max_promises=max_promises,
        config=config,
        output=output,
    )
    raise typer.Exit(run(options))
