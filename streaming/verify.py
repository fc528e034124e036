"""Compares the three copies of every record, offset by offset: Kafka, ODS ∪ quarantine, the lake.

A sink answers for the offsets from its start to its own next offset: one that Kafka has there and
the sink has not is a gap, one that it has twice is a double, one that Kafka has not is foreign.
What lies beyond the sink's next offset has not landed yet: it is behind, which is no fault.
What retention has dropped from the ODS counts as there, offset by offset, in one copy: the lake.
Where Kafka cannot say, the two sinks answer to each other: below the log's start, in an epoch that
has ended, and for what a compacted topic has not got any more.

A deep comparison looks at fingerprints too: a record that is not the same in all copies is altered.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, cast

import confluent_kafka as ck
import psycopg
from psycopg import sql

from streaming import fingerprints, kafka, lake_files
from streaming.errors import FatalError
from streaming.fingerprints import Fingerprint
from streaming.kafka import Where
from streaming.lake_reader import LakeReader
from streaming.log_reader import LogReader, record_of
from streaming.object_store import ObjectStore
from streaming.records import PartitionId
from streaming.settings import KafkaSettings
from streaming.sinks.lake import read_tail
from streaming.sinks.ods import table_of

CHUNK = 100_000
"""Offsets compared at a time: bounds the memory."""
SHOWN = 10
"""Offsets kept of each kind of fault."""

Told = tuple[int, Fingerprint | None]
"""An offset and, in a deep comparison, what the record there is."""


@dataclass(slots=True)
class Copy:
    """What one sink has of a partition's records."""

    next_offset: int
    records: int = 0
    dropped: int = 0
    missing: int = 0
    doubled: int = 0
    foreign: int = 0
    altered: int = 0
    examples: list[str] = field(default_factory=list)

    def compare(
        self,
        truth: Mapping[int, Fingerprint | None],
        found: Sequence[Told],
        dropped: Sequence[int] = (),
    ) -> None:
        """Counts what differs from the truth in one range of offsets."""
        counts = Counter(offset for offset, _ in found)
        self.records += len(counts)
        self.dropped += len(dropped)
        counts.update(dropped)
        faults = {
            "missing": truth.keys() - counts.keys(),
            "doubled": {offset for offset, times in counts.items() if times > 1},
            "foreign": counts.keys() - truth.keys(),
            "altered": {at for at, told in found if at in truth and truth[at] != told},
        }
        for words, offsets in faults.items():
            setattr(self, words, getattr(self, words) + len(offsets))
            room = SHOWN - len(self.examples)
            self.examples += [f"{words} {offset}" for offset in sorted(offsets)[:room]]

    def add_foreign(self, found: Sequence[object], words: str) -> None:
        """Counts what is there and ought not to be."""
        self.foreign += len(found)
        self.examples += [f"{words} {each}" for each in found[:SHOWN]]

    @property
    def sound(self) -> bool:
        """Whether nothing is missing, doubled, foreign or altered."""
        return not (self.missing or self.doubled or self.foreign or self.altered)


@dataclass(slots=True)
class Comparison:
    """One partition: what Kafka has, and what each sink has of it, from an offset on."""

    partition: PartitionId
    start: int
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
    *,
    deep: bool = False,
    since: Mapping[PartitionId, int] | None = None,
) -> Iterator[Comparison]:
    """Yields a comparison for each partition of the topics, in order.

    Args:
        kafka_settings: The broker.
        topics: Topic names.
        connection: The ODS, as a role that may read landing; in autocommit.
        store: The lake.
        deep: Compare keys, headers, timestamps and payloads too, by hash.
        since: Where to begin in a partition, if not at its start: see `verified`.

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
    take = _fingerprinted if deep else _offset
    for place in sorted(ends.keys() | sinks.keys()):
        copies = _Copies(connection, store, objects[place[0]], deep)
        current = None
        for each in sinks.get(place, ()):
            where = each.begin_at((since or {}).get(each.where, each.start))
            if where.ended:
                yield _compare(where, None, where.ods_next, copies)
            else:
                current = where
        if place in ends:
            with LogReader(kafka_settings, admin, place, ends[place], take) as log:
                if current is None:
                    yield _not_landed(place, log)
                else:
                    silent = log.end if place[0] in compacted else log.start
                    yield _compare(current, log, silent, copies)


def verified(connection: psycopg.Connection, *, deep: bool) -> dict[PartitionId, int]:
    """Returns up to where each partition was found sound before; see `note_verified`."""
    rows = connection.execute(
        'select topic, epoch, "partition", case when %s then deep_offset else next_offset end'
        " from control.verified",
        [deep],
    )
    return {PartitionId(*where): offset for *where, offset in rows}


def note_verified(connection: psycopg.Connection, each: Comparison, *, deep: bool) -> None:
    """Remembers that a comparison was sound, which began where the last one had ended, or before.

    Args:
        connection: The ODS, as the role of the orchestrator.
        each: The comparison.
        deep: Whether it was a deep one.
    """
    end = min(each.ods.next_offset, each.lake.next_offset)
    connection.execute(
        'insert into control.verified as known (topic, epoch, "partition", next_offset,'
        " deep_offset) values (%(topic)s, %(epoch)s, %(partition)s, %(end)s, %(deep)s)"
        ' on conflict (topic, epoch, "partition") do update set verified_at = now(),'
        " next_offset = greatest(known.next_offset, excluded.next_offset),"
        " deep_offset = greatest(known.deep_offset, excluded.deep_offset)",
        {**each.partition._asdict(), "end": end, "deep": end if deep else 0},
    )


class _Sinks(NamedTuple):
    """How far the sinks say that they have a partition in one epoch."""

    where: PartitionId
    ended: bool
    start: int
    ods_next: int
    lake_next: int

    def begin_at(self, offset: int) -> "_Sinks":
        """Returns the part from an offset on."""
        return self._replace(start=max(self.start, min(offset, self.ods_next, self.lake_next)))


class _Copies(NamedTuple):
    """Where the sinks' copies of a topic are, and whether to look at more than offsets."""

    connection: psycopg.Connection
    store: ObjectStore
    objects: Sequence[str]
    deep: bool


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


def _offset(message: ck.Message) -> Told:
    return cast(int, message.offset()), None


def _fingerprinted(message: ck.Message) -> Told:
    return cast(int, message.offset()), fingerprints.of(record_of(message))


def _not_landed(place: Where, log: LogReader[Told]) -> Comparison:
    records = len(log.read(log.start, log.end))
    where = PartitionId(place[0], 0, place[1])
    return Comparison(where, log.start, log.end, records, Copy(log.start), Copy(log.start))


def _compare(
    sinks: _Sinks, log: LogReader[Told] | None, silent_below: int, copies: _Copies
) -> Comparison:
    """Compares the sinks with the log, which below an offset cannot say what there was."""
    where, _, start, ods_next, lake_next = sinks
    end = ods_next if log is None else log.end
    result = Comparison(where, start, end, 0, Copy(ods_next), Copy(lake_next))
    lake = _Lake(copies, where, start, lake_next)
    for low in range(start, max(end, ods_next, lake_next), CHUNK):
        high = low + CHUNK
        in_kafka = [] if log is None else log.read(low, high)
        in_ods, dropped = _in_ods(copies, where, low, min(high, ods_next))
        in_lake = lake.read(low, high)
        result.kafka_records += len(in_kafka)
        # Where Kafka cannot say: what either sink has, the other must have.
        were_there = ((at, None) for at in dropped)
        truth = {at: told for at, told in (*were_there, *in_lake, *in_ods) if at < silent_below}
        truth |= dict(in_kafka)
        for copy, found, gone in ((result.ods, in_ods, dropped), (result.lake, in_lake, [])):
            copy.compare({at: truth[at] for at in truth if at < copy.next_offset}, found, gone)
    result.ods.add_foreign(_rows_out_of_range(copies.connection, where), "row out of range at")
    result.lake.add_foreign(lake.unclaimed(copies.objects), "unclaimed")
    result.lake.examples += [f"absent {name}" for name in lake.absent]
    return result


def _in_ods(
    copies: _Copies, where: PartitionId, low: int, high: int
) -> tuple[list[Told], list[int]]:
    """Returns what the ODS has in a range, and the offsets that retention has dropped there."""
    prints: dict[int, Fingerprint] = {}
    if copies.deep:
        prints = dict(fingerprints.in_ods(copies.connection, where, low, high))
    there, dropped = _ods_offsets(copies.connection, where, low, high)
    return [(offset, prints.get(offset)) for offset in there], dropped


def _ods_offsets(
    connection: psycopg.Connection, where: PartitionId, low: int, high: int
) -> tuple[list[int], list[int]]:
    # One statement, so one moment: a row is there or dropped, whatever retention does meanwhile.
    query = sql.SQL(
        'select "offset", false from landing.{table} where epoch = %(epoch)s'
        ' and "partition" = %(partition)s and "offset" >= %(low)s and "offset" < %(high)s'
        ' union all select "offset", false from landing.quarantine where topic = %(topic)s'
        ' and epoch = %(epoch)s and "partition" = %(partition)s'
        ' and "offset" >= %(low)s and "offset" < %(high)s'
        " and state <> 'redriven'"  # it is in landing, or was
        " union all select generate_series(lower(run), upper(run) - 1), true"
        "  from landing.dropped as gone, unnest(gone.offsets"
        "   * int8multirange(int8range(%(low)s, greatest(%(low)s, %(high)s)))) as run"
        '  where topic = %(topic)s and epoch = %(epoch)s and "partition" = %(partition)s'
        "  and first_offset < %(high)s and next_offset > %(low)s"
    ).format(table=sql.Identifier(table_of(where.topic)))
    rows = connection.execute(query, {**where._asdict(), "low": low, "high": high}).fetchall()
    return [at for at, gone in rows if not gone], [at for at, gone in rows if gone]


def _rows_out_of_range(connection: psycopg.Connection, where: PartitionId) -> list[int]:
    """Returns offsets of rows that the ODS has and does not answer for, at one moment."""
    query = sql.SQL(
        "with bounds as (select start_offset, next_offset from landing.offsets where"
        ' topic = %(topic)s and epoch = %(epoch)s and "partition" = %(partition)s),'
        ' landed as (select "offset" from landing.{table}'
        '  where epoch = %(epoch)s and "partition" = %(partition)s'
        ' union all select "offset" from landing.quarantine where topic = %(topic)s'
        "  and epoch = %(epoch)s and \"partition\" = %(partition)s and state <> 'redriven')"
        ' select "offset" from landed where "offset" < (select start_offset from bounds)'
        ' union all select "offset" from landed where "offset" >= (select next_offset from bounds)'
        " order by 1"
    ).format(table=sql.Identifier(table_of(where.topic)))
    return [offset for (offset,) in connection.execute(query, where._asdict())]


class _Lake:
    """A partition's records in the lake, along its chain of claims, each once."""

    def __init__(self, copies: _Copies, where: PartitionId, start: int, end: int) -> None:
        self.absent: dict[str, None] = {}
        self._claimed: set[str] = set()
        self._deep = copies.deep
        columns = lake_files.SORTABLE.names if copies.deep else ("offset",)
        self._pieces = LakeReader(copies.store).pieces(where, start, end, columns)
        self._where = where
        self._start = self._next = start
        self._end = end
        self._waiting: list[Told] = []

    def read(self, low: int, high: int) -> list[Told]:
        """Returns what is in [low, high); ranges must come in order."""
        while self._next < min(high, self._end):
            piece = next(self._pieces, None)
            if piece is None:
                key = lake_files.claim_key(self._where, self._next)
                raise FatalError(f"the lake has lost the claim {key}: restore it")
            self._claimed.add(piece.claimed)
            if piece.rows is None:
                self.absent[piece.absent] = None
            elif self._deep:
                records = lake_files.records(piece.rows)
                self._waiting += ((each.offset, fingerprints.of(each)) for each in records)
            else:
                self._waiting += ((offset, None) for offset in piece.rows["offset"].to_pylist())
            self._next = piece.next
        inside = [each for each in self._waiting if low <= each[0] < high]
        self._waiting = [each for each in self._waiting if each[0] >= high]
        return inside

    def unclaimed(self, objects: Sequence[str]) -> list[str]:
        """Returns the partition's objects below the end that no claim names: readers find them."""
        low = lake_files.data_name(self._where, self._start)
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
        sums["dropped"] += each.ods.dropped
        sums["behind"] += each.behind
        for copy in (each.ods, each.lake):
            sums["missing"] += copy.missing
            sums["doubled"] += copy.doubled
            sums["foreign"] += copy.foreign
            sums["altered"] += copy.altered
    return sums
