"""A subscription: a discount that a manager approves, a trial week, then a charge each month until somebody stops it."""

from __future__ import annotations

from datetime import timedelta
from typing import Protocol

from pydantic import BaseModel, Field

from resonate_faas import (
    ApplicationError,
    Context,
    Exponential,
    PromiseCanceledError,
    PromiseTimeoutError,
    Resonate,
    StepContext,
)

resonate = Resonate()

WEEK_S = 7 * 86_400.0
MONTH_S = 30 * 86_400.0


class Order(BaseModel):
    """What a customer asks for; prices in cents, durations in seconds."""

    customer: str
    price: int = Field(gt=0)
    discount: int = Field(default=0, ge=0)
    months: int = Field(default=12, ge=1)
    trial: float = WEEK_S
    month: float = MONTH_S


class CardDeclinedError(Exception):
    """The bank refuses for good: a retry would not help."""


class Payments(Protocol):
    """What the workflow needs of a payment service. A charge with a key that was charged before answers its receipt."""

    def charge(self, customer: str, amount: int, key: str) -> str:
        """Charge the amount and return the receipt's number, or raise CardDeclinedError."""


class Mail(Protocol):
    """What the workflow needs of a mail service. A second mail of the same key is dropped."""

    def send(self, to: str, text: str, key: str) -> None:
        """Send a mail."""


class Accounts(Protocol):
    """What the workflow needs of the customers' database."""

    def set_plan(self, customer: str, plan: str) -> None:
        """Set what the customer has: setting it again changes nothing."""

    def plan(self, customer: str) -> str:
        """Return what the customer has; "cancelled" once they have cancelled."""


def set_plan(step: StepContext, customer: str, plan: str) -> None:
    accounts: Accounts = step.get_dependency("accounts")
    accounts.set_plan(customer, plan)


def has_cancelled(step: StepContext, customer: str) -> bool:
    accounts: Accounts = step.get_dependency("accounts")
    return accounts.plan(customer) == "cancelled"


def charge(step: StepContext, customer: str, amount: int) -> str:
    payments: Payments = step.get_dependency("payments")
    return payments.charge(customer, amount, key=step.info.id)


def write(step: StepContext, to: str, text: str) -> None:
    mail: Mail = step.get_dependency("mail")
    mail.send(to, text, key=step.info.id)


async def granted(ctx: Context, order: Order) -> int:
    """Return the discount that a manager approves within three days; none otherwise."""
    decision = ctx.options(tags={"ask": "manager"}).promise(int, timeout=timedelta(days=3))
    await ctx.run(write, "manager", f"{order.customer} asks for {order.discount} off: {decision.id}")
    try:
        return min(await decision, order.discount)
    except (PromiseTimeoutError, PromiseCanceledError, ApplicationError):
        return 0


@resonate.register(timeout=timedelta(days=30))  # an execution's deadline is one day unless it says more
async def subscribe(ctx: Context, order: Order) -> str:
    """Start the trial, wait a week, and hand over to the monthly renewals."""
    asking = ctx.options(timeout=timedelta(days=4))
    discount = await asking.run(granted, order) if order.discount else 0
    price = order.price - discount
    await ctx.run(set_plan, order.customer, "trial")
    await ctx.run(write, order.customer, f"welcome; from next week on you pay {price}")
    await ctx.sleep(order.trial)
    if await ctx.run(has_cancelled, order.customer):
        return "cancelled"
    await ctx.detached(renew, order, price, 1)  # a tail call: each month is an execution of its own
    return "subscribed"


@resonate.register(timeout=timedelta(days=60))
async def renew(ctx: Context, order: Order, price: int, month: int) -> str:
    """Charge one month, wait for its end, and start the next one."""
    patient = ctx.options(
        retry=Exponential(max_retries=8, max_delay=3600), non_retryable=(CardDeclinedError,)
    )
    try:
        receipt = await patient.run(charge, order.customer, price)
    except CardDeclinedError as declined:
        await ctx.run(set_plan, order.customer, "ended")
        await ctx.run(write, order.customer, f"we had to end it: {declined}")
        return "declined"
    await ctx.run(set_plan, order.customer, "paid")
    await ctx.run(write, order.customer, f"month {month}: receipt {receipt}")
    await ctx.sleep(order.month)
    if month == order.months or await ctx.run(has_cancelled, order.customer):
        await ctx.run(set_plan, order.customer, "ended")
        return "ended"
    await ctx.detached(renew, order, price, month + 1)
    return receipt
