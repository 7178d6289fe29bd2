"""``resonate-faas cost``: what workflows of a few shapes cost on AWS, beside what else one could buy there."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from resonate_faas_cli._session import AsJson, examples, reporting, usage

if TYPE_CHECKING:
    from collections.abc import Sequence

RANK = 94
WORKFLOWS = 1_000


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(
        epilog=examples("cost", "cost --price dynamodb-write=0.7625 --price sqs=0.46", "cost --json")
    )(cost)


def cost(
    price: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME=DOLLARS", help="Of a million, in place of the list price; repeatable."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Show what 1,000 workflows of a shape cost on AWS.

    Units and requests are counted, not estimated; the tests of this version count them anew. The function's own
    duration comes on top, here as with the others, and so does storage. The others' figures are the fewest
    transitions and operations that the shape could take there.
    """
    from resonate_faas_cli._costs import PRICED, PRICES, SHAPES, standing  # noqa: PLC0415 - only for this command

    given = usage(lambda: _parsed(price or (), PRICES))
    prices = {**PRICES, **given}
    rows: list[dict[str, Any]] = [
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
    with reporting(as_json=as_json) as out:
        if as_json:
            document = {"workflows": WORKFLOWS, "priced": PRICED, "prices": prices, "shapes": rows}
            out.document({**document, "standing_dollars_a_month": round(standing(prices), 6)})
            return
        titles = (
            "1,000 of",
            "write units",
            "read units",
            "messages",
            "invocations",
            "here",
            "Step Functions",
            "durable functions",
        )
        out.table(titles, [_cells(row) for row in rows])
        own = " with prices of yours" if given else ""
        listed = ", ".join(f"{name} {dollars:g}" for name, dollars in prices.items())
        out.lines(
            [
                "",
                f"Dollars per million ({PRICED}{own}): {listed}",
                f"A deployment that does nothing: ${standing(prices):.2f} a month, for the tick and the polling of its queue",
            ]
        )


def _cells(row: dict[str, Any]) -> tuple[str, ...]:
    counts = [f"{row[name]:,.0f}" for name in ("write_units", "read_units", "messages", "invocations")]
    names = ("dollars", "step_functions_dollars", "durable_functions_dollars")
    return row["shape"], *counts, *(f"${row[name]:.3f}" for name in names)


def _parsed(texts: Sequence[str], known: Any) -> dict[str, float]:
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
