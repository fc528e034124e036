"""The lake: all records of all topics as Parquet, written by the consumer."""

import dagster as dg

from assets.landed import TOPICS
from assets.owners import PLATFORM

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
