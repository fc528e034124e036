"""The rules, subject by subject, window by window."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tests.oracle import cadence
from tests.oracle.log import ALERTS, HEARTBEAT, MINUTE, SECOND, TELEMETRY, Device, Record, World
from tests.oracle.voltage import HOUR, QUARTER, History, Sample, is_anomalous, valid_from_us


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
    windows: dict[int, list[float]] = {}
    for sample in world.events(TELEMETRY):
        celsius = sample.fields["cabinet_temp_c"]
        if sample.device_id == device.device_id and celsius is not None:
            end = -(-sample.us // (5 * MINUTE)) * 5 * MINUTE
            windows.setdefault(end, []).append(celsius)
    verdicts = []
    for end, celsius in sorted(windows.items()):
        limit = world.limit_c(device.model, end)
        if limit is None or end > world.watermark_us:
            continue
        if len(celsius) >= 3 and all(each > limit for each in celsius):
            verdicts.append(Verdict(end, "breach", min(celsius), limit))
        elif all(each < limit - 1 for each in celsius):
            verdicts.append(Verdict(end, "clear", max(celsius), limit - 1))
        else:
            verdicts.append(Verdict(end, "hold", max(celsius), limit))
    return verdicts


def heartbeat_missing(world: World, device: Device) -> list[Verdict]:
    """No beat within what the last sign allows, from commissioning to the end of service."""
    beats = cadence.beats_of(world, device)
    began = max(device.commissioned_us, world.known_from_us)
    restarts = [end for _, end in world.unmanaged(device) if end <= world.watermark_us]
    signs = dict.fromkeys((began, *restarts), 60) | beats
    times = sorted(signs)
    verdicts = []
    for us, after in zip(times, [*times[1:], None], strict=True):
        least = 3 * signs[us] * SECOND
        overdue = after is None or after > us + least
        learned = cadence.learned_us(world, device, beats, us) if us in beats and overdue else 0
        allowed = max(least, min(learned, 10 * signs[us] * SECOND))
        due = us + allowed
        silent = after is None or after > due
        in_service = began < due and (
            device.decommissioned_us is None or due < device.decommissioned_us
        )
        if silent and in_service and due <= world.watermark_us:
            verdicts.append(Verdict(due, "breach", allowed / SECOND, allowed / SECOND))
        if us in beats:
            verdicts.append(Verdict(us, "clear", 0, least / SECOND))
    return sorted(verdicts)


def samples_of(world: World, device: Device) -> list[Record]:
    """A device's samples in the order of their times, then of the log."""
    return sorted(
        (each for each in world.events(TELEMETRY) if each.device_id == device.device_id),
        key=in_time,
    )


def in_time(record: Record) -> tuple[int, int, int]:
    """The order of a device's events: simultaneous ones as they came."""
    return record.us, record.partition, record.offset


def ends_around(us: int, size: int, hop: int) -> list[int]:
    """The ends e, multiples of the hop, whose window (e - size, e] holds an instant."""
    first = -(-us // hop) * hop
    return list(range(first, us + size, hop))


def rapid_warming(world: World, device: Device) -> list[Verdict]:
    """A sample against its tenth previous one, which is at most twelve minutes older."""
    samples = [
        each for each in samples_of(world, device) if each.fields["cabinet_temp_c"] is not None
    ]
    found = {}
    for number, sample in enumerate(samples):
        if number < 10 or sample.us > world.watermark_us:
            continue
        tenth = samples[number - 10]
        if sample.us - tenth.us > 12 * MINUTE:
            continue
        warming = sample.fields["cabinet_temp_c"] - tenth.fields["cabinet_temp_c"]
        if warming >= 4:
            found[sample.us] = Verdict(sample.us, "breach", warming, 4)
        elif warming < 1:
            found[sample.us] = Verdict(sample.us, "clear", warming, 1)
        else:
            found.pop(sample.us, None)
    return list(found.values())


def compressor_short_cycling(world: World, device: Device) -> list[Verdict]:
    """How often it went from off to on within (e - 60 min, e], at every five minutes."""
    windows: dict[int, int] = {}
    before = None
    for sample in samples_of(world, device):
        now = sample.fields["compressor_on"]
        if now is not None:
            for end in ends_around(sample.us, 60 * MINUTE, 5 * MINUTE):
                windows[end] = windows.get(end, 0) + (now and before is False)
        before = now
    verdicts = []
    for end, starts in windows.items():
        if end <= world.watermark_us:
            kind = "breach" if starts >= 8 else "clear" if starts < 4 else "hold"
            verdicts.append(Verdict(end, kind, starts, 4 if kind == "clear" else 8))
    return verdicts


def door_left_open(world: World, device: Device) -> list[Verdict]:
    """An opening that no sample of the next 300 s closes; a closing clears."""
    samples = [each for each in samples_of(world, device) if each.fields["door_open"] is not None]
    found = {}
    for number, sample in enumerate(samples):
        was_open = number > 0 and samples[number - 1].fields["door_open"]
        if sample.fields["door_open"] and not was_open:
            due = sample.us + 5 * MINUTE
            closed = any(
                not later.fields["door_open"] and later.us <= due for later in samples[number + 1 :]
            )
            if not closed:
                found[due] = Verdict(due, "breach", 300, 300)
    for number, sample in enumerate(samples):
        if not sample.fields["door_open"] and (
            number == 0 or samples[number - 1].fields["door_open"]
        ):
            found[sample.us] = Verdict(sample.us, "clear", 0, 300)
    return [each for each in found.values() if each.window_end_us <= world.watermark_us]


def vend_failure_ratio(world: World, device: Device) -> list[Verdict]:
    """Failed over all vends of (e - 15 min, e], by the growth of both counters."""
    windows: dict[int, list[int | None]] = {}
    before: Record | None = None
    for sample in samples_of(world, device):
        sums = windows.setdefault(-(-sample.us // (15 * MINUTE)) * 15 * MINUTE, [None, None])
        for number, name in enumerate(("vends_ok_total", "vends_failed_total")):
            now = sample.fields[name]
            if before is None or now is None:
                continue
            if before.fields["boot_id"] != sample.fields["boot_id"]:
                sums[number] = (sums[number] or 0) + now
            elif before.fields[name] is not None:
                sums[number] = (sums[number] or 0) + max(now - before.fields[name], 0)
        before = sample
    verdicts = []
    for end, (fine, failed) in windows.items():
        if end > world.watermark_us or fine is None or failed is None or fine + failed == 0:
            continue
        ratio = failed / (fine + failed)
        if fine + failed >= 10 and ratio >= 0.2:
            verdicts.append(Verdict(end, "breach", ratio, 0.2))
        elif ratio < 0.1:
            verdicts.append(Verdict(end, "clear", ratio, 0.1))
        else:
            verdicts.append(Verdict(end, "hold", ratio, 0.2))
    return verdicts


def jam_not_recovering(world: World, device: Device) -> list[Verdict]:
    """The third jam within ten minutes with no clear between; over at a clear, or in time."""
    jams = sorted(
        (
            each
            for each in world.events(ALERTS)
            if each.device_id == device.device_id and each.fields["code"] == "COIN_JAM"
        ),
        key=in_time,
    )
    found = {}
    raised = [jam for jam in jams if jam.fields["state"] == "raised"]
    for jam in raised:
        due = jam.us + 30 * MINUTE
        if not any(in_time(jam) < in_time(other) and other.us <= due for other in raised):
            found[due] = Verdict(due, "clear", 0, 3)
    row: list[int] = []
    for jam in jams:
        if jam.fields["state"] == "cleared":
            row = []
            found[jam.us] = Verdict(jam.us, "clear", 0, 3)
            continue
        row = [*row, jam.us][-3:]
        if len(row) == 3 and row[0] > jam.us - 10 * MINUTE:
            found[jam.us] = Verdict(jam.us, "breach", 3, 3)
    return [each for each in found.values() if each.window_end_us <= world.watermark_us]


def owes_a_beat(world: World, device: Device, us: int) -> bool:
    """Whether the last sign is as old as may be, or the first beat after such a silence."""
    beats = cadence.beats_of(world, device)
    began = max(device.commissioned_us, world.known_from_us)

    def due(at: int) -> int:
        if at not in beats:
            return at + 3 * 60 * SECOND
        learned = min(cadence.learned_us(world, device, beats, at), 10 * beats[at] * SECOND)
        return at + max(3 * beats[at] * SECOND, learned)

    signs = sorted(at for at in {began, *beats} if began <= at <= us)[-2:]
    return bool(signs) and (us >= due(signs[-1]) or (len(signs) == 2 and signs[1] > due(signs[0])))


def cashless_down(world: World, device: Device) -> list[Verdict]:
    """No sample of (e - 10 min, e] is online, five at least; three online in a row clear."""
    samples = [
        each for each in samples_of(world, device) if each.fields["cashless_online"] is not None
    ]
    found = {}
    row = 0
    for sample in samples:
        row = row + 1 if sample.fields["cashless_online"] else 0
        if row == 3:
            found[sample.us] = Verdict(sample.us, "clear", 3, 3)
    ends = {end for each in samples for end in ends_around(each.us, 10 * MINUTE, MINUTE)}
    for end in ends:
        inside = [each for each in samples if end - 10 * MINUTE < each.us <= end]
        offline = not any(each.fields["cashless_online"] for each in inside)
        if offline and len(inside) >= 5 and not owes_a_beat(world, device, end):
            found[end] = Verdict(end, "breach", len(inside), 5)
    return [each for each in found.values() if each.window_end_us <= world.watermark_us]


def reboot_loop(world: World, device: Device) -> list[Verdict]:
    """How many boots have spoken within (e - 30 min, e], at every five minutes."""
    windows: dict[int, set[str]] = {}
    for topic in (TELEMETRY, HEARTBEAT):
        for event in world.events(topic):
            if event.device_id == device.device_id and not event.clock_fault:
                for end in ends_around(event.us, 30 * MINUTE, 5 * MINUTE):
                    windows.setdefault(end, set()).add(event.fields["boot_id"])
    verdicts = []
    for end, boots in windows.items():
        if end <= world.watermark_us:
            kind = "breach" if len(boots) >= 3 else "clear" if len(boots) == 1 else "hold"
            verdicts.append(Verdict(end, kind, len(boots), 1 if kind == "clear" else 3))
    return verdicts


def supply_voltage_anomaly(world: World, device: Device) -> list[Verdict]:
    """The third anomalous sample among five; over with ten normal ones at a quarter's end."""
    samples = [
        Sample(each.us, each.fields["supply_voltage_v"], each.fields["boot_id"])
        for each in samples_of(world, device)
        if each.us <= world.watermark_us and each.fields["supply_voltage_v"] is not None
    ]
    history = History(device.device_id, samples)
    found = {}
    for sample in samples:
        limits = history.limits(sample)
        limit = None if limits is None else limits.passed_by(sample.volts)
        last = [is_anomalous(history, each) for each in history.until(sample.us, 5)]
        if limit is not None and last.count(True) >= 3:
            found[sample.us] = Verdict(sample.us, "breach", sample.volts, limit)
    ends = {
        end
        for each in samples
        for end in range(
            valid_from_us(device.device_id, each.us, QUARTER) + QUARTER, each.us + HOUR, QUARTER
        )
    }
    for end in ends:
        last = [is_anomalous(history, each) for each in history.until(end, 10)]
        if end <= world.watermark_us and last == [False] * 10:
            found[end] = Verdict(end, "clear", 10, 10)
    return list(found.values())


def site_outage(world: World, site: str) -> list[Verdict]:
    """Which share of the devices expected was heard from within (e - 5 min, e]."""
    signs = {
        device_id: {-(-us // (5 * MINUTE)) * 5 * MINUTE for us in moments}
        for device_id, moments in world.signs.items()
    }
    verdicts = []
    for end in range(0, world.watermark_us - world.known_from_us + 1, 5 * MINUTE):
        end = world.known_from_us - world.known_from_us % (5 * MINUTE) + end
        start = end - 5 * MINUTE
        expected = [
            device.device_id
            for device in world.devices
            if device.site_id == site
            and device.commissioned_us <= start
            and (device.decommissioned_us is None or device.decommissioned_us > end)
        ]
        if start < world.known_from_us or end > world.watermark_us or len(expected) < 3:
            continue
        share = sum(end in signs.get(each, ()) for each in expected) / len(expected)
        kind = "breach" if share < 0.4 else "clear" if share >= 0.8 else "hold"
        verdicts.append(Verdict(end, kind, share, 0.8 if kind == "clear" else 0.4))
    return verdicts


@dataclass(frozen=True)
class Rule:
    """A rule, and when its episodes are over."""

    evaluate: Callable[[World, Any], list[Verdict]]
    clear_windows: int
    of_sites: bool = False

    def judge(self, world: World, subject: Any) -> list[Verdict]:
        """The verdicts, of a device those since it was registered."""
        since = 0 if self.of_sites else subject.commissioned_us
        return [each for each in self.evaluate(world, subject) if each.window_end_us >= since]

    def subjects(self, world: World) -> dict[str, Any]:
        """What is judged, by name: devices or sites."""
        if self.of_sites:
            return {site: site for site in world.sites}
        return {device.device_id: device for device in world.devices}


RULES = {
    "error_burst": Rule(error_burst, 1),
    "heartbeat_missing": Rule(heartbeat_missing, 2),
    "cabinet_over_temperature": Rule(cabinet_over_temperature, 2),
    "rapid_warming": Rule(rapid_warming, 1),
    "compressor_short_cycling": Rule(compressor_short_cycling, 1),
    "door_left_open": Rule(door_left_open, 1),
    "vend_failure_ratio": Rule(vend_failure_ratio, 2),
    "jam_not_recovering": Rule(jam_not_recovering, 1),
    "cashless_down": Rule(cashless_down, 1),
    "reboot_loop": Rule(reboot_loop, 1),
    "supply_voltage_anomaly": Rule(supply_voltage_anomaly, 1),
    "site_outage": Rule(site_outage, 1, of_sites=True),
}
