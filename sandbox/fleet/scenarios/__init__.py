"""The schedule: which faults and look-alikes are played, rule by rule.

A scenario says what a machine must be like to play it, and writes its script once a machine is
chosen. Times follow from the run's start, so the schedule holds for every start and every seed.
"""

from sandbox.fleet.scenarios import error_burst, heartbeat_missing, over_temperature
from sandbox.fleet.scenarios.scene import Act, Maintenance, Scenario, Stage

SCHEDULE: tuple[Scenario, ...] = (
    *heartbeat_missing.SCENARIOS,
    *over_temperature.SCENARIOS,
    *error_burst.SCENARIOS,
)

__all__ = ["SCHEDULE", "Act", "Maintenance", "Scenario", "Stage"]
