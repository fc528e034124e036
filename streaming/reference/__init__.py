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
from streaming.reference.load import load
from streaming.reference.problems import Problem, WrongFilesError
from streaming.reference.timeline import Change, Changes, End, Entry, said

__all__ = [
    "TABLES",
    "Change",
    "Changes",
    "DeviceRow",
    "End",
    "Entry",
    "LimitRow",
    "MaintenanceRow",
    "Problem",
    "ReferenceRow",
    "SiteRow",
    "WrongFilesError",
    "load",
    "read_files",
    "said",
]
