"""Random logs that love boundaries: times are multiples of ten seconds, so that they coincide."""

import random
from collections.abc import Sequence
from dataclasses import dataclass, replace

from tests.fixtures.insights.warehouse import TOPICS
from tests.oracle.log import (
    ALERTS,
    HEARTBEAT,
    MINUTE,
    SECOND,
    TELEMETRY,
    Device,
    Record,
    Work,
    World,
)

START = 1_772_366_400 * SECOND  # 2026-03-01 12:00 UTC, a boundary of every window
LENGTH = 100 * MINUTE
LATENESS = 5 * SECOND
PARTITIONS = 2
LIMITS_C: dict[str, float | None] = {"COLD": 8.0, "FRESH": 5.0, "SNACK": None}


@dataclass(frozen=True)
class Cut:
    """A batch: next offsets, and the watermark."""

    ends: dict[tuple[str, int], int]
    watermark_us: int


def random_world(seed: int, devices: int, *, late: bool) -> World:
    """A log of every topic with all that a rule may stumble over."""
    dice = random.Random(seed)
    registry = tuple(_device(dice, number) for number in range(devices))
    events = [event for device in registry for event in _events(dice, device, late=late)]
    return World(
        records=_landed(events),
        devices=registry,
        limits_c=LIMITS_C,
        work=tuple(_work(dice, registry)),
        watermark_us=START + LENGTH,
        known_from_us=START,
    )


def random_cuts(seed: int, world: World, count: int, *, late: bool) -> list[Cut]:
    """Cuts the log into batches; where events may be late, partitions need not be equally far."""
    dice = random.Random(seed)
    moments = sorted(START + dice.randrange(MINUTE, LENGTH) for _ in range(count - 1))
    reached = [START + MINUTE] * PARTITIONS  # every partition has begun in the first batch
    cuts = []
    for moment in moments:
        lags = (0, 0, 3) if late else (0,)
        behind = [moment - dice.choice(lags) * MINUTE for _ in range(PARTITIONS)]
        reached = [max(pair) for pair in zip(reached, behind, strict=True)]
        cuts.append(Cut(_ends(world, reached), moment - LATENESS))
    return [*cuts, Cut(_ends(world, [None] * PARTITIONS), world.watermark_us)]


def _device(dice: random.Random, number: int) -> Device:
    commissioned = dice.choice((START - 60 * MINUTE, START + 30 * MINUTE))
    return Device(
        device_id=f"VM-{number:03}",
        site_id=f"SITE-{number % 3}",
        model=dice.choice(list(LIMITS_C)),
        commissioned_us=commissioned,
        decommissioned_us=dice.choice((None, None, None, START + 70 * MINUTE)),
    )


def _work(dice: random.Random, registry: Sequence[Device]) -> list[Work]:
    starts = [START + dice.randrange(10) * 10 * MINUTE for _ in range(2)]
    return [
        Work(
            scope="device",
            subject=registry[0].device_id,
            mode="unmanage",
            starts_us=starts[0],
            ends_us=starts[0] + 20 * MINUTE,
        ),
        Work(
            scope="site",
            subject="SITE-1",
            mode="unmanage",
            starts_us=starts[1],
            ends_us=starts[1] + 10 * MINUTE,
        ),
    ]


def _events(dice: random.Random, device: Device, *, late: bool) -> list[Record]:
    return [
        *_delayed(dice, _beats(dice, device), late=late),
        *_delayed(dice, _samples(dice, device), late=late),
        *_delayed(dice, _alerts(dice, device), late=late),
    ]


def _event(topic: str, device: Device, us: int, **fields: object) -> Record:
    return Record(
        topic=topic,
        partition=int(device.device_id[-1]) % PARTITIONS,
        offset=0,
        event_id="",
        device_id=device.device_id,
        site_id=device.site_id,
        us=us,
        kafka_us=us,
        fields=fields,
    )


def _beats(dice: random.Random, device: Device) -> list[Record]:
    us, beats = START, []
    if dice.random() < 0.1:
        return []  # never seen
    while us <= START + LENGTH:
        beats.append(_event(HEARTBEAT, device, us, interval_s=dice.choice((60, 60, 60, 30, 120))))
        us += dice.choice((60, 60, 60, 60, 60, 120, 180, 190, 600, 1200)) * SECOND
    return beats


def _samples(dice: random.Random, device: Device) -> list[Record]:
    samples, mood = [], 3.0
    for us in range(START, START + LENGTH, MINUTE):
        if dice.random() < 0.08:
            mood = dice.choice((3.0, 4.5, 7.5, 9.5, 9.5))
        if dice.random() < 0.85:
            celsius = None if dice.random() < 0.05 else mood + dice.choice((-0.5, 0.0, 0.0, 0.5))
            samples.append(_event(TELEMETRY, device, us, cabinet_temp_c=celsius))
    return samples


def _alerts(dice: random.Random, device: Device) -> list[Record]:
    alerts = []
    for _ in range(dice.randrange(6)):
        us = START + dice.randrange(LENGTH // MINUTE) * MINUTE
        for _ in range(dice.randrange(3, 12)):
            state = "cleared" if dice.random() < 0.1 else "raised"
            alerts.append(_event(ALERTS, device, us, state=state))
            us += dice.choice((0, 10, 10, 20, 60)) * SECOND
    return [alert for alert in alerts if alert.us <= START + LENGTH]


def _delayed(dice: random.Random, events: list[Record], *, late: bool) -> list[Record]:
    """Gives the events their arrival; some come twice, some late, some by the spool."""
    sent = []
    for event in events:
        delay = dice.randrange(LATENESS)
        kind = dice.random()
        if late and kind < 0.05:
            delay = dice.randrange(40) * MINUTE
        arrival = event.us + delay
        record = replace(
            event,
            event_id=f"{dice.getrandbits(128):032x}",
            kafka_us=arrival,
            gateway_us=dice.choice((arrival, None, arrival + 60 * MINUTE)),
            spooled=late and kind < 0.02,
            clock_fault=event.topic == HEARTBEAT and 0.10 < kind < 0.12,
            tombstone=0.12 < kind < 0.13,
        )
        if record.clock_fault:
            record = replace(record, us=record.arrival_us, fields={})
        sent.append(record)
        if kind > 0.97 and not record.clock_fault:
            sent.append(replace(record, kafka_us=arrival + dice.randrange(90) * SECOND))
    return sent


def _landed(events: list[Record]) -> tuple[Record, ...]:
    """Appends the events to their partitions in the order of their arrival."""
    ends: dict[tuple[str, int], int] = {}
    landed = []
    for event in sorted(events, key=lambda each: each.kafka_us):
        offset = ends.get((event.topic, event.partition), 0)
        ends[event.topic, event.partition] = offset + 1
        landed.append(replace(event, offset=offset))
    return tuple(landed)


def _ends(world: World, moments: Sequence[int | None]) -> dict[tuple[str, int], int]:
    return {
        (topic, partition): sum(
            record.topic == topic
            and record.partition == partition
            and (moment is None or record.kafka_us <= moment)
            for record in world.records
        )
        for topic in TOPICS
        for partition, moment in enumerate(moments)
    }
