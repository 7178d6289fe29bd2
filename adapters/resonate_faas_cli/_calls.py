"""The options that say what a function is called with; ``invoke`` and ``schedules create`` share them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any

import typer

from resonate_faas_cli._session import usage
from resonate_faas_cli._values import arguments, keyword_arguments

Args = Annotated[list[str] | None, typer.Argument(metavar="ARG", help="JSON or text.", show_default=False)]
ExtraArgs = Annotated[
    list[str] | None,
    typer.Option("--arg", metavar="VALUE", help="One more argument, such as --arg=-3; repeatable."),
]
JsonArgs = Annotated[
    str | None, typer.Option("--json-args", metavar="ARRAY", help="All arguments as one JSON array.")
]
Kwargs = Annotated[
    list[str] | None,
    typer.Option("--kw", "--kwargs", metavar="NAME=VALUE", help="Or a JSON object of several; repeatable."),
]


@dataclass(frozen=True, slots=True)
class Called:
    """The arguments of a function."""

    args: list[Any]
    kwargs: dict[str, Any]


def call_of(
    args: list[str] | None, extra: list[str] | None, json_args: str | None, kwargs: list[str] | None
) -> Called:
    """Return the arguments as values.

    Raises:
        typer.BadParameter: they can't be understood.
    """
    return usage(
        lambda: Called(arguments(args or (), extra or (), json_args), keyword_arguments(kwargs or ()))
    )
