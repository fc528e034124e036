"""What a load makes of all that is known: pure, so that it is whole before anything is written."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from itertools import pairwise

from streaming.reference.contracts import DeviceRow, MaintenanceRow
from streaming.reference.problems import Problems
from streaming.reference.recurrence import RecurrenceError, parse
from streaming.reference.timeline import (
    EVER,
    FOREVER,
    Changes,
    Entry,
    Key,
    PlacementError,
    Timelines,
    end,
    place,
    said,
)
from streaming.reference.wall_clock import local
from streaming.reference.zones import UnknownZoneError, Zones

Known = dict[str, Timelines]
"""All tables."""


def plan(
    known: Known,
    files: Mapping[str, Sequence[Entry]],
    as_of: datetime,
    *,
    full: bool,
) -> tuple[Known, dict[str, Changes]]:
    """Returns all tables as they will be, and what changes.

    Raises:
        WrongFilesError: The rows contradict each other, or what is known.
    """
    problems = Problems()
    after = dict(known)
    changes: dict[str, Changes] = {}
    for table, entries in sorted(files.items()):
        before = known[table]
        after[table] = _placed(before, entries, as_of, problems)
        if full:
            _end_others(table, after[table], entries, as_of, problems)
        changes[table] = Changes()
        told = {entry.row.identity() for entry in entries}
        for key, timeline in after[table].items():
            if key in told or timeline != before[key]:
                changes[table].note(_name(key), before.get(key, ()), timeline)
    _check_subjects(after, files, problems)
    _check_sites_that_end(known, after, files, problems)
    problems.check()
    _check_recurrences(after, files, problems)
    problems.check()
    return after, changes


def _placed(
    known: Timelines, entries: Sequence[Entry], as_of: datetime, problems: Problems
) -> Timelines:
    by_key: dict[Key, list[Entry]] = {}
    for entry in entries:
        by_key.setdefault(entry.row.identity(), []).append(entry)
    placed = dict(known)
    for key, rows in by_key.items():
        for entry in _that_fit_together(rows, problems):
            try:
                placed[key] = place(placed.get(key, ()), entry, as_of)
            except PlacementError as error:
                problems.add(entry.file, entry.line, error.column, f"{_name(key)}: {error}")
    return placed


def _that_fit_together(rows: Sequence[Entry], problems: Problems) -> list[Entry]:
    """Returns the rows of one thing in the order of their time, or none where they contradict."""
    ordered = sorted(rows, key=lambda entry: (entry.valid_from or EVER, entry.line))
    for one, following in pairwise(ordered):
        name, begins = _name(one.row.identity()), following.valid_from or EVER
        if begins == (one.valid_from or EVER):
            words = f"{name} is in line {one.line} already"
            problems.add(following.file, following.line, None, words)
        elif one.valid_from is None:
            words = f"{name} is in line {following.line} too: say from when each holds"
            problems.add(one.file, one.line, "valid_from", words)
        elif one.valid_to is not None and one.valid_to > begins:
            words = f"{name}: overlaps line {following.line}, which begins at {said(begins)}"
            problems.add(one.file, one.line, "valid_to", words)
        else:
            continue
        return []
    return ordered


def _end_others(
    table: str,
    timelines: Timelines,
    entries: Sequence[Entry],
    as_of: datetime,
    problems: Problems,
) -> None:
    """Ends what the file lacks."""
    if not entries:
        words = "has no rows: as a full file it would end all that there is"
        problems.add(f"{table}.csv", None, None, words)
        return
    for key in timelines.keys() - {entry.row.identity() for entry in entries}:
        try:
            timelines[key] = end(timelines[key], as_of)
        except PlacementError as error:
            problems.add(entries[0].file, None, None, f"{_name(key)} is not in it: {error}")


def _check_subjects(after: Known, files: Mapping[str, Sequence[Entry]], problems: Problems) -> None:
    """Finds rows about devices and sites that nobody knows."""
    for entry in files.get("devices", ()):
        if isinstance(entry.row, DeviceRow) and (entry.row.site_id,) not in after["sites"]:
            words = f"{entry.row.site_id!r} is neither in the table of sites nor in a file"
            problems.add(entry.file, entry.line, "site_id", words)
    for entry in files.get("maintenance", ()):
        if isinstance(entry.row, MaintenanceRow):
            table = f"{entry.row.scope}s"
            if (entry.row.subject,) not in after[table]:
                words = f"{entry.row.subject!r} is neither in the table of {table} nor in a file"
                problems.add(entry.file, entry.line, "subject", words)


def _check_sites_that_end(
    known: Known, after: Known, files: Mapping[str, Sequence[Entry]], problems: Problems
) -> None:
    """Finds sites that end although devices are still there: they would miss their time zone."""
    ended = {
        key
        for key, timeline in after["sites"].items()
        if timeline[-1].until < FOREVER and timeline != known["sites"].get(key)
    }
    if not ended:
        return
    for timeline in after["devices"].values():
        last = timeline[-1]
        if last.until < FOREVER or not isinstance(last.row, DeviceRow):
            continue
        if (last.row.site_id,) in ended and last.row.decommissioned_at is None:
            words = f"{last.row.site_id} would end, and {last.row.device_id} is still there"
            problems.add(files["sites"][0].file, None, None, words)


def _check_recurrences(
    after: Known, files: Mapping[str, Sequence[Entry]], problems: Problems
) -> None:
    """Finds recurrences that cannot be on their site's wall clock."""
    zones = Zones(after["sites"], after["devices"])
    for entry in files.get("maintenance", ()):
        row = entry.row
        if not isinstance(row, MaintenanceRow) or row.recurrence is None:
            continue
        try:
            zone = zones.at(row.scope, row.subject, row.starts_at)
            first, end_shown = local(row.starts_at, zone), local(row.ends_at, zone)
            parse(row.recurrence).check(first, end_shown - first, zone)
        except (UnknownZoneError, RecurrenceError) as error:
            words = f"{row.recurrence!r}: {error}"
            problems.add(entry.file, entry.line, "recurrence", words)


def _name(key: Key) -> str:
    return " ".join(said(part) if isinstance(part, datetime) else str(part) for part in key)
