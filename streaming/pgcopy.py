"""Rows in the binary format of Postgres' COPY, packed by hand: half the cost of a row writer.

A row is a number of fragments, made column by column; a whole chunk of rows is joined once, so that
no payload is copied more often than that.
"""

from collections.abc import Iterator, Sequence
from itertools import repeat
from struct import Struct

from streaming.records import Records

HEADER = b"PGCOPY\n\xff\r\n\x00" + bytes(8)
TRAILER = b"\xff\xff"
NULL = b"\xff\xff\xff\xff"

_POSTGRES_EPOCH_US = 946_684_800_000_000  # 2000-01-01
_INFINITY = 2**63 - 1
FIRST_MS, END_MS = -210_866_803_200_000, 9_224_318_016_000_000
"""What Postgres can hold, in milliseconds since 1970: 4714 BC to 294276 AD."""
_MOMENT = Struct(">iq").pack

length = Struct(">i").pack
"""Packs the length that comes before a value of the types bytea, text or json."""

LENGTH_2, LENGTH_8 = length(2), length(8)
_START = Struct(">hiiiii").pack
_IDENTITY = Struct(">22sq4sq4sh").pack


def start(columns: int, epoch: int, partition: int) -> bytes:
    """Returns how each row of a partition begins: up to the length of its offset."""
    return _START(columns, 4, epoch, 4, partition, 8)


def identities(columns: int, epoch: int, partition: int, records: Records) -> Iterator[bytes]:
    """Returns the start of each row: its number of columns, and the record's first five.

    A timestamp beyond Postgres' range is infinity.
    """
    return map(
        _IDENTITY,
        repeat(start(columns, epoch, partition)),
        records.offsets,
        repeat(LENGTH_8),
        kafka_times(records.timestamps),
        repeat(LENGTH_2),
        records.timestamp_types,
    )


def times(microseconds: Sequence[int]) -> list[int]:
    """Returns times since 1970 as Postgres counts them."""
    return [each - _POSTGRES_EPOCH_US for each in microseconds]


def kafka_times(milliseconds: list[int]) -> list[int]:
    """Returns Kafka's timestamps as Postgres counts time; beyond its range is infinity."""
    if milliseconds and min(milliseconds) >= FIRST_MS and max(milliseconds) < END_MS:
        return [each * 1000 - _POSTGRES_EPOCH_US for each in milliseconds]
    return list(map(_stamp, milliseconds))


def _stamp(milliseconds: int) -> int:
    if FIRST_MS <= milliseconds < END_MS:
        return milliseconds * 1000 - _POSTGRES_EPOCH_US
    return _INFINITY if milliseconds > 0 else -_INFINITY - 1


def blob(value: bytes | None) -> bytes:
    """Returns a column of the types bytea, text or json."""
    return NULL if value is None else length(len(value)) + value


def bigint(value: int) -> bytes:
    """Returns a column of the type bigint."""
    return _MOMENT(8, value)


def moments(microseconds: Sequence[int | None]) -> list[bytes]:
    """Returns a column of the type timestamptz for each number of microseconds since 1970."""
    return [
        NULL if each is None else _MOMENT(8, each - _POSTGRES_EPOCH_US) for each in microseconds
    ]
