"""The reference data: CSV files that keep their contract become versioned rows of the ODS."""

from streaming.reference.contracts import (
    TABLES,
    DeviceRow,
    LimitRow,
    MaintenanceRow,
    ReferenceRow,
    SiteRow,
)
from streaming.reference.files import read_files
from streaming.reference.load import Changes, load

__all__ = [
    "TABLES",
    "Changes",
    "DeviceRow",
    "LimitRow",
    "MaintenanceRow",
    "ReferenceRow",
    "SiteRow",
    "load",
    "read_files",
]
