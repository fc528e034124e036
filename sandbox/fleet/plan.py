"""The plan of a run: who plays what, and what will be true. Pure."""

import random
from dataclasses import dataclass, field, replace

from sandbox.fleet.config import FleetConfig
from sandbox.fleet.instants import HOUR, MINUTE, SECOND
from sandbox.fleet.randomness import generator
from sandbox.fleet.registry import Device, Site, build_devices, build_sites
from sandbox.fleet.scenarios import SCHEDULES, Act, Maintenance, Scenario, Stage
from sandbox.fleet.truth import ALLOWANCE, LATE_TOLERANCE, Expected, Phase, Truth

_JOINS_LATE = (-40 * MINUTE, -25 * MINUTE, 150 * SECOND)
"""When ordinary machines join the fleet after history's beginning, seen from live time's.

None while tickets are awaited: until its first beat a new machine makes its site look quieter.
"""


@dataclass(frozen=True, slots=True)
class Plan:
    """A run, before anything of it has been played."""

    config: FleetConfig
    sites: tuple[Site, ...]
    devices: tuple[Device, ...]
    maintenance: tuple[Maintenance, ...]
    truth: tuple[Truth, ...]


@dataclass(slots=True)
class _Casting:
    """Who is still free to play.

    Attributes:
        sites: Sites of which nobody plays yet, with their machines.
        pool: Machines without a part, of the sites that do not play as a whole.
        dark_sites: Sites with a machine that is not heard when live time begins.
    """

    sites: list[list[Device]]
    pool: list[Device] = field(default_factory=list)
    dark_sites: set[str] = field(default_factory=set)

    def site(self) -> list[Device]:
        """Takes a whole site out."""
        if not self.sites:
            raise LookupError("no site is left to play: MIN_DEVICES is too small")
        return self.sites.pop()

    def machine(self, scenario: Scenario) -> Device:
        """Takes a machine that can play the scenario out of the pool."""
        for number, device in enumerate(self.pool):
            if scenario.models and device.model.name not in scenario.models:
                continue
            if scenario.dark and device.site.site_id in self.dark_sites:
                continue
            if scenario.dark:
                self.dark_sites.add(device.site.site_id)
            return self.pool.pop(number)
        raise LookupError(f"no machine is left to play {scenario.kind}: MIN_DEVICES is too small")


def make_plan(config: FleetConfig) -> Plan:
    """Casts the schedule's scenarios with machines and writes down what will be true."""
    sites = build_sites(config)
    devices = {device.device_id: device for device in build_devices(config, sites)}
    maintenance = [_past_work(config, sites[0])]
    truth = []
    if config.faults is not None:
        rng = generator(config.seed, "plan")
        schedule = SCHEDULES[config.faults]
        of_sites = [scenario for scenario in schedule if scenario.of_site]
        pool = list(devices.values())
        rng.shuffle(pool)
        casting = _Casting(_whole_sites(pool)[: len(of_sites)])
        taken = {device.device_id for machines in casting.sites for device in machines}
        casting.pool = [device for device in pool if device.device_id not in taken]
        for scenario in schedule:
            act = scenario.write(_stage(config, scenario, casting, rng))
            for device in (act.device, *act.others):
                devices[device.device_id] = device
            maintenance += act.maintenance
            truth.append(_truth(config, scenario, act))
        for device, joins in zip(casting.pool, _JOINS_LATE, strict=False):
            late = replace(device, commissioned=config.start_ms + joins)
            devices[device.device_id] = late
    return Plan(config, tuple(sites), tuple(devices.values()), tuple(maintenance), tuple(truth))


def _whole_sites(pool: list[Device]) -> list[list[Device]]:
    """Returns each site's machines, both in the pool's order."""
    machines: dict[str, list[Device]] = {}
    for device in pool:
        machines.setdefault(device.site.site_id, []).append(device)
    return list(machines.values())


def _stage(config: FleetConfig, scenario: Scenario, casting: _Casting, rng: random.Random) -> Stage:
    if not scenario.of_site:
        return Stage(config, casting.machine(scenario), rng)
    first, *others = casting.site()
    return Stage(config, first, rng, tuple(others))


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
    expected: Expected = "incident"
    if scenario.lookalike:
        expected = "nothing"
    elif act.muted or phase == "history":
        expected = "episode"
    site_id = act.device.site.site_id
    return Truth(
        subject=site_id if scenario.of_site else act.device.device_id,
        component="",
        site_id=site_id,
        kind=scenario.kind,
        rule_id=scenario.rule_id,
        lookalike=scenario.lookalike,
        expected=expected,
        start=act.start,
        end=act.end,
        harm=act.harm,
        decided=act.deciding,
        due_by=None if scenario.lookalike else known + LATE_TOLERANCE + ALLOWANCE,
        phase=phase,
        also=act.also,
    )


def _past_work(config: FleetConfig, site: Site) -> Maintenance:
    """Work that is long over, so that a site's row and a mute are on record too."""
    end = config.begin_ms - 24 * HOUR
    return Maintenance("site", site.site_id, "mute", start=end - 2 * HOUR, end=end)
