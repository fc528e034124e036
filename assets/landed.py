"""Topics, and the tables of the ODS that the consumer lands them in. Dagster only watches them."""

import dagster as dg

from assets.owners import PLATFORM
from streaming.contracts import CONTRACTS

QUARANTINE = dg.AssetKey(["landing", "quarantine"])
BATCHES = dg.AssetKey(["control", "batches"])


def topic_key(topic: str) -> dg.AssetKey:
    """Returns the asset of a topic."""
    return dg.AssetKey(["kafka", topic])


def landing_key(topic: str) -> dg.AssetKey:
    """Returns the asset of a topic's landing table."""
    return dg.AssetKey(["landing", topic.replace(".", "_")])


TOPICS = [
    dg.AssetSpec(
        topic_key(topic),
        description=f"What devices send to {topic}; observed: the log's ends, and the lag.",
        group_name="kafka",
        kinds={"kafka"},
        owners=PLATFORM,
    )
    for topic in CONTRACTS
]
TABLES = [
    dg.AssetSpec(
        landing_key(topic),
        deps=[topic_key(topic)],
        description=f"Every record of {topic} that keeps its contract, as it came, exactly once.",
        group_name="landing",
        kinds={"postgres"},
        owners=PLATFORM,
    )
    for topic in CONTRACTS
]

SPECS = [
    *TOPICS,
    *TABLES,
    dg.AssetSpec(
        QUARANTINE,
        deps=[topic_key(topic) for topic in CONTRACTS],
        description="Records that break their contract, with their exact bytes and the reason.",
        group_name="landing",
        kinds={"postgres"},
        owners=PLATFORM,
    ),
    dg.AssetSpec(
        BATCHES,
        deps=[each.key for each in TABLES],
        description="Micro-batches: ranges of landed offsets, with the watermark of each.",
        group_name="landing",
        kinds={"postgres"},
        owners=PLATFORM,
    ),
]
