"""From landed records to transitions: dbt's models of one micro-batch, and the marts."""

from typing import Any

import dagster as dg
from dagster_dbt import dbt_assets

from assets.translator import Translator
from orchestration.resources import Dbt, Ods, read_manifest
from streaming import batches

TRANSITIONS = dg.AssetKey(["insights", "transitions"])

_MANIFEST = read_manifest()
_TRANSLATOR = Translator()


@dbt_assets(
    manifest=_MANIFEST, select="tag:batch", name="batch_models", dagster_dbt_translator=_TRANSLATOR
)
def insights(
    context: dg.AssetExecutionContext, dbt: dg.ResourceParam[Dbt], ods: dg.ResourceParam[Ods]
) -> Any:
    """Works off the oldest unfinished batch; its last model moves it to done."""
    if not context.selected_asset_keys:
        yield from dbt.events(context, _MANIFEST, _TRANSLATOR, "insights_batch")
        return
    with ods.batch_lock():
        with ods.connect("orchestrator") as connection:
            if (batch := batches.unfinished(connection)) is not None:
                batches.note_run(connection, batch, context.run.run_id)
        yield from dbt.events(context, _MANIFEST, _TRANSLATOR, "insights_batch")


@dbt_assets(
    manifest=_MANIFEST, exclude="tag:batch", name="marts_models", dagster_dbt_translator=_TRANSLATOR
)
def marts(context: dg.AssetExecutionContext, dbt: dg.ResourceParam[Dbt]) -> Any:
    """Rebuilds what people read, from batches that are done."""
    yield from dbt.events(context, _MANIFEST, _TRANSLATOR, "marts")
