"""The asset of the compacted lake does its hour, and what else is due."""

from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import dagster as dg

from assets.lake import compacted
from orchestration.resources import Lake
from streaming.object_store import open_store
from streaming.records import PartitionId, Record, Records, Slice
from streaming.settings import CompactionSettings, LakeSettings, LandingSettings
from streaming.sinks.lake import LakeSink

WHERE = PartitionId("alerts.raw", 0, 0)
HOUR = timedelta(hours=1)


def test_an_hour_is_compacted_and_earlier_ones_that_are_due(tmp_path: Path) -> None:
    settings = LakeSettings(url=tmp_path.as_uri())
    noon = datetime(2026, 3, 1, 12, tzinfo=UTC)
    land(settings, [noon, noon, noon + HOUR, noon + HOUR, noon + HOUR])
    lake = Lake(settings, CompactionSettings(grace_s=0), [WHERE.topic])

    for merged, deleted in ((5, 0), (0, 4)):
        done = dg.materialize(
            [compacted], partition_key="2026-03-01-13:00", resources={"lake": lake}
        )

        (event,) = done.asset_materializations_for_node("lake__compacted")
        assert event.partition == "2026-03-01-13:00"
        assert (event.metadata["merged"].value, event.metadata["deleted"].value) == (
            merged,
            deleted,
        )


def land(settings: LakeSettings, moments: list[datetime]) -> None:
    """Puts a record in each of some files."""
    nothing_more = partial(Slice, WHERE, records=Records())
    sink = LakeSink(open_store(settings), LandingSettings())
    opened = sink.open(WHERE, 0, None, lambda start: nothing_more(start, start))
    for offset, moment in enumerate(moments):
        record = Record(offset, int(moment.timestamp() * 1000), 1, b"VM-000001", None, b"{}")
        opened.take(Slice(WHERE, offset, offset + 1, Records.of([record])))
        opened.land(all_of_it=True)
