"""The versions of one thing, and what a row of a file makes of them. Pure.

A row says what holds from `valid_from` on. Without one that is the load's `as_of`; for a thing that
is new, from ever (a device's: from its commissioning), so that history can be judged too. A version
ends where the next one begins, or at its row's `valid_to`. So a version in the past corrects
history up to the next one, which stays; one with the `valid_from` of a version takes its place.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

import msgspec

from streaming.reference.contracts import ReferenceRow

EVER = datetime.min.replace(tzinfo=UTC)
FOREVER = datetime.max.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Entry:
    """A row of a file, where it stands, and between which instants it says that it holds."""

    row: ReferenceRow
    file: str
    line: int
    valid_from: datetime | None = None
    valid_to: datetime | None = None


@dataclass(frozen=True, slots=True)
class Version:
    """What holds of a thing in [since, until)."""

    row: ReferenceRow
    since: datetime
    until: datetime


Timeline = tuple[Version, ...]
"""The versions of one thing, in order; no two overlap."""
Key = tuple[object, ...]
"""Which thing: the values of its row's key."""
Timelines = dict[Key, Timeline]
"""All things of a table."""


class PlacementError(ValueError):
    """A row contradicts the versions that are there; `column` is where, if in one."""

    def __init__(self, column: str | None, words: str) -> None:
        super().__init__(words)
        self.column = column


@dataclass(frozen=True, slots=True)
class Change:
    """What a new version changes: column by column, the value before and after."""

    thing: str
    since: datetime
    columns: Mapping[str, tuple[object, object]]


@dataclass(frozen=True, slots=True)
class End:
    """A thing that ends."""

    thing: str
    at: datetime


@dataclass(slots=True)
class Changes:
    """What became of a table: things that are new, changed, ended, and how many stayed."""

    added: list[str] = field(default_factory=list)
    changed: list[Change] = field(default_factory=list)
    ended: list[End] = field(default_factory=list)
    unchanged: int = 0

    def note(self, thing: str, before: Timeline, after: Timeline) -> None:
        """Takes note of what became of one thing."""
        if before == after:
            self.unchanged += 1
            return
        ends = after[-1].until < FOREVER and (not before or before[-1].until == FOREVER)
        if ends:
            self.ended.append(End(thing, after[-1].until))
        if not before:
            self.added.append(thing)
            return
        for since, columns in _differences(before, after):
            if ends:
                columns.pop("valid_to", None)
            if columns:
                self.changed.append(Change(thing, since, columns))


def place(timeline: Timeline, entry: Entry, as_of: datetime) -> Timeline:
    """Returns the versions as a row of a file makes them.

    Raises:
        PlacementError: The row contradicts them.
    """
    row, until = entry.row, entry.valid_to
    if entry.valid_from is not None:
        return _put(timeline, row, entry.valid_from, until)
    if not timeline:
        return _put(timeline, row, _first_valid(row), until)
    last = timeline[-1]
    if last.row == row and until is not None:
        return _put(timeline, row, last.since, until)
    if last.row == row and as_of < last.until:
        return timeline
    _refuse_unless_older(last, as_of)
    ends_later = last.until if as_of < last.until else None
    return _put(timeline, row, as_of, until or ends_later)


def end(timeline: Timeline, as_of: datetime) -> Timeline:
    """Returns the versions of a thing that is gone from a file that is complete.

    Raises:
        PlacementError: Its version began only at `as_of` or later.
    """
    last = timeline[-1]
    if last.until < FOREVER:
        return timeline
    _refuse_unless_older(last, as_of)
    return (*timeline[:-1], replace(last, until=as_of))


def said(instant: datetime) -> str:
    """Returns an instant as messages say it."""
    if instant in (EVER, FOREVER):
        return "-infinity" if instant == EVER else "infinity"
    return instant.astimezone(UTC).isoformat().replace("+00:00", "Z")


def _refuse_unless_older(last: Version, as_of: datetime) -> None:
    if as_of <= last.since:
        raise PlacementError(
            None,
            f"its version of {said(last.since)} is not older than {said(as_of)}: "
            "give a later --as-of, or correct that version with a column valid_from",
        )


def _put(
    timeline: Timeline, row: ReferenceRow, since: datetime, until: datetime | None
) -> Timeline:
    before = [version for version in timeline if version.since < since]
    after = [version for version in timeline if version.since > since]
    following = after[0].since if after else FOREVER
    ends = following if until is None else until
    if ends <= since:
        raise PlacementError("valid_to", f"is not after valid_from, {said(since)}")
    if ends > following:
        raise PlacementError("valid_to", f"overlaps the version that begins at {said(following)}")
    if before and since < before[-1].until:
        covering = before[-1]
        if covering.row == row and until in (None, covering.until):
            return timeline
        before[-1] = replace(covering, until=since)
    return (*before, Version(row, since, ends), *after)


def _first_valid(row: ReferenceRow) -> datetime:
    if row.since is None:
        return EVER
    since: datetime = getattr(row, row.since)
    return since


def _differences(
    before: Timeline, after: Timeline
) -> Iterator[tuple[datetime, dict[str, tuple[object, object]]]]:
    """Yields from when, and in which columns, versions differ from what was there."""
    known = {version.since: version for version in before}
    previous: Version | None = None
    for version in after:
        was = known.get(version.since)
        if was is not None and was.until != version.until and not _begins(after, version.until):
            yield version.since, {"valid_to": (was.until, version.until)}
        if was is None and previous is not None and previous.until == version.since:
            was = previous
        yield version.since, _columns(None if was is None else was.row, version.row)
        previous = version


def _begins(timeline: Timeline, instant: datetime) -> bool:
    return any(version.since == instant for version in timeline)


def _columns(was: ReferenceRow | None, row: ReferenceRow) -> dict[str, tuple[object, object]]:
    found = {
        column.encode_name: (was and getattr(was, column.name), getattr(row, column.name))
        for column in msgspec.structs.fields(row)
    }
    return {name: (old, new) for name, (old, new) in found.items() if old != new}
