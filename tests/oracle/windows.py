"""Windows, by walking through time: what a window holds is looked up event by event."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from tests.oracle.events import Event

Events = Sequence[Event]


@dataclass(frozen=True)
class Window:
    """A window and the events that it holds; the end belongs to it."""

    start_us: int
    end_us: int
    events: tuple[Event, ...]


def tumbling(events: Events, size: int) -> list[Window]:
    """(e - S, e] for each multiple e of S; none without an event."""
    return hopping(events, size, size)


def hopping(events: Events, size: int, hop: int) -> list[Window]:
    """(e - S, e] for each multiple e of H; none without an event."""
    ends = [now for now in _instants(events, size + hop) if now % hop == 0]
    return [window for end in ends if (window := _window(events, end - size, end)).events]


def sliding(events: Events, size: int, *, empty: bool = False) -> list[Window]:
    """(p - S, p] at each p at which an event enters or leaves; none without an event."""
    changes = [
        now
        for now in _instants(events, size)
        if any(event.us == now or event.us + size == now for event in events)
    ]
    windows = [_window(events, now - size, now) for now in changes]
    return [window for window in windows if window.events or empty]


def session(events: Events, timeout: int, longest: int) -> list[Window]:
    """Opens with an event; ends T after the last, or at the first multiple of M when it is M old.

    After such a cut it goes on in a new one, which is as old as the cut, until its own end. An
    event at the very moment of an end or a cut still belongs to it; none without an event.
    """
    windows: list[Window] = []
    opened_us = last_us = None
    held: list[Event] = []
    for now in _instants(events, timeout):
        here = [event for event in events if event.us == now]
        if here:
            held += here
            last_us = now
            opened_us = now if opened_us is None else opened_us
        if opened_us is None or last_us is None:
            continue
        over = now == last_us + timeout
        cut = now % longest == 0 and now - opened_us >= longest
        if (over or cut) and held:
            windows.append(Window(opened_us, now, tuple(held)))
        if over or cut:
            held = []
            opened_us = None if over else now
    return windows


def snapshot(events: Events) -> list[Window]:
    """The events of one instant."""
    return [_window(events, us - 1, us) for us in sorted({event.us for event in events})]


def _instants(events: Events, beyond: int) -> Iterator[int]:
    """Yields every microsecond from the first event to so much after the last."""
    if events:
        times = [event.us for event in events]
        yield from range(min(times), max(times) + beyond + 1)


def _window(events: Events, start_us: int, end_us: int) -> Window:
    held = tuple(event for event in events if start_us < event.us <= end_us)
    return Window(start_us, end_us, held)
