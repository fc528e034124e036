"""Versioned reference data, written by `fleetpulse reference load`."""

import dagster as dg

from assets.owners import OPERATIONS

_TABLES = {
    "devices": "The device registry.",
    "sites": "The sites.",
    "model_limits": "Limits by model.",
    "maintenance": "Planned work on a device or a site, as it was told.",
    "maintenance_occurrences": "Planned work as it takes place; of what recurs, every time.",
}

SPECS = [
    dg.AssetSpec(
        ["reference", table],
        description=f"{description} One row a version.",
        group_name="reference",
        kinds={"postgres"},
        owners=OPERATIONS,
    )
    for table, description in _TABLES.items()
]
