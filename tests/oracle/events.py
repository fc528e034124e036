"""What windows, time policies and operators work on: events, and versions of reference data."""

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Event:
    """An event. `number`: its place in the order of arrival, unique in a log."""

    number: int
    key: str
    us: int
    arrival_us: int
    value: int | None
    state: str


@dataclass(frozen=True, kw_only=True)
class Version:
    """What a reference table says of a key, from an instant (inclusive) to another (exclusive)."""

    key: str
    name: str
    from_us: int
    to_us: int


def by_key(events: Iterable[Event]) -> dict[str, list[Event]]:
    """Returns each key's events."""
    grouped: dict[str, list[Event]] = {}
    for event in events:
        grouped.setdefault(event.key, []).append(event)
    return grouped


def in_time(events: Iterable[Event]) -> list[Event]:
    """Returns the events as time goes by; simultaneous ones in the order of arrival."""
    return sorted(events, key=lambda event: (event.us, event.number))
