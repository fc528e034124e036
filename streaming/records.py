"""Records and partitions as the sinks see them."""

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

Headers = Sequence[tuple[str, bytes | None]]


class PartitionId(NamedTuple):
    """One partition of a topic in one epoch; with an offset, a record's identity."""

    topic: str
    epoch: int
    partition: int

    def __str__(self) -> str:
        return f"{self.topic}[{self.partition}] epoch {self.epoch}"


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


RECORD_BYTES = 300
"""About what a record takes in memory beyond its payload."""


def size(records: Sequence[Record]) -> int:
    """Returns about how many bytes some records take in memory."""
    return RECORD_BYTES * len(records) + sum(len(each.payload or b"") for each in records)


@dataclass(frozen=True, slots=True)
class Slice:
    """All records of a partition in the offsets [start, next), in order; gaps are legal."""

    partition: PartitionId
    start: int
    next: int
    records: Sequence[Record]

    def since(self, offset: int) -> "Slice":
        """Returns the part that begins at an offset, which is not beyond `next`."""
        if offset <= self.start:
            return self
        return Slice(self.partition, offset, self.next, self.records[index(self.records, offset) :])


def index(records: Sequence[Record], offset: int) -> int:
    """Returns how many of some records, in order, lie below an offset."""
    return bisect_left(records, offset, key=lambda record: record.offset)
