"""``resonate-faas cost``: what workflows of a few shapes cost, beside what else one could buy there."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from resonate_faas_cli._session import AsJson, examples, reporting, usage

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

RANK = 94
WORKFLOWS: Final = 1_000

_AWS: Final = {
    "shape": "1,000 of",
    "write_units": "write units",
    "read_units": "read units",
    "messages": "messages",
    "invocations": "invocations",
    "dollars": "here",
    "step_functions_dollars": "Step Functions",
    "durable_functions_dollars": "durable functions",
}
_GOOGLE: Final = {
    "shape": "1,000 of",
    "writes": "writes",
    "reads": "reads",
    "messages": "messages",
    "invocations": "invocations",
    "dollars": "here",
}
"""The columns: their names in JSON, and their titles."""


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(
        epilog=examples("cost", "cost --price dynamodb-write=0.7625 --price sqs=0.46", "cost --gcp --json")
    )(cost)


def cost(
    is_gcp: Annotated[bool, typer.Option("--gcp", help="On Google Cloud, in place of AWS.")] = False,
    price: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME=DOLLARS", help="In place of the list price; repeatable."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Show what 1,000 workflows of a shape cost.

    Units and requests are counted, not estimated; the tests of this version count them anew. The function's own
    duration comes on top, here as with the others, and so does storage. The others' figures are the fewest
    transitions and operations that the shape could take there.
    """
    from resonate_faas_cli import _costs  # noqa: PLC0415 - only for this command

    listed, priced = (
        (_costs.PRICES_ON_GOOGLE, _costs.PRICED_ON_GOOGLE) if is_gcp else (_costs.PRICES, _costs.PRICED)
    )
    given = usage(lambda: _parsed(price or (), listed))
    prices = {**listed, **given}
    rows = _on_google(prices) if is_gcp else _on_aws(prices)
    standing = _costs.standing_on_google(prices) if is_gcp else _costs.standing(prices)
    with reporting(as_json=as_json) as out:
        if as_json:
            document = {"workflows": WORKFLOWS, "priced": priced, "prices": prices, "shapes": rows}
            out.document({**document, "standing_dollars_a_month": round(standing, 6)})
            return
        columns = _GOOGLE if is_gcp else _AWS
        out.table(list(columns.values()), [[_cell(name, row[name]) for name in columns] for row in rows])
        own = ", some prices yours" if given else ""
        told = ", ".join(f"{name} {dollars:g}" for name, dollars in prices.items())
        out.lines(
            [
                "",
                f"Dollars per million ({priced}{own}): {told}",
                f"A deployment that does nothing: ${standing:.2f} a month, for the tick and what waits for messages",
            ]
        )


def _on_aws(prices: Mapping[str, float]) -> list[dict[str, Any]]:
    from resonate_faas_cli._costs import SHAPES  # noqa: PLC0415 - as above

    return [
        {
            "shape": shape.name,
            "write_units": shape.usage.writes * WORKFLOWS,
            "read_units": shape.usage.reads * WORKFLOWS,
            "messages": shape.usage.messages * WORKFLOWS,
            "invocations": shape.usage.invocations * WORKFLOWS,
            "dollars": round(shape.usage.dollars(prices) * WORKFLOWS, 6),
            "step_functions_dollars": round(
                shape.transitions * prices["step-functions"] * WORKFLOWS / 1e6, 6
            ),
            "durable_functions_dollars": round(
                shape.operations * prices["durable-functions"] * WORKFLOWS / 1e6, 6
            ),
        }
        for shape in SHAPES
    ]


def _on_google(prices: Mapping[str, float]) -> list[dict[str, Any]]:
    from resonate_faas_cli._costs import SHAPES  # noqa: PLC0415 - as above

    return [
        {
            "shape": shape.name,
            "writes": shape.on_google.writes * WORKFLOWS,
            "reads": shape.on_google.reads * WORKFLOWS,
            "messages": shape.on_google.messages * WORKFLOWS,
            "invocations": shape.on_google.invocations * WORKFLOWS,
            "dollars": round(shape.on_google.dollars(prices) * WORKFLOWS, 6),
        }
        for shape in SHAPES
    ]


def _cell(name: str, value: Any) -> str:
    if name == "shape":
        return str(value)
    return f"${value:.3f}" if name.endswith("dollars") else f"{value:,.0f}"


def _parsed(texts: Sequence[str], known: Mapping[str, float]) -> dict[str, float]:
    """Return prices by name.

    Raises:
        ValueError: a name is none, or a price is no number.
    """
    found = {}
    for text in texts:
        name, equals, dollars = text.partition("=")
        if not equals or name not in known:
            raise ValueError(f"{text!r} is not NAME=DOLLARS with one of {', '.join(known)}")
        try:
            found[name] = float(dollars)
        except ValueError:
            raise ValueError(f"{dollars!r} is no price") from None
        if not 0 <= found[name] < 1e6:
            raise ValueError(f"{dollars!r} is no price")
    return found
