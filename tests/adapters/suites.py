"""The suites of the server and the worker, for modules that run them over another store."""

from __future__ import annotations

from importlib import import_module
from typing import Any, Final

SUITES: Final = (
    "tests.server.test_delivery",
    "tests.server.test_large",
    "tests.server.test_reads",
    "tests.server.test_retention",
    "tests.server.test_schedules",
    "tests.server.test_wakes",
    "tests.worker.test_barren",
    "tests.worker.test_budget",
    "tests.worker.test_deadline",
    "tests.worker.test_faults",
    "tests.worker.test_lease",
    "tests.worker.test_lost",
    "tests.worker.test_skew",
    "tests.worker.test_steps",
    "tests.worker.test_waiting",
)
WORLDS: Final = {"world", "skipping", "keeping"}

LEFT_OUT: Final = {
    "test_a_fan_in_that_wakes_a_hundred_times_is_never_barren",
    "test_a_fired_workflow_runs",
    "test_a_replay_longer_than_the_limit_is_halted",
    "test_a_root_that_can_not_run_here_backs_off_and_is_halted",
    "test_a_step_that_never_fits_is_halted_after_ten_activations",
    "test_a_suspend_refused_for_too_many_waiters_halts_with_that_reason",
    "test_a_sweep_that_is_cut_short_goes_on_at_another_shard",
    "test_a_workflow_that_calls_a_foreign_target_is_halted_with_that_reason",
    "test_activations_that_crash_each_time_are_halted_too",
    "test_an_unclaimed_task_is_dispatched_again_from_5_seconds_to_15_minutes_apart",
    "test_beyond_the_reach_of_the_queue_the_sweep_wakes_at_the_instant_all_the_same",
    "test_continue_revives_a_halted_task_with_its_patience_restored",
    "test_everything_ends_with_all_pokes_lost_and_sweeps_alone",
    "test_pokes_do_not_add_up_while_a_step_runs_for_an_hour",
    "test_the_preload_of_a_large_branch_is_whole",
    "test_the_same_over_the_file",
}
"""Hours of sweeps, or a thousand requests one by one: what they show is the clock's and the machine's, whatever the
store; over an emulator they would take minutes. The simulation meets the same states over every store."""


def adopted() -> dict[str, Any]:
    """Return the tests that live in a world, by their name and their suite's."""
    found = {}
    for suite in SUITES:
        for name, test in vars(import_module(suite)).items():
            if name.startswith("test_") and name not in LEFT_OUT and WORLDS & set(_arguments(test)):
                found[f"{name}__{suite.rpartition('.test_')[2]}"] = test
    return found


def _arguments(test: Any) -> tuple[str, ...]:
    code = test.__code__
    names: tuple[str, ...] = code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]
    return names
