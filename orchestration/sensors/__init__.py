"""The sensors, one file each. All are on by default."""

from orchestration.sensors.batches import landed_data
from orchestration.sensors.failures import run_failures
from orchestration.sensors.health import stale_data, stale_devices
from orchestration.sensors.tickets import due_intents

SENSORS = [landed_data, due_intents, stale_data, stale_devices, run_failures]

__all__ = ["SENSORS"]
