"""What every sink promises, whatever it writes to: the same tests on each of them.

A sink is added by one class below and one line in `PLACES`.
"""

import random
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Protocol
from uuid import uuid4

import duckdb
import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from streaming.errors import FencedError
from streaming.object_store import FileStore, ObjectStore, open_store
from streaming.records import PartitionId, Record, Records, Slice
from streaming.settings import LakeSettings, LandingSettings, OdsSettings
from streaming.sinks.lake import LakeSink
from streaming.sinks.ods import OdsSink
from tests.integration.landing.records import alert

WHERE = PartitionId("alerts.raw", 0, 1)
START = 7
"""The log begins here: what lies below was before us."""

Content = list[tuple[int, bytes | None]]


class Writer(Protocol):
    """A sink at work on one partition."""

    next_offset: int
    """What it needs next, as it said when it was opened."""

    def land(self, each: Slice) -> None:
        """Lands a slice so that it stays."""


class Place(Protocol):
    """Where a sink writes to. It may have any number of writers, dead or alive."""

    def open(self) -> Writer:
        """Returns a new writer, as a new process would."""

    def content(self) -> Content:
        """Returns offsets and payloads, in offset order, read with somebody else's means."""

    def close(self) -> None:
        """Ends its writers."""


class Ods:
    """Postgres."""

    def __init__(self, ods: OdsSettings) -> None:
        self._ods = ods
        self._sinks: list[OdsSink] = []

    def open(self) -> Writer:
        self._sinks.append(OdsSink(self._ods.url("consumer")))
        return OdsWriter(self._sinks[-1])

    def close(self) -> None:
        for sink in self._sinks:
            sink.close()

    def content(self) -> Content:
        with psycopg.connect(self._ods.url("owner")) as connection:
            return connection.execute(
                "select \"offset\", convert_to(payload::text, 'UTF8') from landing.alerts_raw"
                ' union all select "offset", payload from landing.quarantine order by 1'
            ).fetchall()


class OdsWriter:
    def __init__(self, sink: OdsSink) -> None:
        self._sink = sink
        self.next_offset = sink.open(WHERE, "the topic's id", START).next_offset

    def land(self, each: Slice) -> None:
        self._sink.land(self._sink.pack([each]))


class Lake:
    """An object store, or a folder. `landed` is what the ODS has: the lake comes after it."""

    def __init__(self, store: ObjectStore, files: Path) -> None:
        self._store = store
        self._files = files
        self.landed: dict[int, Record] = {}

    def open(self) -> Writer:
        return LakeWriter(self, self._store)

    def content(self) -> Content:
        files = sorted((self._files / "raw").rglob("*.parquet"))
        if not files:
            return []
        query = 'select "offset", payload from read_parquet(?) order by "offset"'
        with duckdb.connect() as connection:
            return connection.execute(query, [[str(file) for file in files]]).fetchall()

    def close(self) -> None:
        """Nothing is open."""


class LakeWriter:
    def __init__(self, place: Lake, store: ObjectStore) -> None:
        self._place = place
        self._sink = LakeSink(store, LandingSettings())
        self._opened = self._sink.open(WHERE, START, None, self._read)
        self._sink.add(self._opened)
        self.next_offset = self._opened.taken

    def land(self, each: Slice) -> None:
        self._sink.take([each])
        self._place.landed |= {record.offset: record for record in each.records}
        self._opened.land(all_of_it=True)

    def _read(self, start: int) -> Slice:
        records = [self._place.landed[at] for at in sorted(self._place.landed) if at >= start]
        stop = records[-1].offset + 1 if records else start
        return Slice(WHERE, start, stop, Records.of(records))


def ods(request: pytest.FixtureRequest) -> Place:
    environment = request.getfixturevalue("sandbox_env")
    prefix = "FLEETPULSE_ODS__"
    roles = ("owner", "consumer")
    return Ods(
        OdsSettings.model_validate(
            {
                "host": environment[f"{prefix}HOST"],
                "port": environment[f"{prefix}PORT"],
                "database": request.getfixturevalue("fresh_database")(),
                "passwords": {
                    role: environment[f"{prefix}PASSWORDS__{role.upper()}"] for role in roles
                },
            }
        )
    )


def s3(request: pytest.FixtureRequest) -> Place:
    environment = request.getfixturevalue("sandbox_env")
    names = ("url", "endpoint_url", "region", "access_key_id", "secret_access_key")
    values = {name: environment[f"FLEETPULSE_LAKE__{name.upper()}"] for name in names}
    url = f"{values['url']}/contract-{uuid4().hex[:8]}"
    files = request.getfixturevalue("sandbox_home") / "s3" / "data" / url.removeprefix("s3://")
    return Lake(open_store(LakeSettings.model_validate({**values, "url": url})), files)


def folder(request: pytest.FixtureRequest) -> Place:
    home = request.getfixturevalue("tmp_path") / uuid4().hex[:8]
    return Lake(FileStore(home), home)


PLACES: dict[str, Callable[[pytest.FixtureRequest], Place]] = {
    "postgres": ods,
    "s3": s3,
    "local file system": folder,
}


@pytest.fixture(params=PLACES)
def new_place(request: pytest.FixtureRequest) -> Iterator[Callable[[], Place]]:
    with ExitStack() as places:

        def make() -> Place:
            place = PLACES[request.param](request)
            places.callback(place.close)
            return place

        yield make


@pytest.fixture
def place(new_place: Callable[[], Place]) -> Place:
    return new_place()


def log(count: int, seed: int = 0) -> list[Record]:
    """Returns records with gaps between their offsets, some of them broken, some tombstones."""
    chance, offset, records = random.Random(seed), START, []
    for _ in range(count):
        offset += chance.choice([0, 0, 0, 1, 5])
        payload = chance.choice([alert(), alert(), b'{"broken', b"\xff\x00", b"", None])
        records.append(Record(offset, 1_772_366_400_000, 1, b"VM-000001", None, payload))
        offset += 1
    return records


def cut(records: Sequence[Record], start: int, end: int) -> Slice:
    """Returns the slice [start, end) of a log."""
    inside = (each for each in records if start <= each.offset < end)
    return Slice(WHERE, start, end, Records.of(inside))


def end_of(records: Sequence[Record]) -> int:
    return records[-1].offset + 1


def told(records: Sequence[Record]) -> Content:
    return [(each.offset, each.payload) for each in records]


def test_a_new_partition_begins_where_its_log_begins(place: Place) -> None:
    assert place.open().next_offset == START
    assert place.content() == []


def test_what_is_landed_is_there_in_order_to_the_byte(place: Place) -> None:
    records = log(50)
    middle = records[20].offset
    writer = place.open()
    writer.land(cut(records, START, middle))
    writer.land(cut(records, middle, end_of(records)))
    assert place.content() == told(records)


def test_the_next_writer_goes_on_where_the_last_one_was(place: Place) -> None:
    records = log(30)
    middle = records[10].offset
    place.open().land(cut(records, START, middle))
    heir = place.open()
    assert records[9].offset < heir.next_offset <= middle
    heir.land(cut(records, heir.next_offset, end_of(records)))
    assert place.content() == told(records)


def test_a_slice_that_comes_twice_is_there_once(place: Place) -> None:
    records = log(20)
    writer = place.open()
    for _ in range(2):
        attempt(writer, cut(records, START, end_of(records)))
    assert place.content() == told(records)


def test_a_zombie_changes_nothing_whatever_its_cut(place: Place) -> None:
    records = log(40)
    zombie, heir = place.open(), place.open()
    heir.land(cut(records, START, records[25].offset))
    attempt(zombie, cut(records, START, records[10].offset))
    attempt(zombie, cut(records, records[10].offset, end_of(records)))
    assert place.content() == told(records[:25])
    successor = place.open()
    successor.land(cut(records, successor.next_offset, end_of(records)))
    assert place.content() == told(records)


def test_who_dies_within_a_slice_leaves_nothing_of_it(place: Place) -> None:
    records = log(40)
    writer = place.open()
    writer.land(cut(records, START, records[10].offset))
    torn = cut(records, records[10].offset, end_of(records))
    torn.records.payloads = Torn(torn.records.payloads, 15)
    with pytest.raises(DiedError):
        writer.land(torn)
    assert place.content() == told(records[:10])
    heir = place.open()
    heir.land(cut(records, heir.next_offset, end_of(records)))
    assert place.content() == told(records)


@settings(
    max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(chance=st.randoms(use_true_random=False))
def test_whoever_writes_in_whatever_order_each_record_is_there_once(
    new_place: Callable[[], Place], chance: random.Random
) -> None:
    place, records = new_place(), log(30, chance.randrange(1000))
    writers = [(writer := place.open(), writer.next_offset)]
    for _ in range(12):
        if chance.random() < 0.3:
            writers.append((writer := place.open(), writer.next_offset))
        number = chance.randrange(len(writers))
        writer, start = writers[number]
        stop = min(start + chance.randint(1, 20), end_of(records))
        if attempt(writer, cut(records, start, stop)):
            writers[number] = (writer, stop)
    last = place.open()
    attempt(last, cut(records, last.next_offset, end_of(records)))
    assert place.content() == told(records)


class DiedError(Exception):
    """The process is gone."""


class Torn(list[bytes | None]):
    """Payloads of which only some can be read before the process dies."""

    def __init__(self, payloads: Sequence[bytes | None], left: int) -> None:
        super().__init__(payloads)
        self._left = left

    def __iter__(self) -> Iterator[bytes | None]:
        yield from super().__getitem__(slice(self._left))
        raise DiedError

    def __getitem__(self, at: Any) -> Any:
        return Torn(super().__getitem__(at), self._left) if isinstance(at, slice) else self._die(at)

    def _die(self, at: int) -> bytes | None:
        if at >= self._left:
            raise DiedError
        return super().__getitem__(at)


def attempt(writer: Writer, each: Slice) -> bool:
    """Lands a slice unless the writer is fenced; returns whether it was not."""
    try:
        writer.land(each)
    except FencedError:
        return False
    return True
