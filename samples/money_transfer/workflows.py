"""A saga: move money between two banks; when a later step fails for good, undo the earlier ones."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Protocol

from pydantic import BaseModel, Field

from resonate_faas import Context, Exponential, Resonate, StepContext

resonate = Resonate()


class Transfer(BaseModel):
    """What to move."""

    source: str
    destination: str
    amount: Decimal = Field(gt=0)


class Receipt(BaseModel):
    """What happened."""

    transfer: Transfer
    state: str
    reason: str | None = None


class AccountError(Exception):
    """The bank refuses for good: a retry would not help."""


class Bank(Protocol):
    """What the workflow needs of a bank. Every call takes a key: doing it twice is doing it once."""

    def withdraw(self, account: str, amount: Decimal, key: str) -> None:
        """Take the amount, or raise AccountError."""

    def deposit(self, account: str, amount: Decimal, key: str) -> None:
        """Give the amount, or raise AccountError."""


def withdraw(step: StepContext, account: str, amount: Decimal) -> None:
    """Take the amount, once, however often this step is run."""
    bank: Bank = step.get_dependency("bank")
    bank.withdraw(account, amount, key=step.info.id)


def deposit(step: StepContext, account: str, amount: Decimal) -> None:
    """Give the amount, once."""
    bank: Bank = step.get_dependency("bank")
    bank.deposit(account, amount, key=step.info.id)


@resonate.register
async def transfer(ctx: Context, order: Transfer) -> Receipt:
    """Withdraw, then deposit; if the deposit is refused, give the money back."""
    bounded = ctx.options(
        retry=Exponential(max_retries=5, max_delay=30),
        non_retryable=(AccountError,),
        timeout=timedelta(hours=1),
    )
    try:
        await bounded.run(withdraw, order.source, order.amount)
    except AccountError as refusal:
        return Receipt(transfer=order, state="refused", reason=str(refusal))
    try:
        await bounded.run(deposit, order.destination, order.amount)
    except Exception as failure:  # noqa: BLE001 - whatever went wrong, the money goes back
        await ctx.run(deposit, order.source, order.amount)  # a compensation retries until it succeeds
        return Receipt(transfer=order, state="compensated", reason=str(failure))
    return Receipt(transfer=order, state="done")
