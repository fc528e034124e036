"""Asset checks of the platform's health; the sensors in `sensors.health` evaluate them too."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

import dagster as dg

from assets.landed import BATCHES, QUARANTINE, landing_key
from assets.tickets import LEDGER
from orchestration import health
from orchestration.health import Health, Platform
from orchestration.resources import Ods
from streaming.settings import LandingSettings
from streaming.watermark import HEARTBEATS


@dataclass(frozen=True)
class PlatformCheck:
    """A question about the platform, asked of an asset."""

    asset: dg.AssetKey
    ask: Callable[[Platform], Health]
    severity: dg.AssetCheckSeverity = dg.AssetCheckSeverity.ERROR

    @property
    def name(self) -> str:
        """The check's name: its question."""
        return self.ask.__name__

    def evaluate(self, platform: Platform) -> dg.AssetCheckEvaluation:
        """Asks, outside of a run."""
        answer = self.ask(platform)
        return dg.AssetCheckEvaluation(
            asset_key=self.asset,
            check_name=self.name,
            passed=answer.healthy,
            severity=self.severity,
            description=answer.because,
            metadata=answer.facts,
        )

    def definition(self) -> dg.AssetChecksDefinition:
        """Returns the check for Dagster, which people can execute in the UI."""

        @dg.asset_check(asset=self.asset, name=self.name, description=self.ask.__doc__)
        def check(
            ods: dg.ResourceParam[Ods], landing_settings: dg.ResourceParam[LandingSettings]
        ) -> dg.AssetCheckResult:
            with ods.connect("orchestrator") as connection:
                found = self.evaluate(Platform(connection, datetime.now(UTC), landing_settings))
            return dg.AssetCheckResult(
                passed=found.passed,
                severity=found.severity,
                description=found.description,
                metadata=found.metadata,
            )

        return check


_WARN = dg.AssetCheckSeverity.WARN

DATA = (
    PlatformCheck(BATCHES, health.watermark_is_recent),
    PlatformCheck(BATCHES, health.batches_are_finished),
    PlatformCheck(QUARANTINE, health.quarantine_is_small, _WARN),
    PlatformCheck(LEDGER, health.intents_are_done, _WARN),
)
DEVICES = (
    PlatformCheck(landing_key(HEARTBEATS), health.devices_are_heard, _WARN),
    PlatformCheck(landing_key(health.TELEMETRY), health.devices_report, _WARN),
)

CHECKS = [each.definition() for each in (*DATA, *DEVICES)]
