"""Stale data and stale devices: the platform's checks, evaluated every minute without a run.

Who has no eye on Dagster reads the log: a warning when a check fails, a line when it is over.
"""

from collections.abc import Sequence
from datetime import UTC, datetime

import dagster as dg
import structlog

from orchestration.checks import DATA, DEVICES, PlatformCheck
from orchestration.health import Platform
from orchestration.resources import Ods
from streaming.settings import LandingSettings

_log = structlog.get_logger(__name__)


def _sensor(name: str, description: str, checks: Sequence[PlatformCheck]) -> dg.SensorDefinition:
    @dg.sensor(
        name=name,
        description=description,
        minimum_interval_seconds=60,
        default_status=dg.DefaultSensorStatus.RUNNING,
        asset_selection=dg.AssetSelection.assets(*{check.asset for check in checks}),
    )
    def evaluate(
        context: dg.SensorEvaluationContext,
        ods: dg.ResourceParam[Ods],
        landing_settings: dg.ResourceParam[LandingSettings],
    ) -> dg.SensorResult:
        with ods.connect("orchestrator") as connection:
            platform = Platform(connection, datetime.now(UTC), landing_settings)
            found = [check.evaluate(platform) for check in checks]
        return dg.SensorResult(asset_events=found, cursor=_tell(found, context.cursor or ""))

    return evaluate


def _tell(found: Sequence[dg.AssetCheckEvaluation], cursor: str) -> str:
    """Logs what has begun to fail and what is well again; returns what fails, as a cursor."""
    before = set(cursor.split())
    for each in found:
        if not each.passed and each.check_name not in before:
            _log.warning("not well", check=each.check_name, because=each.description)
        elif each.passed and each.check_name in before:
            _log.info("well again", check=each.check_name, because=each.description)
    return " ".join(each.check_name for each in found if not each.passed)


stale_data = _sensor(
    "stale_data",
    "Whether data arrive, batches and tickets get done, and quarantine stays small.",
    DATA,
)
stale_devices = _sensor("stale_devices", "Whether most of the fleet is heard.", DEVICES)
