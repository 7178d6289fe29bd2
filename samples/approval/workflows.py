"""Ask a person, and wait: an hour, a week, through deploys; or give up at the deadline."""

from __future__ import annotations

import os
from datetime import timedelta
from pathlib import Path

from pydantic import BaseModel

from resonate_faas import (
    ApplicationError,
    Context,
    PromiseCanceledError,
    PromiseTimeoutError,
    Resonate,
    StepContext,
)

resonate = Resonate()


class Outcome(BaseModel):
    """What became of a request."""

    request: str
    state: str
    note: str


def ask(step: StepContext, approver: str, request: str, approve: str, reject: str) -> None:
    """Send the links to the approver; the step's id is the message's idempotency key."""
    text = f"To: {approver}\nKey: {step.info.id}\n{request}\napprove: {approve}\nreject: {reject}\n\n"
    outbox = os.environ.get("APPROVAL_OUTBOX")
    if outbox:
        with Path(outbox).open("a", encoding="utf-8") as mail:
            mail.write(text)
    else:
        print(text)


@resonate.register(timeout=timedelta(days=30))  # an execution's deadline is one day unless it says more
async def approval(ctx: Context, request: str, approver: str, wait: float = 86_400) -> Outcome:
    """Get a request approved.

    Args:
        ctx: the context.
        request: what to approve.
        approver: who.
        wait: seconds until it counts as not answered.
    """
    decision = ctx.promise(str, timeout=wait)
    await ctx.run(ask, approver, request, decision.link("resolve"), decision.link("reject"))
    try:
        note = await decision
    except PromiseTimeoutError:
        return Outcome(request=request, state="expired", note=f"{approver} did not answer")
    except (ApplicationError, PromiseCanceledError) as refusal:
        return Outcome(request=request, state="rejected", note=str(refusal))
    return Outcome(request=request, state="approved", note=note or "")
