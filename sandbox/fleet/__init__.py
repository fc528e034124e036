"""The simulated fleet: machines with physics, a schedule of faults, and the truth about it.

`make_plan` and `records` are pure: equal configurations give equal bytes. `write_files` and
`FleetProducer` carry them into the world.
"""

from sandbox.fleet.config import MIN_DEVICES, MIN_HISTORY, Faults, FleetConfig, lead_time
from sandbox.fleet.errors import DeliveryError, FleetConfigError, FleetError, TruthError
from sandbox.fleet.files import TRUTH_FILE, write_files
from sandbox.fleet.plan import Plan, make_plan
from sandbox.fleet.producer import FleetProducer, Produced
from sandbox.fleet.records import Record
from sandbox.fleet.stream import records
from sandbox.fleet.truth import Truth

__all__ = [
    "MIN_DEVICES",
    "MIN_HISTORY",
    "TRUTH_FILE",
    "DeliveryError",
    "Faults",
    "FleetConfig",
    "FleetConfigError",
    "FleetError",
    "FleetProducer",
    "Plan",
    "Produced",
    "Record",
    "Truth",
    "TruthError",
    "lead_time",
    "make_plan",
    "records",
    "write_files",
]
