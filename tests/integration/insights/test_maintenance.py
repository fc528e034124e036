"""SQL knows when work is planned: as a calendar and a wall clock say, to the microsecond."""

import random

from dbt.artifacts.schemas.run import RunExecutionResult

from tests.fixtures.insights.random_work import first_of, random_recurrence
from tests.fixtures.insights.warehouse import Warehouse
from tests.oracle.log import Device, Work, World, us_of

PLANS = 80
SEED = 1
QUESTION = """
    select device_id, us, {{ in_maintenance('mute', "'device'", 'i.device_id', 'i.us') }}
    from instants as i
"""


def random_plans(dice: random.Random) -> World:
    """Devices, each with recurring work of its own or of its site, in the zone of that work."""
    devices, work, zones = [], [], {}
    while len(devices) < PLANS:
        number, recurrence = len(devices), random_recurrence(dice)
        if (first := first_of(recurrence)) is None:
            continue
        device = Device(
            device_id=f"VM-{number}", site_id=f"SITE-{number}", model="M", commissioned_us=0
        )
        scope = dice.choice(("device", "site"))
        zones[device.site_id] = recurrence.zone
        devices.append(device)
        work.append(
            Work(
                scope=scope,
                subject=device.device_id if scope == "device" else device.site_id,
                mode="mute",
                starts_us=us_of(first[0]),
                ends_us=us_of(first[1]),
                recurrence=recurrence,
            )
        )
    return World(
        records=(),
        devices=tuple(devices),
        limits_c={},
        work=tuple(work),
        watermark_us=0,
        known_from_us=0,
        zones=zones,
    )


def instants_of(world: World) -> list[tuple[str, int]]:
    """Where the answer may change, and right before and after."""
    return [
        (device.device_id, us + by)
        for device, work in zip(world.devices, world.work, strict=True)
        for span in work.spans_us
        for us in span
        for by in (-1, 0, 1)
    ]


def test_work_recurs_through_every_change_of_a_site_s_clock(warehouse: Warehouse) -> None:
    world = random_plans(random.Random(SEED))
    warehouse.register(world.devices, world.limits_c, world.work, world.zones)
    instants = instants_of(world)
    warehouse.execute("create temp table instants (device_id text, us bigint)")
    values = ", ".join(f"('{device}', {us})" for device, us in instants)
    warehouse.execute(f"insert into instants values {values}")

    answers = warehouse.query(compiled(warehouse, QUESTION))

    devices = {device.device_id: device for device in world.devices}
    assert len(answers) == len(instants) > 1000
    assert {answer for *_, answer in answers} == {True, False}
    for device_id, us, answer in answers:
        assert answer == world.planned("mute", devices[device_id], us), (device_id, us)


def compiled(warehouse: Warehouse, query: str) -> str:
    """Returns what dbt makes of a query."""
    result = warehouse.dbt("compile", "--inline", query).result
    assert isinstance(result, RunExecutionResult)
    return str(result.results[0].node.compiled_code)
