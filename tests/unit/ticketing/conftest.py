from collections.abc import Callable
from datetime import UTC, datetime
from uuid import UUID

import pytest
from pydantic import SecretStr

from ticketing.settings import ServiceNowSettings
from ticketing.transition import Kind, RecordId, Transition

AN_EPISODE = UUID("0190a6c2-0000-7000-8000-000000000001")


@pytest.fixture
def settings() -> ServiceNowSettings:
    return ServiceNowSettings(
        url="https://example.service-now.com", username="fleetpulse", password=SecretStr("secret")
    )


@pytest.fixture
def transition() -> Callable[..., Transition]:
    def make(**changes: object) -> Transition:
        facts: dict[str, object] = {
            "episode_id": AN_EPISODE,
            "transition_no": 1,
            "kind": Kind.OPEN,
            "cause": "breach",
            "dedupe_key": "cabinet_over_temperature|VM-000001|cabinet",
            "rule_id": "cabinet_over_temperature",
            "rule_version": "3",
            "severity": 2,
            "subject": "VM-000001",
            "component": "cabinet",
            "site_id": "SITE-0001",
            "device_id": "VM-000001",
            "assignment_group": "Refrigeration",
            "cmdb_ci": "VM-000001",
            "runbook": "docs/runbooks/cabinet_over_temperature.md",
            "muted": False,
            "at": datetime(2026, 3, 1, 12, 5, tzinfo=UTC),
            "window_start": datetime(2026, 3, 1, 12, 0, tzinfo=UTC),
            "window_end": datetime(2026, 3, 1, 12, 5, tzinfo=UTC),
            "observed": 9.4,
            "threshold": 8.0,
            "evidence": (RecordId("telemetry.raw", 0, 1, 42),),
            "batch_id": 7,
            "decided_at": datetime(2026, 3, 1, 12, 5, 9, tzinfo=UTC),
        }
        return Transition(**(facts | changes))

    return make
