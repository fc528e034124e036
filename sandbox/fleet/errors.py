"""What can go wrong in the simulated fleet.

FleetError
├── FleetConfigError   the run that was asked for makes no sense: change the option it names
└── DeliveryError      the broker did not take a record: look at the broker, run again
"""

from sandbox.errors import SandboxError


class FleetError(SandboxError):
    """Base of all errors of the fleet."""


class FleetConfigError(FleetError):
    """The run that was asked for makes no sense; the message names the option."""


class DeliveryError(FleetError):
    """The broker did not take a record."""


class TruthError(FleetError):
    """A file of truth cannot be read; the message names the file, the line and the field."""
