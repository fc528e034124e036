"""The lake sink: each partition is a chain of claims, and each claim one immutable object.

A claim {start, next, key} is put if absent at the key of its start and never deleted; then its
object is put if absent at the claimed key. Whoever finds a claim adopts it, whatever its own cut
would have been. So of two writers, one a zombie, both write the same chain:

1. read the last claim and confirm its object, writing it where it is absent;
2. claim [next, cut) with a cut that the ODS has passed; lost: read the winner's claim, adopt it;
3. write the object with exactly the claim's records; lost: it is there already, with the same.

An unknown outcome raises `OutageError`; calling again goes on at the same step.
"""

import time
from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from streaming import lake_files
from streaming.errors import FatalError
from streaming.lake_files import Claim
from streaming.object_store import ObjectStore
from streaming.records import PartitionId, Record
from streaming.settings import LandingSettings


class Tail(NamedTuple):
    """The end of a partition's chain.

    All below `next_offset` is in the lake; `claim` begins there where its object is still absent;
    `confirmed` is the start of the newest claim known to be complete.
    """

    next_offset: int
    claim: Claim | None
    confirmed: int | None


class LakeSink:
    """Opens the partitions of the lake."""

    def __init__(
        self,
        store: ObjectStore,
        settings: LandingSettings,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._store = store
        self._settings = settings
        self._clock = clock

    def prepare(self) -> None:
        """Keeps the schema beside the data; also finds out early whether the store answers.

        Raises:
            OutageError: The store does not answer.
            FatalError: It refuses us.
        """
        body = lake_files.SCHEMA.serialize().to_pybytes()
        self._store.put_if_absent(lake_files.SCHEMA_KEY, body)

    def start(self, partition: PartitionId) -> int | None:
        """Returns the offset where a partition's chain begins, or None where there is none yet."""
        return next(_claim_starts(self._store, partition), None)

    def open(self, partition: PartitionId, start_offset: int, hint: int | None) -> "LakePartition":
        """Reads the end of a partition's chain.

        Args:
            partition: The partition.
            start_offset: Where the chain begins if it does not exist yet.
            hint: Start of a claim known to be complete, from which the end is looked for.

        Raises:
            FatalError: The claim of the hint is gone: the lake has lost objects.
        """
        tail = read_tail(self._store, partition, start_offset, hint)
        return LakePartition(self._store, self._settings, self._clock, partition, tail)


def read_tail(
    store: ObjectStore, partition: PartitionId, start_offset: int, hint: int | None
) -> Tail:
    """Returns the end of a partition's chain; see `LakeSink.open`."""
    newest = hint
    for start in _claim_starts(store, partition, hint):
        newest = start
    if newest is None:
        return Tail(start_offset, None, None)
    claim = read_claim(store, partition, newest)
    if claim is None:
        raise FatalError(
            f"the lake has lost the claim at offset {newest} of {partition}: restore "
            f"{lake_files.claim_key(partition, newest)}, or point FLEETPULSE_LAKE__URL at the "
            "lake that this ODS was landed with"
        )
    if store.exists(claim.key):
        return Tail(claim.next, None, claim.start)
    return Tail(claim.start, claim, hint)


def read_claim(store: ObjectStore, partition: PartitionId, start: int) -> Claim | None:
    """Returns the claim that begins at an offset, or None."""
    key = lake_files.claim_key(partition, start)
    body = store.get(key)
    return None if body is None else Claim.decode(body, key)


def _claim_starts(
    store: ObjectStore, partition: PartitionId, after: int | None = None
) -> Iterator[int]:
    """Yields where a partition's claims begin, in order, behind a claim."""
    behind = "" if after is None else lake_files.claim_key(partition, after)
    for key in store.keys(lake_files.claims_prefix(partition), behind):
        start = lake_files.claim_start(key)
        if start is not None:
            yield start


class LakePartition:
    """Gathers the records of one partition and puts them in the lake, file by file."""

    def __init__(
        self,
        store: ObjectStore,
        settings: LandingSettings,
        clock: Callable[[], float],
        partition: PartitionId,
        tail: Tail,
    ) -> None:
        self.partition = partition
        self.next_offset, self._claim, self.confirmed = tail
        self._store = store
        self._settings = settings
        self._clock = clock
        self._records: list[Record] = []
        self._hour_ends: list[int] = []  # offsets of records that begin a later hour
        self._hour = -(2**63)
        self._bytes = 0
        self._first_at = self._last_at = 0.0

    def append(self, record: Record) -> None:
        """Takes the next record; what lies below the confirmed offset is there already."""
        if record.offset < self.next_offset:
            return
        self._last_at = self._clock()
        hour = record.timestamp // lake_files.HOUR_MS
        if not self._records:
            self._first_at = self._last_at
            self._hour = hour
        elif hour > self._hour:
            self._hour_ends.append(record.offset)
            self._hour = hour
        self._records.append(record)
        self._bytes += len(record.payload or b"") + 64

    def land(self, landed: int, *, all_of_it: bool = False) -> None:
        """Puts the files that are due in the lake.

        Args:
            landed: All records below are in the ODS and have been appended here: no claim
                passes it, and no object is written that would need more.
            all_of_it: Close the open file too, whatever its age and size.

        Raises:
            OutageError: The outcome of a write is unknown; call again.
            FatalError: The lake holds something else than the protocol allows.
        """
        while claim := self._claim or self._make_claim(landed, all_of_it):
            self._claim = claim
            if claim.next > landed:
                return  # adopted, and longer than what we have yet
            records = self._records[: self._index(claim.next)]
            self._store.put_if_absent(claim.key, lake_files.encode(self.partition, records))
            self._drop(claim.next)
            self.next_offset, self.confirmed, self._claim = claim.next, claim.start, None

    def fill(self, read: Callable[[int], Sequence[Record]], end: int) -> None:
        """Takes what Kafka no longer has from the ODS, and lands what is due of it.

        Args:
            read: Returns the next records from an offset on that the ODS has; none at its end.
            end: Where Kafka's log begins; the ODS has all that is below.

        Raises:
            OutageError: The outcome of a write is unknown; open the partition again.
            FatalError: The lake holds something else than the protocol allows.
        """
        start = self.next_offset
        while start < end:
            records = read(start)
            for record in records:
                if record.offset < end:
                    self.append(record)
            start = min(records[-1].offset + 1, end) if records else end
            self.land(start)

    def _make_claim(self, landed: int, all_of_it: bool) -> Claim | None:
        cut = self._cut(landed, all_of_it)
        if cut is None:
            return None
        records = self._records[: self._index(cut)]
        greatest = max(record.timestamp for record in records)
        key = lake_files.data_key(self.partition, self.next_offset, greatest)
        claim = Claim(self.next_offset, cut, key)
        name = lake_files.claim_key(self.partition, claim.start)
        if self._store.put_if_absent(name, claim.encode()):
            return claim
        found = read_claim(self._store, self.partition, claim.start)
        if found is None or found.start != claim.start:
            raise FatalError(f"the lake's claim {name} was there, and is not, or is of {found}")
        return found

    def _cut(self, landed: int, all_of_it: bool) -> int | None:
        """Returns where the first file ends that is due, or None."""
        if self._hour_ends and self._hour_ends[0] <= landed:
            return self._hour_ends[0]
        if not self._records or self._records[0].offset >= landed:
            return None
        now = self._clock()
        due = (
            all_of_it
            or self._bytes >= self._settings.file_max_mb * 1_000_000
            or now - self._first_at >= self._settings.file_max_age_s
            or now - self._last_at >= self._settings.file_silence_s
        )
        if not due:
            return None
        last = self._records[min(self._index(landed), len(self._records)) - 1]
        return last.offset + 1

    def _drop(self, below: int) -> None:
        index = self._index(below)
        gone, self._records = self._records[:index], self._records[index:]
        self._bytes -= sum(len(record.payload or b"") + 64 for record in gone)
        if self._records:
            self._first_at = self._clock()
            below = self._records[0].offset  # the first record left ends no file, even behind a gap
        self._hour_ends = [offset for offset in self._hour_ends if offset > below]

    def _index(self, offset: int) -> int:
        return bisect_left(self._records, offset, key=lambda record: record.offset)
