"""Five-field cron in a time zone: what runs when, also where the clocks change, and what is refused."""

from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest

from resonate_faas._cron import CronError, next_run, occurrences

NEW_YORK = "America/New_York"
BERLIN = "Europe/Berlin"


def ms(text: str, zone: str = "UTC", *, fold: int = 0) -> int:
    """Return a local time as epoch milliseconds."""
    return int(datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone), fold=fold).timestamp() * 1000)


def runs(expression: str, zone: str, after_ms: int, count: int) -> list[str]:
    """Return the next runs in UTC."""
    found = []
    for _ in range(count):
        after_ms = next_run(expression, zone, after_ms)
        found.append(datetime.fromtimestamp(after_ms / 1000, tz=UTC).strftime("%m-%d %H:%M"))
    return found


@pytest.mark.parametrize(
    ("expression", "after", "expected"),
    [
        ("* * * * *", "2024-01-01T00:00:00", "2024-01-01T00:01:00"),
        ("* * * * *", "2024-01-01T00:00:59.999", "2024-01-01T00:01:00"),
        ("*/15 * * * *", "2024-01-01T00:01:00", "2024-01-01T00:15:00"),
        ("0 9 * * MON-FRI", "2024-01-05T09:00:00", "2024-01-08T09:00:00"),
        ("0 9 * * mon-fri", "2024-01-05T09:00:00", "2024-01-08T09:00:00"),
        ("30 4 1,15 * *", "2024-01-01T04:30:00", "2024-01-15T04:30:00"),
        ("0 0 * JAN,jul *", "2024-01-31T00:00:00", "2024-07-01T00:00:00"),
        ("0 0 29 2 *", "2024-03-01T00:00:00", "2028-02-29T00:00:00"),
        ("0 0 13 * FRI", "2024-01-01T00:00:00", "2024-01-05T00:00:00"),
        ("5-10/2 3 * * *", "2024-01-01T03:05:00", "2024-01-01T03:07:00"),
    ],
)
def test_the_next_run_is_the_first_instant_after(expression: str, after: str, expected: str) -> None:
    """The day of month and the day of week, both given, mean either (as in Vixie's cron)."""
    assert next_run(expression, "UTC", ms(after)) == ms(expected)


@pytest.mark.parametrize("sunday", ["0", "7", "SUN", "sun"])
def test_sunday_is_0_and_7(sunday: str) -> None:
    """Without: a schedule written for another cron would run on another day, or not at all."""
    assert runs(f"0 12 * * {sunday}", "UTC", ms("2024-01-01T00:00:00"), 2) == ["01-07 12:00", "01-14 12:00"]
    assert next_run(f"0 12 * * 6,{sunday}", "UTC", ms("2024-01-06T13:00:00")) == ms("2024-01-07T12:00:00")


@pytest.mark.parametrize(
    "expression",
    [
        "",
        "* * * *",
        "* * * * * *",
        "@daily",
        "60 * * * *",
        "* 24 * * *",
        "* * 0 * *",
        "* * 32 * *",
        "* * * 13 *",
        "* * * * 8",
        "*/0 * * * *",
        "5-1 * * * *",
        "a * * * *",
        "* * * FOO *",
        "* * * * MONDAY",
        "1,, * * * *",
        "-1 * * * *",
        "0 0 31 2 *",
        "\u0661 * * * *",
    ],
)
def test_what_is_no_five_field_cron_is_refused(expression: str) -> None:
    with pytest.raises(CronError, match="Invalid cron expression") as caught:
        next_run(expression, "UTC", ms("2024-01-01T00:00:00"))
    assert caught.value.status == 400


@pytest.mark.parametrize(
    "expression", ["0 0 L * *", "0 0 LW * *", "0 0 * * 5L", "0 0 * * 1#2", "0 0 ? * 1", "H * * * *"]
)
def test_the_extras_of_one_cron_library_are_refused(expression: str) -> None:
    """Without: schedules in users' hands would tie every later deployment to this library."""
    with pytest.raises(CronError, match="more than numbers, names"):
        next_run(expression, "UTC", ms("2024-01-01T00:00:00"))


@pytest.mark.parametrize("zone", ["Mars/Olympus", "", "../etc/passwd", "America", "/etc/localtime", "UTC\0"])
def test_an_unknown_time_zone_is_refused(zone: str) -> None:
    with pytest.raises(CronError, match="time zone"):
        next_run("* * * * *", zone, ms("2024-01-01T00:00:00"))


def test_the_hour_is_the_zones() -> None:
    assert runs("0 9 * * *", BERLIN, ms("2024-01-01T00:00:00"), 1) == ["01-01 08:00"]
    assert runs("0 9 * * *", BERLIN, ms("2024-07-01T00:00:00"), 1) == ["07-01 07:00"]


def test_a_time_that_the_clocks_skip_runs_at_the_change_and_once() -> None:
    """2024-03-31 02:00 to 03:00 does not exist in Berlin. Without: the night's backup would be left out."""
    night = ms("2024-03-30T12:00:00", BERLIN)
    assert runs("30 2 * * *", BERLIN, night, 2) == ["03-31 01:00", "04-01 00:30"], (
        "03:00 summer time, then 02:30"
    )
    assert runs("15,45 2 * * *", BERLIN, night, 2) == ["03-31 01:00", "04-01 00:15"], (
        "two skipped times run as one"
    )


def test_a_time_that_the_clocks_repeat_runs_once() -> None:
    """2024-10-27 02:00 to 03:00 comes twice in Berlin. Without: the night's backup would run twice."""
    night = ms("2024-10-26T12:00:00", BERLIN)
    assert runs("30 2 * * *", BERLIN, night, 2) == ["10-27 00:30", "10-28 01:30"], "the first of the two"


def test_intervals_go_on_through_both_changes() -> None:
    """Without: a job of every half hour would pause for an hour in autumn."""
    spring, autumn = ms("2024-03-31T00:30:00"), ms("2024-10-27T00:00:00")
    assert runs("*/30 * * * *", BERLIN, spring, 3) == ["03-31 01:00", "03-31 01:30", "03-31 02:00"]
    assert runs("*/30 * * * *", BERLIN, autumn, 4) == [
        "10-27 00:30",
        "10-27 01:00",
        "10-27 01:30",
        "10-27 02:00",
    ]


@pytest.mark.parametrize("minute", range(0, 60, 7))
@pytest.mark.parametrize("fold", [0, 1])
def test_the_next_run_never_lies_in_the_past_even_within_a_repeated_hour(fold: int, minute: int) -> None:
    """Without: a schedule made in the second of the two hours would fire at once, for the first."""
    after = ms(f"2024-11-03T01:{minute:02}:00", NEW_YORK, fold=fold)
    for expression in ("30 1 * * *", "*/10 * * * *", "0 1 * * *", "0 * * * *", "* 1 * * *"):
        assert next_run(expression, NEW_YORK, after) > after


@pytest.mark.parametrize("zone", ["UTC", NEW_YORK, BERLIN, "Australia/Lord_Howe", "Asia/Kathmandu"])
@pytest.mark.parametrize("expression", ["*/20 * * * *", "30 2 * * *", "0 */6 * * *", "0 3 * * SUN"])
def test_runs_ascend_through_a_whole_year(expression: str, zone: str) -> None:
    """Without: an instant computed twice would fire twice, or stop a schedule for ever."""
    instant = ms("2024-01-01T00:00:00")
    for _ in range(400):
        following = next_run(expression, zone, instant)
        assert following > instant
        instant = following


def test_occurrences_are_given_in_bounded_batches() -> None:
    """Without: a schedule that slept for a year would want half a million promises in one transaction."""
    first, now = ms("2024-01-01T00:00:00"), ms("2024-01-01T05:00:00")
    found, following = occurrences("* * * * *", "UTC", first, now, count_max=99)
    assert len(found) == 99
    assert found[0] == first
    assert following == found[-1] + 60_000
    rest, after = occurrences("* * * * *", "UTC", ms("2024-01-01T04:58:00"), now, count_max=99)
    assert rest == [ms("2024-01-01T04:58:00"), ms("2024-01-01T04:59:00"), now]
    assert after == ms("2024-01-01T05:01:00")
