"""The plan of a run: who plays what, and what will be true. Pure."""

from dataclasses import dataclass, replace
from typing import Literal

from sandbox.fleet.config import FleetConfig
from sandbox.fleet.instants import HOUR, MINUTE, SECOND
from sandbox.fleet.randomness import generator
from sandbox.fleet.registry import Device, Site, build_devices, build_sites
from sandbox.fleet.scenarios import SCHEDULE, Act, Maintenance, Scenario, Stage

LATE_TOLERANCE = 5 * SECOND
ALLOWANCE = 60 * SECOND
_JOINS_LATE = (-40 * MINUTE, -25 * MINUTE, 150 * SECOND)
"""When ordinary machines join the fleet after history's beginning, seen from live time's.

None while tickets are awaited: until its first beat a new machine makes its site look quieter.
"""

Phase = Literal["history", "open_at_live", "live"]


@dataclass(frozen=True, slots=True)
class Truth:
    """One fault or look-alike, as it really is.

    Attributes:
        device_id: The machine.
        site_id: Its site.
        kind: What happens, in a word.
        rule_id: The rule that ought to see it, or that must stay silent.
        lookalike: Whether the rule must stay silent.
        start: When what is wrong begins, ms.
        end: When it is over, ms; None if never. Only then can the rule's clear condition begin.
        decided: The event or time-out by which the rule is satisfied, or its window's end, ms; of a
            look-alike, by which it would be if it were deceived.
        due_by: When the incident ought to be open at the latest, ms; None for a look-alike. The
            deciding instant, or the beginning of live time where that is later, since nothing is
            ticketed while history is being caught up with; plus the late tolerance of 5 s, for
            which the watermark lags; plus an allowance of 60 s for landing, batch and ticket.
        phase: `history`: over before live time begins. `open_at_live`: decided before and still
            wrong then. `live`: decided in live time.
    """

    device_id: str
    site_id: str
    kind: str
    rule_id: str
    lookalike: bool
    start: int
    end: int | None
    decided: int
    due_by: int | None
    phase: Phase


@dataclass(frozen=True, slots=True)
class Plan:
    """A run, before anything of it has been played."""

    config: FleetConfig
    sites: tuple[Site, ...]
    devices: tuple[Device, ...]
    maintenance: tuple[Maintenance, ...]
    truth: tuple[Truth, ...]


def make_plan(config: FleetConfig) -> Plan:
    """Casts the schedule's scenarios with machines and writes down what will be true."""
    sites = build_sites(config)
    devices = {device.device_id: device for device in build_devices(config, sites)}
    maintenance = [_past_work(config, sites[0])]
    truth = []
    if config.faults:
        rng = generator(config.seed, "plan")
        pool = list(devices.values())
        rng.shuffle(pool)
        dark_sites: set[str] = set()
        for scenario in SCHEDULE:
            device = _cast(scenario, pool, dark_sites)
            act = scenario.write(Stage(config, device, rng))
            devices[device.device_id] = act.device
            maintenance += act.maintenance
            truth.append(_truth(config, scenario, act))
        for device, joins in zip(pool, _JOINS_LATE, strict=False):
            late = replace(device, commissioned=config.start_ms + joins)
            devices[device.device_id] = late
    return Plan(config, tuple(sites), tuple(devices.values()), tuple(maintenance), tuple(truth))


def _cast(scenario: Scenario, pool: list[Device], dark_sites: set[str]) -> Device:
    """Takes a machine that can play the scenario out of the pool."""
    for number, device in enumerate(pool):
        if scenario.models and device.model.name not in scenario.models:
            continue
        if scenario.dark and device.site.site_id in dark_sites:
            continue
        if scenario.dark:
            dark_sites.add(device.site.site_id)
        return pool.pop(number)
    raise LookupError(f"no machine is left to play {scenario.kind}: MIN_DEVICES is too small")


def _truth(config: FleetConfig, scenario: Scenario, act: Act) -> Truth:
    known = max(act.deciding, config.start_ms)
    open_at_live = act.end is None or act.end >= config.start_ms
    phase: Phase = "history"
    if act.deciding >= config.start_ms:
        phase = "live"
    elif open_at_live:
        phase = "open_at_live"
    else:
        known = act.deciding
    return Truth(
        device_id=act.device.device_id,
        site_id=act.device.site.site_id,
        kind=scenario.kind,
        rule_id=scenario.rule_id,
        lookalike=scenario.lookalike,
        start=act.start,
        end=act.end,
        decided=act.deciding,
        due_by=None if scenario.lookalike else known + LATE_TOLERANCE + ALLOWANCE,
        phase=phase,
    )


def _past_work(config: FleetConfig, site: Site) -> Maintenance:
    """Work that is long over, so that a site's row and a mute are on record too."""
    end = config.begin_ms - 24 * HOUR
    return Maintenance("site", site.site_id, "mute", start=end - 2 * HOUR, end=end)
