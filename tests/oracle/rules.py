"""Rules 1 to 3, device by device, window by window."""

from collections.abc import Callable
from dataclasses import dataclass

from tests.oracle.log import ALERTS, HEARTBEAT, MINUTE, SECOND, TELEMETRY, Device, World


@dataclass(frozen=True, order=True)
class Verdict:
    """What a rule says at a window's end: breach, clear or hold."""

    window_end_us: int
    verdict: str
    observed: float
    threshold: float


def error_burst(world: World, device: Device) -> list[Verdict]:
    """Five alerts raised within (t - 60 s, t], at each entry and each exit."""
    raised = [
        alert.us
        for alert in world.events(ALERTS)
        if alert.device_id == device.device_id and alert.fields["state"] == "raised"
    ]
    verdicts = []
    for point in sorted({us for each in raised for us in (each, each + MINUTE)}):
        if point <= world.watermark_us:
            count = sum(point - MINUTE < us <= point for us in raised)
            verdicts.append(Verdict(point, "breach" if count >= 5 else "clear", count, 5))
    return verdicts


def cabinet_over_temperature(world: World, device: Device) -> list[Verdict]:
    """Every sample of (e - 300 s, e] above the limit, three at least."""
    limit = world.limits_c.get(device.model)
    if limit is None:
        return []
    windows: dict[int, list[float]] = {}
    for sample in world.events(TELEMETRY):
        celsius = sample.fields["cabinet_temp_c"]
        if sample.device_id == device.device_id and celsius is not None:
            end = -(-sample.us // (5 * MINUTE)) * 5 * MINUTE
            windows.setdefault(end, []).append(celsius)
    verdicts = []
    for end, celsius in sorted(windows.items()):
        if end > world.watermark_us or end < device.commissioned_us:
            continue
        if len(celsius) >= 3 and all(each > limit for each in celsius):
            verdicts.append(Verdict(end, "breach", min(celsius), limit))
        elif all(each < limit - 1 for each in celsius):
            verdicts.append(Verdict(end, "clear", max(celsius), limit - 1))
        else:
            verdicts.append(Verdict(end, "hold", max(celsius), limit))
    return verdicts


def heartbeat_missing(world: World, device: Device) -> list[Verdict]:
    """No beat within three intervals of the last sign, from commissioning to the end of service."""
    beats = {
        beat.beat_us: beat.fields.get("interval_s", 60)
        for beat in sorted(
            world.events(HEARTBEAT), key=lambda beat: (beat.beat_us, beat.partition, beat.offset)
        )
        if beat.device_id == device.device_id and beat.beat_us <= world.watermark_us
    }
    began = max(device.commissioned_us, world.known_from_us)
    restarts = [
        end
        for work in world.work
        if work.mode == "unmanage"
        and work.subject == (device.device_id if work.scope == "device" else device.site_id)
        for _, end in work.spans_us
        if end <= world.watermark_us
    ]
    signs = dict.fromkeys((began, *restarts), 60) | beats
    verdicts = []
    for us, interval_s in signs.items():
        allowed = 3 * interval_s * SECOND
        due = us + allowed
        silent = not any(us < other <= due for other in signs)
        in_service = began < due and (
            device.decommissioned_us is None or due < device.decommissioned_us
        )
        if silent and in_service and due <= world.watermark_us:
            verdicts.append(Verdict(due, "breach", allowed / SECOND, allowed / SECOND))
        if us in beats:
            verdicts.append(Verdict(us, "clear", 0, allowed / SECOND))
    return sorted(verdicts)


@dataclass(frozen=True)
class Rule:
    """A rule, and when its episodes are over."""

    evaluate: Callable[[World, Device], list[Verdict]]
    clear_windows: int


RULES = {
    "error_burst": Rule(error_burst, 1),
    "heartbeat_missing": Rule(heartbeat_missing, 2),
    "cabinet_over_temperature": Rule(cabinet_over_temperature, 2),
}
