"""The lake: all records of all topics as Parquet, written by the consumer, compacted here."""

import dagster as dg

from assets.landed import TOPICS
from assets.owners import PLATFORM
from orchestration.partitions import LAKE_HOURS
from orchestration.resources import Lake

COMPACTED = dg.AssetKey(["lake", "compacted"])
RAW = dg.AssetKey(["lake", "raw"])

SPECS = [
    dg.AssetSpec(
        RAW,
        deps=[each.key for each in TOPICS],
        description="Every record as it came, in immutable Parquet files, for replay.",
        group_name="lake",
        kinds={"s3", "parquet"},
        owners=PLATFORM,
    )
]


@dg.asset(
    key=COMPACTED,
    deps=[RAW],
    partitions_def=LAKE_HOURS,
    description="The lake's small files, merged hour by hour into large objects, sorted by key.",
    group_name="lake",
    kinds={"s3", "parquet"},
    owners=PLATFORM,
)
def compacted(
    context: dg.AssetExecutionContext, lake: dg.ResourceParam[Lake]
) -> dg.MaterializeResult[None]:
    """Compacts the hour, and what else is due: late files, and deletions after the grace."""
    done = []
    for each in lake.compact(context.partition_time_window.start):
        context.log.info(f"{each.hour}: {each.merged} became {each.made}, {each.deleted} deleted")
        done.append(each)
    return dg.MaterializeResult(
        metadata={
            "merged": sum(each.merged for each in done),
            "made": sum(each.made for each in done),
            "rows": sum(each.rows for each in done),
            "deleted": sum(each.deleted for each in done),
        }
    )
