"""Fan out: one task for each region, at most 20 at a time, then one report."""

from __future__ import annotations

from pydantic import BaseModel

from resonate_faas import Constant, Context, Resonate, StepContext

resonate = Resonate()

REGIONS = [f"region-{number:03}" for number in range(100)]


class Sales(BaseModel):
    """What one region sold."""

    region: str
    total: int
    attempt: int


class Report(BaseModel):
    """All regions together."""

    total: int
    regions: int
    best: str
    retried: list[str]


class WarehouseBusyError(Exception):
    """Try again."""


@resonate.register(retry=Constant(delay=1.0, max_retries=5))
def collect(step: StepContext, region: str) -> Sales:
    """Ask one region's warehouse; each of these is a task of its own, on any instance."""
    if region == "region-042" and step.info.attempt < 3:
        raise WarehouseBusyError(region)
    return Sales(region=region, total=int(region[-3:]) * 10, attempt=step.info.attempt)


@resonate.register
async def report(ctx: Context, regions: list[str] | None = None, concurrency: int = 20) -> Report:
    """Collect the sales of all regions."""
    sales: list[Sales] = await ctx.map(collect, regions or REGIONS, concurrency=concurrency, remote=True)
    return Report(
        total=sum(one.total for one in sales),
        regions=len(sales),
        best=max(sales, key=lambda one: one.total).region,
        retried=[one.region for one in sales if one.attempt > 1],
    )
