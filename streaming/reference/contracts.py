"""The contracts of the reference files: one Struct a file and table.

A Struct's fields are the table's columns; their encoded names are the file's columns. All files
are CSV in UTF-8 with a header; an empty cell is a null. Any file may also have `valid_from` and
`valid_to`: see `timeline`.
"""

from collections.abc import Iterator
from datetime import datetime
from typing import Annotated, ClassVar, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec
from msgspec import Meta

from streaming.reference.recurrence import RecurrenceError, parse

Word = Annotated[str, Meta(min_length=1, max_length=128, pattern=r"^[^\x00-\x1f]+$")]
Instant = Annotated[datetime, Meta(tz=True)]
Celsius = Annotated[float, Meta(ge=-40.0, le=85.0)]


class ReferenceRow(msgspec.Struct, kw_only=True, frozen=True):
    """One row of a reference file.

    Attributes:
        table: The table in the schema `reference`, and the file's name without `.csv`.
        key: The fields that say which thing the row is about.
        since: The field that says from when a thing's first version is valid. Where it is None,
            that is from ever, so that history can be judged too.
    """

    table: ClassVar[str]
    key: ClassVar[tuple[str, ...]]
    since: ClassVar[str | None] = None

    def identity(self) -> tuple[object, ...]:
        """Returns the values of the key."""
        return tuple(getattr(self, name) for name in self.key)

    def contradictions(self) -> Iterator[tuple[str, str]]:
        """Yields columns that contradict others or the world, each with what is wrong."""
        yield from ()


class DeviceRow(ReferenceRow, kw_only=True, frozen=True):
    """A machine. It is in the registry from its commissioning on, and so is its first version."""

    table: ClassVar[str] = "devices"
    key: ClassVar[tuple[str, ...]] = ("device_id",)
    since: ClassVar[str | None] = "commissioned_at"

    device_id: Word
    site_id: Word
    model: Word
    commissioned_at: Instant
    decommissioned_at: Instant | None
    cmdb_ci: Word | None
    assignment_group: Word | None

    def contradictions(self) -> Iterator[tuple[str, str]]:
        """Yields a life that ends before it begins."""
        if self.decommissioned_at is not None and self.decommissioned_at < self.commissioned_at:
            yield "decommissioned_at", "is before commissioned_at"


class SiteRow(ReferenceRow, kw_only=True, frozen=True):
    """A site and its clock."""

    table: ClassVar[str] = "sites"
    key: ClassVar[tuple[str, ...]] = ("site_id",)

    site_id: Word
    name: Word
    timezone: Word
    business_hours: Word | None
    gateway: Word | None

    def contradictions(self) -> Iterator[tuple[str, str]]:
        """Yields a time zone that does not exist."""
        try:
            ZoneInfo(self.timezone)
        except (ZoneInfoNotFoundError, ValueError, OSError):
            yield "timezone", f"{self.timezone!r} is no IANA time zone, such as Europe/Berlin"


class LimitRow(ReferenceRow, kw_only=True, frozen=True):
    """A model's limits. No `max_cabinet_c` means that the model has none."""

    table: ClassVar[str] = "model_limits"
    key: ClassVar[tuple[str, ...]] = ("model",)

    model: Word
    max_cabinet_c: Celsius | None


class MaintenanceRow(ReferenceRow, kw_only=True, frozen=True):
    """Planned work on a device or a site; with a recurrence, the first of many (`recurrence`)."""

    table: ClassVar[str] = "maintenance"
    key: ClassVar[tuple[str, ...]] = ("scope", "subject", "mode", "starts_at")

    scope: Literal["device", "site"]
    subject: Word
    mode: Literal["unmanage", "mute"]
    starts_at: Instant = msgspec.field(name="from")
    ends_at: Instant = msgspec.field(name="until")
    recurrence: Word | None

    def contradictions(self) -> Iterator[tuple[str, str]]:
        """Yields work that ends before it begins, and a recurrence that means nothing."""
        if self.ends_at <= self.starts_at:
            yield "until", "is not after from"
        if self.recurrence is not None:
            try:
                parse(self.recurrence)
            except RecurrenceError as error:
                yield "recurrence", f"{self.recurrence!r}: {error}"


TABLES: dict[str, type[ReferenceRow]] = {
    row.table: row for row in (DeviceRow, SiteRow, LimitRow, MaintenanceRow)
}
"""Contract by table name."""
