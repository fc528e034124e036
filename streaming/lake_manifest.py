"""What an hour of the lake consists of: the sink's files, less what compaction has replaced.

An hour's manifests are numbered and put if absent, so each number has one winner. The newest says
which objects hold what was merged, and so which files not to read, for ever: a slow writer may put
a file again that compaction has deleted.

Readers list the files, *then* read the newest manifest, and begin again where an object is gone.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import NamedTuple, NoReturn

import msgspec

from streaming import stored
from streaming.errors import FatalError
from streaming.object_store import ObjectStore
from streaming.records import PartitionId

_FOLDER = re.compile(r"topic=(?P<topic>[^/]+)/dt=(?P<day>\d{4}-\d\d-\d\d)/hr=(?P<hour>\d\d)/")
_FILE = re.compile(r"e(\d+)-p(\d+)-o(\d{20})\.parquet")
_MERGED = re.compile(r"(\d{20})-[0-9a-f]{32}\.parquet")
_MANIFEST = re.compile(r"\d{20}")


class ReplacedError(Exception):
    """An object has gone because a newer manifest replaces it: ask again what there is."""


class Hour(NamedTuple):
    """A topic's folder: files whose greatest Kafka timestamp is in this hour (UTC)."""

    topic: str
    begins: datetime

    @property
    def ends(self) -> datetime:
        """When it is over. The last hour that a path can name never is."""
        return min(self.begins, _LAST) + timedelta(hours=1)

    @property
    def folder(self) -> str:
        """The part of all its keys between their first folder and their name."""
        return f"topic={self.topic}/dt={self.begins:%Y-%m-%d}/hr={self.begins:%H}/"

    def __str__(self) -> str:
        return f"{self.topic} {self.begins:%Y-%m-%d %H}h"


_LAST = datetime(9999, 12, 31, 22, tzinfo=UTC)


class Cover(NamedTuple):
    """A claim whose object is replaced: the records of a partition in [start, next)."""

    epoch: int
    partition: int
    start: int
    next: int


@dataclass(frozen=True, slots=True)
class File:
    """One of the sink's files."""

    key: str
    bytes: int
    epoch: int
    partition: int
    start: int


@dataclass(frozen=True, slots=True)
class Merged:
    """An object that compaction has made: all records of the claims in `covers`.

    `oldest` and `newest` are Kafka timestamps in milliseconds.
    """

    key: str
    bytes: int
    rows: int
    oldest: int
    newest: int
    covers: tuple[Cover, ...]


@dataclass(frozen=True, slots=True)
class Manifest:
    """Which objects hold what was merged in an hour. `at` is when it was made, in Unix seconds."""

    number: int
    at: float
    objects: tuple[Merged, ...]

    def encode(self) -> bytes:
        """Returns the manifest as it is stored."""
        return msgspec.json.encode(self)

    @staticmethod
    def decode(body: bytes, name: str) -> "Manifest":
        """Reads a stored manifest.

        Raises:
            FatalError: It is not one.
        """
        return stored.decode(body, Manifest, f"manifest {name}")


NOTHING_MERGED = Manifest(0, 0.0, ())


@dataclass(frozen=True, slots=True)
class Contents:
    """What an hour consists of: every record is once in `files` and the manifest's objects.

    `replaced` are files that are still there, for readers that came earlier, and are not to be
    read.
    """

    files: tuple[File, ...]
    replaced: tuple[File, ...]
    manifest: Manifest


def contents(store: ObjectStore, hour: Hour) -> Contents:
    """Returns what an hour consists of."""
    found = survey(store, hour.topic, hour.folder)
    return found.get(hour, Contents((), (), NOTHING_MERGED))


def survey(
    store: ObjectStore, topic: str, folder: str | None = None, since: datetime | None = None
) -> dict[Hour, Contents]:
    """Returns what a topic's hours consist of, in order, where there is anything.

    Args:
        store: The lake.
        topic: The topic.
        folder: Only of this hour's folder.
        since: Only from this moment's hour on.
    """
    prefix = folder or f"topic={topic}/"
    after = "" if since is None else Hour(topic, since.astimezone(UTC)).folder.rstrip("/")
    found = files(store, prefix, after)
    manifests: dict[Hour, str] = {}
    for key in store.keys(f"_manifest/{prefix}", after and f"_manifest/{after}"):
        hour, name = _place(key)
        if hour is not None and _MANIFEST.fullmatch(name):
            manifests[hour] = key  # in order: the newest is the last
    return {
        hour: _contents(found.get(hour, ()), _read(store, manifests.get(hour)))
        for hour in sorted(found.keys() | manifests.keys())
    }


def files(store: ObjectStore, folder: str, after: str = "") -> dict[Hour, list[File]]:
    """Returns the sink's files by hour, replaced or not.

    Args:
        store: The lake.
        folder: A topic's folder, or an hour's.
        after: Only folders that sort behind this one.
    """
    found: dict[Hour, list[File]] = {}
    for key, size in store.sizes(f"raw/{folder}", after and f"raw/{after}"):
        hour, name = _place(key)
        if hour is not None and (match := _FILE.fullmatch(name)):
            file = File(key, size, *(int(number) for number in match.groups()))
            found.setdefault(hour, []).append(file)
    return found


def merged_objects(store: ObjectStore, folder: str) -> Iterator[tuple[Hour, int, str]]:
    """Yields the hour, the manifest's number and the key of merged objects, named or not."""
    for key in store.keys(f"compacted/{folder}"):
        hour, name = _place(key)
        if hour is not None and (match := _MERGED.fullmatch(name)):
            yield hour, int(match[1]), key


def newest_manifest(store: ObjectStore, hour: Hour) -> Manifest:
    """Returns an hour's newest manifest."""
    names = store.keys(f"_manifest/{hour.folder}")
    keys = [key for key in names if _MANIFEST.fullmatch(key.rpartition("/")[2])]
    return _read(store, keys[-1] if keys else None)


def get(store: ObjectStore, hour: Hour, manifest: Manifest, key: str) -> bytes:
    """Returns one of an hour's objects.

    Args:
        store: The lake.
        hour: The hour.
        manifest: Its manifest that was newest when the object was found.
        key: The object.

    Raises:
        ReplacedError: A newer manifest replaces it.
        FatalError: The lake has lost it.
    """
    body = store.get(key)
    if body is None:
        raise_absent(store, hour, manifest, key)
    return body


def raise_absent(store: ObjectStore, hour: Hour, manifest: Manifest, key: str) -> NoReturn:
    """Raises what it means that an object is gone; see `get`."""
    if newest_manifest(store, hour).number > manifest.number:
        raise ReplacedError(key)
    raise FatalError(f"the lake has lost {key}: restore it")


def hour_of(key: str) -> Hour:
    """Returns the hour of a file that a claim names.

    Raises:
        FatalError: The key says none.
    """
    hour, _ = _place(key)
    if hour is None:
        raise FatalError(f"a claim names {key}, which is not in the folder of an hour")
    return hour


def manifest_key(hour: Hour, number: int) -> str:
    """Returns the key of an hour's manifest."""
    return f"_manifest/{hour.folder}{number:020d}"


def merged_key(hour: Hour, number: int, digest: str) -> str:
    """Returns the key of a merged object.

    Args:
        hour: The hour.
        number: The manifest that it is made for: no earlier one names it, nor does a later one that
            has not taken it over from this one.
        digest: Of the object's bytes, so that the same key has the same bytes.
    """
    return f"compacted/{hour.folder}{number:020d}-{digest[:32]}.parquet"


def partition_of(topic: str, file: File | Cover) -> PartitionId:
    """Returns the partition whose records these are."""
    return PartitionId(topic, file.epoch, file.partition)


def _place(key: str) -> tuple[Hour | None, str]:
    """Returns the hour and the name in a key; None where it is in no hour's folder."""
    _, _, rest = key.partition("/")
    match = _FOLDER.match(rest)
    if match is None:
        return None, ""
    begins = datetime.fromisoformat(f"{match['day']}T{match['hour']}:00:00+00:00")
    return Hour(match["topic"], begins), rest[match.end() :]


def _read(store: ObjectStore, key: str | None) -> Manifest:
    if key is None:
        return NOTHING_MERGED
    body = store.get(key)
    if body is None:
        raise FatalError(f"the lake has lost the manifest {key}: restore it")
    return Manifest.decode(body, key)


def _contents(files: Iterable[File], manifest: Manifest) -> Contents:
    merged = {
        (cover.epoch, cover.partition, cover.start)
        for each in manifest.objects
        for cover in each.covers
    }
    ordered = sorted(files, key=lambda each: (each.epoch, each.partition, each.start))
    live = [each for each in ordered if (each.epoch, each.partition, each.start) not in merged]
    replaced = [each for each in ordered if (each.epoch, each.partition, each.start) in merged]
    return Contents(tuple(live), tuple(replaced), manifest)
