"""What is told of a machine while its site is, or may be, silent: a dispatcher who waits."""

from tests.oracle.episodes import Episode, Event, Gate
from tests.oracle.log import MINUTE, Device, World

WINDOW = 5 * MINUTE
LATELY = 2 * MINUTE
NEVER = 1 << 62

Found = dict[tuple[str, str], list[Episode]]


def told_of(world: World, found: Found) -> dict[tuple[str, str], list[list[Event]]]:
    """What is told of each episode, by (rule, subject)."""
    devices = {device.device_id: device for device in world.devices}
    return {
        (rule_id, subject): [
            episode.events(world.watermark_us, _gate(world, found, devices.get(subject), episode))
            for episode in episodes
        ]
        for (rule_id, subject), episodes in found.items()
    }


def _gate(world: World, found: Found, device: Device | None, episode: Episode) -> Gate:
    if device is None or world.planned("mute", device, episode.opened_us):
        return lambda us: ([], us)
    spans = outages(world, found, device.site_id)

    def gate(us: int) -> tuple[list[Event], int]:
        if (end := _end_of(spans, us)) is not None:
            return [(us, "suppress")], end
        heard_us = held_until(world, device, us)
        if heard_us == us:
            return [], us
        if (end := _end_of(spans, heard_us)) is not None:
            return [(us, "hold"), (heard_us, "suppress")], end
        return [(us, "hold")], heard_us

    return gate


def _end_of(spans: list[tuple[int, int]], us: int) -> int | None:
    return next((end for start, end in spans if start <= us < end), None)


def outages(world: World, found: Found, site: str) -> list[tuple[int, int]]:
    """When a site's ticket stands in for its machines': to one window after each outage."""
    spans: list[tuple[int, int]] = []
    for episode in found.get(("site_outage", site), []):
        if world.planned("mute", site, episode.opened_us):
            continue
        for stretch in episode.stretches:
            end = NEVER if stretch.resolved_us is None else stretch.resolved_us + WINDOW
            if spans and stretch.opened_us <= spans[-1][1]:
                spans[-1] = spans[-1][0], end
            else:
                spans.append((stretch.opened_us, end))
    return spans


def held_until(world: World, device: Device, us: int) -> int:
    """Until when it is open whether the site is silent as a whole; now, where it is not."""
    newest = [
        max(
            [
                other.commissioned_us,
                *(at for at in world.signs.get(other.device_id, ()) if at <= us),
            ]
        )
        for other in world.devices
        if other.site_id == device.site_id
        and other.commissioned_us <= us - LATELY
        and (other.decommissioned_us is None or other.decommissioned_us > us)
    ]
    heard = sum(at > us - LATELY for at in newest)
    if len(newest) < 3 or 10 * heard >= 8 * len(newest):
        return us
    return max(us, -(-max(newest) // WINDOW) * WINDOW + WINDOW)
