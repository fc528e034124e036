"""Rule 2: how long a device's own gaps between heartbeats last."""

from collections.abc import Mapping
from itertools import pairwise

from tests.oracle.log import DAY, HEARTBEAT, SECOND, Device, World
from tests.oracle.voltage import valid_from_us

Beats = Mapping[int, int]
"""The interval that each beat promises, in seconds, by the beat's time."""


def beats_of(world: World, device: Device) -> Beats:
    """A device's beats up to the watermark; of simultaneous ones the last."""
    return {
        beat.beat_us: beat.fields.get("interval_s", 60)
        for beat in sorted(
            world.events(HEARTBEAT), key=lambda beat: (beat.beat_us, beat.partition, beat.offset)
        )
        if beat.device_id == device.device_id and beat.beat_us <= world.watermark_us
    }


def learned_us(world: World, device: Device, beats: Beats, us: int) -> int:
    """The 99.9th percentile of two weeks' gaps as it was known at a beat; 0 where none is."""
    begin = valid_from_us(device.device_id, us, DAY)
    times = sorted(beats)
    if not any(begin - DAY < at <= begin for at in times):
        return 0
    unmanaged = world.unmanaged(device)
    gaps, long, days = 0, [], set()
    for before, after in pairwise(times):
        gap, interval_us = after - before, beats[before] * SECOND
        in_range = begin - 14 * DAY < after <= begin
        if not in_range or gap > 10 * interval_us:
            continue
        if any(start < after and end > before for start, end in unmanaged):
            continue
        gaps += 1
        days.add((begin - after) // DAY)
        if gap > 3 * interval_us:
            long.append(gap)
    longer = gaps // 1000
    if len(days) < 7 or gaps < 2000 or len(long) <= longer:
        return 0
    return sorted(long, reverse=True)[longer]
