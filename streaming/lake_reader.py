"""The one way to read the lake: each record once, before, while and after compaction runs.

By time: an hour's objects are found as `lake_manifest` says, then read one by one. Where one has
gone meanwhile, the hour is asked again, and what has been handed out already is left out.

By offset: along a partition's chain of claims. What the manifest of a claim's hour does not replace
is in the claim's own object; where that has gone meanwhile, the manifest is read again.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing
from datetime import UTC, datetime, timedelta
from itertools import takewhile
from operator import methodcaller
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from streaming import lake_files, lake_manifest
from streaming.errors import FatalError
from streaming.external_sort import Sorter, scratch
from streaming.lake_files import SORTABLE, Claim
from streaming.lake_manifest import (
    NOTHING_MERGED,
    Contents,
    Cover,
    Hour,
    Merged,
    ReplacedError,
)
from streaming.object_store import ObjectStore
from streaming.records import PartitionId, Slice
from streaming.sinks.lake import claim_starts, read_claim

SORT_BYTES = 16_000_000
"""What is held in memory while a merged object is put in offset order."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_END = 2**63 - 1
"""Beyond every offset; as a time: no bound."""
_value = methodcaller("as_py")


class Piece(NamedTuple):
    """All rows of a partition in [start, next), in offset order; `claimed` is their claim's key.

    `rows` is None where the lake has a claim and no object: then `absent` is the one that ought to
    be there. The last claim's may still be under way.
    """

    start: int
    next: int
    claimed: str
    rows: pa.Table | None
    absent: str = ""


class _AbsentError(Exception):
    """No object holds the records of a claim."""

    def __init__(self, key: str) -> None:
        super().__init__(key)
        self.key = key


class LakeReader:
    """Reads the lake. Holds one object at a time.

    Args:
        store: The lake.
    """

    def __init__(self, store: ObjectStore) -> None:
        self._store = store

    # By time ------------------------------------------------------------------------------------

    def objects(
        self, topic: str, since: datetime | None = None, until: datetime | None = None
    ) -> list[str]:
        """Returns the keys of all objects that may hold records with a Kafka timestamp in a range.

        Together they hold each record once. They can be read until a grace after they are replaced.

        Args:
            topic: The topic.
            since: The first moment; None: from the first record on.
            until: The moment after the last; None: up to the newest record.
        """
        bounds = _Bounds.of(since, until)
        return [
            key
            for contents in lake_manifest.survey(self._store, topic, since=since).values()
            for key, merged in _objects(contents)
            if merged is None or bounds.may_be_in(merged)
        ]

    def tables(
        self, topic: str, since: datetime | None = None, until: datetime | None = None
    ) -> Iterator[pa.Table]:
        """Yields the records with a Kafka timestamp in a range, as in `lake_files.SORTABLE`.

        Files are found by hour, but a file of a later hour may hold earlier records too: those are
        looked at, or their manifest is.

        Args:
            topic: The topic.
            since: The first moment; None: from the first record on.
            until: The moment after the last; None: up to the newest record.

        Raises:
            FatalError: The lake has lost an object.
            OutageError: It does not answer.
        """
        bounds = _Bounds.of(since, until)
        for hour, found in lake_manifest.survey(self._store, topic, since=since).items():
            for table in self._read_hour(hour, found, bounds):
                inside = bounds.filter(table)
                if len(inside):
                    yield inside

    def _read_hour(self, hour: Hour, found: Contents, bounds: "_Bounds") -> Iterator[pa.Table]:
        read: set[str] = set()
        handed_out: list[Cover] = []
        before: tuple[Cover, ...] = ()
        while True:
            try:
                for key, merged in _objects(found):
                    if key not in read and (merged is None or bounds.may_be_in(merged)):
                        body = lake_manifest.get(self._store, hour, found.manifest, key)
                        # In memory it cannot vanish: all of it is handed out, or nothing.
                        read.add(key)
                        for table in lake_files.tables(body):
                            handed_out += () if merged else [_cover(table)]
                            yield _without(table, before)
                        handed_out += merged.covers if merged else ()
            except ReplacedError:
                before = tuple(handed_out)
                found = lake_manifest.contents(self._store, hour)
            else:
                return

    # By offset ----------------------------------------------------------------------------------

    def slices(
        self, where: PartitionId, start: int, end: int, hint: int | None = None
    ) -> Iterator[Slice]:
        """Yields what the lake has of a partition in [start, end), in slices without holes.

        Args:
            where: The partition.
            start: The first offset.
            end: The offset after the last; the lake may end before it.
            hint: Start of a claim at or below `start`: earlier claims are not listed.

        Raises:
            FatalError: The lake has lost a claim, or an object other than the last.
            OutageError: It does not answer.
        """
        absent = ""
        for piece in self.pieces(where, start, end, hint=hint):
            if absent:
                raise FatalError(f"the lake has lost {absent}: restore it")
            if piece.rows is None:
                absent = piece.absent
            else:
                yield Slice(where, piece.start, piece.next, lake_files.records(piece.rows))

    def pieces(
        self,
        where: PartitionId,
        start: int,
        end: int,
        columns: Sequence[str] = SORTABLE.names,
        hint: int | None = None,
    ) -> Iterator[Piece]:
        """Yields what the lake has of a partition in [start, end), claim by claim, or less.

        Args:
            where: The partition.
            start: The first offset.
            end: The offset after the last; the lake may end before it.
            columns: Of these, `offset` among them.
            hint: Start of a claim at or below `start`: earlier claims are not listed.

        Raises:
            FatalError: The lake has lost a claim.
            OutageError: It does not answer.
        """
        with scratch() as folder, closing(_Chain(self._store, where, columns, folder)) as chain:
            for claim in _claims(self._store, where, start, end, hint):
                low, high = max(start, claim.start), min(end, claim.next)
                try:
                    tables = chain.tables(claim, low, high)
                except _AbsentError as absent:
                    yield Piece(low, high, claim.key, None, absent.key)
                    continue
                for rows in tables:
                    middle = rows["offset"][-1].as_py() + 1
                    yield Piece(low, middle, claim.key, rows)
                    low = middle
                if low < high:
                    yield Piece(low, high, claim.key, chain.nothing)


class _Chain:
    """Gives the rows of one claim after another, in order."""

    def __init__(
        self, store: ObjectStore, where: PartitionId, columns: Sequence[str], folder: Path
    ) -> None:
        self.nothing = SORTABLE.empty_table().select(columns)
        self._store = store
        self._where = where
        self._columns = columns
        self._folder = folder
        self._runs = ExitStack()
        self._hour: Hour | None = None
        self._manifest = NOTHING_MERGED
        self._merged: Merged | None = None  # what `_sorted` gives, from `_from` on
        self._from = 0
        self._sorted: Iterator[pa.Table] = iter(())
        self._left = self.nothing

    def close(self) -> None:
        """Frees the disk."""
        self._runs.close()

    def tables(self, claim: Claim, low: int, high: int) -> Iterator[pa.Table]:
        """Returns a claim's rows in [low, high).

        Raises:
            _AbsentError: No object holds them.
        """
        if self._merged is None or not self._is_in(self._merged, claim) or low < self._from:
            merged, body = self._find(claim)
            if merged is None:
                return self._file(body, low, high)
            self._sort(merged, body, low)
        return self._up_to(low, high)

    def _find(self, claim: Claim) -> tuple[Merged | None, bytes]:
        """Returns the bytes of the object that holds a claim, and what it is if not the claim's."""
        hour = lake_manifest.hour_of(claim.key)
        if hour != self._hour:
            self._hour, self._manifest = hour, lake_manifest.newest_manifest(self._store, hour)
        while True:
            found = (each for each in self._manifest.objects if self._is_in(each, claim))
            merged = next(found, None)
            key = claim.key if merged is None else merged.key
            body = self._store.get(key)
            if body is not None:
                return merged, body
            newest = lake_manifest.newest_manifest(self._store, hour)
            if newest.number == self._manifest.number:
                raise _AbsentError(key)
            self._manifest = newest

    def _file(self, body: bytes, low: int, high: int) -> Iterator[pa.Table]:
        for table in lake_files.tables(body, self._columns):
            inside = _between(table, low, high)
            if len(inside):
                yield inside

    def _is_in(self, merged: Merged, claim: Claim) -> bool:
        cover = Cover(self._where.epoch, self._where.partition, claim.start, claim.next)
        return cover in merged.covers

    def _sort(self, merged: Merged, body: bytes, low: int) -> None:
        """Puts the partition's rows from an offset on in offset order."""
        self.close()
        folder = Path(self._runs.enter_context(TemporaryDirectory(dir=self._folder)))
        sorter = Sorter(("offset",), folder, SORT_BYTES)
        columns = dict.fromkeys((*self._columns, "epoch", "partition"))
        for table in lake_files.tables(body, list(columns)):
            ours = pc.and_(
                pc.equal(table["epoch"], self._where.epoch),
                pc.equal(table["partition"], self._where.partition),
            )
            rows = table.filter(pc.and_(ours, pc.greater_equal(table["offset"], low)))
            sorter.add(rows.select(self._columns))
        self._merged, self._from = merged, low
        self._left, self._sorted = self.nothing, sorter.sorted()

    def _up_to(self, low: int, high: int) -> Iterator[pa.Table]:
        while True:
            inside = _between(self._left, low, high)
            if len(inside):
                yield inside
            self._left = _between(self._left, high, _END)
            if len(self._left):
                return
            following = next(self._sorted, None)
            if following is None:
                return
            self._left = following


def _claims(
    store: ObjectStore, where: PartitionId, start: int, end: int, hint: int | None
) -> Iterator[Claim]:
    """Yields the claims with offsets in [start, end), in order and without a hole."""
    starts = [] if hint is None else [hint]
    starts += takewhile(lambda each: each < end, claim_starts(store, where, hint))
    first = max(bisect_right(starts, start) - 1, 0)
    expected = min(starts[first], start) if starts else start
    for each in starts[first:]:
        claim = read_claim(store, where, each)
        if claim is None or claim.start != expected:
            key = lake_files.claim_key(where, expected)
            raise FatalError(f"the lake has lost the claim {key}: restore it")
        if claim.next > start:
            yield claim
        expected = claim.next


def _objects(contents: Contents) -> Iterator[tuple[str, Merged | None]]:
    yield from ((each.key, None) for each in contents.files)
    yield from ((each.key, each) for each in contents.manifest.objects)


class _Bounds(NamedTuple):
    """A range of Kafka timestamps in milliseconds."""

    since: int
    until: int

    @classmethod
    def of(cls, since: datetime | None, until: datetime | None) -> "_Bounds":
        return cls(
            -_END if since is None else _milliseconds(since),
            _END if until is None else _milliseconds(until),
        )

    def may_be_in(self, merged: Merged) -> bool:
        return merged.newest >= self.since and merged.oldest < self.until

    def filter(self, table: pa.Table) -> pa.Table:
        stamps = table["kafka_ts"].cast(pa.int64())
        after = pc.greater_equal(stamps, self.since)
        return table.filter(
            after if self.until == _END else pc.and_(after, pc.less(stamps, self.until))
        )


def _milliseconds(moment: datetime) -> int:
    """Returns the first millisecond that is not before a moment."""
    return -((_EPOCH - moment) // timedelta(milliseconds=1))


def _between(table: pa.Table, low: int, high: int) -> pa.Table:
    """Returns the rows of a table in offset order that are in [low, high)."""
    first = bisect_left(table["offset"], low, key=_value)
    last = bisect_left(table["offset"], high, first, key=_value)
    return table.slice(first, last - first)


def _cover(table: pa.Table) -> Cover:
    """Returns where the rows of a file's row group are: no other file has offsets in between."""
    first, last = table.slice(0, 1).to_pylist()[0], table["offset"][-1].as_py()
    return Cover(first["epoch"], first["partition"], first["offset"], last + 1)


def _without(table: pa.Table, covers: Sequence[Cover]) -> pa.Table:
    """Returns a table without the rows that these cover."""
    for each in covers:
        inside = pc.and_(
            pc.and_(
                pc.equal(table["epoch"], each.epoch), pc.equal(table["partition"], each.partition)
            ),
            pc.and_(
                pc.greater_equal(table["offset"], each.start), pc.less(table["offset"], each.next)
            ),
        )
        table = table.filter(pc.invert(inside))
    return table
