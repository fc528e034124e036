"""Merges an hour's small files into large objects, and deletes them once nobody reads them.

1. Small files and objects that claims name are merged: sorted by key and offset, put if absent.
2. The next manifest is put if absent: from then on it says what is read. Lost: begin again.
3. A later run, after the grace, deletes what the newest manifest replaces. It spares each
   partition's last file, from which recovery learns that the last claim is complete.

A kill leaves at most objects that no manifest names: nobody reads them, and the run that comes
after the next manifest deletes them. They are named after the manifest that they were made for, so
nobody can name them any more then, however slow.
"""

import hashlib
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from streaming import lake_files, lake_manifest
from streaming.errors import FatalError
from streaming.external_sort import Sorter, scratch
from streaming.lake_manifest import Contents, Cover, File, Hour, Manifest, Merged, ReplacedError
from streaming.object_store import ObjectStore
from streaming.settings import CompactionSettings
from streaming.sinks.lake import claim_starts, read_claim

ORDER = ("key", "epoch", "partition", "offset")
ROW_GROUP_BYTES = 16_000_000
"""About what a row group of a merged object takes before it is compressed."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a compaction has done: `merged` inputs became `made` objects."""

    hour: Hour
    merged: int = 0
    made: int = 0
    rows: int = 0
    bytes_before: int = 0
    bytes_after: int = 0
    deleted: int = 0


@dataclass(frozen=True, slots=True)
class _Input:
    """A file or a merged object, and the claims that it stands for."""

    key: str
    bytes: int
    covers: tuple[Cover, ...]


def due(
    store: ObjectStore, topics: Sequence[str], settings: CompactionSettings, now: datetime
) -> list[Hour]:
    """Returns the closed hours in which something may be to merge or to delete, the oldest first.

    Costs two lists of keys for each topic. An hour of which all is merged and deleted is left out;
    one of the future is a clock's fault, and as closed as it will ever be.
    """
    before = now - timedelta(seconds=settings.settle_s)
    found: set[Hour] = set()
    for topic in topics:
        numbers: dict[Hour, set[int]] = {}
        for hour, number, _ in lake_manifest.merged_objects(store, f"topic={topic}/"):
            numbers.setdefault(hour, set()).add(number)
        files = lake_manifest.files(store, f"topic={topic}/")
        found |= {
            hour
            for hour, of in files.items()
            if hour in numbers or sum(_is_small(each, settings) for each in of) > 1
        }
        found |= {hour for hour, of in numbers.items() if len(of) > 1}
    closed = (hour for hour in found if hour.ends <= before or hour.begins > now)
    return sorted(closed, key=lambda hour: (hour.begins, hour.topic))


def compact(
    store: ObjectStore,
    hour: Hour,
    settings: CompactionSettings,
    clock: Callable[[], float] = time.time,
) -> Outcome:
    """Merges what is small in an hour, and deletes what was replaced a grace ago.

    Any number may run at once, and be killed at any time.

    Args:
        store: The lake.
        hour: The hour; it need not be closed.
        settings: Sizes and the grace.
        clock: Unix seconds.

    Raises:
        OutageError: The store, or the disk of temporary files, does not serve us; call again.
        FatalError: The lake has lost an object, or holds something else than the protocol allows.
    """
    deleted = 0
    while True:
        contents = lake_manifest.contents(store, hour)
        manifest = contents.manifest
        try:
            if manifest.number and clock() - manifest.at >= settings.grace_s:
                deleted += _delete_replaced(store, hour, contents)
            inputs = list(_inputs(store, hour, contents, settings))
            groups = list(_groups(inputs, settings))
            if not groups:
                return Outcome(hour, deleted=deleted)
            made = [_merge(store, hour, manifest, group, settings) for group in groups]
        except ReplacedError:
            continue
        merged = [each for group in groups for each in group]
        gone = {each.key for each in merged}
        kept = [each for each in manifest.objects if each.key not in gone]
        successor = Manifest(manifest.number + 1, clock(), (*kept, *made))
        key = lake_manifest.manifest_key(hour, successor.number)
        if store.put_if_absent(key, successor.encode()):
            return Outcome(
                hour,
                merged=len(merged),
                made=len(made),
                rows=sum(each.rows for each in made),
                bytes_before=sum(each.bytes for each in merged),
                bytes_after=sum(each.bytes for each in made),
                deleted=deleted,
            )


def _is_small(each: File | Merged, settings: CompactionSettings) -> bool:
    """Returns whether it is to be merged, if there are two such: less than half of what we want."""
    return each.bytes < settings.target_mb * 500_000


def _inputs(
    store: ObjectStore, hour: Hour, contents: Contents, settings: CompactionSettings
) -> Iterator[_Input]:
    """Yields what may be merged. A file that no claim names is a fault, which `verify` shows."""
    for merged in contents.manifest.objects:
        if _is_small(merged, settings):
            yield _Input(merged.key, merged.bytes, merged.covers)
    for each in contents.files:
        if not _is_small(each, settings):
            continue
        claim = read_claim(store, lake_manifest.partition_of(hour.topic, each), each.start)
        if claim is not None and claim.key == each.key:
            cover = Cover(each.epoch, each.partition, claim.start, claim.next)
            yield _Input(each.key, each.bytes, (cover,))


def _groups(inputs: Sequence[_Input], settings: CompactionSettings) -> Iterator[list[_Input]]:
    """Yields what becomes one object each: neighbours, together at least as large as wanted."""
    group: list[_Input] = []
    for each in sorted(inputs, key=lambda each: each.covers):
        group.append(each)
        if sum(each.bytes for each in group) >= settings.target_mb * 1_000_000:
            yield group
            group = []
    if len(group) > 1:
        yield group


def _merge(
    store: ObjectStore,
    hour: Hour,
    manifest: Manifest,
    inputs: Sequence[_Input],
    settings: CompactionSettings,
) -> Merged:
    """Puts one object with the rows of all inputs, for the manifest that comes after this one."""
    rows = 0
    with scratch() as folder:
        sorter = Sorter(ORDER, folder, int(settings.max_buffer_mb * 1_000_000))
        for each in inputs:
            for table in lake_files.tables(lake_manifest.get(store, hour, manifest, each.key)):
                rows += len(table)
                sorter.add(table)
        path = folder / "merged.parquet"
        written = _write(hour.topic, sorter.sorted(), path)
        del sorter
        body = path.read_bytes()
    if written.rows != rows:
        raise FatalError(f"merging {hour} made {written.rows} rows of {rows}: nothing was replaced")
    digest = hashlib.sha256(body).hexdigest()
    key = lake_manifest.merged_key(hour, manifest.number + 1, digest)
    store.put_if_absent(key, body)
    covers = tuple(sorted(cover for each in inputs for cover in each.covers))
    return Merged(key, len(body), rows, written.oldest, written.newest, covers)


@dataclass(slots=True)
class _Written:
    rows: int = 0
    oldest: int = 2**63 - 1
    newest: int = -(2**63)


def _write(topic: str, tables: Iterator[pa.Table], path: Path) -> _Written:
    """Writes sorted rows as a Parquet file."""
    written = _Written()
    with pq.ParquetWriter(
        path,
        lake_files.SCHEMA,
        compression="zstd",
        use_dictionary=["topic", "key"],
        write_statistics=["epoch", "partition", "offset", "kafka_ts", "key"],
    ) as writer:
        for table in _in_row_groups(tables):
            bounds = pc.min_max(table["kafka_ts"].cast(pa.int64())).as_py()
            written.rows += len(table)
            written.oldest = min(written.oldest, bounds["min"])
            written.newest = max(written.newest, bounds["max"])
            writer.write_table(lake_files.with_topic(topic, table))
    return written


def _in_row_groups(tables: Iterator[pa.Table]) -> Iterator[pa.Table]:
    group: list[pa.Table] = []
    for table in tables:
        group.append(table)
        if sum(each.nbytes for each in group) >= ROW_GROUP_BYTES:
            yield pa.concat_tables(group)
            group = []
    if group:
        yield pa.concat_tables(group)


def _delete_replaced(store: ObjectStore, hour: Hour, contents: Contents) -> int:
    """Deletes what the manifest has replaced, once all that it names is seen to be there."""
    for each in contents.manifest.objects:
        if not store.exists(each.key):
            lake_manifest.raise_absent(store, hour, contents.manifest, each.key)
    named = {each.key for each in contents.manifest.objects}
    old = [
        key
        for _, number, key in lake_manifest.merged_objects(store, hour.folder)
        if number <= contents.manifest.number and key not in named
    ]
    old += [each.key for each in contents.replaced if not _is_last(store, hour.topic, each)]
    for key in old:
        store.delete(key)
    return len(old)


def _is_last(store: ObjectStore, topic: str, file: File) -> bool:
    """Returns whether a file is its partition's last: no claim comes after its own."""
    where = lake_manifest.partition_of(topic, file)
    return next(claim_starts(store, where, file.start), None) is None
