"""Records and partitions as the sinks see them."""

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

Headers = Sequence[tuple[str, bytes | None]]


class PartitionId(NamedTuple):
    """One partition of a topic in one epoch; with an offset, a record's identity."""

    topic: str
    epoch: int
    partition: int

    def __str__(self) -> str:
        return f"{self.topic}[{self.partition}] epoch {self.epoch}"


class RecordId(NamedTuple):
    """A record's identity; written `TOPIC/EPOCH/PARTITION/OFFSET`."""

    topic: str
    epoch: int
    partition: int
    offset: int

    @classmethod
    def parse(cls, text: str) -> "RecordId":
        """Reads an identity.

        Raises:
            ValueError: It is not one.
        """
        topic, *numbers = text.rsplit("/", 3)
        epoch, partition, offset = map(int, numbers)
        if not (0 <= epoch < 2**31 and 0 <= partition < 2**31 and 0 <= offset < 2**63):
            raise ValueError(f"{text}: beyond what Kafka counts")
        return cls(topic, epoch, partition, offset)

    def __str__(self) -> str:
        return "/".join(map(str, self))


class Record(NamedTuple):
    """One Kafka message, as it came.

    `timestamp` is in milliseconds since 1970; `timestamp_type` is 0 (none), 1 (set by the
    producer) or 2 (set by the broker). `payload` is None for a tombstone.
    """

    offset: int
    timestamp: int
    timestamp_type: int
    key: bytes | None
    headers: Headers | None
    payload: bytes | None


def same(one: Record, other: Record) -> bool:
    """Returns whether two copies of a record are equal: no headers may also be an empty list."""
    return one._replace(headers=one.headers or None) == other._replace(
        headers=other.headers or None
    )


RECORD_BYTES = 160
"""About what a record takes in memory beyond its payload and headers."""


@dataclass(slots=True)
class Records:
    """Records of one partition in offset order, column by column: cheaper than row by row.

    All columns are equally long; see `Record` for what is in them.
    """

    offsets: list[int] = field(default_factory=list)
    timestamps: list[int] = field(default_factory=list)
    timestamp_types: list[int] = field(default_factory=list)
    keys: list[bytes | None] = field(default_factory=list)
    headers: list[Headers | None] = field(default_factory=list)
    payloads: list[bytes | None] = field(default_factory=list)

    @classmethod
    def of(cls, rows: Iterable[Record]) -> "Records":
        """Returns rows as columns."""
        columns = [list(column) for column in zip(*rows, strict=True)]
        return cls(*columns) if columns else cls()

    def __len__(self) -> int:
        return len(self.offsets)

    def __iter__(self) -> Iterator[Record]:
        return map(Record._make, zip(*self.columns(), strict=True))

    def __getitem__(self, part: slice) -> "Records":
        return Records(*(column[part] for column in self.columns()))

    def row(self, number: int) -> Record:
        """Returns one record."""
        return Record(*(column[number] for column in self.columns()))

    def columns(self) -> tuple[list[Any], ...]:
        """Returns the columns in the order of `Record`."""
        return (
            self.offsets,
            self.timestamps,
            self.timestamp_types,
            self.keys,
            self.headers,
            self.payloads,
        )

    def extend(self, others: "Records") -> None:
        """Appends the records that come after these."""
        for column, other in zip(self.columns(), others.columns(), strict=True):
            column += other

    def index(self, offset: int) -> int:
        """Returns how many records lie below an offset."""
        return bisect_left(self.offsets, offset)

    @property
    def size(self) -> int:
        """About how many bytes they take in memory."""
        size = RECORD_BYTES * len(self) + sum(map(len, filter(None, self.payloads)))
        for headers in filter(None, self.headers):
            size += sum(64 + len(name) + len(value or b"") for name, value in headers)
        return size


@dataclass(frozen=True, slots=True)
class Slice:
    """All records of a partition in the offsets [start, next), in order; gaps are legal.

    `leader_epoch` is Kafka's, of the last record; None where it is not known.
    """

    partition: PartitionId
    start: int
    next: int
    records: Records
    leader_epoch: int | None = None

    def since(self, offset: int) -> "Slice":
        """Returns the part that begins at an offset, which is not beyond `next`."""
        if offset <= self.start:
            return self
        records = self.records[self.records.index(offset) :]
        return Slice(self.partition, offset, self.next, records, self.leader_epoch)
