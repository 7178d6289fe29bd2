"""The saga: done, refused, compensated; and no money made or lost when steps run twice."""

from __future__ import annotations

from decimal import Decimal
from types import ModuleType

import pytest

from resonate_faas import ArgumentsError, Resonate
from resonate_faas.testing import MemoryDeployment


class Ledger:
    """A bank that forgets no key; its first calls may fail without a reason."""

    def __init__(self, refuse: type[Exception], *, flaky: int = 0, closed: str = "") -> None:
        self.accounts = {"ada": Decimal(100), "bob": Decimal(0)}
        self.keys: set[str] = set()
        self.calls = 0
        self._refuse, self._flaky, self._closed = refuse, flaky, closed

    def withdraw(self, account: str, amount: Decimal, key: str) -> None:
        """Take."""
        self._move(account, -amount, key)

    def deposit(self, account: str, amount: Decimal, key: str) -> None:
        """Give."""
        self._move(account, amount, key)

    def _move(self, account: str, amount: Decimal, key: str) -> None:
        self.calls += 1
        if self.calls <= self._flaky:
            raise ConnectionError("the bank is restarting")
        if account == self._closed or self.accounts[account] + amount < 0:
            raise self._refuse(f"{account} can't take {amount}")
        if key not in self.keys:
            self.keys.add(key)
            self.accounts[account] += amount


def transfer(workflows: ModuleType, bank: Ledger, amount: int) -> dict[str, object]:
    resonate: Resonate = workflows.resonate
    resonate.set_dependency("bank", bank)
    order = {"source": "ada", "destination": "bob", "amount": str(amount)}
    receipt: dict[str, object] = MemoryDeployment(resonate).run("transfer", order)
    return receipt


def test_done(workflows: ModuleType) -> None:
    bank = Ledger(workflows.AccountError)
    assert transfer(workflows, bank, 70)["state"] == "done"
    assert bank.accounts == {"ada": 30, "bob": 70}


def test_a_bank_that_restarts_is_tried_again(workflows: ModuleType) -> None:
    bank = Ledger(workflows.AccountError, flaky=3)
    assert transfer(workflows, bank, 70)["state"] == "done"
    assert bank.accounts == {"ada": 30, "bob": 70}
    assert bank.calls == 5


def test_refused_at_once_without_money(workflows: ModuleType) -> None:
    bank = Ledger(workflows.AccountError)
    assert transfer(workflows, bank, 1_000)["state"] == "refused"
    assert bank.calls == 1


def test_compensated_when_the_deposit_is_refused(workflows: ModuleType) -> None:
    bank = Ledger(workflows.AccountError, closed="bob")
    receipt = transfer(workflows, bank, 70)
    assert receipt["state"] == "compensated"
    assert receipt["reason"] == "bob can't take 70"
    assert bank.accounts == {"ada": 100, "bob": 0}


@pytest.mark.parametrize("amount", ["-5", "0", "lots"])
def test_a_wrong_amount_is_refused_before_anything_is_stored(workflows: ModuleType, amount: str) -> None:
    deployment = MemoryDeployment(workflows.resonate)
    with pytest.raises(ArgumentsError, match="amount"):
        deployment.start("transfer", {"source": "ada", "destination": "bob", "amount": amount})
    assert deployment.client.get("root") is None
