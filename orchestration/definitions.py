"""All that Dagster knows of Fleetpulse, merged. Nothing is read but dbt's manifest."""

import dagster as dg

from assets import insights, lake, landed, reference, tickets
from fleetpulse import settings
from orchestration.backfill import insights_backfill
from orchestration.checks import CHECKS
from orchestration.housekeeping import Retention
from orchestration.jobs import ASSET_JOBS, housekeeping, retention
from orchestration.resources import Backfills, Dbt, Kafka, Lake, Landing, Ods, ServiceNow
from orchestration.schedules import SCHEDULES
from orchestration.sensors import SENSORS
from streaming.settings import InsightsSettings, LandingSettings


def _backfills() -> Backfills:
    tree = settings.load()
    ods, lake_settings = settings.require(tree.ods, "ods"), settings.require(tree.lake, "lake")
    return Backfills(ods, lake_settings)


def _dbt() -> Dbt:
    return Dbt(target="prod")


def _insights_settings() -> InsightsSettings:
    return settings.load().insights


def _kafka() -> Kafka:
    tree = settings.load()
    return Kafka(settings.require(tree.kafka, "kafka"), tree.landing.topics)


def _landing_settings() -> LandingSettings:
    return settings.load().landing


def _landing() -> Landing:
    tree = settings.load()
    ods, lake_settings = settings.require(tree.ods, "ods"), settings.require(tree.lake, "lake")
    return Landing(ods, lake_settings, tree.landing)


def _lake() -> Lake:
    tree = settings.load()
    lake_settings = settings.require(tree.lake, "lake")
    return Lake(lake_settings, tree.compaction, tree.landing.topics)


def _ods() -> Ods:
    return Ods(settings.require(settings.load().ods, "ods"))


def _retention() -> Retention:
    return Retention(settings.load().dagster.keep_hours)


def _servicenow() -> ServiceNow:
    return ServiceNow(settings.require(settings.load().servicenow, "servicenow"))


_RESOURCES = {
    "backfills": _backfills,
    "dbt": _dbt,
    "insights_settings": _insights_settings,
    "kafka": _kafka,
    "landing_settings": _landing_settings,
    "lake": _lake,
    "landing": _landing,
    "ods": _ods,
    "retention": _retention,
    "servicenow": _servicenow,
}

defs = dg.Definitions(
    assets=[
        *landed.SPECS,
        *lake.SPECS,
        lake.compacted,
        *reference.SPECS,
        insights.insights,
        insights.marts,
        tickets.tickets,
    ],
    asset_checks=CHECKS,
    jobs=[*ASSET_JOBS, housekeeping, insights_backfill, retention],
    schedules=SCHEDULES,
    sensors=SENSORS,
    resources={
        # Made when a run or a tick asks for them: a default binds each name to its function.
        name: dg.ResourceDefinition(lambda _, make=make: make())
        for name, make in _RESOURCES.items()
    },
    executor=dg.in_process_executor,
)
