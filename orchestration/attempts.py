"""Attempts at a batch: each is a run under its own key, which Dagster never runs twice."""

from datetime import datetime
from enum import Enum, auto

import dagster as dg
from dagster._core.storage.dagster_run import FINISHED_STATUSES

from streaming.batches import Batch

BATCH_TAG = "fleetpulse/batch_id"
WATERMARK_TAG = "fleetpulse/watermark"


class Step(Enum):
    """What an unfinished batch needs."""

    LAUNCH = auto()
    RETRY = auto()
    WAIT = auto()


def next_step(batch: Batch, run: dg.DagsterRunStatus | None, now: datetime) -> Step:
    """Returns what an unfinished batch needs, by the run of its present attempt.

    A run that succeeded and left its batch unfinished has failed it too.
    """
    if run is None:
        return Step.LAUNCH
    if run in FINISHED_STATUSES and now >= batch.retry_at():
        return Step.RETRY
    return Step.WAIT


def request(batch: Batch) -> dg.RunRequest:
    """Returns the request for the run of a batch's present attempt."""
    return dg.RunRequest(
        run_key=batch.run_key,
        tags={BATCH_TAG: str(batch.batch_id), WATERMARK_TAG: batch.watermark.isoformat()},
    )
