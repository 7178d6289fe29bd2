"""A loop that runs for ever: each execution plays one game, and starts the next with a tail call."""

from __future__ import annotations

from resonate_faas import Context, Resonate

resonate = Resonate()


def settle_bets(game: int, winner: str) -> str:
    """Pay out."""
    return f"game {game}: {winner} wins"


@resonate.register
async def play(ctx: Context, game: int = 1, until: int | None = None, every: float = 60.0) -> str:
    """Play one game; the next one is a fresh root with an empty history, so replay never grows (rule 4).

    Args:
        ctx: the context.
        game: its number.
        until: the last game; None: there is none.
        every: seconds between games.
    """
    winner = ctx.random.choice(["red", "blue"])
    result = await ctx.run(settle_bets, game, winner)
    await ctx.sleep(every)
    if until is None or game < until:
        await ctx.detached(play, game + 1, until, every)  # the last durable step: a tail call
    return result
