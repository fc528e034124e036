"""Redriving: a quarantined record lands under its own identity, once, and the lake is told.

1. Lock the records' rows: of two who redrive the same, one wins.
2. Judge them as landing does: the newest repair, else the original (a contract may be loosened).
3. Take the next numbers from the one counter row, which stays locked to the commit: whoever reads
   the counter knows that all numbers up to it can be seen.
4. Insert into landing, mark the rows, write the log; commit.
5. Tell the lake, else a replay would lose the repairs. After the commit, for a replay must never
   land what the ODS did not; so what was not told yet is told later (`put_in_lake`).
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby, islice
from typing import NamedTuple

import msgspec
import psycopg
from psycopg import sql

from streaming import stored
from streaming.contracts import CONTRACTS
from streaming.database import Database, words
from streaming.decoding import Decoder, moment
from streaming.errors import FatalError
from streaming.object_store import ObjectStore
from streaming.quarantine import State
from streaming.records import PartitionId, Record, RecordId, Records
from streaming.sinks.ods import table_of

AT_ONCE = 100
"""Records redriven in one transaction, or told to the lake between two looks."""


class Outcome(NamedTuple):
    """What became of a record: its number, or why it has not landed."""

    record: RecordId
    number: int | None
    why_not: str | None = None


@dataclass(frozen=True, slots=True)
class _Candidate:
    """A quarantined record, and the payload that it is to land with."""

    record: RecordId
    state: State
    number: int | None
    kafka_ms: int
    kafka_ts_type: int
    key: bytes | None
    payload: bytes | None


class _Row(NamedTuple):
    """What landing adds to what quarantine has."""

    record: RecordId
    payload: str | None
    device_id: str | None = None
    site_id: str | None = None
    event_ts: datetime | None = None
    gateway_ts: datetime | None = None


class _Redrive(NamedTuple):
    """A row with its number, and who lands it."""

    row: _Row
    number: int
    by: str
    at: datetime
    note: str | None


def redrive(
    connection: psycopg.Connection, records: Sequence[RecordId], *, by: str, note: str | None
) -> list[Outcome]:
    """Lands quarantined records, in one transaction; one that cannot land does not hinder others.

    Args:
        connection: The ODS, in the consumer's role.
        records: Identities, each once.
        by: Who does it.
        note: Why.

    Returns:
        An outcome for each record, in the order of their identities.
    """
    with connection.transaction():
        candidates = _lock(connection, records)
        outcomes = [
            Outcome(each.record, None, f"it has been redriven before, with number {each.number}")
            for each in candidates
            if each.state is State.REDRIVEN
        ]
        verdicts = list(_judge([each for each in candidates if each.state is not State.REDRIVEN]))
        outcomes += [each for each in verdicts if isinstance(each, Outcome)]
        rows = [each for each in verdicts if isinstance(each, _Row)]
        outcomes += _land(connection, rows, by, note)
    found = {each.record for each in outcomes}
    outcomes += [
        Outcome(each, None, "it is not in quarantine") for each in records if each not in found
    ]
    return sorted(outcomes)


def judge(connection: psycopg.Connection, record: RecordId) -> str | None:
    """Returns why a record would not land now, or None where it would."""
    with connection.transaction():
        [verdict] = _judge(_lock(connection, [record]))
    return None if isinstance(verdict, _Row) else verdict.why_not


def _lock(connection: psycopg.Connection, records: Sequence[RecordId]) -> list[_Candidate]:
    """Locks rows in one order whoever asks, then reads their repairs: none can come after."""
    wanted = _columns(records)
    rows = connection.execute(
        'select topic, epoch, "partition", "offset", state, redrive, kafka_ms, kafka_ts_type, key,'
        " payload from landing.quarantine"
        ' where (topic, epoch, "partition", "offset")'
        "  in (select * from unnest(%s::text[], %s::int[], %s::int[], %s::bigint[]))"
        ' order by topic, epoch, "partition", "offset" for no key update',
        wanted,
    ).fetchall()
    repairs = {
        RecordId._make(identity): payload
        for *identity, payload in connection.execute(
            'select distinct on (topic, epoch, "partition", "offset")'
            '  topic, epoch, "partition", "offset", payload from landing.quarantine_log'
            ' where action = \'repair\' and (topic, epoch, "partition", "offset")'
            "  in (select * from unnest(%s::text[], %s::int[], %s::int[], %s::bigint[]))"
            ' order by topic, epoch, "partition", "offset", entry desc',
            wanted,
        )
    }
    found = []
    for *identity, state, number, kafka_ms, kind, key, payload in rows:
        record = RecordId._make(identity)
        counts = repairs.get(record, payload)
        found.append(_Candidate(record, State(state), number, kafka_ms, kind, key, counts))
    return found


def _judge(candidates: Sequence[_Candidate]) -> Iterator[_Row | Outcome]:
    """Yields each record's row, or why it still breaks its contract."""
    for topic, group in groupby(candidates, key=lambda each: each.record.topic):
        if topic not in CONTRACTS:
            yield from (Outcome(each.record, None, "its topic has no contract") for each in group)
            continue
        of_topic = list(group)
        records = (
            Record(each.record.offset, each.kafka_ms, each.kafka_ts_type, each.key, None,
                   each.payload)
            for each in of_topic
        )  # fmt: skip
        judged = Decoder(topic).judge(Records.of(records))
        for at, rejected in judged.rejected.items():
            yield Outcome(of_topic[at].record, None, f"{rejected.reason}: {rejected.detail}")
        for at in judged.tombstones:
            yield _Row(of_topic[at].record, None)
        columns = (judged.events, judged.envelopes, judged.event_ts, judged.gateway_ts)
        for at, envelope, event_ts, gateway_ts in zip(*columns, strict=True):
            yield _Row(
                of_topic[at].record,
                (of_topic[at].payload or b"").decode(),
                envelope.device_id,
                envelope.site_id,
                moment(event_ts),
                None if gateway_ts is None else moment(gateway_ts),
            )


def _land(
    connection: psycopg.Connection, rows: Sequence[_Row], by: str, note: str | None
) -> list[Outcome]:
    """Lands rows; what the database refuses by itself is found by halving, as in landing."""
    if not rows:
        return []
    try:
        with connection.transaction():
            [(last, now)] = connection.execute(
                "update landing.redrives set last = last + %s returning last, now()", [len(rows)]
            )
            numbers = range(last - len(rows) + 1, last + 1)
            done = [
                _Redrive(row, number, by, now, note)
                for row, number in zip(rows, numbers, strict=True)
            ]
            return _insert(connection, done)
    except psycopg.DataError as error:
        if len(rows) == 1:
            return [Outcome(rows[0].record, None, f"REFUSED: {words(error)}")]
        half = len(rows) // 2
        first = _land(connection, rows[:half], by, note)
        return first + _land(connection, rows[half:], by, note)


def _insert(connection: psycopg.Connection, redrives: Sequence[_Redrive]) -> list[Outcome]:
    for topic, group in groupby(redrives, key=lambda each: each.row.record.topic):
        flat = [(*each.row.record, *each.row[1:], each.number) for each in group]
        connection.execute(_INSERT.format(sql.Identifier(table_of(topic))), _columns(flat))
    marks = [(*each.row.record, each.number) for each in redrives]
    connection.execute(
        "update landing.quarantine as q set state = 'redriven', redrive = r.redrive"
        " from unnest(%s::text[], %s::int[], %s::int[], %s::bigint[], %s::bigint[])"
        '  as r (topic, epoch, "partition", "offset", redrive)'
        " where q.topic = r.topic and q.epoch = r.epoch"
        '  and q."partition" = r."partition" and q."offset" = r."offset"',
        _columns(marks),
    )
    entries = [(*each.row.record, each.by, each.at, each.note) for each in redrives]
    connection.execute(
        'insert into landing.quarantine_log (action, topic, epoch, "partition", "offset", done_by,'
        " done_at, note) select 'redrive', * from unnest(%s::text[], %s::int[], %s::int[],"
        "  %s::bigint[], %s::text[], %s::timestamptz[], %s::text[])",
        _columns(entries),
    )
    return [Outcome(each.row.record, each.number) for each in redrives]


def _columns(rows: Sequence[Sequence[object]]) -> list[list[object]]:
    return [list(column) for column in zip(*rows, strict=True)]


_INSERT = sql.SQL(
    'insert into landing.{} (epoch, "partition", "offset", kafka_ts, kafka_ts_type, key, headers,'
    "  payload, device_id, site_id, event_ts, gateway_ts, redrive)"
    ' select q.epoch, q."partition", q."offset", q.kafka_ts, q.kafka_ts_type, q.key, q.headers,'
    "  r.payload::json, r.device_id, r.site_id, r.event_ts, r.gateway_ts, r.redrive"
    " from unnest(%s::text[], %s::int[], %s::int[], %s::bigint[], %s::text[], %s::text[],"
    "  %s::text[], %s::timestamptz[], %s::timestamptz[], %s::bigint[])"
    '  as r (topic, epoch, "partition", "offset", payload, device_id, site_id, event_ts,'
    "   gateway_ts, redrive)"
    " inner join landing.quarantine as q on q.topic = r.topic and q.epoch = r.epoch"
    '  and q."partition" = r."partition" and q."offset" = r."offset"'
)


# The lake ----------------------------------------------------------------------------------------


class Redriven(NamedTuple):
    """A redriven record, as the lake was told of it; `payload` is None where it is as it was."""

    partition: PartitionId
    offset: int
    number: int
    payload: bytes | None


class _Object(msgspec.Struct, frozen=True):
    """The object that tells of one redrive; `payload` is in base64."""

    topic: str
    epoch: int
    partition: int
    offset: int
    number: int
    payload: bytes | None
    by: str
    at: datetime
    note: str | None

    @property
    def record(self) -> RecordId:
        """Whose redrive it is."""
        return RecordId(self.topic, self.epoch, self.partition, self.offset)

    @property
    def key(self) -> str:
        """Its key in the lake."""
        name = f"e{self.epoch}-p{self.partition}-o{self.offset:020d}.json"
        return f"redriven/topic={self.topic}/{name}"


def waiting(connection: psycopg.Connection) -> int:
    """Returns how many redriven records the lake has not been told of."""
    [(number,)] = connection.execute(
        "select count(*) from landing.quarantine where redrive is not null and in_lake_at is null"
    )
    return int(number)


def put_in_lake(
    database: Database, store: ObjectStore, told: Callable[[int], object] = lambda count: None
) -> None:
    """Tells the lake of every redrive that it has not been told of.

    Args:
        database: The ODS, in the consumer's role.
        store: The lake.
        told: Hears, time after time, of how many it has just been told.

    Raises:
        OutageError: The ODS or the object store does not answer; call again.
        FatalError: The lake tells otherwise of some; it has been told of the others.
    """
    last, otherwise = 0, []
    while True:
        with database.transaction() as connection:
            found = _untold(connection, last)
        if not found:
            break
        last = found[-1].number
        put = [each.number for each in found if _put(store, each)]
        otherwise += [each.key for each in found if each.number not in put]
        with database.transaction() as connection:
            connection.execute(
                "update landing.quarantine set in_lake_at = now() where redrive = any(%s)", [put]
            )
        told(len(put))
    if otherwise:
        raise FatalError(
            f"the lake tells of another redrive in {', '.join(otherwise[:10])}"
            f" ({len(otherwise)} in all): was the ODS restored from before it? Compare the two,"
            " then remove the objects"
        )


def read_redriven(store: ObjectStore, topic: str) -> Iterator[Redriven]:
    """Yields what the lake was told of a topic's redrives, in the order of partition and offset.

    Raises:
        FatalError: An object cannot be read.
    """
    for each in _told(store, topic):
        where = PartitionId(each.topic, each.epoch, each.partition)
        yield Redriven(where, each.offset, each.number, each.payload)


def restore(database: Database, store: ObjectStore, topic: str) -> Iterator[list[Outcome]]:
    """Redrives again what the lake was told of, with the same numbers, by whom and when it was.

    For an ODS that was landed from the lake. What has been redriven there already is passed over,
    so it can be repeated; so is what is not in quarantine there.

    Args:
        database: The ODS, in the consumer's role.
        store: The lake.
        topic: The topic.

    Yields:
        What became of the next records; one that its contract no longer takes stays held.

    Raises:
        OutageError: The ODS or the object store does not answer; call again.
        FatalError: The ODS has given a number to another record since.
    """
    told = _told(store, topic)
    while page := {each.record: each for each in islice(told, AT_ONCE)}:
        with database.transaction() as connection:
            outcomes = _restore(connection, page)
        yield outcomes


def _restore(connection: psycopg.Connection, told: Mapping[RecordId, _Object]) -> list[Outcome]:
    held = {
        each.record: each
        for each in _lock(connection, list(told))
        if each.state is not State.REDRIVEN
    }
    repaired = [each for each in told.values() if each.record in held and each.payload is not None]
    with connection.cursor() as cursor:
        cursor.executemany(
            'insert into landing.quarantine_log (topic, epoch, "partition", "offset", action,'
            " payload, done_by, done_at, note) values (%s, %s, %s, %s, 'repair', %s, %s, %s, %s)",
            [(*each.record, each.payload, each.by, each.at, each.note) for each in repaired],
        )
    verdicts = list(_judge(_lock(connection, list(held)) if held else []))
    rows = [each for each in verdicts if isinstance(each, _Row)]
    redrives = [
        _Redrive(row, of.number, of.by, of.at, of.note)
        for row, of in ((row, told[row.record]) for row in rows)
    ]
    outcomes = [each for each in verdicts if isinstance(each, Outcome)]
    if redrives:
        outcomes += _insert(connection, redrives)
        numbers = [each.number for each in redrives]
        connection.execute("update landing.redrives set last = greatest(last, %s)", [max(numbers)])
        connection.execute(
            "update landing.quarantine set in_lake_at = now() where redrive = any(%s)", [numbers]
        )
    return outcomes


def _told(store: ObjectStore, topic: str) -> Iterator[_Object]:
    for key in store.keys(f"redriven/topic={topic}/"):
        body = store.get(key) if key.endswith(".json") else None
        if body is not None:
            yield stored.decode(body, _Object, key)


def _untold(connection: psycopg.Connection, after: int) -> list[_Object]:
    rows = connection.execute(
        'select q.topic, q.epoch, q."partition", q."offset", q.redrive, repair.payload,'
        "  log.done_by, log.done_at, log.note"
        " from landing.quarantine as q"
        ' inner join landing.quarantine_log as log using (topic, epoch, "partition", "offset")'
        " left join lateral (select payload from landing.quarantine_log as r"
        "  where r.topic = q.topic and r.epoch = q.epoch"
        '   and r."partition" = q."partition" and r."offset" = q."offset"'
        "   and r.action = 'repair' order by r.entry desc limit 1) as repair on true"
        " where q.redrive > %s and q.in_lake_at is null and log.action = 'redrive'"
        " order by q.redrive limit %s",
        [after, AT_ONCE],
    )
    return [_Object(*row) for row in rows]


def _put(store: ObjectStore, each: _Object) -> bool:
    """Puts the object of a redrive; returns whether it is the one that is there now."""
    if store.put_if_absent(each.key, msgspec.json.encode(each)):
        return True
    body = store.get(each.key)
    return body is not None and stored.decode(body, _Object, each.key) == each
