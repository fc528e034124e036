"""What Dagster is told of data that others write: one event an asset and batch."""

from collections.abc import Iterable, Sequence
from itertools import groupby
from typing import NamedTuple

import dagster as dg
import psycopg
from dagster._core.definitions.data_version import DATA_VERSION_TAG

from assets import lake
from assets.landed import BATCHES, QUARANTINE, landing_key, topic_key
from streaming.batches import Batch
from streaming.watermark import Ends


class Landed(NamedTuple):
    """How far one partition has come."""

    topic: str
    epoch: int
    partition: int
    next_offset: int
    lake_claim: int | None


def events_of(
    connection: psycopg.Connection, batch: Batch, ends: Ends
) -> list[dg.AssetMaterialization | dg.AssetObservation]:
    """Returns the events of topics, landing tables, quarantine, batches and lake.

    Args:
        connection: The ODS as the orchestrator.
        batch: The batch that has just been cut.
        ends: The logs' ends, of the partitions that the broker told.
    """
    rows = connection.execute(
        'select topic, epoch, "partition", next_offset, lake_claim from landing.offsets'
        ' order by topic, epoch, "partition"'
    )
    landed = [Landed(*row) for row in rows]
    metadata: dict[str, str | int] = {
        "batch": batch.batch_id,
        "watermark": batch.watermark.isoformat(),
    }
    events: list[dg.AssetMaterialization | dg.AssetObservation] = [
        _materialization(QUARANTINE, _vector(landed), metadata),
        _materialization(BATCHES, batch.run_key, {**metadata, "records": batch.records}),
        _materialization(lake.RAW, _claims(landed), metadata),
    ]
    for topic, group in groupby(landed, key=lambda each: each.topic):
        partitions = list(group)
        reached = _vector(partitions)
        events += [
            _materialization(landing_key(topic), reached, {**metadata, "offsets": reached}),
            _observation(topic, partitions, ends),
        ]
    return events


def _vector(landed: Iterable[Landed]) -> str:
    """Returns the offset vector as a data version, such as `alerts.raw/0/3:120`."""
    return " ".join(
        f"{each.topic}/{each.epoch}/{each.partition}:{each.next_offset}" for each in landed
    )


def _claims(landed: Iterable[Landed]) -> str:
    """Returns the newest complete claims as a data version."""
    return " ".join(
        f"{each.topic}/{each.epoch}/{each.partition}:{each.lake_claim}"
        for each in landed
        if each.lake_claim is not None
    )


def _materialization(
    key: dg.AssetKey, version: str, metadata: dict[str, str | int]
) -> dg.AssetMaterialization:
    return dg.AssetMaterialization(key, metadata=metadata, tags={DATA_VERSION_TAG: version})


def _observation(topic: str, partitions: Sequence[Landed], ends: Ends) -> dg.AssetObservation:
    # Of the epochs that have ended the broker's ends say nothing.
    newest = max(each.epoch for each in partitions)
    current = [each for each in partitions if each.epoch == newest]
    told = [each for each in current if (topic, each.partition) in ends]
    lag = sum(max(ends[topic, each.partition] - each.next_offset, 0) for each in told)
    version = " ".join(f"{each.partition}:{ends[topic, each.partition]}" for each in told)
    return dg.AssetObservation(
        topic_key(topic),
        metadata={"ends": version, "lag": lag},
        tags={DATA_VERSION_TAG: version},
    )
