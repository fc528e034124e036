"""The lake sink: each partition is a chain of claims, and each claim one immutable object.

A claim {start, next, key} is put if absent at the key of its start and never deleted; then its
object is put if absent at the claimed key. So of two writers, one a zombie, both write the same
chain:

1. read the last claim; where its object is absent, write it from what the ODS has, and so on up to
   all that the ODS has;
2. claim [next, cut); whoever finds another's claim there is fenced, and begins at 1;
3. write the object with exactly the claim's records; lost: it is there already, with the same.

Only what the ODS has landed is handed to this sink, so no claim passes the ODS. Records wait in
memory as finished row groups, compressed, until their file closes.

An unknown outcome raises `OutageError`; calling again goes on at the same step.
"""

import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple

from streaming import epochs, lake_files, metrics
from streaming.epochs import Epoch
from streaming.errors import FatalError, FencedError
from streaming.lake_files import HOUR_MS, Claim, FileWriter
from streaming.object_store import ObjectStore
from streaming.records import PartitionId, Records, Slice
from streaming.settings import LandingSettings

ROW_GROUP_BYTES = 2_000_000
"""What waits of a partition's records until it is compressed as a row group."""


class Tail(NamedTuple):
    """The end of a partition's chain.

    All below `next_offset` is in the lake; `claim` begins there where its object is still absent;
    `confirmed` is the start of the newest claim known to be complete.
    """

    next_offset: int
    claim: Claim | None
    confirmed: int | None


class LakeSink:
    """Lands slices in the lake, file by file. To be used by one thread at a time.

    Args:
        store: The lake.
        settings: When a file closes, and how much may wait in open files: the largest closes early.
        clock: Seconds, for the age of files.
    """

    def __init__(
        self,
        store: ObjectStore,
        settings: LandingSettings,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._store = store
        self._settings = settings
        self._max_bytes = settings.open_file_bytes
        self._clock = clock
        self._partitions: dict[PartitionId, LakePartition] = {}

    @property
    def store(self) -> ObjectStore:
        """Where the lake is."""
        return self._store

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
        return next(claim_starts(self._store, partition), None)

    def open(
        self,
        partition: PartitionId,
        start_offset: int,
        hint: int | None,
        read: Callable[[int], Slice],
    ) -> "LakePartition":
        """Brings a partition up to all that the ODS has of it. `add` then takes what comes after.

        Args:
            partition: The partition.
            start_offset: Where the chain begins if it does not exist yet.
            hint: Start of a claim known to be complete, from which the end is looked for.
            read: Returns what the ODS has from an offset on, in parts; an empty slice at its end.

        Raises:
            FatalError: The claim of the hint is gone: the lake has lost objects.
            OutageError: Open it again.
        """
        tail = read_tail(self._store, partition, start_offset, hint)
        opened = LakePartition(self._store, self._settings, self._clock, partition, tail)
        while (each := read(opened.taken)).next > opened.taken:
            opened.take(each)
            opened.land()
        return opened

    def reached(self, partition: PartitionId, start_offset: int, hint: int | None) -> int:
        """Returns the offset up to which the lake has a partition; see `open`."""
        return read_tail(self._store, partition, start_offset, hint).next_offset

    def epochs(self, topic: str) -> list[Epoch]:
        """Returns the topic's epochs that the lake knows, the oldest first, without the first."""
        found: list[Epoch] = []
        for key in self._store.keys(epochs.prefix(topic)):
            if body := self._store.get(key):
                found.append(Epoch.decode(body, key))
        return found

    def begin(self, epoch: Epoch) -> None:
        """Remembers an epoch; the one before must be whole in the lake."""
        self._store.put_if_absent(epoch.key, epoch.encode())

    def add(self, opened: "LakePartition") -> None:
        """Takes the slices of this partition from now on."""
        self._partitions[opened.partition] = opened

    def take(self, slices: Iterable[Slice]) -> None:
        """Takes slices that the ODS has landed; what the lake has already is dropped.

        Raises:
            FatalError: A slice leaves out offsets that the lake has not got.
        """
        for each in slices:
            self._partitions[each.partition].take(each)

    def land(self) -> None:
        """Puts the files that are due in the lake.

        Raises:
            FencedError: Another writer has claimed otherwise; nothing more of ours is written.
            OutageError: The outcome of a write is unknown; call again.
            FatalError: The lake holds something else than the protocol allows.
        """
        for partition in self._partitions.values():
            partition.land()
        by_size = sorted(self._partitions.values(), key=lambda each: -each.held)
        for largest in by_size:
            if self.held <= self._max_bytes:
                break
            largest.land(all_of_it=True)

    def close(self, partitions: Sequence[PartitionId]) -> None:
        """Puts all that was taken of these partitions in the lake, and forgets them; see `land`."""
        for each in partitions:
            if partition := self._partitions.get(each):
                partition.land(all_of_it=True)
        self.forget(partitions)

    def forget(self, partitions: Iterable[PartitionId]) -> None:
        """Throws away what was taken of these partitions and is not in the lake yet."""
        for each in partitions:
            self._partitions.pop(each, None)

    @property
    def held(self) -> int:
        """Bytes that wait in memory."""
        return sum(partition.held for partition in self._partitions.values())


def read_tail(
    store: ObjectStore, partition: PartitionId, start_offset: int, hint: int | None
) -> Tail:
    """Returns the end of a partition's chain; see `LakeSink.open`."""
    newest = hint
    for start in claim_starts(store, partition, hint):
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
    if next(claim_starts(store, partition, newest), None) is not None:
        # Others have gone on since; compaction may have replaced what is no longer the last.
        return read_tail(store, partition, start_offset, hint)
    return Tail(claim.start, claim, hint)


def read_claim(store: ObjectStore, partition: PartitionId, start: int) -> Claim | None:
    """Returns the claim that begins at an offset, or None."""
    key = lake_files.claim_key(partition, start)
    body = store.get(key)
    return None if body is None else Claim.decode(body, key)


def claim_starts(
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
        self.next_offset, self._claimed, self.confirmed = tail
        self.taken = self.next_offset
        self._adopted = self._claimed  # the open file is to hold exactly this
        self._store = store
        self._settings = settings
        self._clock = clock
        self._file_max_bytes = settings.file_max_mb * 1_000_000
        self._closed: deque[tuple[Claim, bytes]] = deque()
        self._file = FileWriter(partition)
        self._start = self.next_offset
        self._tail = Records()
        self._tail_bytes = 0
        self._end = 0  # behind the last record of the open file
        self._hour_end = 0
        self._first_at = self._last_at = 0.0

    @property
    def held(self) -> int:
        """Bytes that wait in memory."""
        closed = sum(len(body) for _, body in self._closed)
        return self._file.size + self._tail_bytes + closed

    def take(self, each: Slice) -> None:
        """Takes the next slice; what lies below what was taken already is dropped.

        Raises:
            FatalError: The slice leaves out offsets.
        """
        if each.start > self.taken:
            raise FatalError(
                f"the lake was handed {self.partition} from offset {each.start} on and has it only "
                f"up to {self.taken}"
            )
        records = each.since(min(self.taken, each.next)).records
        self.taken = max(self.taken, each.next)
        if self._adopted is not None:
            inside = records.index(self._adopted.next)
            self._append(records[:inside])
            records = records[inside:]
            if self.taken < self._adopted.next:
                return
            self._close()
        while records:
            inside = self._in_same_hour(records)
            self._append(records[:inside])
            records = records[inside:]
            if records or self._file.size >= self._file_max_bytes:
                self._close()

    def land(self, *, all_of_it: bool = False) -> None:
        """Puts the files that are due in the lake.

        Args:
            all_of_it: Close the open file too, whatever its age and size.

        Raises:
            FencedError: Another writer has claimed otherwise.
            OutageError: The outcome of a write is unknown; call again.
            FatalError: The lake holds something else than the protocol allows.
        """
        if self._is_due(all_of_it):
            self._close()
        while self._closed:
            claim, body = self._closed[0]
            if self._claimed is None:
                self._make(claim)
                self._claimed = claim
            self._store.put_if_absent(claim.key, body)
            self._closed.popleft()
            metrics.LAKE_FILES.inc()
            metrics.LAKE_BYTES.inc(len(body))
            self.next_offset, self.confirmed, self._claimed = claim.next, claim.start, None

    def _make(self, claim: Claim) -> None:
        name = lake_files.claim_key(self.partition, claim.start)
        if self._store.put_if_absent(name, claim.encode()):
            return
        found = read_claim(self._store, self.partition, claim.start)
        if found is None or found.start != claim.start:
            raise FatalError(f"the lake's claim {name} was there, and is not, or is of {found}")
        if found != claim:
            raise FencedError(
                f"another writer has claimed {self.partition} from offset {claim.start} to "
                f"{found.next}, we would have to {claim.next}"
            )

    def _in_same_hour(self, records: Records) -> int:
        """Returns how many of some records belong to the open file: up to a later hour."""
        if not self._is_open:
            self._hour_end = (records.timestamps[0] // HOUR_MS + 1) * HOUR_MS
        end = self._hour_end
        if max(records.timestamps) < end:
            return len(records)
        return next(number for number, each in enumerate(records.timestamps) if each >= end)

    @property
    def _is_open(self) -> bool:
        return self._end > self._start

    def _is_due(self, all_of_it: bool) -> bool:
        if not self._is_open or self._adopted is not None:
            return False
        now = self._clock()
        return (
            all_of_it
            or now - self._first_at >= self._settings.file_max_age_s
            or now - self._last_at >= self._settings.file_silence_s
        )

    def _append(self, records: Records) -> None:
        if not records:
            return
        self._last_at = self._clock()
        if not self._is_open:
            self._first_at = self._last_at
        self._end = records.offsets[-1] + 1
        self._tail.extend(records)
        self._tail_bytes += records.size
        if self._tail_bytes >= min(ROW_GROUP_BYTES, self._file_max_bytes):
            self._write_tail()

    def _write_tail(self) -> None:
        self._file.write(self._tail)
        self._tail, self._tail_bytes = Records(), 0

    def _close(self) -> None:
        self._write_tail()
        claim, self._adopted = self._adopted, None
        if claim is None:
            key = lake_files.data_key(self.partition, self._start, self._file.greatest_timestamp)
            claim = Claim(self._start, self._end, key)
        self._closed.append((claim, self._file.close()))
        self._file = FileWriter(self.partition)
        self._start = claim.next
