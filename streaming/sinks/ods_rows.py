"""Slices as rows of the ODS: judged, and packed for COPY, before a transaction needs them."""

import base64
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache, lru_cache
from itertools import chain, repeat
from operator import call
from struct import Struct
from typing import cast

import orjson

from streaming import pgcopy
from streaming.decoding import Decoder, Judged, Microseconds, Rejected
from streaming.records import Headers, PartitionId, Record, Records, Slice

# The payload is last: an event's row is packed as one struct and the payload, which is not copied.
LANDING = ("epoch", "partition", "offset", "kafka_ts", "kafka_ts_type", "key", "headers",
            "device_id", "site_id", "event_ts", "gateway_ts", "payload")  # fmt: skip
QUARANTINE = ("epoch", "partition", "offset", "kafka_ts", "kafka_ts_type", "key", "headers",
               "topic", "payload", "reason", "detail", "device_id", "arrival_ts",
              "kafka_ms")  # fmt: skip
CHUNK = 1_000
"""Records judged and packed at a time."""


@dataclass(slots=True)
class Packed:
    """Slices of different partitions, as rows.

    `events` holds the landing rows of each topic, in chunks; `latest` the largest time that each
    partition's events have seen.
    """

    slices: Sequence[Slice]
    events: dict[str, list[bytes]] = field(default_factory=lambda: defaultdict(list))
    rejected: list[bytes] = field(default_factory=list)
    latest: dict[PartitionId, Microseconds] = field(default_factory=dict)


def pack(slices: Sequence[Slice]) -> Packed:
    """Judges records and returns them as rows."""
    packed = Packed(slices)
    for each in slices:
        decoder = _decoder(each.partition.topic)
        for start in range(0, len(each.records), CHUNK):
            records = each.records[start : start + CHUNK]
            _pack(each.partition, records, decoder.judge(records), packed)
    return packed


_decoder = cache(Decoder)


def _pack(where: PartitionId, records: Records, judged: Judged, packed: Packed) -> None:
    if rows := _landing_rows(where, records, judged):
        packed.events[where.topic].append(rows)
    packed.rejected += (
        quarantine_row(where, records.row(number), verdict)
        for number, verdict in judged.rejected.items()
    )
    if judged.event_ts:
        seen = max(map(min, judged.event_ts, judged.arrivals))
        packed.latest[where] = max(seen, packed.latest.get(where, seen))


def _landing_rows(where: PartitionId, records: Records, judged: Judged) -> bytes:
    """Returns the rows of events and tombstones."""
    rows: list[bytes] = []
    if judged.events:
        rows += _event_rows(where, _only(records, judged.events), judged)
    if judged.tombstones:
        told = _only(records, judged.tombstones)
        starts = pgcopy.identities(len(LANDING), where.epoch, where.partition, told)
        keys, headers = map(pgcopy.blob, told.keys), map(_headers, told.headers)
        nothing = [pgcopy.NULL * 5] * len(told)
        rows += chain.from_iterable(zip(starts, keys, headers, nothing, strict=True))
    return b"".join(rows)


def _event_rows(where: PartitionId, records: Records, judged: Judged) -> Iterator[bytes]:
    # An event's key is its device_id, and it has a payload.
    keys, payloads = cast(list[bytes], records.keys), cast(list[bytes], records.payloads)
    headers = [pgcopy.NULL] * len(records)
    if any(records.headers):
        headers = list(map(_headers, records.headers))
    sites = [each.site_id.encode() for each in judged.envelopes]
    gateways = pgcopy.moments(judged.gateway_ts)
    key_lengths, site_lengths = list(map(len, keys)), list(map(len, sites))
    starts = map(
        call,
        map(_packer, key_lengths, map(len, headers), site_lengths, map(len, gateways)),
        repeat(pgcopy.start(len(LANDING), where.epoch, where.partition)),
        records.offsets,
        repeat(pgcopy.LENGTH_8),
        pgcopy.kafka_times(records.timestamps),
        repeat(pgcopy.LENGTH_2),
        records.timestamp_types,
        key_lengths,
        keys,
        headers,
        key_lengths,
        keys,
        site_lengths,
        sites,
        repeat(pgcopy.LENGTH_8),
        pgcopy.times(judged.event_ts),
        gateways,
        map(len, payloads),
    )
    return chain.from_iterable(zip(starts, payloads, strict=True))


@lru_cache(maxsize=1024)
def _packer(key: int, headers: int, site: int, gateway: int) -> Callable[..., bytes]:
    """Returns what packs an event's row before its payload, by the bytes that its columns have."""
    return Struct(f">22s q 4sq 4sh i{key}s {headers}s i{key}s i{site}s 4sq {gateway}s i").pack


def _only(records: Records, numbers: Sequence[int]) -> Records:
    """Returns the records at these positions."""
    if len(numbers) == len(records):
        return records
    return Records(*([column[number] for number in numbers] for column in records.columns()))


def quarantine_row(where: PartitionId, record: Record, rejected: Rejected) -> bytes:
    """Returns a record's row in quarantine."""
    device_id = rejected.device_id
    columns = (
        *pgcopy.identities(len(QUARANTINE), where.epoch, where.partition, Records.of([record])),
        pgcopy.blob(record.key),
        _headers(record.headers),
        pgcopy.blob(where.topic.encode()),
        pgcopy.blob(record.payload),
        pgcopy.blob(rejected.reason.encode()),
        pgcopy.blob(_storable(rejected.detail)),
        pgcopy.blob(None if device_id is None else device_id.encode()),
        *pgcopy.moments([rejected.arrival]),
        pgcopy.bigint(record.timestamp),
    )
    return b"".join(columns)


def _headers(headers: Headers | None) -> bytes:
    if not headers:
        return pgcopy.NULL
    encoded = [
        (name, None if value is None else base64.b64encode(value).decode())
        for name, value in headers
    ]
    return pgcopy.blob(orjson.dumps(encoded))


def read_headers(headers: str | None) -> Headers | None:
    """Returns headers as they were, of what the ODS keeps of them."""
    if headers is None:
        return None
    return [
        (name, None if value is None else base64.b64decode(value))
        for name, value in orjson.loads(headers)
    ]


def _storable(text: str) -> bytes:
    return text.replace("\x00", "\\x00")[:1000].encode("utf-8", "backslashreplace")
