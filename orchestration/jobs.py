"""The jobs. None retries: the batch protocol, the ledger and the next schedule do."""

import dagster as dg

from assets.insights import insights, marts
from assets.lake import compacted
from assets.tickets import tickets
from orchestration.housekeeping import remove_what_is_old
from orchestration.retention import drop_old_days

# A run that hangs, or whose worker vanished, is ended after so long, and the next may begin.
_LIMIT = {"dagster/max_runtime": "1800"}

insights_batch = dg.define_asset_job(
    "insights_batch",
    # No tests here: a failing one would skip what is downstream, and they grow with history.
    dg.AssetSelection.assets(insights, tickets).without_checks(),
    description="One micro-batch: staging, rules, episodes, transitions; then tickets.",
    tags=_LIMIT,
)
tickets_only = dg.define_asset_job(
    "tickets",
    dg.AssetSelection.assets(tickets).without_checks(),
    description="Intents that are due although no batch brings them: retries, and what was held.",
    tags=_LIMIT,
)
marts_job = dg.define_asset_job(
    "marts",
    dg.AssetSelection.assets(marts),
    description="Rebuilds what people read, then tests it.",
    tags=_LIMIT,
)
dbt_checks = dg.define_asset_job(
    "dbt_checks",
    dg.AssetSelection.checks_for_assets(insights),
    description="dbt's data tests of the insights; fails where none ran.",
    tags=_LIMIT,
)
compaction = dg.define_asset_job(
    "compaction",
    dg.AssetSelection.assets(compacted),
    description="Merges an hour of the lake's files, and does what is left of earlier ones.",
    tags=_LIMIT,
)


@dg.job(description="Deletes Dagster's own history where it is older than we keep it.", tags=_LIMIT)
def housekeeping() -> None:
    """Keeps a platform that runs every few seconds from filling its own database."""
    remove_what_is_old()


@dg.job(description="Drops the days of landing that are older than we keep it.", tags=_LIMIT)
def retention() -> None:
    """What is dropped stays in the lake."""
    drop_old_days()


ASSET_JOBS = [insights_batch, tickets_only, marts_job, dbt_checks, compaction]
