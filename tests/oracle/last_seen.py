"""When each device was last seen on each topic."""

from tests.oracle.log import ALERTS, HEARTBEAT, TELEMETRY, World


def last_seen_of(world: World, until_us: int | None) -> dict[tuple[str, str], int]:
    """By device and topic, of what has landed; its own times up to an instant, if there is one.

    What was spooled proves life when it arrived; of heartbeats that, too, only up to the instant.
    """
    seen: dict[tuple[str, str], int] = {}
    for topic in (TELEMETRY, HEARTBEAT, ALERTS):
        for event in world.events(topic):
            us = event.beat_us if topic == HEARTBEAT or event.spooled else event.us
            by_its_arrival = event.spooled and topic != HEARTBEAT
            if by_its_arrival or (until_us is not None and us <= until_us):
                seen[event.device_id, topic] = max(us, seen.get((event.device_id, topic), us))
    return seen
