"""A played fleet as the rules' oracle reads it, cut into worlds that know nothing of each other.

A rule looks at one machine or one site: of a world of its own it says the same, and much sooner.
"""

from collections import defaultdict
from collections.abc import Iterator

import msgspec

from sandbox.fleet import Plan, records
from tests.oracle.episodes import Episode, fold
from tests.oracle.log import HEARTBEAT, Device, Record, Work, World
from tests.oracle.rules import RULES
from tests.unit.sandbox.fleet.oracle import clock_fault, decode, ms

LATE_TOLERANCE_MS = 5_000


def episodes_of(plan: Plan) -> dict[tuple[str, str], list[Episode]]:
    """All episodes of a run, by (rule, machine or site)."""
    found = {}
    for world, of_sites in worlds_of(plan):
        for rule_id, rule in RULES.items():
            if rule.of_sites is not of_sites:
                continue
            for name, subject in rule.subjects(world).items():
                managed = [
                    each
                    for each in rule.judge(world, subject)
                    if each.verdict != "breach"
                    or not world.planned("unmanage", subject, each.window_end_us)
                ]
                if episodes := fold(managed, rule.clear_windows):
                    found[rule_id, name] = episodes
    return found


def worlds_of(plan: Plan) -> Iterator[tuple[World, bool]]:
    """Yields a world for each machine, then one for each site, and whether it is a site's."""
    landed: dict[str, list[Record]] = defaultdict(list)
    for offset, record in enumerate(records(plan)):
        event = decode(record)
        if event is None:
            continue
        gateway = None if event.gateway_ts is None else ms(event.gateway_ts)
        arrival = record.timestamp if gateway is None else gateway
        fault = clock_fault(event, arrival)
        if fault and record.topic != HEARTBEAT:
            continue
        landed[event.device_id].append(
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
    of_sites: dict[str, list[Device]] = defaultdict(list)
    for each in plan.devices:
        device = Device(
            device_id=each.device_id,
            site_id=each.site.site_id,
            model=each.model.name,
            commissioned_us=each.commissioned * 1_000,
            decommissioned_us=each.decommissioned and each.decommissioned * 1_000,
        )
        of_sites[device.site_id].append(device)
        yield _world(plan, landed[device.device_id], [device]), False
    for machines in of_sites.values():
        said = [record for device in machines for record in landed[device.device_id]]
        yield _world(plan, said, machines), True


def _world(plan: Plan, said: list[Record], devices: list[Device]) -> World:
    return World(
        records=tuple(said),
        devices=tuple(devices),
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
