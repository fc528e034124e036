"""Rules 1 to 3 once more, plainly, over decoded records: what a perfect pipeline would find.

Written from events.md's rules without a look at the generator; slow and simple on purpose.
"""

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import msgspec

from sandbox.fleet import Plan, Record
from streaming.contracts import CONTRACTS, Alert, Envelope, Heartbeat, Telemetry

SECOND = 1_000
WINDOW = 300 * SECOND
QUIET = 15 * 60 * SECOND
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_DECODERS = {topic: msgspec.json.Decoder(contract) for topic, contract in CONTRACTS.items()}


@dataclass
class Episode:
    device_id: str
    rule_id: str
    opened: int
    cleared: int | None


@dataclass
class Evidence:
    """What the log says of each device."""

    beats: dict[str, list[int]] = field(default_factory=lambda: defaultdict(list))
    raised: dict[str, list[int]] = field(default_factory=lambda: defaultdict(list))
    temps: dict[str, list[tuple[int, float]]] = field(default_factory=lambda: defaultdict(list))
    heard: dict[str, list[int]] = field(default_factory=lambda: defaultdict(list))


def ms(instant: datetime) -> int:
    return (instant - _EPOCH) // timedelta(milliseconds=1)


def decode(record: Record) -> Envelope | None:
    """Returns the event, or None where the record breaks its contract."""
    if record.value is None:
        return None
    try:
        event = _DECODERS[record.topic].decode(record.value)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
    if record.key != event.device_id.encode():
        return None
    return None if "\0" in event.fw else event


def clock_fault(event: Envelope, arrival: int) -> bool:
    age = arrival - ms(event.event_ts)
    return age < -300 * SECOND or (age > 24 * 3600 * SECOND and not event.spooled)


def gather(records: Iterable[Record]) -> Evidence:
    """Decodes, keeps the first of equal event ids, and puts each event at its time."""
    evidence = Evidence()
    seen: set[str] = set()
    for record in records:
        event = decode(record)
        if event is None or event.event_id in seen:
            continue
        seen.add(event.event_id)
        arrival = ms(event.gateway_ts) if event.gateway_ts else record.timestamp
        evidence.heard[event.device_id].append(arrival)
        fault = clock_fault(event, arrival)
        at = arrival if fault else ms(event.event_ts)
        match event:
            case Heartbeat():
                evidence.beats[event.device_id].append(arrival if event.spooled else at)
            case Alert(state="raised") if not fault:
                evidence.raised[event.device_id].append(at)
            case Telemetry() if event.cabinet_temp_c is not None and not fault:
                evidence.temps[event.device_id].append((at, event.cabinet_temp_c))
    return evidence


def episodes(plan: Plan, evidence: Evidence, until: int) -> list[Episode]:
    """Returns what rules 1 to 3 find by an instant, without what maintenance unmanages."""
    unmanaged = defaultdict(list)
    for work in plan.maintenance:
        if work.mode == "unmanage":
            unmanaged[work.subject].append((work.start, work.end))
    found = [
        *_bursts(evidence.raised),
        *_silences(plan, evidence.beats, until),
        *_warm(plan, evidence.temps, until),
    ]
    return [
        episode
        for episode in found
        if not any(start <= episode.opened < end for start, end in unmanaged[episode.device_id])
    ]


def _bursts(raised: dict[str, list[int]]) -> list[Episode]:
    found = []
    for device_id, times in raised.items():
        times = sorted(times)
        episode: Episode | None = None
        for at in sorted({*times, *(t + 60 * SECOND for t in times)}):
            count = bisect_right(times, at) - bisect_right(times, at - 60 * SECOND)
            if count >= 5 and (episode is None or episode.cleared is not None):
                if episode is not None and at - episode.cleared <= QUIET:
                    episode.cleared = None
                else:
                    episode = Episode(device_id, "error_burst", at, None)
                    found.append(episode)
            elif count < 5 and episode is not None and episode.cleared is None:
                episode.cleared = at
    return found


def _silences(plan: Plan, beats: dict[str, list[int]], until: int) -> list[Episode]:
    found = []
    for device in plan.devices:
        end = min(device.decommissioned or until, until)
        times = sorted(t for t in beats[device.device_id] if t < end)
        previous = device.commissioned
        for number, at in enumerate([*times, None]):
            opened = previous + 180 * SECOND
            if opened < (end if at is None else min(at, end)):
                second = times[number + 1] if number + 1 < len(times) else None
                found.append(Episode(device.device_id, "heartbeat_missing", opened, second))
            previous = at
    return found


def _warm(plan: Plan, temps: dict[str, list[tuple[int, float]]], until: int) -> list[Episode]:
    found = []
    for device in plan.devices:
        limit = device.model.max_cabinet_c
        samples = sorted(temps[device.device_id])
        if limit is None or not samples:
            continue
        times = [at for at, _ in samples]
        episode: Episode | None = None
        clear = 0
        for end in range(-(-times[0] // WINDOW) * WINDOW, until + 1, WINDOW):
            first, last = bisect_right(times, end - WINDOW), bisect_right(times, end)
            window = [temp for _, temp in samples[first:last]]
            open_now = episode is not None and episode.cleared is None
            if len(window) >= 3 and min(window) > limit:
                clear = 0
                if not open_now:
                    episode = Episode(device.device_id, "cabinet_over_temperature", end, None)
                    found.append(episode)
            elif open_now and window:
                clear = clear + 1 if max(window) < limit - 1 else 0
                if clear == 2 and episode is not None:
                    episode.cleared = end
    return found


def healthy_margin(plan: Plan, temps: dict[str, list[tuple[int, float]]]) -> float:
    """Returns how close an ordinary machine comes to its limit, in °C."""
    return min(
        device.model.max_cabinet_c - temp
        for device in plan.devices
        if device.script is None and device.model.max_cabinet_c is not None
        for _, temp in temps[device.device_id]
    )


def longest_gap(times: list[int]) -> int:
    return max((b - a for a, b in pairwise(sorted(times))), default=0)


def share_heard(plan: Plan, evidence: Evidence, at: int) -> dict[str, float]:
    """Returns by site the share of its machines that were heard in the 120 s before an instant."""
    expected: dict[str, list[bool]] = defaultdict(list)
    for device in plan.devices:
        if device.commissioned <= at and (device.decommissioned or at + 1) > at:
            times = evidence.heard[device.device_id]
            newest = bisect_right(times, at) - 1
            heard = newest >= 0 and times[newest] > at - 120 * SECOND
            expected[device.site.site_id].append(heard)
    return {site: sum(heard) / len(heard) for site, heard in expected.items()}
