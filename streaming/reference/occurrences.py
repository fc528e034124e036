"""Planned work as it takes place: each recurrence expanded, up to its end, into instants.

Expanded when it is loaded, not when it is asked for: a batch of today and its replay in years then
read the same rows, whatever has become of the time zones' rules, and SQL compares only instants.
"""

from collections.abc import Iterator, Mapping, Set
from dataclasses import dataclass
from datetime import datetime

from streaming.reference.contracts import DeviceRow, MaintenanceRow
from streaming.reference.recurrence import parse
from streaming.reference.timeline import EVER, Key, Timelines, Version
from streaming.reference.wall_clock import local, span
from streaming.reference.zones import Zones

Subject = tuple[str, str]
"""Scope (device or site), and which."""


@dataclass(frozen=True, slots=True)
class Occurrence:
    """Work that takes place once, from `starts_at` (exclusive) to `ends_at` (inclusive)."""

    work: MaintenanceRow
    starts_at: datetime
    ends_at: datetime
    valid_from: datetime
    valid_to: datetime


def occurrences(version: Version, zones: Zones) -> Iterator[Occurrence]:
    """Yields when a version of planned work takes place while it is valid.

    A device that moves, or a site whose time zone is corrected, follows another wall clock from
    then on: each zone's occurrences count that begin while it is the subject's. In order; none ends
    before the one before, on which SQL relies.
    """
    work = version.row
    if not isinstance(work, MaintenanceRow):
        raise TypeError(f"{work} is no planned work")
    ended = EVER
    for starts_at, ends in sorted(set(_spans(work, zones))):
        ended = ends_at = max(ended, ends)
        if starts_at < version.until and version.since <= ends_at:
            yield Occurrence(work, starts_at, ends_at, version.since, version.until)


def _spans(work: MaintenanceRow, zones: Zones) -> Iterator[tuple[datetime, datetime]]:
    if work.recurrence is None:
        yield work.starts_at, work.ends_at
        return
    own = zones.at(work.scope, work.subject, work.starts_at)
    first = local(work.starts_at, own)
    length = local(work.ends_at, own) - first
    starts = parse(work.recurrence).starts(first, own)
    for zone in zones.ever(work.scope, work.subject):
        for start in starts:
            found = span(start, start + length, zone)
            if found and zones.at(work.scope, work.subject, found[0]) == zone:
                yield found


def touched(changed: Mapping[str, Set[Key]], devices: Timelines) -> set[Subject]:
    """Returns whose occurrences may change, where some things have changed."""
    sites = {str(site) for (site,) in changed["sites"]}
    moved = {str(device) for (device,) in changed["devices"]}
    moved |= {
        version.row.device_id
        for timeline in devices.values()
        for version in timeline
        if isinstance(version.row, DeviceRow) and version.row.site_id in sites
    }
    planned = {(str(scope), str(subject)) for scope, subject, *_ in changed["maintenance"]}
    return planned | {("site", site) for site in sites} | {("device", device) for device in moved}
