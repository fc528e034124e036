"""Time policies: a gate that events pass one by one, in the order of their arrival."""

from collections.abc import Iterable
from dataclasses import dataclass

from tests.oracle.events import Event

EARLY_US = 5 * 60 * 1_000_000


@dataclass(frozen=True, kw_only=True)
class Policies:
    """Tolerances in microseconds; `late` and `out_of_order` are drop or adjust."""

    late_us: int
    late: str
    out_of_order_us: int
    out_of_order: str
    per_key: bool
    early: bool


def system_times(events: Iterable[Event], policies: Policies) -> list[tuple[Event, int]]:
    """Returns the events that get through, each with the time that it is taken at."""
    passed = []
    greatest: dict[str, int] = {}
    for event in sorted(events, key=lambda event: event.number):
        us = event.us
        if policies.early and us > event.arrival_us + EARLY_US:
            continue
        if event.arrival_us - us > policies.late_us:
            if policies.late == "drop":
                continue
            us = event.arrival_us - policies.late_us
        timeline = event.key if policies.per_key else ""
        watermark = greatest.get(timeline, us) - policies.out_of_order_us
        if us < watermark:
            if policies.out_of_order == "drop":
                continue
            us = watermark
        greatest[timeline] = max(us, greatest.get(timeline, us))
        passed.append((event, us))
    return passed
