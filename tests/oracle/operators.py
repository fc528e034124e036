"""LAG, LAST, ISFIRST and joins: for each event a look at all others."""

from collections.abc import Callable, Sequence

from tests.oracle.events import Event, Version, in_time

Events = Sequence[Event]
Condition = Callable[[Event], bool]


def lag(events: Events, n: int, duration: int) -> list[tuple[Event, int | None]]:
    """The value of the n-th event before, unless it is further back than the duration."""
    ordered = in_time(events)
    values = []
    for place, event in enumerate(ordered):
        before = ordered[:place]
        there = before[-n] if len(before) >= n else None
        near = there is not None and event.us - there.us <= duration
        values.append((event, there.value if there is not None and near else None))
    return values


def last(events: Events, duration: int, condition: Condition) -> list[tuple[Event, int | None]]:
    """The value of the last event that fulfils the condition, itself included, if near enough."""
    ordered = in_time(events)
    values = []
    for place, event in enumerate(ordered):
        value = None
        for other in ordered[: place + 1]:
            if condition(other):
                value = other.value if event.us - other.us <= duration else None
        values.append((event, value))
    return values


def is_first(events: Events, size: int, condition: Condition) -> list[tuple[Event, bool]]:
    """Whether it is the first in (e - S, e], e a multiple of S, that fulfils the condition."""
    seen: set[int] = set()
    firsts = []
    for event in in_time(events):
        end = event.us
        while end % size:
            end += 1
        firsts.append((event, condition(event) and end not in seen))
        if condition(event):
            seen.add(end)
    return firsts


def joined(
    left: Events, right: Events, lower: int, upper: int, *, outer: bool
) -> list[tuple[Event, Event | None, int]]:
    """Pairs of one key whose distance is within bounds, each with its time.

    Outer: also the left events without a match, at the last moment at which there could be one.
    """
    rows: list[tuple[Event, Event | None, int]] = []
    for one in left:
        matches = [
            other for other in right if other.key == one.key and lower <= other.us - one.us <= upper
        ]
        rows += [(one, other, max(one.us, other.us)) for other in matches]
        if outer and not matches:
            rows.append((one, None, one.us + upper))
    return rows


def as_of(events: Events, versions: Sequence[Version]) -> list[tuple[Event, str]]:
    """What the reference said of each event's key at its time."""
    return [
        (event, version.name)
        for event in events
        for version in versions
        if version.key == event.key and version.from_us <= event.us < version.to_us
    ]
