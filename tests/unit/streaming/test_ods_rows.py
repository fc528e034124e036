"""Rows as COPY reads them: told by a reader of Postgres' documented binary format."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from struct import unpack_from
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from streaming.records import Headers, PartitionId, Record, Records, Slice
from streaming.sinks.ods_rows import LANDING, pack

WHERE = PartitionId("heartbeat.raw", 3, 7)
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
NOON_MS = int(NOON.timestamp() * 1000)
MILLENNIUM = datetime(2000, 1, 1, tzinfo=UTC)
EVENT: dict[str, Any] = {
    "event_id": "0190d5a8-0000-7000-8000-000000000001",
    "schema_version": "1.0",
    "event_type": "heartbeat",
    "seq": 1,
    "boot_id": "0190d5a8-0000-7000-8000-000000000002",
    "event_ts": "2026-03-01T12:00:00.000Z",
    "fw": "1.2.3",
    "model": "COLD-300",
    "status": "ok",
}

identifiers = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1,
                      max_size=20)  # fmt: skip
headers = st.none() | st.lists(
    st.tuples(st.text(st.characters(codec="ascii"), max_size=9), st.none() | st.binary(max_size=9))
)


@st.composite
def logs(draw: st.DrawFn) -> list[Record]:
    """Returns events of devices and sites of unlike names, and tombstones, in offset order."""
    log: list[Record] = []
    for offset in range(draw(st.integers(1, 9))):
        device, told = draw(identifiers), draw(headers)
        payload = None
        if draw(st.booleans()):
            gateway = draw(st.sampled_from([None, "2026-03-01T12:00:00.001Z"]))
            names = {"device_id": device, "site_id": draw(identifiers), "gateway_ts": gateway}
            payload = json.dumps(EVENT | names).encode()
        kind = draw(st.sampled_from([0, 1, 2]))
        log.append(Record(offset, NOON_MS + offset, kind, device.encode(), told, payload))
    return log


@settings(max_examples=60, deadline=None)
@given(logs())
def test_each_row_reads_back_as_its_record(log: list[Record]) -> None:
    packed = pack([Slice(WHERE, 0, len(log), Records.of(log))])
    assert not packed.rejected
    rows = [row for chunk in packed.events[WHERE.topic] for row in _rows(chunk)]
    rows.sort(key=lambda row: _integer(row["offset"]))
    assert len(rows) == len(log)
    for row, record in zip(rows, log, strict=True):
        identity = [_integer(row[name]) for name in ("epoch", "partition", "offset")]
        assert identity == [WHERE.epoch, WHERE.partition, record.offset]
        assert _moment(row["kafka_ts"]) == NOON + timedelta(milliseconds=record.offset)
        assert _integer(row["kafka_ts_type"]) == record.timestamp_type
        assert (row["key"], row["payload"]) == (record.key, record.payload)
        assert (row["headers"] is None) is (not record.headers)
        event = json.loads(record.payload or b"{}")
        for name in ("device_id", "site_id"):
            assert row[name] == (event[name].encode() if event else None)
        for name in ("event_ts", "gateway_ts"):
            told = event.get(name)
            assert _moment(row[name]) == (told and datetime.fromisoformat(told))


def test_headers_are_kept_beside_events_that_have_none() -> None:
    told: Headers = [("traceparent", b"\x00\xff"), ("empty", None)]
    payload = json.dumps(EVENT | {"device_id": "d", "site_id": "s"}).encode()
    log = [Record(0, NOON_MS, 1, b"d", told, payload), Record(1, NOON_MS, 1, b"d", None, payload)]
    [chunk] = pack([Slice(WHERE, 0, 2, Records.of(log))]).events[WHERE.topic]
    found = [row["headers"] for row in _rows(chunk)]
    assert found == [b'[["traceparent","AP8="],["empty",null]]', None]


def _rows(chunk: bytes) -> Iterator[dict[str, bytes | None]]:
    """Yields rows: how many fields (int16), then of each its length (int32; -1: null) and bytes."""
    at = 0
    while at < len(chunk):
        (count,) = unpack_from(">h", chunk, at)
        at += 2
        values: list[bytes | None] = []
        for _ in range(count):
            (length,) = unpack_from(">i", chunk, at)
            at += 4
            values.append(None if length < 0 else chunk[at : at + length])
            at += max(length, 0)
        yield dict(zip(LANDING, values, strict=True))


def _integer(value: bytes | None) -> int:
    assert value is not None
    return int.from_bytes(value, "big", signed=True)


def _moment(value: bytes | None) -> datetime | None:
    return None if value is None else MILLENNIUM + timedelta(microseconds=_integer(value))
