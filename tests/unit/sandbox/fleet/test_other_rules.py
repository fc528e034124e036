"""What the schedule plays is seen by the rules that it names, and by no other."""

from datetime import UTC, datetime, timedelta

import msgspec

from sandbox.fleet import FleetConfig, Plan, make_plan, records
from tests.oracle.episodes import episodes_of
from tests.oracle.log import HEARTBEAT, Device, Record, Work, World
from tests.unit.sandbox.fleet.oracle import clock_fault, decode, ms

START = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
LATE_TOLERANCE_MS = 5_000


def test_only_the_rules_of_the_schedule_find_anything() -> None:
    live = timedelta(minutes=15)
    plan = make_plan(FleetConfig(60, 0, START, timedelta(minutes=90), live))
    found = {rule_id for rule_id, _ in episodes_of(world_of(plan))}
    assert found == {truth.rule_id for truth in plan.truth}


def world_of(plan: Plan) -> World:
    """The fleet's records, registry and planned work, as the rules' oracle reads them."""
    landed, offset = [], 0
    for record in records(plan):
        event = decode(record)
        if event is None:
            continue
        offset += 1
        gateway = None if event.gateway_ts is None else ms(event.gateway_ts)
        arrival = record.timestamp if gateway is None else gateway
        fault = clock_fault(event, arrival)
        if fault and record.topic != HEARTBEAT:
            continue
        landed.append(
            Record(
                topic=record.topic,
                partition=0,
                offset=offset,
                event_id=event.event_id,
                device_id=event.device_id,
                site_id=event.site_id,
                us=(arrival if fault else ms(event.event_ts)) * 1_000,
                kafka_us=record.timestamp * 1_000,
                gateway_us=None if gateway is None else gateway * 1_000,
                spooled=event.spooled,
                clock_fault=fault,
                fields=msgspec.to_builtins(event),
            )
        )
    return World(
        records=tuple(landed),
        devices=tuple(
            Device(
                device_id=each.device_id,
                site_id=each.site.site_id,
                model=each.model.name,
                commissioned_us=each.commissioned * 1_000,
                decommissioned_us=each.decommissioned and each.decommissioned * 1_000,
            )
            for each in plan.devices
        ),
        limits_c={each.model.name: each.model.max_cabinet_c for each in plan.devices},
        work=tuple(
            Work(
                scope=each.scope,
                subject=each.subject,
                mode=each.mode,
                starts_us=each.start * 1_000,
                ends_us=each.end * 1_000,
            )
            for each in plan.maintenance
        ),
        watermark_us=(plan.config.end_ms - LATE_TOLERANCE_MS) * 1_000,
        known_from_us=plan.config.begin_ms * 1_000,
    )
