"""What the oracle reads: records, the registry, limits and planned work."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import Any

from tests.oracle.recurrence import Recurrence

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
SECOND = 1_000_000
MINUTE = 60 * SECOND
DAY = 24 * 60 * MINUTE

TELEMETRY = "telemetry.raw"
HEARTBEAT = "heartbeat.raw"
ALERTS = "alerts.raw"


def us_of(instant: datetime) -> int:
    """Returns an instant as microseconds since 1970."""
    return (instant - EPOCH) // timedelta(microseconds=1)


@dataclass(frozen=True, kw_only=True)
class Record:
    """One record of a topic. `clock_fault`: it is in quarantine, and a sign of life."""

    topic: str
    partition: int
    offset: int
    event_id: str
    device_id: str
    site_id: str
    us: int
    kafka_us: int
    gateway_us: int | None = None
    spooled: bool = False
    clock_fault: bool = False
    tombstone: bool = False
    fields: dict[str, Any] = field(default_factory=dict)

    @property
    def arrival_us(self) -> int:
        """When it reached the platform: the gateway's clock, unless missing or absurd."""
        absurd = (
            self.gateway_us is None
            or self.gateway_us > self.kafka_us + 5 * MINUTE
            or self.gateway_us < self.kafka_us - 20 * DAY
        )
        return self.kafka_us if absurd or self.gateway_us is None else self.gateway_us

    @property
    def beat_us(self) -> int:
        """When it proves life."""
        return self.arrival_us if self.spooled or self.clock_fault else self.us


@dataclass(frozen=True, kw_only=True)
class Device:
    """A version of a device in the registry; the first is valid from its commissioning."""

    device_id: str
    site_id: str
    model: str
    commissioned_us: int
    decommissioned_us: int | None = None


@dataclass(frozen=True, kw_only=True)
class Limit:
    """What a model's limit has been since an instant (inclusive); None: it has none any more."""

    model: str
    since_us: int
    max_c: float | None


@dataclass(frozen=True, kw_only=True)
class Work:
    """Planned work, from its start (exclusive) to its end (inclusive); if it recurs, the first."""

    scope: str
    subject: str
    mode: str
    starts_us: int
    ends_us: int
    recurrence: Recurrence | None = None

    @cached_property
    def spans_us(self) -> list[tuple[int, int]]:
        """Each time that it is done."""
        if self.recurrence is None:
            return [(self.starts_us, self.ends_us)]
        return [(us_of(start), us_of(end)) for start, end in self.recurrence.spans()]


@dataclass(frozen=True)
class World:
    """All that rules may look at. `limits_c`: each model's first limit."""

    records: tuple[Record, ...]
    devices: tuple[Device, ...]
    limits_c: dict[str, float | None]
    work: tuple[Work, ...]
    watermark_us: int
    known_from_us: int
    zones: Mapping[str, str] = field(default_factory=dict)
    later_limits: tuple[Limit, ...] = ()

    def limit_c(self, model: str, us: int) -> float | None:
        """Returns a model's limit at an instant."""
        limit_c = self.limits_c.get(model)
        for later in sorted(self.later_limits, key=lambda limit: limit.since_us):
            if later.model == model and later.since_us <= us:
                limit_c = later.max_c
        return limit_c

    def events(self, topic: str) -> list[Record]:
        """The records that count as events: no tombstone, no second one with the same event_id.

        Of clock faults only heartbeats do.
        """
        return [
            record
            for record in self._events.get(topic, [])
            if topic == HEARTBEAT or not record.clock_fault
        ]

    @cached_property
    def signs(self) -> dict[str, list[int]]:
        """When each device gave a sign of life, of whatever kind."""
        signs: dict[str, list[int]] = {}
        for records in self._events.values():
            for record in records:
                signs.setdefault(record.device_id, []).append(record.beat_us)
        return signs

    @cached_property
    def _events(self) -> dict[str, list[Record]]:
        events: dict[str, list[Record]] = {}
        seen: set[tuple[str, int, str]] = set()
        for record in _in_log_order(self.records):
            if record.tombstone:
                continue
            if not record.clock_fault:
                identity = (record.topic, record.partition, record.event_id)
                if identity in seen:
                    continue
                seen.add(identity)
            events.setdefault(record.topic, []).append(record)
        return events

    @cached_property
    def sites(self) -> tuple[str, ...]:
        """The sites that have a device."""
        return tuple(sorted({device.site_id for device in self.devices}))

    def unmanaged(self, device: Device) -> list[tuple[int, int]]:
        """When nobody looks at a registered device, or at its site."""
        return [
            (start, end)
            for work in self.work
            if work.mode == "unmanage"
            and work.subject == (device.device_id if work.scope == "device" else device.site_id)
            for start, end in work.spans_us
            if end >= device.commissioned_us
        ]

    def planned(self, mode: str, subject: Device | str, us: int) -> bool:
        """Whether a site, or a device or the site that it is registered at, is in planned work."""
        if isinstance(subject, str):
            device_id, site_id = None, subject
        else:
            registered = us >= subject.commissioned_us
            device_id, site_id = subject.device_id, subject.site_id if registered else None
        return any(
            work.mode == mode
            and any(start < us <= end for start, end in work.spans_us)
            and work.subject == (device_id if work.scope == "device" else site_id)
            for work in self.work
        )


def _in_log_order(records: Iterable[Record]) -> list[Record]:
    return sorted(records, key=lambda record: (record.topic, record.partition, record.offset))
