"""Compares the three copies of every record, offset by offset: Kafka, ODS ∪ quarantine, the lake.

A sink answers for the offsets from its start to its own next offset: one that Kafka has there and
the sink has not is a gap, one that it has twice is a double, one that Kafka has not is foreign.
What lies beyond the sink's next offset has not landed yet: it is behind, which is no fault.
Where Kafka cannot say, the two sinks answer to each other: below the log's start, in an epoch that
has ended, and for what a compacted topic has not got any more.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, cast

import confluent_kafka as ck
import psycopg
from psycopg import sql

from streaming import kafka, lake_files
from streaming.errors import FatalError
from streaming.kafka import Where
from streaming.lake_reader import LakeReader
from streaming.log_reader import LogReader
from streaming.object_store import ObjectStore
from streaming.records import PartitionId
from streaming.settings import KafkaSettings
from streaming.sinks.lake import read_tail
from streaming.sinks.ods import table_of

CHUNK = 200_000
"""Offsets compared at a time: bounds the memory."""
SHOWN = 10
"""Offsets kept of each kind of fault."""


@dataclass(slots=True)
class Copy:
    """What one sink has of a partition's records."""

    next_offset: int
    records: int = 0
    missing: int = 0
    doubled: int = 0
    foreign: int = 0
    examples: list[str] = field(default_factory=list)

    def compare(self, truth: set[int], found: Sequence[int]) -> None:
        """Counts what differs from the truth in one range of offsets."""
        counts = Counter(found)
        self.records += len(counts)
        doubled = sorted(offset for offset, times in counts.items() if times > 1)
        missing = sorted(truth - counts.keys())
        foreign = sorted(counts.keys() - truth)
        self.missing += len(missing)
        self.doubled += len(doubled)
        self.foreign += len(foreign)
        for words, offsets in (("missing", missing), ("doubled", doubled), ("foreign", foreign)):
            room = SHOWN - len(self.examples)
            self.examples += [f"{words} {offset}" for offset in offsets[:room]]

    def add_foreign(self, found: Sequence[object], words: str) -> None:
        """Counts what is there and ought not to be."""
        self.foreign += len(found)
        self.examples += [f"{words} {each}" for each in found[:SHOWN]]

    @property
    def sound(self) -> bool:
        """Whether nothing is missing, doubled or foreign."""
        return not (self.missing or self.doubled or self.foreign)


@dataclass(slots=True)
class Comparison:
    """One partition: what Kafka has, and what each sink has of it."""

    partition: PartitionId
    log_start: int
    log_end: int
    kafka_records: int
    ods: Copy
    lake: Copy

    @property
    def sound(self) -> bool:
        """Whether both sinks have exactly what they answer for."""
        return self.ods.sound and self.lake.sound

    @property
    def behind(self) -> int:
        """Offsets that have not landed in both yet."""
        return max(0, self.log_end - min(self.ods.next_offset, self.lake.next_offset))


def verify(
    kafka_settings: KafkaSettings,
    topics: Sequence[str],
    connection: psycopg.Connection,
    store: ObjectStore,
) -> Iterator[Comparison]:
    """Yields a comparison for each partition of the topics, in order.

    Args:
        kafka_settings: The broker.
        topics: Topic names.
        connection: The ODS, as a role that may read landing; in autocommit.
        store: The lake.

    Raises:
        FatalError: A topic does not exist, or the lake's claims are damaged.
        OutageError: Kafka or the object store does not answer.
    """
    # The sinks first, then Kafka: while landing goes on, no sink is ahead of what Kafka says.
    sinks = _sinks(kafka_settings, topics, connection, store)
    objects = {topic: list(store.keys(lake_files.data_prefix(topic))) for topic in topics}
    admin = kafka.admin_client(kafka_settings)
    compacted = kafka.compacted(admin, topics)
    ends = kafka.log_ends(kafka_settings, topics)
    for place in sorted(ends.keys() | sinks.keys()):
        of_topic = connection, store, objects[place[0]]
        current = None
        for each in sinks.get(place, ()):
            if each.ended:
                yield _compare(each, None, each.ods_next, *of_topic)
            else:
                current = each
        if place in ends:
            with LogReader(kafka_settings, admin, place, ends[place], _offset) as log:
                if current is None:
                    yield _not_landed(place, log)
                else:
                    silent = log.end if place[0] in compacted else log.start
                    yield _compare(current, log, silent, *of_topic)


class _Sinks(NamedTuple):
    """How far the sinks say that they have a partition in one epoch."""

    where: PartitionId
    ended: bool
    start: int
    ods_next: int
    lake_next: int


def _sinks(
    kafka_settings: KafkaSettings,
    topics: Sequence[str],
    connection: psycopg.Connection,
    store: ObjectStore,
) -> dict[Where, list[_Sinks]]:
    ids = kafka.topic_ids(kafka_settings, topics)
    rows = connection.execute(
        'select topic, epoch, "partition", epoch < max(epoch) over (partition by topic), topic_id,'
        " start_offset, next_offset, lake_claim from landing.offsets"
        ' where topic = any(%s) order by topic, "partition", epoch',
        [list(topics)],
    ).fetchall()
    found: dict[Where, list[_Sinks]] = defaultdict(list)
    for topic, epoch, number, ended, topic_id, start, ods_next, complete in rows:
        if not ended and topic_id != ids[topic]:
            raise FatalError(
                f"the topic {topic} was deleted and created again since it was landed: see "
                "`fleetpulse epochs list`"
            )
        where = PartitionId(topic, epoch, number)
        tail = read_tail(store, where, start, complete)
        lost = tail.claim is not None and tail.claim.start == complete
        lake_next = tail.claim.next if tail.claim is not None and lost else tail.next_offset
        found[topic, number].append(_Sinks(where, ended, start, ods_next, lake_next))
    return found


def _offset(message: ck.Message) -> int:
    return cast(int, message.offset())


def _not_landed(place: Where, log: LogReader[int]) -> Comparison:
    records = len(log.read(log.start, log.end))
    where = PartitionId(place[0], 0, place[1])
    return Comparison(where, log.start, log.end, records, Copy(log.start), Copy(log.start))


def _compare(
    sinks: _Sinks,
    log: LogReader[int] | None,
    silent_below: int,
    connection: psycopg.Connection,
    store: ObjectStore,
    objects: Sequence[str],
) -> Comparison:
    """Compares the sinks with the log, which below an offset cannot say what there was."""
    where, _, start, ods_next, lake_next = sinks
    first, end = (start, ods_next) if log is None else (log.start, log.end)
    result = Comparison(where, first, end, 0, Copy(ods_next), Copy(lake_next))
    lake = _Lake(store, where, start, lake_next)
    for low in range(start, max(end, ods_next, lake_next), CHUNK):
        high = low + CHUNK
        in_kafka = [] if log is None else log.read(low, high)
        in_ods = _ods_offsets(connection, where, low, min(high, ods_next))
        in_lake = lake.offsets(low, high)
        result.kafka_records += len(in_kafka)
        # Where Kafka cannot say: what either sink has, the other must have.
        old = {offset for offset in (*in_ods, *in_lake) if offset < silent_below}
        truth = set(in_kafka) | old
        result.ods.compare({offset for offset in truth if offset < ods_next}, in_ods)
        result.lake.compare({offset for offset in truth if offset < lake_next}, in_lake)
    result.ods.add_foreign(_rows_out_of_range(connection, where), "row out of range at")
    result.lake.add_foreign(lake.unclaimed(objects), "unclaimed")
    result.lake.examples += [f"absent {name}" for name in lake.absent]
    return result


def _ods_offsets(
    connection: psycopg.Connection, where: PartitionId, low: int, high: int
) -> list[int]:
    query = sql.SQL(
        'select "offset" from landing.{table} where epoch = %(epoch)s'
        ' and "partition" = %(partition)s and "offset" >= %(low)s and "offset" < %(high)s'
        ' union all select "offset" from landing.quarantine where topic = %(topic)s'
        ' and epoch = %(epoch)s and "partition" = %(partition)s'
        ' and "offset" >= %(low)s and "offset" < %(high)s'
        " and state <> 'redriven'"  # it is in landing
    ).format(table=sql.Identifier(table_of(where.topic)))
    rows = connection.execute(query, {**where._asdict(), "low": low, "high": high}).fetchall()
    return [offset for (offset,) in rows]


def _rows_out_of_range(connection: psycopg.Connection, where: PartitionId) -> list[int]:
    """Returns offsets of rows that the ODS has and does not answer for, at one moment."""
    query = sql.SQL(
        'with landed as (select epoch, "partition", "offset" from landing.{table}'
        ' union all select epoch, "partition", "offset" from landing.quarantine'
        "  where topic = %(topic)s and state <> 'redriven')"
        ' select landed."offset" from landed join landing.offsets using (epoch, "partition")'
        ' where topic = %(topic)s and epoch = %(epoch)s and "partition" = %(partition)s'
        ' and (landed."offset" < start_offset or landed."offset" >= next_offset) order by 1'
    ).format(table=sql.Identifier(table_of(where.topic)))
    return [offset for (offset,) in connection.execute(query, where._asdict())]


class _Lake:
    """A partition's records in the lake, along its chain of claims, each once."""

    def __init__(self, store: ObjectStore, where: PartitionId, start: int, end: int) -> None:
        self.absent: dict[str, None] = {}
        self._claimed: set[str] = set()
        self._pieces = LakeReader(store).pieces(where, start, end, ("offset",))
        self._where = where
        self._end = end
        self._next = start
        self._waiting: list[int] = []

    def offsets(self, low: int, high: int) -> list[int]:
        """Returns the offsets in [low, high); ranges must come in order."""
        while self._next < min(high, self._end):
            piece = next(self._pieces, None)
            if piece is None:
                key = lake_files.claim_key(self._where, self._next)
                raise FatalError(f"the lake has lost the claim {key}: restore it")
            self._claimed.add(piece.claimed)
            if piece.rows is None:
                self.absent[piece.absent] = None
            else:
                self._waiting += piece.rows["offset"].to_pylist()
            self._next = piece.next
        inside = [offset for offset in self._waiting if low <= offset < high]
        self._waiting = [offset for offset in self._waiting if offset >= high]
        return inside

    def unclaimed(self, objects: Sequence[str]) -> list[str]:
        """Returns the partition's objects below the end that no claim names: readers find them."""
        low = lake_files.data_name(self._where, 0)
        end = lake_files.data_name(self._where, self._end)
        names = ((key, key.rpartition("/")[2]) for key in objects)
        return [
            key
            for key, name in names
            if low <= name < end and name.endswith(".parquet") and key not in self._claimed
        ]


def total(comparisons: Iterable[Comparison]) -> Counter[str]:
    """Returns the sums over partitions, by what was counted."""
    sums: Counter[str] = Counter()
    for each in comparisons:
        sums["produced"] += each.kafka_records
        sums["landed"] += each.ods.records
        sums["lake"] += each.lake.records
        sums["behind"] += each.behind
        for copy in (each.ods, each.lake):
            sums["missing"] += copy.missing
            sums["doubled"] += copy.doubled
            sums["foreign"] += copy.foreign
    return sums
