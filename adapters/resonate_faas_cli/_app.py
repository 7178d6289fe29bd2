"""The program: finds the commands, hands them to typer."""

from __future__ import annotations

import pkgutil
from importlib import import_module
from importlib.metadata import version
from typing import Annotated, Protocol, cast

import typer

from resonate_faas_cli import _commands
from resonate_faas_cli._session import examples

_HELP = (
    "Run, watch and operate durable functions. Settings: RESONATE_FAAS_URL, RESONATE_FAAS_TOKEN, NO_COLOR."
)


class CommandModule(Protocol):
    """What a module in ``_commands`` offers."""

    RANK: int

    def register(self, app: typer.Typer) -> None:
        """Add the module's commands."""


def build() -> typer.Typer:
    """Return the program with every command of ``_commands``."""
    app = typer.Typer(
        name="resonate-faas",
        help=_HELP,
        epilog=examples(
            "dev workflows.py",
            "invoke countdown 3 1 --wait",
            "tree countdown-3f2a --follow",
        ),
        no_args_is_help=True,
        pretty_exceptions_enable=False,  # a bug shows Python's own traceback, without the values of variables
        rich_markup_mode=None,  # plain help: quick, and the same in a terminal, a pipe and the docs
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    app.callback()(_root)
    names = [found.name for found in pkgutil.iter_modules(_commands.__path__)]
    modules = [cast("CommandModule", import_module(f"{_commands.__name__}.{name}")) for name in names]
    for module in sorted(modules, key=lambda one: one.RANK):
        module.register(app)
    return app


def main() -> None:
    """Run the program; ends the process."""
    build()(prog_name="resonate-faas")


def _show_version(is_asked: bool) -> None:
    if is_asked:
        typer.echo(f"resonate-faas {version('resonate-faas')}")
        raise typer.Exit


def _root(
    is_version_asked: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    del is_version_asked
