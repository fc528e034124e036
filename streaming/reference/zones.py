"""Whose wall clock a site or a device follows, and followed."""

from collections.abc import Iterable
from datetime import datetime
from zoneinfo import ZoneInfo

from streaming.reference.contracts import DeviceRow, ReferenceRow, SiteRow
from streaming.reference.timeline import Timeline, Timelines


class UnknownZoneError(LookupError):
    """Nobody knows where a subject is."""


class Zones:
    """The time zones of sites, and of devices by the site that they are registered at."""

    def __init__(self, sites: Timelines, devices: Timelines) -> None:
        self._sites = sites
        self._devices = devices

    def at(self, scope: str, subject: str, instant: datetime) -> ZoneInfo:
        """Returns the zone at an instant: before the first version the first, in a gap the last.

        Raises:
            UnknownZoneError: The subject, or its site, is not known.
        """
        site = subject
        if scope == "device":
            device = _valid(self._versions(self._devices, "device", subject), instant)
            site = device.site_id if isinstance(device, DeviceRow) else ""
        row = _valid(self._versions(self._sites, "site", site), instant)
        if not isinstance(row, SiteRow):
            raise TypeError(f"{row} is no site")
        return ZoneInfo(row.timezone)

    def ever(self, scope: str, subject: str) -> Iterable[ZoneInfo]:
        """Returns each zone that it was ever in, once."""
        sites = [subject]
        if scope == "device":
            versions = self._versions(self._devices, "device", subject)
            sites = [each.row.site_id for each in versions if isinstance(each.row, DeviceRow)]
        return {
            ZoneInfo(each.row.timezone)
            for site in sites
            for each in self._versions(self._sites, "site", site)
            if isinstance(each.row, SiteRow)
        }

    @staticmethod
    def _versions(timelines: Timelines, kind: str, name: str) -> Timeline:
        if (name,) not in timelines:
            raise UnknownZoneError(f"the {kind} {name!r} is not known, so neither is its time zone")
        return timelines[(name,)]


def _valid(timeline: Timeline, instant: datetime) -> ReferenceRow:
    row = timeline[0].row
    for version in timeline:
        if version.since <= instant:
            row = version.row
    return row
