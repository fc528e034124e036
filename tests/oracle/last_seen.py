"""When each device was last seen on each topic."""

from tests.oracle.log import ALERTS, HEARTBEAT, TELEMETRY, World


def last_seen_of(world: World, until_us: int) -> dict[tuple[str, str], int]:
    """By device and topic, of events up to an instant; what was spooled counts when it arrived."""
    seen: dict[tuple[str, str], int] = {}
    for topic in (TELEMETRY, HEARTBEAT, ALERTS):
        for event in world.events(topic):
            own_us = event.beat_us if topic == HEARTBEAT else event.us
            if own_us <= until_us:
                key = event.device_id, topic
                seen[key] = max(event.beat_us, seen.get(key, event.beat_us))
    return seen
