"""The schedules: which faults and look-alikes are played, rule by rule.

A scenario says what a machine must be like to play it, and writes its script once a machine is
chosen. Times follow from the run's start, so a schedule holds for every start and every seed.
"""

from collections.abc import Mapping

from sandbox.fleet.config import Faults
from sandbox.fleet.scenarios import (
    cashless_down,
    door_left_open,
    error_burst,
    heartbeat_missing,
    jams,
    over_temperature,
    rapid_warming,
    reboots,
    short_cycling,
    site_outage,
    supply_voltage,
    vend_failures,
)
from sandbox.fleet.scenarios.scene import Act, Also, Maintenance, Scenario, Stage

_FEW = (
    *heartbeat_missing.SCENARIOS,
    *over_temperature.SCENARIOS,
    *error_burst.SCENARIOS,
)
_ALL = (
    *_FEW,
    *heartbeat_missing.MORE_LOOKALIKES,
    *over_temperature.MORE_LOOKALIKES,
    *error_burst.MORE_LOOKALIKES,
    *rapid_warming.SCENARIOS,
    *short_cycling.SCENARIOS,
    *door_left_open.SCENARIOS,
    *vend_failures.SCENARIOS,
    *jams.SCENARIOS,
    *cashless_down.SCENARIOS,
    *reboots.SCENARIOS,
    *supply_voltage.SCENARIOS,
    *site_outage.SCENARIOS,
)

SCHEDULES: Mapping[Faults, tuple[Scenario, ...]] = {
    Faults.FEW: _FEW,
    # Who can be played by some models only is cast first, while there are enough of them.
    Faults.ALL: tuple(sorted(_ALL, key=lambda scenario: not scenario.models)),
}

__all__ = ["SCHEDULES", "Act", "Also", "Maintenance", "Scenario", "Stage"]
