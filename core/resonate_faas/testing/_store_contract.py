"""The contract of the Store port, whole: an adapter's test class inherits it and brings the fixture ``store``."""

from __future__ import annotations

from resonate_faas.testing._contract_concurrency import ConcurrencyContract
from resonate_faas.testing._contract_faults import LostAnswerContract, SuspendContract
from resonate_faas.testing._contract_history import HistoryContract
from resonate_faas.testing._contract_index import DueContract, SearchContract
from resonate_faas.testing._contract_limits import LimitsContract
from resonate_faas.testing._contract_transact import DeletionContract, TransactContract


class StoreContract(
    TransactContract,
    DeletionContract,
    ConcurrencyContract,
    LostAnswerContract,
    SuspendContract,
    HistoryContract,
    DueContract,
    SearchContract,
    LimitsContract,
):
    """What every store must do.

    The fixture ``store`` gives an empty store with the default rules, a subclass of OptimisticStore. No test needs
    more than 100 objects in a transaction, or 3.5 MB. Class attributes adapt it to slow or sharded backends:
    ``WRITERS``, ``ROUNDS``, ``HISTORY_RECORDS``, ``INDEX_LAG_S``, ``ORDERED_ACROSS_PAGES``.
    """
