"""Dagster drops old days of landing, says what they were, and fails where one is held."""

from collections.abc import Iterator, Sequence
from datetime import date, datetime

import dagster as dg
import pytest

from orchestration.retention import drop_old_days
from streaming.retention import Day, State
from streaming.settings import LandingSettings

DAYS = [
    Day("alerts.raw", date(2026, 3, 1), State.DROPPED, 30, 8192),
    Day("alerts.raw", date(2026, 3, 2), State.DROPPED, 12),
]
BUSY = Day("alerts.raw", date(2026, 3, 3), State.BUSY, 5, why="others were at work on it")
HELD = Day("alerts.raw", date(2026, 3, 4), State.HELD, 7, why="7 records are not yet in the lake")


@dg.job
def retention() -> None:
    drop_old_days()


class FakeLanding:
    def __init__(self, days: Sequence[Day]) -> None:
        self._days = days

    def drop_old_days(self, now: datetime) -> Iterator[Day]:
        yield from self._days


@pytest.mark.parametrize(
    ("days", "success"), [(DAYS, True), ([HELD, *DAYS], False), ([*DAYS, BUSY], False)]
)
def test_the_run_says_what_was_dropped_and_fails_where_a_day_stays(
    days: Sequence[Day], success: bool
) -> None:
    with dg.DagsterInstance.ephemeral() as instance:
        done = retention.execute_in_process(
            resources={"landing": FakeLanding(days)}, instance=instance, raise_on_error=False
        )
        observed = instance.fetch_observations(dg.AssetKey(["landing", "alerts_raw"]), limit=9)

    assert done.success is success
    assert [
        {name: value.value for name, value in each.asset_observation.metadata.items()}
        for each in observed.records
        if each.asset_observation
    ] == [{"days_dropped": "2026-03-01, 2026-03-02", "records_dropped": 42, "bytes_freed": 8192}]


@pytest.mark.parametrize(("keep_days", "runs"), [(30, True), (None, False)])
def test_the_schedule_runs_it_where_a_setting_says_what_is_kept(
    definitions: dg.Definitions, keep_days: int | None, runs: bool
) -> None:
    schedule = definitions.get_repository_def().get_schedule_def("retention_schedule")
    context = dg.build_schedule_context(
        resources={"landing_settings": LandingSettings(keep_days=keep_days)}
    )
    assert bool(schedule.evaluate_tick(context).run_requests) is runs
