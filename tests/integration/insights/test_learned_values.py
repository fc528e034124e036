"""What is learned of weeks is what the oracle learns, however the log was cut into batches."""

import random
from collections.abc import Iterable, Iterator
from dataclasses import replace

from tests.fixtures.insights.warehouse import TOPICS, Warehouse
from tests.fixtures.insights.worlds.cuts import Cut
from tests.oracle.log import DAY, HEARTBEAT, MINUTE, SECOND, TELEMETRY, Device, Record, Work, World
from tests.oracle.rules import RULES

START = 1_772_366_400 * SECOND
WEEKS = 29 * DAY
JUDGED = START + WEEKS
END = JUDGED + 3 * 60 * MINUTE
LEARNED = ("heartbeat_missing", "supply_voltage_anomaly")

Finding = tuple[str, str, int, float, float]


def log(seed: int) -> World:
    """Two machines: one whose beats are irregular, one whose voltage has a day and goes wrong."""
    dice = random.Random(seed)
    devices = [
        Device(device_id=name, site_id=f"SITE-{name}", model="COLD", commissioned_us=START)
        for name in ("VM-BEATS", "VM-VOLTS")
    ]
    work = Work(
        scope="device",
        subject="VM-BEATS",
        mode="unmanage",
        starts_us=END - 3 * DAY,
        ends_us=END - 3 * DAY + 8 * 60 * MINUTE,
    )
    records = [*beats(dice, devices[0]), *samples(dice, devices[1])]
    return World(
        records=landed(dice, records),
        devices=tuple(devices),
        limits_c={"COLD": 8.0},
        work=(work,),
        watermark_us=END,
        known_from_us=END - 9 * DAY,
    )


def beats(dice: random.Random, device: Device) -> Iterator[Record]:
    """Every five minutes; now and then twenty, and some outages."""
    us = END - 9 * DAY
    while us <= END:
        yield event(HEARTBEAT, device, us, interval_s=300)
        us += dice.choices((300, 290, 1200, 1000, 4000), (500, 500, 6, 3, 2))[0] * SECOND


def samples(dice: random.Random, device: Device) -> Iterator[Record]:
    """Five an hour for weeks, then one a minute; low at noon, stuck once, and jumping."""
    us = START
    while us <= END:
        noon = 10 * (us // (60 * MINUTE) % 24 == 12)
        volts = 230 - noon + dice.choice((-0.5, 0.0, 0.0, 0.5))
        if us > JUDGED and (us - JUDGED) // (20 * MINUTE) % 4 == 1:
            volts += dice.choice((0, 7, -12, -8))
        if us > END - 80 * MINUTE:
            volts = 229.5
        yield event(TELEMETRY, device, us, supply_voltage_v=volts, boot_id="a")
        us += 12 * MINUTE if us < JUDGED else MINUTE


def event(topic: str, device: Device, us: int, **fields: object) -> Record:
    return Record(
        topic=topic,
        partition=0,
        offset=0,
        event_id="",
        device_id=device.device_id,
        site_id=device.site_id,
        us=us,
        kafka_us=us,
        fields=fields,
    )


def landed(dice: random.Random, events: Iterable[Record]) -> tuple[Record, ...]:
    """In the order of arrival: some come hours or days late."""
    delays = (*(0,) * 60, 3 * 60 * MINUTE, 9 * DAY)
    late = [
        # The first beat is punctual: with it begins what is known.
        replace(each, kafka_us=each.us + (dice.choice(delays) if each.us > END - 8 * DAY else 0))
        for each in events
    ]
    offsets = dict.fromkeys(TOPICS, 0)
    records = []
    for number, each in enumerate(sorted(late, key=lambda each: each.kafka_us)):
        records.append(replace(each, offset=offsets[each.topic], event_id=f"{number:032x}"))
        offsets[each.topic] += 1
    return tuple(records)


def cuts(world: World, moments: Iterable[int]) -> Iterator[Cut]:
    for moment in moments:
        ends = {
            (topic, 0): sum(
                each.topic == topic and (moment == END or each.kafka_us <= moment)
                for each in world.records
            )
            for topic in TOPICS
        }
        yield Cut(ends, moment)


def test_what_is_learned_of_weeks_is_the_oracles_however_it_was_cut(
    warehouse: Warehouse,
) -> None:
    world = log(1)
    expected = {
        (rule_id, device.device_id, each.window_end_us, each.observed, each.threshold)
        for rule_id in LEARNED
        for device in world.devices
        for each in RULES[rule_id].judge(world, device)
        if each.verdict == "breach"
    }
    allowed_s, limits_v = (
        {threshold for rule, *_, threshold in expected if rule == rule_id} for rule_id in LEARNED
    )
    assert max(allowed_s) > 900  # three intervals
    assert len(limits_v) > 2
    for moments in ([END], [END - 8 * DAY, JUDGED + 90 * MINUTE, END]):
        warehouse.empty()
        warehouse.register(world.devices, world.limits_c, world.work)
        warehouse.land(world.records)
        for cut in cuts(world, moments):
            warehouse.cut(cut.ends, cut.watermark_us)
            warehouse.dbt("run", "--selector", "insights_batch")
        assert findings(warehouse) == expected


def findings(warehouse: Warehouse) -> set[Finding]:
    return set(
        warehouse.query(
            "select rule_id, subject, (extract(epoch from window_end) * 1000000)::bigint,"
            " observed, threshold from ci_insights.findings"
            " where is_current and rule_id in ('heartbeat_missing', 'supply_voltage_anomaly')"
        )
    )
