"""Stale data and stale devices: the platform's checks, evaluated every minute without a run."""

from collections.abc import Sequence
from datetime import UTC, datetime

import dagster as dg

from orchestration.checks import DATA, DEVICES, PlatformCheck
from orchestration.resources import Ods


def _sensor(name: str, description: str, checks: Sequence[PlatformCheck]) -> dg.SensorDefinition:
    @dg.sensor(
        name=name,
        description=description,
        minimum_interval_seconds=60,
        default_status=dg.DefaultSensorStatus.RUNNING,
        asset_selection=dg.AssetSelection.assets(*{check.asset for check in checks}),
    )
    def evaluate(
        context: dg.SensorEvaluationContext, ods: dg.ResourceParam[Ods]
    ) -> dg.SensorResult:
        now = datetime.now(UTC)
        with ods.connect("orchestrator") as connection:
            return dg.SensorResult(
                asset_events=[check.evaluate(connection, now) for check in checks]
            )

    return evaluate


stale_data = _sensor(
    "stale_data",
    "Whether data arrive, batches and tickets get done, and quarantine stays small.",
    DATA,
)
stale_devices = _sensor("stale_devices", "Whether most of the fleet is heard.", DEVICES)
