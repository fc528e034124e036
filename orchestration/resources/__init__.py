"""What assets, sensors and jobs reach the outside world by.

Plain classes around sections of the one settings tree; `orchestration.definitions` makes them
when a run or a tick asks, so that importing reads no environment.
"""

from orchestration.resources.backfills import Backfills, Differences, Wanted
from orchestration.resources.dbt import MANIFEST, PARSED, PROJECT, Dbt, read_manifest
from orchestration.resources.kafka import Kafka
from orchestration.resources.lake import Lake
from orchestration.resources.landing import Landing
from orchestration.resources.ods import Ods
from orchestration.resources.servicenow import ServiceNow

__all__ = [
    "MANIFEST",
    "PARSED",
    "PROJECT",
    "Backfills",
    "Dbt",
    "Differences",
    "Kafka",
    "Lake",
    "Landing",
    "Ods",
    "ServiceNow",
    "Wanted",
    "read_manifest",
]
