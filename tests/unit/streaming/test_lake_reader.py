"""What is read of the lake is what was put there, by time or by offset, merged or not."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import pytest

from streaming import lake_files, lake_manifest
from streaming.compaction import compact, due
from streaming.errors import FatalError
from streaming.lake_files import HOUR_MS
from streaming.lake_manifest import Hour
from streaming.lake_reader import LakeReader
from streaming.object_store import FileStore
from streaming.records import PartitionId, Record, Records, Slice
from streaming.settings import CompactionSettings, LandingSettings
from streaming.sinks.lake import LakeSink

TOPIC = "telemetry.raw"
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
NOON_MS = int(NOON.timestamp()) * 1000
PARTITIONS = [PartitionId(TOPIC, 0, 0), PartitionId(TOPIC, 0, 1), PartitionId(TOPIC, 1, 0)]
YEAR_9999 = 253_402_300_799_999
FILES, ROWS = 6, 5
SETTINGS = CompactionSettings(grace_s=0, max_buffer_mb=0.001)  # so that it sorts on disk
Key = tuple[PartitionId, int]


class Lake:
    """Files of three partitions; what was put there is remembered."""

    def __init__(self, folder: Path) -> None:
        self.store = FileStore(folder)
        self.reader = LakeReader(self.store)
        self.put: dict[Key, Record] = {}
        for where in PARTITIONS:
            sink = LakeSink(self.store, LandingSettings())
            opened = sink.open(where, 7, None, partial(nothing_more, where))
            for number in range(FILES):
                records = [record(opened.taken, number, row) for row in range(ROWS)]
                self.put |= {(where, each.offset): each for each in records}
                end = records[-1].offset + 1
                opened.take(Slice(where, opened.taken, end, Records.of(records)))
                opened.land(all_of_it=True)

    def compact(self) -> None:
        """Merges what is due, and deletes what was merged."""
        for _ in range(2):
            for hour in due(self.store, [TOPIC], SETTINGS, NOON + timedelta(days=9)):
                compact(self.store, hour, SETTINGS)

    def by_time(self, since: datetime | None, until: datetime | None) -> list[tuple[Key, Record]]:
        return sorted(
            ((PartitionId(TOPIC, epoch, partition), each.offset), each)
            for table in self.reader.tables(TOPIC, since, until)
            for epoch, partition, each in zip(
                table["epoch"].to_pylist(),
                table["partition"].to_pylist(),
                lake_files.records(table),
                strict=True,
            )
        )

    def by_offset(self, where: PartitionId, start: int, end: int) -> list[Record]:
        return [each for of in self.reader.slices(where, start, end) for each in of.records]


def nothing_more(where: PartitionId, start: int) -> Slice:
    return Slice(where, start, start, Records())


def record(start: int, number: int, row: int) -> Record:
    """Returns a record with gaps between offsets; in each file one is three hours late."""
    late = 3 * HOUR_MS if row == 2 else 0
    at = YEAR_9999 if (number, row) == (FILES - 1, 1) else NOON_MS + number * HOUR_MS // 2 + row
    key = [b"VM-000002", None, b"VM-000001"][row % 3]
    headers = [("n", b"\x00"), ("n", None)] if row else None
    return Record(start + row * 3, at - late, 1, key, headers, [b"{}", None, b""][row % 3])


def as_landed(_: Lake) -> None:
    """Leaves it as it is."""


@pytest.fixture(scope="module", params=[as_landed, Lake.compact])
def lake(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Lake:
    """To be read only."""
    made = Lake(tmp_path_factory.mktemp("lake"))
    prepare: Callable[[Lake], None] = request.param
    prepare(made)
    return made


@pytest.mark.parametrize(
    ("since", "until"),
    [(None, None), (None, -2), (None, 1), (-5, 0.5), (0, 1), (1, 99), (2.5, None), (99, None)],
)
def test_a_range_of_time_gives_exactly_its_records(
    lake: Lake, since: float | None, until: float | None
) -> None:
    bounds = [None if at is None else NOON + timedelta(hours=at) for at in (since, until)]
    low, high = (
        other if at is None else int(at.timestamp() * 1000)
        for at, other in zip(bounds, (0, 2**63), strict=True)
    )
    wanted = sorted(each for each in lake.put.items() if low <= each[1].timestamp < high)
    assert lake.by_time(*bounds) == wanted


@pytest.mark.parametrize("where", PARTITIONS, ids=str)
@pytest.mark.parametrize(("start", "end"), [(7, 10_000), (8, 9), (30, 60), (7, 7)])
def test_a_range_of_offsets_gives_exactly_its_records_in_order(
    lake: Lake, where: PartitionId, start: int, end: int
) -> None:
    wanted = [each for (of, at), each in sorted(lake.put.items()) if of == where]
    assert lake.by_offset(where, start, end) == [
        each for each in wanted if start <= each.offset < end
    ]


def test_an_hour_becomes_one_object_sorted_by_key_and_offset(tmp_path: Path) -> None:
    lake = Lake(tmp_path)
    hour = Hour(TOPIC, NOON)
    outcome = compact(lake.store, hour, SETTINGS)
    (merged,) = lake_manifest.contents(lake.store, hour).manifest.objects
    body = lake.store.get(merged.key) or b""
    rows = [row for table in lake_files.tables(body) for row in table.to_pylist()]
    order = [(each["key"] is None, each["key"], each["epoch"], each["partition"], each["offset"])
             for each in rows]  # fmt: skip
    assert order == sorted(order)
    assert (outcome.merged, outcome.made, outcome.rows) == (6, 1, len(rows)) == (6, 1, 30)
    assert (merged.oldest, merged.newest) == (NOON_MS + 2 - 3 * HOUR_MS, NOON_MS + HOUR_MS // 2 + 4)


def test_the_hours_that_are_due_are_closed_or_a_clocks_fault(tmp_path: Path) -> None:
    lake = Lake(tmp_path)
    settings = CompactionSettings(settle_s=900)
    found = due(lake.store, [TOPIC], settings, NOON + timedelta(hours=2, minutes=14))
    last = datetime(9999, 12, 31, 23, tzinfo=UTC)
    assert [each.begins for each in found] == [NOON, last]


def test_only_objects_that_may_hold_the_range_are_listed(lake: Lake) -> None:
    every = lake.reader.objects(TOPIC)
    some = lake.reader.objects(TOPIC, NOON + timedelta(hours=1), NOON + timedelta(hours=9))
    assert set(some) < set(every)
    assert not any("hr=12" in key for key in some)


def test_a_file_that_no_claim_names_is_left_alone(tmp_path: Path) -> None:
    lake = Lake(tmp_path)
    key = lake_files.data_key(PARTITIONS[0], 8, NOON_MS)
    body = lake.store.get(lake_files.data_key(PARTITIONS[0], 7, NOON_MS))
    assert body is not None
    lake.store.put_if_absent(key, body)
    assert compact(lake.store, Hour(TOPIC, NOON), SETTINGS).merged == 6
    assert key in {each.key for each in lake_manifest.contents(lake.store, Hour(TOPIC, NOON)).files}


def test_a_file_that_is_lost_is_named(tmp_path: Path) -> None:
    lake = Lake(tmp_path)
    gone = lake_files.data_key(PARTITIONS[0], 7, NOON_MS)
    lake.store.delete(gone)
    with pytest.raises(FatalError, match=f"the lake has lost {gone}"):
        lake.by_offset(PARTITIONS[0], 7, 999)


def test_a_merged_object_that_is_lost_is_named(tmp_path: Path) -> None:
    lake = Lake(tmp_path)
    lake.compact()
    (first, *_) = lake.store.keys("compacted/")
    lake.store.delete(first)
    for read in (lambda: lake.by_time(None, None), lambda: lake.by_offset(PARTITIONS[0], 7, 999)):
        with pytest.raises(FatalError, match=f"the lake has lost {first}"):
            read()
    with pytest.raises(FatalError, match=f"the lake has lost {first}"):
        compact(lake.store, Hour(TOPIC, NOON), SETTINGS)


def test_a_claim_that_is_lost_is_named(tmp_path: Path) -> None:
    lake, where = Lake(tmp_path), PARTITIONS[0]
    second = lake_files.claim_key(where, 20)
    assert lake.store.exists(second)
    lake.store.delete(second)
    with pytest.raises(FatalError, match=f"the lake has lost the claim {second}"):
        lake.by_offset(where, 7, 999)


def test_keys_have_these_values() -> None:
    hour = Hour(TOPIC, NOON)
    assert hour.folder == "topic=telemetry.raw/dt=2026-03-01/hr=12/"
    assert lake_manifest.manifest_key(hour, 3) == f"_manifest/{hour.folder}00000000000000000003"
    assert lake_manifest.merged_key(hour, 3, "0123456789abcdef" * 4) == (
        f"compacted/{hour.folder}00000000000000000003-0123456789abcdef0123456789abcdef.parquet"
    )
