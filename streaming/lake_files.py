"""What the lake's files are called and hold: keys, the Arrow schema, Parquet bytes."""

import io
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from streaming import stored
from streaming.errors import FatalError
from streaming.records import PartitionId, Record, Records

HOUR_MS = 3_600_000
_CLAIM = re.compile(r"_claims/.+/o(\d{20})")

SCHEMA = pa.schema(
    [
        pa.field("topic", pa.dictionary(pa.int32(), pa.string()), nullable=False),
        pa.field("epoch", pa.int32(), nullable=False),
        pa.field("partition", pa.int32(), nullable=False),
        pa.field("offset", pa.int64(), nullable=False),
        pa.field("kafka_ts", pa.timestamp("ms", tz="UTC"), nullable=False),
        pa.field("kafka_ts_type", pa.int8(), nullable=False),
        pa.field("key", pa.dictionary(pa.int32(), pa.binary())),
        pa.field(
            "headers",
            pa.list_(
                pa.struct([pa.field("name", pa.string(), nullable=False), ("value", pa.binary())])
            ),
        ),
        pa.field("payload", pa.binary()),
    ],
    metadata={"fleetpulse.schema_version": "1"},
)
"""One row a record, in offset order; `kafka_ts` is exact, whatever the year."""

SORTABLE = pa.schema(
    [pa.field("key", pa.binary()) if each.name == "key" else each for each in SCHEMA][1:]
)
"""The schema without what Arrow cannot sort: the topic, always the same, and keys by number."""

SCHEMA_KEY = "raw/_schema/v1.arrow"
"""Where the schema is kept beside the data, as an Arrow IPC schema message."""


@dataclass(frozen=True, slots=True)
class Claim:
    """The promise that the object `key` holds exactly the records of [start, next)."""

    start: int
    next: int
    key: str

    def encode(self) -> bytes:
        """Returns the claim as it is stored."""
        return msgspec.json.encode(self)

    @staticmethod
    def decode(body: bytes, name: str) -> "Claim":
        """Reads a stored claim.

        Raises:
            FatalError: It is not one.
        """
        claim = stored.decode(body, Claim, f"claim {name}")
        if not 0 <= claim.start < claim.next:
            raise FatalError(f"the lake's claim {name} covers no offsets: {claim}")
        return claim


def claims_prefix(partition: PartitionId) -> str:
    """Returns what the keys of a partition's claims begin with."""
    return f"_claims/topic={partition.topic}/e{partition.epoch}-p{partition.partition}/"


def claim_key(partition: PartitionId, start: int) -> str:
    """Returns the key of the claim that begins at an offset."""
    return f"{claims_prefix(partition)}o{start:020d}"


def claim_start(key: str) -> int | None:
    """Returns the offset where a claim begins, or None where the key is not a claim's.

    A store on a file system may list uploads that have not ended, or never will.
    """
    match = _CLAIM.fullmatch(key)
    return None if match is None else int(match[1])


def data_key(partition: PartitionId, start: int, greatest_timestamp: int) -> str:
    """Returns the key of a data object; `dt` and `hr` are of its greatest timestamp (ms)."""
    moment = datetime.fromtimestamp(0, UTC) if greatest_timestamp < 0 else _hour(greatest_timestamp)
    folder = f"{data_prefix(partition.topic)}dt={moment:%Y-%m-%d}/hr={moment:%H}"
    return f"{folder}/{data_name(partition, start)}"


def data_prefix(topic: str) -> str:
    """Returns what the keys of a topic's data objects begin with."""
    return f"raw/topic={topic}/"


def data_name(partition: PartitionId, start: int) -> str:
    """Returns the last part of a data object's key."""
    return f"e{partition.epoch}-p{partition.partition}-o{start:020d}.parquet"


def _hour(timestamp: int) -> datetime:
    last = 253_402_300_799_000  # the end of the year 9999, beyond which a path has no date
    return datetime.fromtimestamp(min(timestamp, last) / 1000, UTC)


class FileWriter:
    """Writes records of one partition as a Parquet file in memory, row group by row group."""

    def __init__(self, partition: PartitionId) -> None:
        self.greatest_timestamp = -(2**63)
        self._partition = partition
        self._buffer = io.BytesIO()  # grows by an eighth, where Arrow's own doubles
        self._writer: pq.ParquetWriter | None = None

    @property
    def size(self) -> int:
        """Bytes written so far."""
        return self._buffer.tell()

    def write(self, records: Records) -> None:
        """Writes a row group; of no records, nothing."""
        if records:
            self._open().write_table(_table(self._partition, records))
            greatest = max(records.timestamps)
            self.greatest_timestamp = max(self.greatest_timestamp, greatest)

    def close(self) -> bytes:
        """Returns the file."""
        self._open().close()
        return self._buffer.getvalue()

    def _open(self) -> pq.ParquetWriter:
        if self._writer is None:
            self._writer = pq.ParquetWriter(
                self._buffer,
                SCHEMA,
                compression="zstd",
                compression_level=1,
                use_dictionary=["topic", "key"],
                write_statistics=["offset", "kafka_ts"],
            )
        return self._writer


def _table(partition: PartitionId, records: Records) -> pa.Table:
    count = len(records)
    headers_type = SCHEMA.field("headers").type
    headers = pa.nulls(count, headers_type)
    if records.headers.count(None) < count:
        headers = pa.array(list(map(_headers, records.headers)), headers_type)
    fields = [
        pa.DictionaryArray.from_arrays(_repeat(0, count), [partition.topic]),
        _repeat(partition.epoch, count),
        _repeat(partition.partition, count),
        pa.array(records.offsets, pa.int64()),
        pa.array(records.timestamps, pa.int64()).cast(SCHEMA.field("kafka_ts").type),
        pa.array(records.timestamp_types, pa.int8()),
        pa.array(records.keys, pa.binary()).dictionary_encode(),
        headers,
        pa.array(records.payloads, pa.binary()),
    ]
    return pa.Table.from_arrays(fields, schema=SCHEMA)


def _repeat(value: int, count: int) -> pa.Array:
    return pa.repeat(pa.scalar(value, pa.int32()), count)


def _headers(headers: Any) -> list[dict[str, Any]] | None:
    return headers and [{"name": name, "value": value} for name, value in headers]


def decode(body: bytes) -> Iterator[Record]:
    """Yields the records of a Parquet file, as they were."""
    for table in tables(body):
        yield from records(table)


def tables(body: bytes, columns: Sequence[str] = SORTABLE.names) -> Iterator[pa.Table]:
    """Yields a Parquet file's row groups, as in `SORTABLE`."""
    file = pq.ParquetFile(pa.BufferReader(body))
    schema = pa.schema([SORTABLE.field(name) for name in columns])
    for number in range(file.num_row_groups):
        yield file.read_row_group(number, columns=list(columns)).select(columns).cast(schema)


def records(table: pa.Table) -> Records:
    """Returns the rows of a table as in `SORTABLE`, as they were."""
    return Records(
        table["offset"].to_pylist(),
        table["kafka_ts"].cast(pa.int64()).to_pylist(),
        table["kafka_ts_type"].to_pylist(),
        table["key"].to_pylist(),
        [
            headers and [(header["name"], header["value"]) for header in headers]
            for headers in table["headers"].to_pylist()
        ],
        table["payload"].to_pylist(),
    )


def with_topic(topic: str, table: pa.Table) -> pa.Table:
    """Returns a table as in `SORTABLE` as in `SCHEMA`."""
    topics = pa.DictionaryArray.from_arrays(_repeat(0, len(table)), [topic])
    keys = pc.dictionary_encode(table["key"])
    columns = {**{name: table[name] for name in SORTABLE.names}, "topic": topics, "key": keys}
    return pa.Table.from_arrays([columns[name] for name in SCHEMA.names], schema=SCHEMA)
