"""An unfinished batch is launched, waited for, or tried again, each later than the one before."""

from datetime import UTC, datetime, timedelta

import dagster as dg
import pytest

from orchestration.attempts import Step, next_step, request
from streaming.batches import Batch

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
Status = dg.DagsterRunStatus


def batch(attempt: int = 1, *, attempted: timedelta = timedelta()) -> Batch:
    return Batch(
        batch_id=7,
        watermark=NOW - timedelta(seconds=5),
        records=100,
        state="cut",
        attempt=attempt,
        cut_at=NOW - timedelta(hours=1),
        attempted_at=NOW - attempted,
    )


def test_an_attempt_that_has_no_run_is_launched_under_its_own_key() -> None:
    assert next_step(batch(), None, NOW) is Step.LAUNCH


@pytest.mark.parametrize("status", [Status.NOT_STARTED, Status.STARTING, Status.STARTED])
def test_a_run_that_goes_on_is_waited_for_however_long(status: dg.DagsterRunStatus) -> None:
    assert next_step(batch(attempted=timedelta(hours=1)), status, NOW) is Step.WAIT


@pytest.mark.parametrize(
    ("attempt", "seconds"), [(1, 10), (2, 20), (3, 40), (6, 320), (7, 600), (50, 600)]
)
def test_a_failed_attempt_waits_twice_as_long_each_time_up_to_ten_minutes(
    attempt: int, seconds: int
) -> None:
    early = batch(attempt, attempted=timedelta(seconds=seconds - 1))
    due = batch(attempt, attempted=timedelta(seconds=seconds))

    assert next_step(early, Status.FAILURE, NOW) is Step.WAIT
    assert next_step(due, Status.FAILURE, NOW) is Step.RETRY


@pytest.mark.parametrize("status", [Status.CANCELED, Status.SUCCESS])
def test_a_run_that_ended_and_left_the_batch_unfinished_has_failed_it(
    status: dg.DagsterRunStatus,
) -> None:
    assert next_step(batch(attempted=timedelta(minutes=1)), status, NOW) is Step.RETRY


def test_a_run_carries_its_batch_and_attempt() -> None:
    asked = request(batch(attempt=3))

    assert asked.run_key == "7:3"
    assert asked.tags == {
        "fleetpulse/batch_id": "7",
        "fleetpulse/watermark": "2026-03-01T11:59:55+00:00",
    }
